"""Training runs beside each other that differ in one thing, a few seeds each.

``python -m senorita_lib.studies STUDY`` trains what is missing of one under ``runs/studies`` and
keeps its errors, frame by frame, under ``results/studies``, where the ledger of claims and the
notebooks read them.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import write_aside
from senorita_lib.evaluation import SPLITS, ensemble, joint_errors, split_errors
from senorita_lib.hand import joints_to_bones
from senorita_lib.paths import project_path
from senorita_lib.recipes import find_recipe
from senorita_lib.released import GATED, released_volume_loss
from senorita_lib.renderer import skeleton_volume_loss
from senorita_lib.training import crop_options, train


class Trial(NamedTuple):
    """One way to train.

    Attributes
    ----------
    changes : dict
        Overrides of the recipe.
    start : str
        The trial whose weights, of the same seed, this one begins with.
    volume_loss : callable, optional
        What stands for eq. 4.
    """

    changes: dict = {}
    start: str = ""
    volume_loss: object = None

    @property
    def pose(self):
        """The pose that the trial is about: the refined one, unless it trains no refiner."""
        return "initial" if self.changes.get("refine_images") == 0 else "refined"


_ONE, _TWO = {"refine_images": 0}, {"pose_images": 0, "volume_images": 0}
_GAMMA = {"gamma": 0.1 * 200 / 16}  # 0.1 per 1/200 of the cube, in cells of tiny's 16³
_DETACHED, _RAW = {"refiner_gradient": False}, {"orientation": "raw"}
_ADAPTIVE, _PATCHES = {"balance": "adaptive"}, {"patches": "released"}
# Step 2's images and rate, but of the estimator and eq. 3 alone.
_LONGER = {"pose_images": 6_400, "volume_images": 0, "learning_rate": 1e-4, "milestones": ()}
STEP_1 = "Step 1, with eq. 4"
TRIALS = {
    "Step 1, without eq. 4": Trial(_ONE | {"volume_weight": 0.0}),
    STEP_1: Trial(_ONE),
    "eq. 4 from the start": Trial(_ONE | {"pose_images": 0, "volume_images": 19_200}),
    "a seventh of eq. 4": Trial(_ONE | {"volume_weight": 0.04 / 7}),
    "eq. 4 with smooth L1": Trial(_ONE | {"volume_difference": "smooth_l1"}),
    "release's volumes, exact gradient": Trial(
        _ONE | _GAMMA, volume_loss=partial(skeleton_volume_loss, compiled=False, **GATED)
    ),
    "release's volumes and gradient": Trial(_ONE | _GAMMA, volume_loss=released_volume_loss),
    "release's gradient, but summed": Trial(
        _ONE | _GAMMA, volume_loss=partial(released_volume_loss, summed=True)
    ),
    "Model 1": Trial(_TWO, STEP_1),
    "Step 1 for longer, no refiner": Trial(_ONE | _LONGER, STEP_1),
    "without the initial pose stream": Trial(_TWO | {"pose_stream": False}, STEP_1),
    "without eq. 6": Trial(_TWO | {"refined_pose_weight": 0.0}, STEP_1),
    "lengths of the initial pose": Trial(_TWO | {"bone_length": "initial"}, STEP_1),
    "no gradient into the estimator": Trial(_TWO | _DETACHED, STEP_1),
    "raw bones, mm": Trial(_TWO | _RAW, STEP_1),
    "release's patches": Trial(_TWO | _PATCHES, STEP_1),
    "adaptive squares": Trial(_TWO | _ADAPTIVE, STEP_1),
    "release's, all four": Trial(_TWO | _DETACHED | _RAW | _PATCHES | _ADAPTIVE, STEP_1),
    "Model 2, Step 1": Trial(_ONE | {"model": 2}),
    "Model 2": Trial(_TWO | {"model": 2}, "Model 2, Step 1"),
    "Model 3": Trial({"model": 3}),
    "Model 4": Trial({"model": 4}),
    "valley foreground": Trial(_ONE | {"foreground": "valley"}),
    "crop about the box's centre": Trial(_ONE | {"centre": "box"}),
    "Model 2, two stems": Trial(_ONE | {"model": 2, "fusion": "stems"}),
    "Model 2, half the layers": Trial(_ONE | {"model": 2, "depth_layers": 8}),
    "regression, without eq. 4": Trial(_ONE | {"head": "regression", "volume_weight": 0.0}),
    "regression, with eq. 4": Trial(_ONE | {"head": "regression"}),
    "regression, refined": Trial(_TWO | {"head": "regression"}, "regression, without eq. 4"),
    "regression for longer, no refiner": Trial(
        _ONE | _LONGER | {"head": "regression"}, "regression, without eq. 4"
    ),
}
# The first of each is what the others are compared with.
STUDIES = {
    "volume_loss": list(TRIALS)[:8],
    "refinement": [STEP_1, *list(TRIALS)[8:18]],
    "models": ["Model 1", "Model 2", "Model 3", "Model 4"],
    "inputs": [STEP_1, "valley foreground", "crop about the box's centre"],
    "second_input": ["Model 2, Step 1", "Model 2, two stems", "Model 2, half the layers"],
    "other_method": [name for name in TRIALS if name.startswith("regression")],
}
SEEDS = (0, 1, 2)


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
        Processes, each of one thread, so that their number does not change the numbers: one a
        core; one in all, this one, where there is a graphics card.
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
    wanted = [(trial, seed, data, recipe) for trial in trials for seed in SEEDS]
    jobs = jobs or (1 if torch.cuda.is_available() else len(os.sched_getaffinity(0)))
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
        "errors": errors,
        "bone_lengths": lengths,
    }
    return study, {"splits": np.char.upper(truth["splits"])} | frames


def train_trial(name, seed, data, recipe="tiny"):
    """Train a trial, and first what it begins with, unless it is there; its run's folder."""
    trial, folder = TRIALS[name], _folder(name, seed, recipe)
    start = trial.start and train_trial(trial.start, seed, data, recipe) / "model.safetensors"
    used = find_recipe(recipe, seed=seed, **trial.changes)
    options = {"start": start or None, "volume_loss": trial.volume_loss}
    train(used, data, folder, progress=False, **options)
    return folder


