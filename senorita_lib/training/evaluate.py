"""A trained network over a whole data set, and what a run's folder keeps of it."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib._arguments import check_device, check_flags
from senorita_lib.camera import SR300
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
    check_flags(progress=progress)
    check_device(device)
    initial, refined = (np.zeros((len(crops), 21, 3), np.float32) for _ in range(2))
    found = np.flatnonzero(crops.found)
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(found), _BATCH)
        for start in tqdm(starts, "predicting", disable=not progress, mininterval=1.0):
            rows = found[start : start + _BATCH]
            prediction = model(crops.batch(rows, device)[0])
            initial[rows] = prediction.joints_mm.float().cpu().numpy()
            refined[rows] = prediction.refinement.joints_mm.float().cpu().numpy()
    return initial, refined


def predict_frames(
    model: HandPoseNet, frames: Hands19, found: np.ndarray, device: str = "cpu", *,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What :func:`predict_crops` returns, of right hands as the predictor looks for them.

    ``found`` (N,), bool, tells frames whose box holds something.
    """
    initial, refined = (np.zeros((len(frames), 21, 3), np.float32) for _ in range(2))
    predictor = Predictor(model, device)
    rows = np.flatnonzero(found)
    for row in tqdm(rows, "predicting", disable=not progress, mininterval=1.0):
        frame = frames[row]
        with suppress(HandNotFoundError):
            pose = predictor.predict(frame.depth, SR300, frame.box, left=False)
            initial[row], refined[row] = pose.initial_mm, pose.joints_mm
    return initial, refined


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
    if test is None:
        atomic_write(folder / "result.json", json.dumps(result, indent=1) + "\n")
        return
    frames, test_crops = test
    if model.recipe.source == "open":
        initial, refined = predict_frames(
            model, frames, test_crops.found, device, progress=progress
        )
    else:
        initial, refined = predict_crops(model, test_crops, device, progress=progress)
    guess = constant_pose(train_crops) + test_crops.cube_centres[:, None]
    splits = np.array(test_crops.splits)
    labelled = bool(np.isfinite(test_crops.joints).all())
    poses = {"constant": guess, "initial": initial, "refined": refined}
    result |= {
        "frames": {name: int((np.char.upper(splits) == name).sum()) for name in SPLITS},
        "without_hand": int((initial == 0).all(axis=(1, 2)).sum()),
        "errors": {
            name: split_errors(joints, test_crops.joints, splits) if labelled else {}
            for name, joints in poses.items()
        },
    }
    held, names, true = io.BytesIO(), np.array(test_crops.names), test_crops.joints
    np.savez_compressed(
        held, names=names, splits=splits, joints=true, initial=initial, refined=refined
    )
    atomic_write(folder / "predictions.npz", held.getvalue())
    write_submission(folder / "submission.zip", test_crops.names, refined)
    atomic_write(folder / "result.json", json.dumps(result, indent=1) + "\n")
