"""Tables 1 and 2 of trained models beside the paper's, from the files that runs leave.

``python -m senorita_lib.experiments.tables`` prints those of the study ``models`` (several
seeds), or of
a folder of runs.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from senorita_lib.evaluation import PAPER, ensemble, format_table, frame_errors
from senorita_lib.experiments.study_files import load_study
from senorita_lib.experiments.uncertainty import bootstrap
from senorita_lib.paths import project_path


class Scores(NamedTuple):
    """Errors of models on the same test frames.

    Attributes
    ----------
    frames : dict
        "Model 1, initial" and the like, and "ensemble of 4, mean" and "…, median", to the frames'
        mean joint errors, (seeds, N) mm.
    splits : array of str, (N,)
    constant : dict
        {split: mm} of the best constant pose.
    """

    frames: dict
    splits: np.ndarray
    constant: dict


def load_results(folder):
    """Finished runs of one recipe: {model: {seed: (result, predictions)}}.

    Parameters
    ----------
    folder : path
        Searched with all below it for ``result.json`` with ``predictions.npz`` beside it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If runs differ in more than model and seed, or not even in these, or are of other test
        frames or of frames without labels.
    """
    found, first = {}, None
    for path in sorted(Path(folder).rglob("result.json")):
        result = json.loads(path.read_text())
        if not result["errors"]["refined"]:
            raise ValueError(
                f"{path} was tested on frames without labels, wanted labelled ones: "
                "its submission.zip is for the challenge's server"
            )
        with np.load(path.with_name("predictions.npz")) as arrays:
            arrays = {name: arrays[name] for name in arrays.files}
        first = first or (path, result, arrays)
        other = [
            name
            for name in result["recipe"].keys() | first[1]["recipe"].keys()
            if name not in ("model", "seed")
            and result["recipe"].get(name) != first[1]["recipe"].get(name)
        ]
        if other:
            raise ValueError(f"{path} has another {other[0]} than {first[0]}, wanted one recipe")
        if not np.array_equal(arrays["names"], first[2]["names"]):
            raise ValueError(f"{path} was tested on other frames than {first[0]}, wanted the same")
        seeds = found.setdefault(result["recipe"]["model"], {})
        if (seed := result["recipe"]["seed"]) in seeds:
            raise ValueError(
                f"{path} is model {result['recipe']['model']} with seed {seed} once more, "
                "wanted each once"
            )
        seeds[seed] = result, arrays
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no result.json, wanted a run of 04_train_refine.ipynb there"
        )
    return {model: dict(sorted(seeds.items())) for model, seeds in sorted(found.items())}


def scores(results):
    """The :class:`Scores` of :func:`load_results`, with an ensemble for each seed that all have."""
    frames = {}
    result, truth = next(iter(next(iter(results.values())).values()))
    shared = [seed for seed in results[min(results)] if all(seed in s for s in results.values())]
    for model, seeds in results.items():
        for kind in ("initial", "refined"):
            poses = [arrays[kind] for _, arrays in seeds.values()]
            frames[f"Model {model}, {kind}"] = frame_errors(poses, truth["joints"])
    for merge in ("mean", "median") if shared else ():
        merged = [
            ensemble([seeds[seed][1]["refined"] for seeds in results.values()], merge)
            for seed in shared
        ]
        frames[f"ensemble of {len(results)}, {merge}"] = frame_errors(merged, truth["joints"])
    return Scores(frames, truth["splits"], result["errors"]["constant"])


def study_scores():
    """The :class:`Scores` of the study ``models``."""
    study, frames = load_study("models")
    names = [name for name in frames if name.startswith("Model ")]
    kept = {name: frames[name] for name in names}
    for merge in ("mean", "median"):
        kept[f"ensemble of 4, {merge}"] = frames[f"{merge} of four, refined"]
    return Scores(kept, frames["splits"], study["constant"])


def tables(found):
    """Tables 1 and 2: two dicts of rows for :func:`format_table`, the paper's among them.

    Parameters
    ----------
    found : Scores
    """
    estimates = bootstrap(found.frames, found.splits)
    first, second = {"best constant pose": found.constant}, {}
    for name, row in estimates.items():
        if name.startswith("ensemble"):
            second[name] = row
            continue
        first[name] = row
        if name.endswith("refined"):
            model = name.split(",")[0]
            first[f"  paper's {model}"] = PAPER["table1"][model]
    return first, second | {"  paper's": PAPER["table2"]["Ours"]}


def main(arguments=None):
    """Print Tables 1 and 2."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.experiments.tables", description=__doc__
    )
    parser.add_argument("folder", nargs="?", help="of runs, such as runs/tiny")
    folder = parser.parse_args(arguments).folder
    try:
        found = scores(load_results(project_path(folder))) if folder else study_scores()
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    seeds = sorted({len(row) for row in found.frames.values()})
    runs = f"{seeds[-1]} seeds merged" if seeds[-1] > 1 else "one run each"
    table1, table2 = tables(found)
    print(format_table(table1, f"Table 1. Mean joint error, mm, {runs}"))
    print()
    print(format_table(table2, "Table 2. Ensemble, mean joint error, mm"))


if __name__ == "__main__":
    main()