def _folder(name, seed, recipe):
    return project_path("runs/studies") / recipe / f"{name}, seed {seed}"


def _train_all(wanted, jobs):
    if jobs == 1:
        yield from (train_trial(*one) for one in wanted)
        return
    data = wanted[0][2]
    for changes in ({}, *(TRIALS[one[0]].changes for one in wanted)):  # cropped once, not by each
        options = crop_options(find_recipe(wanted[0][3], **changes))
        load_crops(Hands19(data, "train"), progress=False, **options)
        load_crops(Hands19(data, "test", skip_degenerate=False), progress=False, **options)
    options = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ProcessPoolExecutor(jobs, get_context("spawn"), **options) as pool:
        futures = [pool.submit(train_trial, *one) for one in wanted]
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
    """Ensembles of the study ``models``: of the four, seed by seed, and of one model's seeds."""
    models = list(poses.values())
    first = poses["Model 1"]
    return {
        "mean of four": [ensemble(group) for group in zip(*models, strict=True)],
        "median of four": [ensemble(group, "median") for group in zip(*models, strict=True)],
        "mean of Models 1 to 3": [ensemble(group) for group in zip(*models[:3], strict=True)],
        "mean of three seeds of Model 1": [ensemble(first)] * len(first),
    }


def _bone_length(arrays, kind):
    bones = [np.linalg.norm(joints_to_bones(arrays[k]), axis=-1) for k in (kind, "joints")]
    return float(bones[0].mean() / bones[1].mean())


def study_table(study):
    """Mean over seeds, and how it differs from the first trial with the same seed.

    Parameters
    ----------
    study : dict
        Of :func:`run_study`.

    Returns
    -------
    str
        A line for each trial: mm on each split and over all five, the mean difference of the last
        with its standard deviation over seeds, and the bone lengths.
    """
    width = max(map(len, study["errors"]))
    lines = [" " * width + "".join(f"{name:>8}" for name in (*SPLITS, "all"))]
    lines[0] += "   difference  bones"
    first = None
    for name, seeds in study["errors"].items():
        mm = np.array([[errors[split] for split in SPLITS] for errors in seeds])
        mm = np.concatenate([mm, mm.mean(axis=1, keepdims=True)], axis=1)
        line = f"{name:<{width}}" + "".join(f"{value:8.2f}" for value in mm.mean(axis=0))
        first = mm if first is None else first
        change = (mm - first)[:, -1]
        line += f"{change.mean():+8.2f} ± {change.std(ddof=1):.2f}"
        lines.append(f"{line}{np.mean(study['bone_lengths'][name]):7.2f}")
    return "\n".join(lines)


def load_study(name):
    """What ``results/studies`` holds of a study, see :func:`run_study`.

    Raises
    ------
    FileNotFoundError
        If it was not run yet.
    """
    path = _kept(name)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing, wanted it from python -m {_MODULE} {name}")
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()), {key: arrays[key] for key in arrays.files}


def save_study(study, frames):
    """Keep what :func:`run_study` returns under ``results/studies``."""
    path = _kept(study["study"])
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part.npz")
    np.savez_compressed(aside, **frames)
    os.replace(aside, path.with_suffix(".npz"))
    write_aside(path, (json.dumps(study, indent=1) + "\n").encode())


def _kept(name):
    return project_path(f"results/studies/{name}.json")


_MODULE = "senorita_lib.studies"


def main():
    """Run studies, keep them and print their tables."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("study", choices=STUDIES, nargs="+")
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in parser.parse_args().study:
        study, frames = run_study(name)
        save_study(study, frames)
        print(study_table(study), flush=True)


if __name__ == "__main__":
    main()
