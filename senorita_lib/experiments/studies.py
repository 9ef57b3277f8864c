"""Training runs beside each other that differ in one thing, a few seeds each.

``python -m senorita_lib.experiments.studies STUDY`` trains what is missing of one under
``runs/studies`` and
keeps its errors, frame by frame, under ``results/studies``, where the ledger of claims and the
notebooks read them.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import ensemble, frame_errors, split_errors
from senorita_lib.experiments.study_files import save_study, study_table
from senorita_lib.experiments.trials import RECIPE, SEEDS, STUDIES, TRIALS
from senorita_lib.hand import joints_to_bones
from senorita_lib.paths import project_path
from senorita_lib.people.pretraining import starting_weights
from senorita_lib.recipes import find_recipe
from senorita_lib.training.loop import counted
from senorita_lib.training.stages import crop_options, train


def run_study(name, data="data/hands19_synthetic", *, jobs=None, progress=True):
    """Train and test all trials of a study; those that ``runs/studies`` holds whole are read.

    A run does not know what stood for eq. 4: after a change to that, remove its folder.

    Parameters
    ----------
    name : str
    data : path
        Root of a labelled data set.
    jobs : int, optional
        Processes, one a core, each of one thread, so that the number of cores does not change the
        numbers. Where there is a graphics card, or with 1, this one alone, as it is.
    progress : bool

    Returns
    -------
    study : dict
        As in ``results/studies/NAME.json``: ``errors`` maps a trial to one {split: mm} for each
        seed, of the pose that it is about, ``bone_lengths`` to mean bone lengths, true = 1, and
        ``curves`` to the initial pose's validation errors, [images seen, mm] each.
    frames : dict of arrays
        As in ``NAME.npz``: ``splits`` (N,), and for "TRIAL, initial" and "TRIAL, refined" the
        frames' mean joint errors, (seeds, N) mm.

    Raises
    ------
    ValueError
        If there is no such study.
    """
    if name not in STUDIES:
        raise ValueError(f"study is {name!r}, wanted one of {list(STUDIES)}")
    data = project_path(data)
    # What others begin with comes first.
    trials = sorted(STUDIES[name], key=lambda trial: bool(TRIALS[trial].start))
    wanted = [(_chain(trial), seed, data) for trial in trials for seed in SEEDS]
    jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count())
    with tqdm(total=len(wanted), desc=name, disable=not progress) as bar:
        for _ in _train_all(wanted, jobs):
            bar.update()
    poses, about = {}, {}
    for trial in STUDIES[name]:
        runs = [_read_run(_folder(trial, seed)) for seed in SEEDS]
        for pose in dict.fromkeys(("initial", TRIALS[trial].pose)):
            poses[f"{trial}, {pose}"] = [arrays[pose] for _, arrays in runs]
        about[trial] = poses[f"{trial}, {TRIALS[trial].pose}"]
    result, truth = runs[-1]
    if name == "models":
        merged = _merged(about)
        about |= merged
        poses |= {f"{trial}, refined": seeds for trial, seeds in merged.items()}
    true, splits = truth["joints"], np.char.upper(truth["splits"])
    errors = {
        trial: [split_errors(p, true, splits) for p in seeds] for trial, seeds in about.items()
    }
    curves = {trial: [_curve(_folder(trial, s)) for s in SEEDS] for trial in STUDIES[name]}
    lengths = {trial: [_bone_length(p, true) for p in seeds] for trial, seeds in about.items()}
    frames = {key: frame_errors(seeds, true) for key, seeds in poses.items()}
    study = {
        "study": name,
        "recipe": RECIPE,
        "seeds": SEEDS,
        "device": result["device"],
        "torch": torch.__version__,
        "frames": result["frames"],
        "constant": result["errors"]["constant"],
        "errors": errors,
        "bone_lengths": lengths,
        "curves": curves,
    }
    kept = {key: np.round(row, 2).astype(np.float32) for key, row in frames.items()}
    return study, {"splits": splits} | kept


def _chain(name):
    """A trial with its name, after the one that it begins with."""
    trial = TRIALS[name]
    return [*(_chain(trial.start) if trial.start else ()), (name, trial)]


def _train_chain(chain, seed, data):
    start = None
    for name, trial in chain:
        folder = _folder(name, seed)
        used = find_recipe(RECIPE, seed=seed, **trial.changes)
        if start is None:
            start = starting_weights(used, _folder(name, seed).parent, progress=False)
        options = {"start": start, "volume_loss": trial.volume_loss}
        train(used, data, folder, progress=False, **options)
        start = folder / "model.safetensors"


def _folder(name, seed):
    return project_path("runs/studies") / RECIPE / f"{name}, seed {seed}"


def _train_all(wanted, jobs):
    if jobs == 1:
        yield from (_train_chain(*one) for one in wanted)
        return
    data = wanted[0][2]
    ways = [crop_options(find_recipe(RECIPE, **chain[-1][1].changes)) for chain, *_ in wanted]
    for options in {str(way): way for way in ways}.values():  # cropped here, and not by each
        load_crops(Hands19(data, "train"), progress=False, **options)
        load_crops(Hands19(data, "test", skip_degenerate=False), progress=False, **options)
    options = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(jobs, get_context("spawn"), **options) as pool:
        futures = [pool.submit(_train_chain, *one) for one in wanted]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _read_run(folder):
    with np.load(folder / "predictions.npz") as arrays:
        arrays = {name: arrays[name] for name in arrays.files}
    return json.loads((folder / "result.json").read_text()), arrays


def _curve(folder):
    log = counted(json.loads((folder / "log.json").read_text()))
    key = "validation_initial_mm"
    return [[row["seen"], round(row[key], 2)] for row in log if key in row]


def _merged(poses):
    """Ensembles of the study ``models``: of different models with one seed, and the reverse."""
    models = list(poses.values())
    first = poses["Model 1"]
    return {
        "mean of four": [ensemble(group) for group in zip(*models, strict=True)],
        "median of four": [ensemble(group, "median") for group in zip(*models, strict=True)],
        "mean of Models 1 to 3": [ensemble(group) for group in zip(*models[:3], strict=True)],
        "mean of three seeds of Model 1": [
            ensemble([first[(seed + i) % len(first)] for i in range(3)])
            for seed in range(len(first))
        ],
    }


def _bone_length(joints, true):
    """Mean bone length, true = 1."""
    one, other = (np.linalg.norm(joints_to_bones(j), axis=-1).mean() for j in (joints, true))
    return float(one / other)


def main():
    """Run studies, keep them and print their tables."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.experiments.studies", description=__doc__
    )
    parser.add_argument("study", choices=STUDIES, nargs="+")
    names = parser.parse_args().study
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in names:
        study, frames = run_study(name)
        save_study(study, frames)
        print(study_table(study), flush=True)


if __name__ == "__main__":
    main()
