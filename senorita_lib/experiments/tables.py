"""Measured errors as one long table, and Tables 1 and 2 of the paper from it.

A row of the long table is one pose of one test frame: ``trial``, ``model`` (1 to 4; 0 for an
ensemble), ``seed``, ``split``, ``frame`` (its index in the test set), ``pose`` ("initial" or
"refined") and ``mm`` (the mean error of its 21 joints). ``results/trials.csv.gz`` holds that of
all studies.

``python -m senorita_lib.experiments.tables`` prints Tables 1 and 2 of the study ``models``
(several seeds), or of a folder of runs.
"""

import argparse
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from senorita_lib.commands import command
from senorita_lib.evaluation import PAPER, SPLITS, ensemble, format_table, frame_errors
from senorita_lib.experiments.trials import STUDIES, TRIALS
from senorita_lib.experiments.uncertainty import Estimate, bootstrap
from senorita_lib.files import PathLike, atomic_write, project_path, read_json, user_path
from senorita_lib.recipes import RECIPES, Recipe, find_recipe

COLUMNS = ["trial", "model", "seed", "split", "frame", "pose", "mm"]
Arrays: TypeAlias = dict[str, np.ndarray]
Results: TypeAlias = dict[int, dict[int, tuple[dict[str, Any], Arrays]]]
Rows: TypeAlias = dict[str, dict[str, Any]]


def long_table(
    trial: str, model: int, seed: int, truth: Mapping[str, np.ndarray], poses: Mapping[str, Any]
) -> pd.DataFrame:
    """The rows of one run.

    ``truth`` has ``joints`` (N, 21, 3), camera frame, mm, and ``splits`` (N,); ``poses`` has
    "initial", "refined" or both, like the joints.
    """
    tables = []
    for pose, mm in zip(poses, frame_errors(list(poses.values()), truth["joints"]), strict=True):
        columns = {"trial": trial, "model": model, "seed": seed, "pose": pose}
        columns |= {"split": np.char.upper(truth["splits"]), "frame": np.arange(len(mm)), "mm": mm}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables)[COLUMNS]


def load_trials() -> pd.DataFrame:
    """The long table of all studies; raises FileNotFoundError if none was run yet."""
    types = dict.fromkeys(("model", "seed", "frame"), int) | {"mm": np.float32}
    return pd.read_csv(results_file("trials.csv.gz"), dtype=types)


def load_notes(study: str = "") -> dict[str, Any]:
    """What ``results/trials.json`` keeps of each trial, or of those of a study, beside its errors.

    It has a trial's ``device``, ``torch``, ``constant`` ({split: mm} of the best constant pose),
    ``bone_lengths`` (mean, true = 1, one a seed) and ``curves`` (for each seed, where it was kept,
    the validation errors of the initial pose, [images seen, mm]). An ensemble has lengths alone.
    Raises FileNotFoundError if no study was run yet.
    """
    notes: dict[str, Any] = read_json(results_file("trials.json"))
    return {name: notes[name] for name in STUDIES[study]} if study else notes


def results_file(name: str, command: str = "studies STUDY") -> Path:
    """A file under ``results``; if it is missing, the error names the command that writes it."""
    path = project_path(f"results/{name}")
    if not path.exists():
        wanted = f"wanted it from python -m senorita_lib.experiments.{command}"
        raise FileNotFoundError(f"{path} is missing, {wanted}")
    return path


def save_trials(table: pd.DataFrame, notes: Mapping[str, Any]) -> None:
    """Keep some trials' rows and notes under ``results``, in place of what was kept of these."""
    folder = project_path("results")
    folder.mkdir(exist_ok=True)
    if (folder / "trials.csv.gz").exists():
        old = load_trials()
        table = pd.concat([old[~old["trial"].isin(list(notes))], table])
        notes = load_notes() | dict(notes)
    # In the order of TRIALS, so that the same errors are the same bytes.
    known = [name for name in TRIALS if name in notes]
    table = table[table["trial"].isin(known)]
    table = table.assign(trial=pd.Categorical(table["trial"], known))
    table = table.sort_values(["trial", "pose", "seed", "frame"])
    text = table.to_csv(index=False, float_format="%.2f", lineterminator="\n")
    # gzip.compress writes other bytes on Python 3.13.
    atomic_write(folder / "trials.csv.gz", zlib.compress(text.encode(), 9, wbits=31))
    text = json.dumps({name: notes[name] for name in known}, indent=1) + "\n"
    atomic_write(folder / "trials.json", text)


