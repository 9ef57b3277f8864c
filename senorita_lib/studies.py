"""Training runs beside each other that differ in one thing, a few seeds each.

``python -m senorita_lib.studies STUDY`` trains what is missing of one under ``runs/studies`` and
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
from senorita_lib.evaluation import ensemble, joint_errors, split_errors
from senorita_lib.hand import joints_to_bones
from senorita_lib.kept import save_study, study_table
from senorita_lib.paths import project_path
from senorita_lib.recipes import find_recipe
from senorita_lib.training import crop_options, train
from senorita_lib.trials import SEEDS, STUDIES, TRIALS


def run_study(name, data="data/hands19_synthetic", *, recipe="tiny", jobs=None, progress=True):
    """Train and test all trials of a study; those that ``runs/studies`` holds whole are read.

    A run does not know what stood for eq. 4: after a change to that, remove its folder.

    Parameters
    ----------
    name : str
    data : path
        Root of a labelled data set.
    recipe : str
    jobs : int, optional
        Processes, one a core, each of one thread, so that the number of cores does not change the
        numbers. Where there is a graphics card, or with 1, this one alone, as it is.
    progress : bool

    Returns
    -------
    study : dict
        As in ``results/studies/NAME.json``: ``errors`` maps a trial to one {split: mm} for each
        seed, of the pose that it is about, ``bone_lengths`` to mean bone lengths, true = 1.
    frames : dict of arrays
        As in ``NAME.npz``: ``splits`` (N,), and for "TRIAL, initial" and "TRIAL, refined" the
        frames' mean joint errors, (seeds, N) mm.

    Raises
    ------
    ValueError
        If there is no such study or recipe.
    """
    if name not in STUDIES:
        raise ValueError(f"study is {name!r}, wanted one of {list(STUDIES)}")
    data = project_path(data)
    # What others begin with comes first.
    trials = sorted(STUDIES[name], key=lambda trial: bool(TRIALS[trial].start))
    wanted = [(_chain(trial), seed, data, recipe) for trial in trials for seed in SEEDS]
    jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count())
    with tqdm(total=len(wanted), desc=name, disable=not progress) as bar:
        for _ in _train_all(wanted, jobs):
            bar.update()
    errors, lengths, frames, poses = {}, {}, {}, {}
    for trial in STUDIES[name]:
        runs = [_read_run(_folder(trial, seed, recipe)) for seed in SEEDS]
        kept = ["initial"] + ["refined"] * (TRIALS[trial].pose == "refined")
        for kind in kept:
            off = [joint_errors(arrays[kind], arrays["joints"]).mean(axis=1) for _, arrays in runs]
            frames[f"{trial}, {kind}"] = np.round(off, 2).astype(np.float32)
        errors[trial] = [result["errors"][kept[-1]] for result, _ in runs]
        lengths[trial] = [_bone_length(arrays, kept[-1]) for _, arrays in runs]
        poses[trial] = [arrays[kept[-1]] for _, arrays in runs]
    result, truth = runs[-1]
    if name == "models":
        for trial, seeds in _merged(poses).items():
            off = [joint_errors(joints, truth["joints"]).mean(axis=1) for joints in seeds]
            frames[f"{trial}, refined"] = np.round(off, 2).astype(np.float32)
            errors[trial] = [split_errors(j, truth["joints"], truth["splits"]) for j in seeds]
            lengths[trial] = [_bone_length(truth | {"refined": j}, "refined") for j in seeds]
    study = {
        "study": name,
        "recipe": recipe,
        "seeds": SEEDS,
        "device": result["device"],
        "torch": torch.__version__,
        "frames": result["frames"],
        "constant": result["errors"]["constant"],
        "errors": errors,
        "bone_lengths": lengths,
    }
    return study, {"splits": np.char.upper(truth["splits"])} | frames


def _chain(name):
    """A trial with its name, after the one that it begins with."""
    trial = TRIALS[name]
    return [*(_chain(trial.start) if trial.start else ()), (name, trial)]


def _train_chain(chain, seed, data, recipe):
    start = None
    for name, trial in chain:
        folder = _folder(name, seed, recipe)
        used = find_recipe(recipe, seed=seed, **trial.changes)
        options = {"start": start, "volume_loss": trial.volume_loss}
        train(used, data, folder, progress=False, **options)
        start = folder / "model.safetensors"


def _folder(name, seed, recipe):
    return project_path("runs/studies") / recipe / f"{name}, seed {seed}"


def _train_all(wanted, jobs):
    if jobs == 1:
        yield from (_train_chain(*one) for one in wanted)
        return
    data, recipe = wanted[0][2:]
    ways = [crop_options(find_recipe(recipe, **chain[-1][1].changes)) for chain, *_ in wanted]
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


def _bone_length(arrays, kind):
    bones = [np.linalg.norm(joints_to_bones(arrays[k]), axis=-1) for k in (kind, "joints")]
    return float(bones[0].mean() / bones[1].mean())


def main():
    """Run studies, keep them and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.studies", description=__doc__)
    parser.add_argument("study", choices=STUDIES, nargs="+")
    names = parser.parse_args().study
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in names:
        study, frames = run_study(name)
        save_study(study, frames)
        print(study_table(study), flush=True)


if __name__ == "__main__":
    main()
