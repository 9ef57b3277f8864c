"""A trained network over a whole data set, and what a run's folder keeps of it."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets.crops import CropSet
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import POSES, SPLITS, split_errors, write_submission
from senorita_lib.files import atomic_write
from senorita_lib.model import HandPoseNet
from senorita_lib.predictor import Predictor

_BATCH = 64


def predict_crops(
    model: HandPoseNet, crops: CropSet, device: str = "cpu", *, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Initial and refined poses of a ``CropSet``.

    Both (N, 21, 3), float32, camera frame, mm; zeros for a frame without a hand.
    """
    poses = np.zeros((2, len(crops), 21, 3), np.float32)
    found = np.flatnonzero(crops.found)
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(found), _BATCH)
        for start in tqdm(starts, "predicting", disable=not progress, mininterval=1.0):
            rows = found[start : start + _BATCH]
            prediction = model(crops.batch(rows, device)[0])
            both = torch.stack([prediction.joints_mm, prediction.refinement.joints_mm])
            poses[:, rows] = both.float().cpu().numpy()
    return poses[0], poses[1]


def _predict_frames(
    model: HandPoseNet, frames: Hands19, found: np.ndarray, device: str, progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What :func:`predict_crops` returns, of right hands as the predictor looks for them."""
    poses, predictor = np.zeros((2, len(frames), 21, 3), np.float32), Predictor(model, device)
    for row in tqdm(np.flatnonzero(found), "predicting", disable=not progress, mininterval=1.0):
        frame = frames[row]
        with suppress(HandNotFoundError):
            pose = predictor.predict(frame.depth, frames.camera, frame.box, left=False)
            poses[:, row] = pose.initial_mm, pose.joints_mm
    return poses[0], poses[1]


def constant_pose(crops: CropSet) -> np.ndarray:
    """The pose (21, 3), relative to the cube's centre, mm, with the least mean error on ``crops``.

    The geometric median of each joint: the best guess that knows only where the hand is.
    """
    relative = (crops.joints - crops.cube_centres[:, None])[crops.found].astype(np.float64)
    median = np.median(relative, axis=0)
    for _ in range(50):  # Weiszfeld's iteration
        weight = 1 / np.linalg.norm(relative - median, axis=-1, keepdims=True).clip(1e-6)
        median = (relative * weight).sum(axis=0) / weight.sum(axis=0)
    return median


def evaluate_run(
    model: HandPoseNet, train_crops: CropSet, test: tuple[Hands19, CropSet] | None, folder: Path,
    about: dict[str, Any], device: str, progress: bool,
) -> None:  # fmt: skip
    """Test a trained model on the five splits: on the paper's crops, or as it looks for a hand.

    Writes ``predictions.npz``, ``submission.zip`` (the refined poses in the challenge's format)
    and ``result.json``, which includes ``about``. Its errors are empty if the test frames have no
    labels, as in HANDS19 itself. Without test frames there is only ``result.json``, and its
    ``frames`` and errors are empty.
    """
    result: dict[str, Any] = {
        "recipe": json.loads(model.recipe.to_json()), **about,
        "device": str(device), "torch": torch.__version__,
        "frames": {}, "errors": dict.fromkeys(POSES, {}),
    }  # fmt: skip
    if test is not None:
        frames, crops = test
        if model.recipe.source == "open":
            initial, refined = _predict_frames(model, frames, crops.found, device, progress)
        else:
            initial, refined = predict_crops(model, crops, device, progress=progress)
        guess = constant_pose(train_crops) + crops.cube_centres[:, None]
        splits, true = np.array(crops.splits), crops.joints
        upper = np.char.upper(splits).tolist()
        result["frames"] = {name: upper.count(name) for name in dict.fromkeys((*SPLITS, *upper))}
        result["without_hand"] = int((initial == 0).all(axis=(1, 2)).sum())
        if np.isfinite(true).all():
            poses = {"constant": guess, "initial": initial, "refined": refined}
            result["errors"] = {n: split_errors(p, true, splits) for n, p in poses.items()}
        held, names = io.BytesIO(), np.array(crops.names)
        np.savez_compressed(
            held, names=names, splits=splits, joints=true, initial=initial, refined=refined
        )
        atomic_write(folder / "predictions.npz", held.getvalue())
        write_submission(folder / "submission.zip", crops.names, refined)
    atomic_write(folder / "result.json", json.dumps(result, indent=1) + "\n")