def estimates(table: pd.DataFrame) -> dict[tuple[str, str], dict[str, Estimate]]:
    """Means and intervals: (trial, pose) to {split: Estimate}, all resampled together.

    Raises ValueError if some trials were tested on other frames than the others.
    """
    wide = table.pivot(index=["split", "frame"], columns=["trial", "pose", "seed"], values="mm")
    if wide.isna().any(axis=None):
        raise ValueError("trials were tested on different frames, wanted the same")
    rows: dict[Any, np.ndarray] = {
        key: wide[list(columns)].to_numpy().T
        for key, columns in wide.columns.to_series().groupby(level=["trial", "pose"])
    }
    return bootstrap(rows, wide.index.get_level_values("split").to_numpy(str))


def _changes(recipe: dict[str, Any]) -> dict[str, Any]:
    """A stored recipe without what its named one has, which may have rates for each model."""
    if recipe["name"] not in RECIPES:
        return recipe
    recipe = json.loads(Recipe().to_json()) | recipe  # an old one may lack some names
    usual = json.loads(find_recipe(recipe["name"], model=recipe["model"]).to_json())
    changed = {key: value for key, value in recipe.items() if usual.get(key) != value}
    return changed | {"name": recipe["name"]}


def load_results(folder: PathLike) -> Results:
    """Finished runs of one recipe in and below a folder: {model: {seed: (result, predictions)}}.

    Raises FileNotFoundError if there is none; ValueError if runs differ in more than model and
    seed, or are the same in both, or were tested on different frames or without labels.
    """
    folder = user_path(folder)
    runs = [(path, *read_run(path.parent)) for path in sorted(folder.rglob("result.json"))]
    if not runs:
        wanted = "wanted a run of 04_train_refine.ipynb there"
        raise FileNotFoundError(f"{folder} holds no result.json, {wanted}")
    found: Results = {}
    first, earlier, known = runs[0]
    for path, result, arrays in runs:
        recipe, other = result["recipe"], earlier["recipe"]
        if not {*SPLITS} & {*result["errors"]["refined"]}:
            wanted = "wanted labels and splits: its submission.zip is for the challenge's server"
            raise ValueError(f"{path} was tested on frames without labels or splits, {wanted}")
        one, two = _changes(recipe), _changes(other)
        for name in (one.keys() | two.keys()) - {"model", "seed"}:
            if one.get(name) != two.get(name):
                raise ValueError(f"{path} has another {name} than {first}, wanted one recipe")
        if not np.array_equal(arrays["names"], known["names"]):
            raise ValueError(f"{path} was tested on other frames than {first}, wanted the same")
        seeds = found.setdefault(recipe["model"], {})
        if recipe["seed"] in seeds:
            which = f"model {recipe['model']} with seed {recipe['seed']}"
            raise ValueError(f"{path} is {which} once more, wanted each once")
        seeds[recipe["seed"]] = result, arrays
    return {model: dict(sorted(seeds.items())) for model, seeds in sorted(found.items())}


