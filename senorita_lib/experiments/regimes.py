"""The paper's two add-ons, judged at several distances from the truth.

``python -m senorita_lib.experiments.regimes`` trains, for each seed, Model 1 of recipe ``small``
by eq. 3 alone and keeps weights on its way down, the starts. From each start it trains what
``regimes.toml`` lists, on the same images in the same order. It takes days on two cores; killed,
it goes on where it was, and shows how long is left. Runs are under ``runs/regimes``; errors go to
``results/regimes.csv.gz``, where pairs of start and seed are whole or absent.

Three seeds are trained, then more, up to eight, while the half-width of an interval that a claim
rests on is 0.3 mm or more.
"""

import argparse
import os
import tomllib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import parallel_config
from tqdm.auto import tqdm

from senorita_lib.commands import command
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.workers import run_tasks
from senorita_lib.evaluation import bone_angles, joint_errors
from senorita_lib.experiments.tables import estimates, long_table, read_run, results_file
from senorita_lib.experiments.trials import Trial, read_trial
from senorita_lib.files import atomic_write, project_path, read_text
from senorita_lib.hand import joints_to_bones
from senorita_lib.recipes import Recipe, find_recipe
from senorita_lib.training.stages import below, crop_options, train

RECIPE = "small"
LISTED = tomllib.loads(read_text(Path(__file__).with_name("regimes.toml")))
TRIALS: dict[str, Trial] = {
    name: read_trial(**LISTED[step] | values)
    for step in ("step_1", "step_2")
    for name, values in LISTED[step].pop("trials").items()
}
COMPARISONS = {
    pair["name"]: (tuple(pair["one"]), tuple(pair["other"])) for pair in LISTED["compare"]
}
KEPT_MM: list[float] = LISTED["starts_mm"]
STARTS = [*(f"{mm:g}" for mm in KEPT_MM), "end"]
FRAMES = 40_000  # of the data set
MOST_SEEDS = 8
_DRAWS = 20_000  # of the bootstrap: p values as small as Holm's method needs
_PALM, _TIPS = slice(0, 6), slice(8, 21, 3)


def recipe_of(trial: str, seed: int) -> Recipe:
    """The recipe of a trial, or of a seed's "start"."""
    changes = LISTED["start"] if trial == "start" else TRIALS[trial].changes
    return find_recipe(RECIPE, seed=seed, **changes)


def run_folder(start: str, seed: int, trial: str) -> Path:
    """Where a trial is trained from a start; "start" itself is the same for all of a seed."""
    of = trial if trial == "start" else f"from {start}"
    return project_path("runs/regimes") / f"seed {seed}" / of / ("" if of == trial else trial)


def finished(start: str, seed: int, trial: str) -> bool:
    """Whether a run has ended."""
    return (run_folder(start, seed, trial) / "result.json").exists()


def train_one(start: str, seed: int, trial: str, data: Path) -> str:
    """Train a trial, or a seed's "start", unless it has ended; returns its name."""
    first, loss, kept = None, None, KEPT_MM
    if trial != "start":
        folder, loss, kept = run_folder(start, seed, "start"), TRIALS[trial].volume_loss, []
        first = folder / "model.safetensors" if start == "end" else below(folder, float(start))
    train(
        recipe_of(trial, seed), data, run_folder(start, seed, trial), progress=False, start=first,
        volume_loss=loss, keep_mm=kept,
    )  # fmt: skip
    return trial


def train_regimes(
    seeds: Sequence[int], data: str | os.PathLike[str], jobs: int | None = None
) -> None:
    """Train what is missing: the starts of the seeds, then their trials, start by start.

    ``jobs`` are processes of one thread each, by default one a core, or 1 with a graphics card.
    """
    jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    for split in ("train", "test"):  # cropped once, not by each process
        frames = Hands19(data, split, skip_degenerate=split == "train")
        load_crops(frames, **crop_options(recipe_of("start", 0)))
    starts = [("", seed, "start") for seed in seeds]
    trials = [(start, seed, name) for start in STARTS for seed in seeds for name in TRIALS]
    images = {name: _images(recipe_of(name, 0)) for name in ("start", *TRIALS)}
    total = sum(images[name] for *_, name in starts + trials)
    made = sum(images[call[2]] for call in starts + trials if finished(*call))
    with (
        tqdm(desc="images", total=total, initial=made, unit_scale=True, smoothing=0) as bar,
        parallel_config("loky", inner_max_num_threads=1),
    ):
        for calls in (starts, trials):
            todo = [(*call, Path(data)) for call in calls if not finished(*call)]
            for name in run_tasks(train_one, todo, jobs):
                bar.update(images[name])


def _images(recipe: Recipe) -> int:
    return recipe.pose_images + recipe.volume_images + recipe.refine_images


