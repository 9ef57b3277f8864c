"""Errors in millimetres, success curves, and the ensemble.

All joints are in the camera frame, mm, absolute, without alignment (paper, section 4).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from senorita_lib._arrays import plain
from senorita_lib.files import read_text
from senorita_lib.hand import joints_to_bones
from senorita_lib.submission import check_submission as check_submission
from senorita_lib.submission import write_submission as write_submission

Floats = npt.NDArray[np.float64]
TEST_SPLITS = ("interp", "shape", "artic", "viewp", "extrap")  # the generator's seeds count them
SPLITS = ("EXTRAP", "INTERP", "SHAPE", "ARTIC", "VIEWP")  # in the order of the paper's tables
# The poses whose errors a run's result holds.
POSES = {"constant": "best constant pose", "initial": "initial pose", "refined": "refined pose"}
# Tables 1 and 2 of the paper, mm.
PAPER = json.loads(read_text(Path(__file__).parent / "paper_tables.json"))


def joint_errors(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Floats:
    """Euclidean distance of each joint, (N, 21) mm, from poses (N, 21, 3) mm."""
    predicted = plain("predicted", predicted).astype(np.float64, copy=False)
    true = plain("true", true).astype(np.float64, copy=False)
    if predicted.shape != true.shape or predicted.shape[-1:] != (3,) or predicted.ndim < 2:
        shapes = f"{predicted.shape} and {true.shape}, wanted the same, (N, 21, 3)"
        raise ValueError(f"predicted and true have shapes {shapes}")
    if not len(predicted):
        raise ValueError("predicted and true are empty, wanted at least one frame")
    if not (np.isfinite(predicted).all() and np.isfinite(true).all()):
        raise ValueError("predicted or true has values that are masked or not finite, wanted mm")
    return np.asarray(np.linalg.norm(predicted - true, axis=-1))


def mean_joint_error(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Mean distance over joints and frames, mm, from poses (N, 21, 3), camera frame, mm."""
    return float(joint_errors(predicted, true).mean())


def frame_errors(poses: Sequence[npt.ArrayLike], true: npt.ArrayLike) -> Floats:
    """Mean joint error of each frame, (K, N) mm, for K predictions (N, 21, 3) mm."""
    return np.stack([joint_errors(joints, true).mean(axis=1) for joints in poses])


def bone_angles(predicted: npt.ArrayLike, true: npt.ArrayLike) -> Floats:
    """Angle between each predicted bone and the true one, (..., 20), degrees, from 0 to 180.

    Poses are (..., 21, 3), camera frame, any unit; a bone of zero length has the angle NaN.
    """
    poses = plain("predicted", predicted), plain("true", true)
    one, two = (joints_to_bones(joints.astype(np.float64)) for joints in poses)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(two, axis=-1)
    cosines = (one * two).sum(axis=-1) / np.where(lengths > 0, lengths, np.nan)
    return np.asarray(np.degrees(np.arccos(cosines.clip(-1, 1))))


def success_curve(
    predicted: npt.ArrayLike, true: npt.ArrayLike, thresholds: npt.ArrayLike,
    by: Literal["frame_max", "frame_mean", "joint"] = "frame_max",
) -> Floats:  # fmt: skip
    """Share of frames, or of joints, with an error of at most each threshold, (T,), in [0, 1].

    Poses are (N, 21, 3), camera frame, mm, ``thresholds`` (T,), mm. A frame counts ``by`` its
    worst joint or its mean error, or every joint counts.
    """
    errors = joint_errors(predicted, true)
    if by not in ("frame_max", "frame_mean", "joint"):
        raise ValueError(f"by is {by!r}, wanted 'frame_max', 'frame_mean' or 'joint'")
    if by != "joint":
        errors = errors.max(axis=-1) if by == "frame_max" else errors.mean(axis=-1)
    limits = plain("thresholds", thresholds)
    if np.isnan(limits).any():
        raise ValueError("thresholds have values that are masked or NaN, wanted mm")
    return np.searchsorted(np.sort(errors, axis=None), limits, side="right") / errors.size


def ensemble(
    predictions: Sequence[npt.ArrayLike], merge: Literal["mean", "median"] = "mean"
) -> npt.NDArray[Any]:
    """Merge several models' poses (N, 21, 3) into one: their mean (Table 2) or their median.

    The median is taken separately for each coordinate.
    """
    if merge not in ("mean", "median"):
        raise ValueError(f"merge is {merge!r}, wanted 'mean' or 'median'")
    average = np.mean if merge == "mean" else np.median
    return np.asarray(average(_stacked(predictions), axis=0))


def spread(predictions: Sequence[npt.ArrayLike]) -> npt.NDArray[Any]:
    """Several models' root mean square distance (N, 21), mm, from the mean of their joints."""
    poses = _stacked(predictions)
    variance = ((poses - poses.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)
    return np.asarray(np.sqrt(variance))


def _stacked(predictions: Sequence[npt.ArrayLike]) -> npt.NDArray[Any]:
    poses = [plain("predictions", p) for p in predictions]
    if not poses:
        raise ValueError("predictions is empty, wanted at least one model's joints")
    if other := [p.shape for p in poses if p.shape != poses[0].shape]:
        shapes = f"{poses[0].shape} and {other[0]}"
        raise ValueError(f"predictions have shapes {shapes}, wanted the same")
    return np.stack(poses)


def split_errors(
    predicted: npt.ArrayLike, true: npt.ArrayLike, splits: Sequence[str] | npt.NDArray[np.str_]
) -> dict[str, float]:
    """Mean joint error, mm, of each split that has frames: the paper's, in its order, then others.

    Frames whose test split is not known are of the split ``TEST``.
    """
    splits = np.char.upper(np.asarray(splits))
    predicted, true = plain("predicted", predicted), plain("true", true)
    rows = {name: splits == name for name in dict.fromkeys((*SPLITS, *splits.tolist()))}
    seen = {name: row for name, row in rows.items() if row.any()}
    return {name: mean_joint_error(predicted[row], true[row]) for name, row in seen.items()}


def format_table(rows: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """A text table: ``rows`` maps a row's name to {split: mm}, floats or estimates."""

    def show(value: Any) -> str:
        if not hasattr(value, "interval"):
            return f"{'-':>9}" if value is None else f"{value:9.2f}"
        low, high = value.interval()
        return f"{value.mean:9.2f} ±{(high - low) / 2:.1f}"

    found = tuple(dict.fromkeys(split for row in rows.values() for split in row))
    splits = SPLITS if {*SPLITS} & {*found} else found or SPLITS
    cells = {name: [show(row.get(split)) for split in splits] for name, row in rows.items()}
    wide = any("±" in cell for row in cells.values() for cell in row)
    width = max(map(len, rows), default=0)
    lines = [title]
    for name, row in {"": [f"{split:>9}" for split in splits], **cells}.items():
        padded = "".join(cell.ljust(14 if wide else 9) for cell in row)
        lines.append(f"{name:<{width}}{padded}".rstrip())
    return "\n".join(lines)