def read_run(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """The result and the predictions of a finished run."""
    if not (path := folder / "predictions.npz").is_file():
        raise ValueError(f"{folder} holds a run without test frames, wanted one that was tested")
    result = read_json(folder / "result.json", "recipe", "errors")
    try:
        with open(path, "rb") as file, np.load(file) as arrays:
            return result, dict(arrays)
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        raise ValueError(f"{path} is damaged or no .npz, wanted predictions of a run") from None


def results_table(found: Results) -> pd.DataFrame:
    """The long table of :func:`load_results`, with an ensemble for each seed that all have."""
    tables, every = [], list(found.values())
    _, truth = next(iter(every[0].values()))
    for model, seeds in found.items():
        for seed, (_, arrays) in seeds.items():
            poses = {pose: arrays[pose] for pose in ("initial", "refined")}
            tables.append(long_table(f"Model {model}", model, seed, truth, poses))
    for seed in [seed for seed in every[0] if all(seed in seeds for seeds in every)]:
        for merge in ("mean", "median"):
            merged = {"refined": ensemble([seeds[seed][1]["refined"] for seeds in every], merge)}
            tables.append(long_table(f"ensemble of {len(found)}, {merge}", 0, seed, truth, merged))
    return pd.concat(tables)


def paper_tables(table: pd.DataFrame, constant: Mapping[str, float]) -> tuple[Rows, Rows]:
    """Tables 1 and 2 as rows for :func:`~senorita_lib.evaluation.format_table`, with the paper's.

    ``table`` is of Models 1 to 4, or some, and their ensembles "ensemble of …, mean" or
    "…, median"; ``constant`` is {split: mm} of the best constant pose.
    """
    first: Rows = {"best constant pose": dict(constant)}
    second: Rows = {}
    for (trial, pose), row in estimates(table).items():
        if trial.startswith("Model "):
            first[f"{trial}, {pose}"] = row
            if pose == "refined":
                first[f"  paper's {trial}"] = PAPER["table1"][trial]
        elif trial.endswith(("mean", "median")):
            second[trial] = row
    return first, second | {"  paper's": PAPER["table2"]["Ours"]}


def models_tables() -> tuple[Rows, Rows]:
    """Tables 1 and 2 of the study ``models``, see :func:`paper_tables`."""
    table = load_trials()
    table = table[table["trial"].isin(STUDIES["models"])]
    return paper_tables(table, load_notes()["Model 1"]["constant"])


def study_table(study: str) -> str:
    """A study's trials: mean errors on each split, mm, and how they differ from the first trial.

    ± is the standard deviation over seeds of the difference between runs of the same seed;
    bones are the mean bone length, true = 1.
    """
    mm, notes = study_means(study), load_notes(study)
    change = (mm["all"] - mm["all"].xs(STUDIES[study][0])).groupby("trial", sort=False)
    shown = mm.groupby("trial", sort=False).mean().map("{:.2f}".format)
    both = change.mean().map("{:+.2f}".format), change.std().map("{:.2f}".format)
    shown["difference"] = both[0] + " ± " + both[1]
    shown["bones"] = [f"{np.mean(note['bone_lengths']):.2f}" for note in notes.values()]
    return shown.rename_axis(index=None, columns=None).to_string()


def study_means(study: str) -> pd.DataFrame:
    """Mean errors, mm, of a study's trials in the pose that each is about.

    Rows are (trial, seed); columns the splits and "all", the mean over them.
    """
    table, wanted = load_trials(), STUDIES[study]
    table = table[table["pose"] == table["trial"].map({name: TRIALS[name].pose for name in wanted})]
    mm = table.astype({"mm": float}).pivot_table("mm", ["trial", "seed"], "split")
    mm = mm.reindex(wanted, level="trial")[list(SPLITS)]
    return mm.assign(all=mm.mean(axis=1))


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned in plain text, too."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    padded = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in padded)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Print Tables 1 and 2."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.tables", description=__doc__
    )
    parser.add_argument("folder", nargs="?", help="of runs, such as runs/tiny")
    folder = parser.parse_args(arguments).folder
    if folder:
        found = load_results(folder)
        result, _ = next(iter(found[min(found)].values()))
        first, second = paper_tables(results_table(found), result["errors"]["constant"])
        most = max(map(len, found.values()))
    else:
        first, second = models_tables()
        most = len(load_notes()["Model 1"]["bone_lengths"])
    runs = f"{most} seeds merged" if most > 1 else "one run each"
    print(format_table(first, f"Table 1. Mean joint error, mm, {runs}"), end="\n\n")
    print(format_table(second, "Table 2. Ensemble, mean joint error, mm"))


if __name__ == "__main__":
    main()
