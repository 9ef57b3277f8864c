"""Train the trials of a study, a few seeds each (:mod:`.trials` names them).

``python -m senorita_lib.experiments.studies STUDY`` trains what is missing under
``runs/studies``, keeps errors, frame by frame, in ``results/trials.csv.gz`` and prints the
study's table. Killed, it goes on where it was.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import parallel_config
from tqdm.auto import tqdm

from senorita_lib._arguments import check_flags
from senorita_lib.commands import command
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.workers import run_tasks
from senorita_lib.evaluation import ensemble
from senorita_lib.experiments.tables import long_table, read_run, save_trials, study_table
from senorita_lib.experiments.trials import RECIPE, SEEDS, STUDIES, TRIALS, Trial
from senorita_lib.files import PathLike, project_path, read_json
from senorita_lib.hand import joints_to_bones
from senorita_lib.people.pretraining import starting_weights
from senorita_lib.recipes import find_recipe
from senorita_lib.training.loop import counted
from senorita_lib.training.stages import crop_options, train


def run_study(
    name: str,
    data: PathLike = "data/hands19_synthetic",
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Train and test all trials of a study; finished runs in ``runs/studies`` are only read.

    ``data`` is the root of a labelled data set. ``jobs`` are processes of one thread each, one a
    core if not given; the numbers do not depend on it. With 1, or with a graphics card, this
    process trains alone, with all its threads. A run does not know which function replaced eq. 4:
    after a change to it, remove its folder.

    Returns the trials' rows of the long table, see :mod:`.tables`, and their notes, see
    :func:`.tables.load_notes`. Raises ValueError if ``STUDIES`` has no such name.
    """
    check_flags(progress=progress)
    if name not in STUDIES:
        raise ValueError(f"study is {name!r}, wanted one of {list(STUDIES)}")
    trained = [trial for trial in STUDIES[name] if not TRIALS[trial].members]
    # Trials that others start from come first.
    trained.sort(key=lambda trial: bool(TRIALS[trial].start))
    jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    done = _train_all(trained, project_path(data), jobs)
    for _ in tqdm(done, name, len(trained) * len(SEEDS), disable=not progress):
        pass
    runs = {(trial, seed): read_run(_folder(trial, seed)) for trial in trained for seed in SEEDS}
    _, truth = next(iter(runs.values()))
    tables, mm = [], "validation_initial_mm"
    notes: dict[str, dict[str, Any]] = {}
    for trial in STUDIES[name]:
        lengths, shown = [], TRIALS[trial]
        for index, seed in enumerate(SEEDS):
            if shown.members:
                members = [(m, SEEDS[(index + shift) % len(SEEDS)]) for m, shift in shown.members]
                joints = ensemble([runs[member][1]["refined"] for member in members], shown.merge)
                poses = {"refined": joints}
            else:
                poses = {pose: runs[trial, seed][1][pose] for pose in ("initial", shown.pose)}
            model = 0 if shown.members else shown.changes.get("model", 1)
            tables.append(long_table(trial, model, seed, truth, poses))
            both = (joints_to_bones(joints) for joints in (poses[shown.pose], truth["joints"]))
            own, true = (np.linalg.norm(bones, axis=-1).mean() for bones in both)
            lengths.append(float(own / true))
        notes[trial] = {"bone_lengths": lengths}
        if not shown.members:
            result, _ = runs[trial, SEEDS[0]]
            notes[trial] |= {key: result[key] for key in ("device", "torch")}
            notes[trial]["constant"] = result["errors"]["constant"]
            logs = (counted(read_json(_folder(trial, seed) / "log.json")) for seed in SEEDS)
            curves = [[[r["seen"], round(r[mm], 2)] for r in log if mm in r] for log in logs]
            notes[trial]["curves"] = curves
    return pd.concat(tables), notes


def _folder(name: str, seed: int) -> Path:
    return project_path("runs/studies") / RECIPE / f"{name}, seed {seed}"


def _chain(name: str, seed: int) -> list[tuple[Path, Trial]]:
    """A trial with its folder, after the one that it starts from."""
    trial = TRIALS[name]
    before = _chain(trial.start, seed) if trial.start else []
    return [*before, (_folder(name, seed), trial)]


def _train_chain(chain: list[tuple[Path, Trial]], seed: int, data: Path) -> None:
    start = None
    for folder, trial in chain:
        recipe = find_recipe(RECIPE, seed=seed, **trial.changes)
        if start is None:
            start = starting_weights(recipe, folder.parent, progress=False)
        train(recipe, data, folder, progress=False, start=start, volume_loss=trial.volume_loss)
        start = folder / "model.safetensors"


def _train_all(names: list[str], data: Path, jobs: int) -> Iterator[None]:
    calls = [(_chain(name, seed), seed, data) for name in names for seed in SEEDS]
    ways = [crop_options(find_recipe(RECIPE, **TRIALS[name].changes)) for name in names]
    for options in {str(way): way for way in ways}.values():  # cropped once, not by each process
        load_crops(Hands19(data, "train"), progress=False, **options)
        load_crops(Hands19(data, "test", skip_degenerate=False), progress=False, **options)
    with parallel_config("loky", inner_max_num_threads=1):
        yield from run_tasks(_train_chain, calls, jobs)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run studies, keep them and print their tables."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.studies", description=__doc__
    )
    parser.add_argument("study", choices=STUDIES, nargs="+")
    names = parser.parse_args(arguments).study
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in names:
        save_trials(*run_study(name))
        print(study_table(name), flush=True)


if __name__ == "__main__":
    main()
