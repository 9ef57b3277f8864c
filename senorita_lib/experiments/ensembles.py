"""Table 2's claim with networks of recipe ``small``: four models against four seeds of one.

``python -m senorita_lib.experiments.ensembles`` trains Models 1 to 4 like the networks of
:mod:`.regimes`, keeps their test poses under ``results/small`` and prints the table. It takes many
hours on two cores and resumes; with ``--kept`` it trains nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from senorita_lib.commands import command
from senorita_lib.datasets import write_synthetic
from senorita_lib.evaluation import SPLITS, ensemble, format_table
from senorita_lib.experiments import regimes
from senorita_lib.experiments.tables import Rows, estimates, long_table, read_run
from senorita_lib.experiments.uncertainty import Estimate
from senorita_lib.files import project_path, whole_file

_TENTHS = 10  # poses are kept as whole tenths of a millimetre


def keep_poses() -> None:
    """Keep the test poses of each network that has ended, and the true ones.

    Raises ValueError if a network was tested on other frames than those kept.
    """
    for model, start in regimes.MODELS.items():
        for seed in range(regimes.MOST_SEEDS):
            if regimes.finished(start, seed, regimes.NETWORK):
                _, arrays = read_run(regimes.run_folder(start, seed, regimes.NETWORK))
                if not (truth := _folder() / "truth.npz").is_file():
                    _write(truth, poses=arrays["joints"], splits=arrays["splits"])
                true = _read(truth)["poses"]
                if true.shape != arrays["joints"].shape or abs(true - arrays["joints"]).max() > 0.1:
                    said = f"{start} of seed {seed} was tested on other frames"
                    raise ValueError(f"{said}, wanted those of {truth}")
                _write(_path(model, seed), poses=arrays["initial"])


def table() -> pd.DataFrame:
    """The long table of :mod:`.tables`: the models, and ensembles of each seed that they allow.

    "four models" of a seed are Models 1 to 4; "four seeds" of Model 1 are that seed and the next
    three, of every fourth seed, so that no two share a network. Raises ValueError where no poses
    are kept.
    """
    if not (_folder() / "truth.npz").is_file():
        raise ValueError(f"{_folder()} holds no poses, wanted networks that were trained")
    truth = _read(_folder() / "truth.npz")
    truth["joints"] = truth.pop("poses")
    poses = {
        (model, seed): _read(path)["poses"]
        for model in regimes.MODELS
        for seed in range(regimes.MOST_SEEDS)
        if (path := _path(model, seed)).is_file()
    }
    runs = {(f"Model {model}", seed): [pose] for (model, seed), pose in poses.items()}
    own = [seed for model, seed in poses if model == 1]
    for seed in own:
        four = [(model, seed) for model in regimes.MODELS]
        if set(four) <= poses.keys():
            runs["four models", seed] = [poses[run] for run in four]
    for place in range(0, len(own) - 3, 4):
        runs["four seeds", own[place]] = [poses[1, other] for other in own[place : place + 4]]
    return pd.concat(
        long_table(trial, 0, seed, truth, {"initial": ensemble(members)})
        for (trial, seed), members in runs.items()
    )


def rows(found: pd.DataFrame) -> Rows:
    """Mean errors of each kind, and :func:`gains`; in brackets, of how many seeds."""
    seeds = found.groupby("trial")["seed"].nunique()
    means = {f"{trial} ({seeds[trial]})": row for (trial, _), row in estimates(found).items()}
    return means | {f"four models − {n} ({s})": row for n, (s, row) in gains(found).items()}


def gains(found: pd.DataFrame) -> dict[str, tuple[int, dict[str, Estimate]]]:
    """The error of four models minus that of each other kind, by split; first, of how many seeds.

    Those that both have; kinds without one are left out. One seed: only frames are resampled.
    """
    seeds = {str(trial): set(own) for trial, own in found.groupby("trial")["seed"]}
    merged, differences = seeds.pop("four models", set()), {}
    for other, own in seeds.items():
        if shared := merged & own:
            pair = found["trial"].isin(["four models", other]) & found["seed"].isin(shared)
            both = estimates(found[pair])
            one, two = (both[trial, "initial"] for trial in ("four models", other))
            differences[other] = len(shared), {split: one[split] - two[split] for split in SPLITS}
    return differences


def _folder() -> Path:
    return project_path("results/small")


def _path(model: int, seed: int) -> Path:
    return _folder() / f"model_{model}_seed_{seed}.npz"


def _write(path: Path, *, poses: np.ndarray, **others: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        tenths = np.rint(_TENTHS * poses).astype(np.int16)
        np.savez_compressed(file, allow_pickle=False, poses=tenths, **others)


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays) | {"poses": arrays["poses"] / _TENTHS}


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, keep the poses, print the table."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.ensembles", description=__doc__
    )
    seeds = range(regimes.MOST_SEEDS)
    parser.add_argument("--seeds", type=int, nargs="+", choices=seeds, default=[0, 1, 2, 3])
    parser.add_argument("--data", default="data/hands19_40000", help="made if it is missing")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    chosen = parser.parse_args(arguments)
    if not chosen.kept:
        data = write_synthetic(project_path(chosen.data), regimes.FRAMES, test_per_split=200)
        regimes.train_regimes(list(regimes.MODELS.values()), chosen.seeds, data, trials=[])
    keep_poses()
    title = "Mean joint error of the initial pose, mm, of how many seeds"
    print(format_table(rows(table()), title))


if __name__ == "__main__":
    main()
