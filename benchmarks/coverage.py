"""How often the 95 % intervals of the uncertainty hold the truth, by number of seeds.

Differences between two ways to train are drawn with a known mean. Frames differ, alike for all
seeds, as they are tested on the same ones; seeds differ not at all, by as much as the mean over
the frames, and by more.
"""

import numpy as np

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.uncertainty import bootstrap

FRAMES, TRIALS = 500, 400
SPLITS_OF = np.tile(SPLITS, FRAMES // 5)


def coverage(seeds, ratio, rng):
    """Share of intervals with the truth in them; ``ratio``: a seed's spread to the frames'."""
    held = 0
    for trial in range(TRIALS):
        frames = rng.normal(1.0, 5.0, FRAMES)
        errors = frames + rng.normal(0.0, ratio * 5.0 / FRAMES**0.5, (seeds, 1))
        estimates = bootstrap({"a": errors}, SPLITS_OF, draws=300, seed=trial)
        low, high = estimates["a"]["all"].interval()
        held += low <= 1.0 <= high
    return held / TRIALS


def main():
    """Print the table."""
    rng = np.random.default_rng(0)
    ratios = (0.0, 1.0, 2.0, 4.0)
    print(f"share of {TRIALS} intervals, of 95 %, that hold the truth")
    print("seeds   a seed's spread, over that of the mean of 500 frames:")
    print("     " + "".join(f"{ratio:8.0f}" for ratio in ratios))
    for seeds in (1, 2, 3, 5, 10):
        print(f"{seeds:5}" + "".join(f"{coverage(seeds, r, rng):8.2f}" for r in ratios), flush=True)


if __name__ == "__main__":
    main()
