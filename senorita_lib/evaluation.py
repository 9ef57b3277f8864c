"""Errors in millimetres, success curves, and the ensemble.

All joints are in the camera frame, mm, absolute, without alignment (paper, section 4).
"""

import json
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from senorita_lib.hand import FINGERS, JOINT_FINGER, JOINT_NAMES, joints_to_bones
from senorita_lib.submission import check_submission as check_submission
from senorita_lib.submission import write_submission as write_submission

Split = Literal["interp", "shape", "artic", "viewp", "extrap"]
TEST_SPLITS: tuple[Split, ...] = get_args(Split)  # the generator's seeds count them in this order
SPLITS = ("EXTRAP", "INTERP", "SHAPE", "ARTIC", "VIEWP")  # as the paper's tables have them

# The poses that a run's result has errors of.
POSES = {"constant": "best constant pose", "initial": "initial pose", "refined": "refined pose"}

# Tables 1 and 2 of the paper, mm.
PAPER = json.loads((Path(__file__).parent / "paper_tables.json").read_text())


def joint_errors(predicted, true):
    """Euclidean distance of each joint, (N, 21) mm, from poses (N, 21, 3) mm."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.shape != true.shape or predicted.shape[-1:] != (3,) or predicted.ndim < 2:
        raise ValueError(
            f"predicted and true have shapes {predicted.shape} and {true.shape}, "
            "wanted the same, (N, 21, 3)"
        )
    if not len(predicted):
        raise ValueError("predicted and true are empty, wanted at least one frame")
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise ValueError("predicted or true has values that are not finite, wanted mm")
    return np.linalg.norm(predicted - true, axis=-1)


def mean_joint_error(predicted, true):
    """Mean over joints and frames of the joints' distance, mm.

    Parameters
    ----------
    predicted, true : array, (N, 21, 3)
        Camera frame, mm.

    Returns
    -------
    float
    """
    return float(joint_errors(predicted, true).mean())


def frame_errors(poses, true):
    """Mean joint error of each frame, (K, N) mm, of K poses (N, 21, 3) mm against the true one."""
    return np.stack([joint_errors(joints, true).mean(axis=1) for joints in poses])


def joint_means(predicted, true):
    """Mean error of each joint and of each finger's four, mm, by name.

    Parameters
    ----------
    predicted, true : array, (N, 21, 3)
        Camera frame, mm.

    Returns
    -------
    joints, fingers : dict
    """
    errors = joint_errors(predicted, true).mean(axis=0)
    finger = np.array(JOINT_FINGER)
    fingers = {name: float(errors[finger == i].mean()) for i, name in enumerate(FINGERS)}
    return dict(zip(JOINT_NAMES, errors.tolist(), strict=True)), fingers


def bone_angles(predicted, true):
    """Angle between each predicted bone and the true one, degrees.

    Parameters
    ----------
    predicted, true : array, (..., 21, 3)
        Camera frame, any unit.

    Returns
    -------
    array, (..., 20)
        From 0 to 180; not a number for a bone without length.
    """
    one, two = (joints_to_bones(np.asarray(j, np.float64)) for j in (predicted, true))
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
    lengths = np.where(lengths > 0, lengths, np.nan)
    return np.degrees(np.arccos(((one * two).sum(axis=-1) / lengths).clip(-1, 1)))


def success_curve(predicted, true, thresholds, by="frame_max"):
    """Share of frames, or of joints, with an error of at most each threshold.

    Parameters
    ----------
    predicted, true : array, (N, 21, 3)
        Camera frame, mm.
    thresholds : array, (T,)
        mm.
    by : {"frame_max", "frame_mean", "joint"}
        A frame counts by its worst joint or its mean one, or each joint by itself.

    Returns
    -------
    array, (T,)
        In [0, 1].
    """
    errors = joint_errors(predicted, true)
    if by == "frame_max":
        errors = errors.max(axis=-1)
    elif by == "frame_mean":
        errors = errors.mean(axis=-1)
    elif by != "joint":
        raise ValueError(f"by is {by!r}, wanted 'frame_max', 'frame_mean' or 'joint'")
    errors = np.sort(errors, axis=None)
    return np.searchsorted(errors, np.asarray(thresholds), side="right") / errors.size


def ensemble(predictions, merge="mean"):
    """Several models' poses as one, (N, 21, 3): their mean, as in Table 2, or their median.

    Parameters
    ----------
    predictions : list of arrays, (N, 21, 3)
        Camera frame, mm.
    merge : {"mean", "median"}
        The median is taken of each coordinate by itself.

    Raises
    ------
    ValueError
        If there is no pose, shapes differ, or the way of merging is unknown.
    """
    if merge not in ("mean", "median"):
        raise ValueError(f"merge is {merge!r}, wanted 'mean' or 'median'")
    return getattr(np, merge)(_stacked(predictions), axis=0)


def spread(predictions):
    """How far several models' poses lie apart, which may tell how far off their mean is.

    Parameters
    ----------
    predictions : list of arrays, (N, 21, 3)
        Camera frame, mm.

    Returns
    -------
    array, (N, 21)
        Root mean square distance of the models' joints from their mean, mm.
    """
    poses = _stacked(predictions)
    return np.sqrt(((poses - poses.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0))


def _stacked(predictions):
    poses = [np.asarray(p) for p in predictions]
    if not poses:
        raise ValueError("predictions is empty, wanted at least one model's joints")
    if other := [p.shape for p in poses if p.shape != poses[0].shape]:
        raise ValueError(
            f"predictions have shapes {poses[0].shape} and {other[0]}, wanted the same"
        )
    return np.stack(poses)


def split_errors(predicted, true, splits):
    """Mean joint error, mm, of each test split that is there, in the paper's order."""
    splits = np.char.upper(np.asarray(splits))
    predicted, true = np.asarray(predicted), np.asarray(true)
    return {
        name: mean_joint_error(predicted[splits == name], true[splits == name])
        for name in SPLITS
        if (splits == name).any()
    }


def format_table(rows, title):
    """A text table: ``rows`` maps a row's name to its {split: mm}, floats or Estimates.

    An Estimate has half the width of its 95 % interval beside it.
    """
    wide = any(hasattr(cell, "interval") for row in rows.values() for cell in row.values())
    cell = 14 if wide else 9
    width = max(map(len, rows), default=0)
    head = (f"{name:>9}".ljust(cell) for name in SPLITS)
    lines = [title, (" " * width + "".join(head)).rstrip()]
    for name, row in rows.items():
        cells = "".join(_cell(row.get(split)).ljust(cell) for split in SPLITS)
        lines.append(f"{name:<{width}}{cells}".rstrip())
    return "\n".join(lines)


def _cell(value):
    if value is None:
        return f"{'-':>9}"
    if not hasattr(value, "interval"):
        return f"{value:9.2f}"
    low, high = value.interval()
    return f"{value.mean:9.2f} ±{(high - low) / 2:.1f}"
