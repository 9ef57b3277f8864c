"""Depth frames in files, clips of them, and poses in files that other programs read."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

import senorita_lib
from senorita_lib._arguments import number, show
from senorita_lib.camera import Camera
from senorita_lib.cropping import Box, HandNotFoundError
from senorita_lib.datasets import files
from senorita_lib.files import PathLike, user_path
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.predictor import HandPose, Predictor

KINDS = ".png", ".tif", ".tiff", ".npy"


def read_depth(path: PathLike, scale: float = 1.0) -> np.ndarray:
    """The depth (H, W), mm, in a PNG or TIFF of 16 bits, a TIFF of floats, or NumPy's ``.npy``.

    ``scale`` is the mm of one unit of the file. Raises ``OSError`` if the file cannot be read,
    ``ValueError`` if it holds no depth image.
    """
    path, scale = user_path(path), number("scale", scale)
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {show(scale)}, wanted mm per unit, above 0")
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"{path} is no file of a known kind, wanted {', '.join(KINDS)}")
    if kind == ".png":
        depth = files.read_depth(path, camera=None)
    elif not path.is_file():
        raise FileNotFoundError(f"{path} is missing, wanted a depth image")
    else:
        loaded = None
        with suppress(ValueError, EOFError, cv2.error):
            if kind == ".npy":
                loaded = np.asarray(np.load(path, allow_pickle=False))
            else:
                loaded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if loaded is None:
            raise ValueError(f"{path} is damaged, wanted a whole {kind}")
        if loaded.ndim != 2 or loaded.dtype.kind not in "uif" or loaded.dtype.itemsize < 2:
            found = f"{path} has {loaded.dtype} of shape {loaded.shape}"
            raise ValueError(f"{found}, wanted one channel of 16 bits or more")
        depth = loaded
    return depth if scale == 1 else depth.astype(np.float32) * np.float32(scale)


def clip_files(*paths: PathLike) -> list[Path]:
    """Frames in the order of their names, 9 before 10: files, and what is in folders."""
    found: list[Path] = []
    for path in map(Path, paths):
        inside = [path]
        if user_path(path).is_dir():
            names = (file.name for file in user_path(path).iterdir())
            inside = [path / n for n in names if Path(n).suffix.lower() in KINDS and n[0] != "."]
            if not inside:
                raise FileNotFoundError(f"{path} holds no frames, wanted {', '.join(KINDS)}")
        found += inside

    def natural(path: Path) -> list[str | int]:
        parts = re.split("([0-9]+)", str(path))  # text and numbers in turn
        return [int(part) if i % 2 else part for i, part in enumerate(parts)]

    return sorted(found, key=natural)


def predict_clip(
    predictor: Predictor, depths: Iterable[np.ndarray], camera: Camera, box: Box | None = None,
    left: bool | str = "auto",
) -> Iterator[HandPose | None]:  # fmt: skip
    """The pose in each frame of a clip, or None; the hand is followed, or sought in the box."""
    last = None
    for depth in depths:
        try:
            last = next_pose(predictor, depth, camera, box, left, last)
        except HandNotFoundError:
            last = None
        yield last


def next_pose(
    predictor: Predictor, depth: np.ndarray, camera: Camera, box: Box | None, left: bool | str,
    last: HandPose | None,
) -> HandPose:  # fmt: skip
    """:meth:`.Predictor.predict` in a clip: a hand may be followed out of the clip's box."""
    follows = predictor.model.recipe.source == "open"
    if follows and last is not None and box is not None and not last.is_in(box):
        with suppress(HandNotFoundError):
            pose = predictor.predict(depth, camera, None, left, last)
            if pose.searched_mm == last.searched_mm:  # followed, not found elsewhere
                return pose
    return predictor.predict(depth, camera, box, left, last)


def pose_record(name: str, pose: HandPose) -> dict[str, Any]:
    """A pose as numbers and lists, for JSON: mm, camera frame, and px, to a thousandth."""
    names = "left_probability", "spread_mm", "joints_mm", "pixels", "confidence_mm"
    numbers = {what: _rounded(getattr(pose, what)) for what in names}
    return {"file": name, "left": pose.left, **numbers}


def _rounded(values: Any) -> Any:
    """Plain numbers, or lists of them; None for NaN, which JSON does not have."""
    if values is None or (np.ndim(values) == 0 and math.isnan(values)):
        return None
    numbers = np.round(np.asarray(values, float), 3)
    if numbers.ndim and np.isnan(numbers).any():
        return [_rounded(value) for value in numbers]
    return numbers.tolist()


def poses_table(records: Sequence[dict[str, Any]], **about: Any) -> pd.DataFrame:
    """Records of :func:`pose_record`, one row a joint: its name, x, y, z, mm, and u, v, px.

    What else is told is the same in each row.
    """
    tables = []
    for record in records:
        rest = dict(record)
        table = pd.DataFrame(rest.pop("joints_mm"), columns=["x_mm", "y_mm", "z_mm"])
        table[["u_px", "v_px"]] = rest.pop("pixels")
        table["confidence_mm"] = rest.pop("confidence_mm")
        table.insert(0, "joint", JOINT_NAMES)
        table.insert(0, "file", rest.pop("file"))
        tables.append(table.assign(**rest))
    for name, value in about.items():
        about[name] = ",".join(map(str, value.values())) if isinstance(value, dict) else value
    return pd.concat(tables, ignore_index=True).assign(**about)


def poses_json(records: Sequence[dict[str, Any]], **about: Any) -> str:
    """Records of :func:`pose_record` as JSON, with the joints' names and what else is told."""
    return json.dumps({**about, "joints": JOINT_NAMES, "frames": records}, allow_nan=False) + "\n"


def provenance(camera: Camera, weights: str) -> dict[str, Any]:
    """What poses come from: this release of the kit, its weights, the camera."""
    return {"kit": senorita_lib.__version__, "weights": weights, "camera": asdict(camera)}
