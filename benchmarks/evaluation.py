"""What judging a challenge of 125,000 frames costs, beside NumPy's own mean of the same errors."""

import numpy as np
from reader import seconds

from senorita_lib.evaluation import (
    SPLITS,
    ensemble,
    joint_errors,
    split_errors,
    spread,
    success_curve,
)
from senorita_lib.experiments.difficulty import finger_bend, palm_angle
from senorita_lib.experiments.uncertainty import bootstrap

FRAMES = 125_000


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    true = (rng.normal(0, 40, (FRAMES, 21, 3)) + [0, 0, 500]).astype(np.float32)
    models = [true + rng.normal(0, 8, true.shape).astype(np.float32) for _ in range(4)]
    splits = np.tile(SPLITS, FRAMES // 5)
    frames = {f"model {i}": joint_errors(m, true).mean(axis=1) for i, m in enumerate(models)}
    first, thresholds = models[0], np.arange(81)
    calls = {
        "plain mean": lambda: np.sqrt(((first - true) ** 2).sum(-1)).mean(),
        "by split": lambda: split_errors(first, true, splits),
        "three success curves": lambda: [
            success_curve(first, true, thresholds, by)
            for by in ("frame_max", "frame_mean", "joint")
        ],
        "palm angle and bend": lambda: (palm_angle(true), finger_bend(true)),
        "interval of a difference": lambda: bootstrap(
            {name: frames[name] for name in ("model 0", "model 1")}, splits
        ),
        "intervals of four models": lambda: bootstrap(frames, splits),
        "ensemble, mean": lambda: ensemble(models),
        "ensemble, median": lambda: ensemble(models, "median"),
        "spread": lambda: spread(models),
    }
    times = {name: seconds(call)[0] for name, call in calls.items()}
    base = times["plain mean"]
    print(f"{FRAMES:,} frames{'':17}seconds   of the plain mean")
    for name, spent in times.items():
        print(f"{name:<30}{spent:8.2f}{spent / base:10.1f} x")
    one = ("by split", "three success curves", "interval of a difference")
    print(f"{'errors, curves, interval':<30}{sum(times[name] for name in one):8.2f}")


if __name__ == "__main__":
    main()
