"""Errors in millimetres, the two tables, the ensemble, and the challenge's submission.

All joints are in the camera frame, mm, absolute, without alignment (paper, section 4).
"""

import json
import sys
from pathlib import Path

import numpy as np

from senorita_lib.hand import joints_to_bones
from senorita_lib.submission import check_submission as check_submission
from senorita_lib.submission import write_submission as write_submission

SPLITS = ("EXTRAP", "INTERP", "SHAPE", "ARTIC", "VIEWP")

# The poses that a run's result has errors of.
POSES = {"constant": "best constant pose", "initial": "initial pose", "refined": "refined pose"}

# Table 1 and 2 of the paper, mm.
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
    """A text table: ``rows`` maps a row's name to its {split: mm}."""
    width = max(map(len, rows), default=0)
    lines = [title, " " * width + "".join(f"{name:>9}" for name in SPLITS)]
    for name, errors in rows.items():
        cells = (f"{errors[s]:9.2f}" if s in errors else f"{'-':>9}" for s in SPLITS)
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def load_results(folder):
    """Results of finished runs: {model: (result, predictions)} from ``folder/model_*``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    found = {}
    for path in sorted(Path(folder).glob("model_*/result.json")):
        result = json.loads(path.read_text())
        with np.load(path.with_name("predictions.npz")) as arrays:
            found[result["recipe"]["model"]] = result, {name: arrays[name] for name in arrays.files}
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no model_*/result.json, wanted a run of 04_train_refine.ipynb there"
        )
    return dict(sorted(found.items()))


_GAIN = "  Model {}'s gain over it"


def tables(results):
    """Tables 1 and 2 from :func:`load_results`: two dicts of rows for :func:`format_table`."""
    first, refined, truth = {}, [], None
    for model, (result, arrays) in results.items():
        if not result["errors"]["refined"]:
            raise ValueError(
                f"model {model} was tested on frames without labels, wanted labelled ones: "
                "its submission.zip is for the challenge's server"
            )
        if truth is None:
            truth = arrays
            first["best constant pose"] = result["errors"]["constant"]
        elif not np.array_equal(truth["names"], arrays["names"]):
            raise ValueError(f"model {model} was tested on other frames than model {min(results)}")
        first[f"Model {model}, initial"] = result["errors"]["initial"]
        refined_errors = first[f"Model {model}, refined"] = result["errors"]["refined"]
        first[_GAIN.format(model)] = {
            split: result["errors"]["constant"][split] - mm for split, mm in refined_errors.items()
        }
        first[f"  paper's Model {model}"] = PAPER["table1"][f"Model {model}"]
        refined.append(arrays["refined"])
    merged = split_errors(ensemble(refined), truth["joints"], truth["splits"])
    second = {f"ensemble of {len(refined)}": merged, "  paper's": PAPER["table2"]["Ours"]}
    return first, second


def main(folder):
    """Print Tables 1 and 2 of the runs in a folder."""
    table1, table2 = tables(load_results(folder))
    print(format_table(table1, "Table 1. Mean joint error, mm"))
    print()
    print(format_table(table2, "Table 2. Ensemble, mean joint error, mm"))


if __name__ == "__main__":
    main(sys.argv[1])
