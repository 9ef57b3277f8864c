"""Training runs beside each other that differ in one thing, a few seeds each.

``python -m senorita_lib.studies STUDY`` trains what is missing of one under ``runs/studies`` and
writes its errors to ``results/studies``, where the notebooks read them.
"""

import argparse
import json
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.datasets import write_synthetic
from senorita_lib.datasets.files import write_aside
from senorita_lib.evaluation import SPLITS
from senorita_lib.hand import joints_to_bones
from senorita_lib.paths import project_path
from senorita_lib.recipes import find_recipe
from senorita_lib.released import GATED, released_volume_loss
from senorita_lib.renderer import skeleton_volume_loss
from senorita_lib.training import train


class Study(NamedTuple):
    """What differs between the runs of a study, and what does not.

    Attributes
    ----------
    shared : dict
        Overrides of all its runs' recipe.
    variants : dict
        A run's name to its own overrides and what stands for eq. 4 (None: eq. 4). The others are
        compared with the first.
    begin : str
        The name of a run of Step 1 that, seed by seed, all others begin with; it is then the
        first. Theirs are refined poses, its own, and those of a study without it, initial ones.
    """

    shared: dict
    variants: dict
    begin: str = ""


_RELEASED = {"gamma": 0.1 * 200 / 16}  # 0.1 per 1/200 of the cube, in cells of tiny's 16³
_DETACHED, _RAW = {"refiner_gradient": False}, {"orientation": "raw"}
_SQUARES, _PATCHES = {"balance": "adaptive"}, {"patches": "released"}
STUDIES = {
    "volume_loss": Study(
        {"refine_images": 0},
        {
            "without eq. 4": ({"volume_weight": 0.0}, None),
            "with eq. 4": ({}, None),
            "with eq. 4, from the start": (
                {"pose_images": 0, "volume_images": 19_200},
                None,
            ),
            "with a seventh of eq. 4": ({"volume_weight": 0.04 / 7}, None),
            "release's volumes, exact gradient": (
                _RELEASED,
                partial(skeleton_volume_loss, compiled=False, **GATED),
            ),
            "release's volumes and gradient": (_RELEASED, released_volume_loss),
            "release's gradient, but summed": (
                _RELEASED,
                partial(released_volume_loss, summed=True),
            ),
        },
    ),
    "refinement": Study(
        {},
        {
            "as the paper": ({}, None),
            "lengths of the initial pose": ({"bone_length": "initial"}, None),
            "no gradient into the estimator": (_DETACHED, None),
            "raw bones, mm": (_RAW, None),
            "release's, all four": (_DETACHED | _RAW | _SQUARES | _PATCHES, None),
        },
        begin="Step 1 alone",
    ),
}
_STEP_1, _STEP_2 = {"refine_images": 0}, {"pose_images": 0, "volume_images": 0}
SEEDS = (0, 1, 2)


def run_study(name, data="data/hands19_synthetic", *, recipe="tiny", progress=True):
    """Train and test all runs of a study; those that ``runs/studies`` holds whole are read.

    A run does not know what stood for eq. 4: after a change to that, remove its folder.

    Parameters
    ----------
    name : str
    data : path
        Root of a labelled data set.
    recipe : str

    Returns
    -------
    dict
        As in ``results/studies/NAME.json``: ``errors`` maps a run's name to one {split: mm} for
        each seed, ``bone_lengths`` to mean bone lengths, true = 1.

    Raises
    ------
    ValueError
        If there is no such study or recipe.
    """
    if name not in STUDIES:
        raise ValueError(f"study is {name!r}, wanted one of {list(STUDIES)}")
    shared, variants, begin = STUDIES[name]
    if begin:
        variants = {begin: (_STEP_1, None)} | {
            key: (_STEP_2 | changes, loss) for key, (changes, loss) in variants.items()
        }
    errors, lengths = {}, {}
    bar = tqdm(total=len(variants) * len(SEEDS), desc=name, disable=not progress)
    for seed in SEEDS:
        start = None
        for variant, (changes, volume_loss) in variants.items():
            used = find_recipe(recipe, seed=seed, **shared | changes)
            folder = project_path(f"runs/studies/{recipe}/{name}") / f"{variant}, seed {seed}"
            run = train(
                used, project_path(data), folder, progress=False, start=start,
                volume_loss=volume_loss,
            )  # fmt: skip
            poses = "initial" if start is None else "refined"
            errors.setdefault(variant, []).append(run.result["errors"][poses])
            lengths.setdefault(variant, []).append(_bone_length(folder / "predictions.npz", poses))
            if variant == begin:
                start = folder / "model.safetensors"
            bar.update()
    return {
        "study": name,
        "recipe": recipe,
        "shared": shared,
        "seeds": SEEDS,
        "device": run.result["device"],
        "torch": torch.__version__,
        "frames": run.result["frames"],
        "errors": errors,
        "bone_lengths": lengths,
    }


def _bone_length(path, kind):
    with np.load(path) as poses:
        bones = [np.linalg.norm(joints_to_bones(poses[k]), axis=-1) for k in (kind, "joints")]
    return float(bones[0].mean() / bones[1].mean())


def study_table(study):
    """Mean over seeds, and how it differs from the first run with the same seed.

    Parameters
    ----------
    study : dict
        Of :func:`run_study`.

    Returns
    -------
    str
        A line for each run: mm on each split and over all five, the mean difference of the last
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
    """What ``results/studies`` holds of a study.

    Raises
    ------
    FileNotFoundError
        If it was not run yet.
    """
    path = project_path(f"results/studies/{name}.json")
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing, wanted it from python -m {_MODULE} {name}")
    return json.loads(path.read_text())


_MODULE = "senorita_lib.studies"


def main():
    """Run a study, keep it and print its table."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    name = parser.parse_args().study
    write_synthetic(project_path("data/hands19_synthetic"))
    study = run_study(name)
    path = project_path(f"results/studies/{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, (json.dumps(study, indent=1) + "\n").encode())
    print(study_table(study))


if __name__ == "__main__":
    main()