def collect() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Errors and :func:`anatomy` of each pair of start and seed whose trials have all ended.

    The first is the long table of :mod:`.tables` with a column ``start``; the second has a row for
    each start, seed, trial and pose. Both are empty where nothing has ended.
    """
    errors, why = [pd.DataFrame()], []
    for start, seed in ((start, seed) for start in STARTS for seed in range(MOST_SEEDS)):
        if not all(finished(start, seed, name) for name in TRIALS):
            continue
        for name, trial in TRIALS.items():
            _, arrays = read_run(run_folder(start, seed, name))
            poses = {pose: arrays[pose] for pose in dict.fromkeys(("initial", trial.pose))}
            errors.append(long_table(name, 1, seed, arrays, poses).assign(start=start))
            for pose, joints in poses.items():
                row = {"start": start, "seed": seed, "trial": name, "pose": pose}
                why.append(row | anatomy(joints, arrays["joints"], arrays["initial"]))
    return pd.concat(errors), pd.DataFrame(why)


def anatomy(poses: np.ndarray, true: np.ndarray, initial: np.ndarray) -> dict[str, float]:
    """Where the error of poses lies, means over frames; all (N, 21, 3), camera frame, mm.

    ``length`` of the bones, true = 1; the error of a bone's far end from its near end ``along`` the
    true bone (signed, mm) and ``across`` it; errors of ``palm`` and ``tips``, mm; the ``angle``
    between bone and true bone, degrees, and the share of bones ``towards`` the truth: turned
    nearer to it than in the initial pose.
    """
    bones, wanted = joints_to_bones(poses), joints_to_bones(true)
    length = np.linalg.norm(wanted, axis=-1)
    off, unit = bones - wanted, wanted / length[..., None]
    along = (off * unit).sum(axis=-1)
    joints, angle = joint_errors(poses, true), bone_angles(poses, true)
    nearer = angle < bone_angles(initial, true)
    means = {
        "length": np.linalg.norm(bones, axis=-1).mean() / length.mean(),
        "along": along.mean(),
        "across": np.linalg.norm(off - along[..., None] * unit, axis=-1).mean(),
        "palm": joints[:, _PALM].mean(),
        "tips": joints[:, _TIPS].mean(),
        "angle": np.nanmean(angle),
        "towards": nearer.mean(),
    }
    return {name: round(float(value), 3) for name, value in means.items()}


def keep(errors: pd.DataFrame, why: pd.DataFrame) -> None:
    """Write what :func:`collect` found to ``results``, beside what is there of other pairs."""
    for name, table in (("regimes.csv.gz", errors), ("regimes_why.csv", why)):
        path = project_path("results") / name
        if path.exists():
            old = pd.read_csv(path, dtype={"start": str})
            pairs = set(zip(table.get("start", ()), table.get("seed", ()), strict=True))
            others = [pair not in pairs for pair in zip(old["start"], old["seed"], strict=True)]
            table = pd.concat([old[others], table])
        if table.empty:
            continue
        path.parent.mkdir(exist_ok=True)
        for column, order in {"trial": [*TRIALS], "start": STARTS}.items():
            table[column] = pd.Categorical(table[column], order)
        keys = [key for key in ("start", "trial", "pose", "seed", "frame") if key in table]
        text = table.sort_values(keys).to_csv(index=False, float_format="%.3g")
        data = zlib.compress(text.encode(), 9, wbits=31) if name.endswith("gz") else text
        atomic_write(path, data)


def effects() -> pd.DataFrame:
    """The comparisons at each start, from ``results/regimes.csv.gz``.

    Columns: ``start``, ``comparison``, ``error`` (of the ``other``, mean over the splits, mm),
    ``difference`` of ``one`` and ``other``, its 95 % interval from ``low`` to ``high``, mm,
    ``seeds``, and the two-sided ``p`` of no difference, by Holm's method over all rows.
    """
    path = results_file("regimes.csv.gz", "regimes")
    table, rows = pd.read_csv(path, dtype={"start": str, "mm": np.float32}), []
    for start in [start for start in STARTS if start in set(table["start"])]:
        own = table[table["start"] == start]
        measured = estimates(own, draws=_DRAWS)
        for name, (one, other) in COMPARISONS.items():
            difference = measured[one]["all"] - measured[other]["all"]
            low, high = difference.interval()
            rows.append({
                "start": start, "comparison": name, "error": measured[other]["all"].mean,
                "difference": difference.mean, "low": low, "high": high,
                "seeds": own["seed"].nunique(), "p": difference.p_value(),
            })  # fmt: skip
    found = pd.DataFrame(rows)
    return found.assign(p=holm(found["p"].to_numpy()))


def holm(p: np.ndarray) -> np.ndarray:
    """P values (N,) corrected for their number by Holm's method."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    corrected = np.empty(len(p))
    corrected[order] = steps
    return corrected


def effects_table(found: pd.DataFrame) -> str:
    """:func:`effects` as a table in Markdown: a row for each comparison, a column for each start.

    A cell is the difference and its interval; a star marks those that Holm's method leaves
    significant at 5 %.
    """
    star = np.where(found["p"] < 0.05, "*", "")
    numbers = zip(found["difference"], found["low"], found["high"], star, strict=True)
    cells = [f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]{mark}" for mean, low, high, mark in numbers]
    wide = found.assign(cell=cells).pivot(index="comparison", columns="start", values="cell")
    starts = [start for start in STARTS if start in wide]
    error = found[found["comparison"] == next(iter(COMPARISONS))].set_index("start")["error"]
    heads = ["difference, mm", *(f"from {s}, control at {error[s]:.1f} mm" for s in starts)]
    rows = [heads, ["---"] * len(heads), *([name, *wide.loc[name, starts]] for name in COMPARISONS)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, keep what has ended, print the table."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.regimes", description=__doc__
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", default="data/hands19_40000", help="made if it is missing")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    chosen = parser.parse_args(arguments)
    if not chosen.kept:
        data = write_synthetic(project_path(chosen.data), FRAMES, test_per_split=200)
        train_regimes(chosen.seeds, data)
    keep(*collect())
    print(effects_table(effects()))


if __name__ == "__main__":
    main()
