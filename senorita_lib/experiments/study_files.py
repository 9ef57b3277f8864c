"""What studies leave under ``results/studies``: a JSON of means, and errors frame by frame."""

import hashlib
import io
import json

import numpy as np

from senorita_lib.evaluation import SPLITS
from senorita_lib.files import atomic_write
from senorita_lib.paths import project_path


def load_study(name):
    """What is kept of a study, see :func:`senorita_lib.experiments.studies.run_study`.

    Raises
    ------
    FileNotFoundError
        If it was not run yet.
    ValueError
        If its two files do not belong together.
    """
    path = _path(name)
    for file in (path, path.with_suffix(".npz")):
        if not file.exists():
            raise FileNotFoundError(
                f"{file} is missing, "
                f"wanted it from python -m senorita_lib.experiments.studies {name}"
            )
    study, frames = json.loads(path.read_text()), path.with_suffix(".npz").read_bytes()
    if study.pop("frames_sha256", None) != hashlib.sha256(frames).hexdigest():
        raise ValueError(
            f"{path.with_suffix('.npz')} is not the one that {path.name} was written with, wanted "
            f"both from python -m senorita_lib.experiments.studies {name}"
        )
    with np.load(io.BytesIO(frames)) as arrays:
        return study, {key: arrays[key] for key in arrays.files}


def save_study(study, frames):
    """Keep what :func:`~senorita_lib.experiments.studies.run_study` returns."""
    path, held = _path(study["study"]), io.BytesIO()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(held, **frames)
    atomic_write(path.with_suffix(".npz"), held.getvalue())
    study = study | {"frames_sha256": hashlib.sha256(held.getvalue()).hexdigest()}
    atomic_write(path, (json.dumps(study, indent=1) + "\n").encode())


def _path(name):
    return project_path(f"results/studies/{name}.json")


def study_table(study):
    """Mean over seeds, and how it differs from the first trial with the same seed.

    Parameters
    ----------
    study : dict
        Of :func:`senorita_lib.experiments.studies.run_study`.

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
