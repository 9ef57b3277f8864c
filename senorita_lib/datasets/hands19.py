"""The reader of HANDS19 Task 1 and of HANDS17, whose files :mod:`.files` lists."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from senorita_lib._arguments import check_flags
from senorita_lib._arrays import plain
from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import box_corners
from senorita_lib.datasets import files
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.files import PathLike, user_path
from senorita_lib.tables import check_same_names, lines, read_table

SPLITS = ("train", "test", *TEST_SPLITS)
Floats = npt.NDArray[np.float32]
_FLESH = 14.0  # mm around the joints, in a box
_NEAREST = 100  # mm; hands are farther away
_DEEP = 100  # mm; a joint lies this near to what is seen there, or hardly deeper
_LOOK = 32  # frames whose depth is compared with their labels


class UnitsError(ValueError):
    """The labels are in another unit than mm, or not where their depth images have the hand."""


def hand_box(joints: npt.ArrayLike, camera: Camera) -> npt.NDArray[np.int64]:
    """Box (..., 4) around joints (..., 21, 3), mm, as in HANDS19: whole pixels, in the image.

    x1, y1, x2, y2, pixel frame; empty unless all joints are in front of the camera.
    """
    joints = plain("joints", joints)
    ahead = np.asarray((joints[..., 2] > 0).all(axis=-1))
    if not ahead.all():
        joints = np.where(ahead[..., None, None], joints, 1)
    uvz = camera.project(joints)
    border = _FLESH / uvz[..., 2:] * [camera.fx, camera.fy]
    low = np.floor((uvz[..., :2] - border).min(axis=-2))
    high = np.ceil((uvz[..., :2] + border).max(axis=-2))
    box = np.concatenate([low, high], axis=-1).clip(0, 2 * [camera.width, camera.height])
    return (box * ahead[..., None]).astype(np.int64)


def is_empty(boxes: np.ndarray) -> npt.NDArray[np.bool_]:
    """Which boxes (..., 4) hold no pixel; HANDS19 has such boxes."""
    return (boxes[..., 0] >= boxes[..., 2]) | (boxes[..., 1] >= boxes[..., 3])


@dataclass(frozen=True, eq=False)
class Frame:
    """One depth image and its labels."""

    name: str  # of the image's file
    depth: np.ndarray  # (height, width), uint16, mm, 0 where nothing returned
    box: np.ndarray  # (4,), x1, y1, x2, y2 of the hand, pixel frame, clipped to the image
    joints: np.ndarray | None = None  # (21, 3), float32, camera frame, mm; None without labels
    split: str = "train"  # or a test split, or ``test`` where the test split is not known
    camera: Camera = SR300
    shape: int | None = None  # bins of a synthetic frame: hand shape, viewpoint, articulation
    view: int | None = None
    pattern: int | None = None


class Hands19:
    """A split of HANDS19 Task 1, of HANDS17, or of a data set in one of their layouts.

    Images are read when a frame is asked for.

    ``root`` is the folder that holds ``Task 1``, or that folder itself; for HANDS17 the folder that
    holds ``training`` and ``frame``. ``split`` is ``train``, ``test`` or one of the test splits
    ``interp``, ``shape``, ``artic``, ``viewp``, ``extrap``, which need ``test_splits.txt``.
    With ``skip_degenerate`` frames with an empty box (x1 >= x2 or y1 >= y2) are left out.

    Attributes
    ----------
    names
        N file names.
    boxes
        (N, 4), float32, pixel frame; drawn around the joints where the data set has none, as in
        HANDS17's training set.
    box_form
        How the boxes are written: ``x1 y1 x2 y2``, ``x y width height`` (the data decide, see
        :func:`senorita_lib.cropping.box_corners`), or ``drawn around the joints``.
    joints
        (N, 21, 3), float32, camera frame, mm; None without labels.
    camera
        The SR300, or that of ``camera.json`` in the data set's folder.
    splits
        Split of each frame; ``test`` where the test split is not known.
    """

    def __init__(
        self, root: PathLike, split: str = "train", *, skip_degenerate: bool = True
    ) -> None:
        check_flags(skip_degenerate=skip_degenerate)
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        self.split, self.root = split, user_path(root)
        self.folder, layout = files.find_layout(self.root)
        self.camera = files.camera_of(self.folder, self.root)
        listed = files.LAYOUTS[layout]["train" if split == "train" else "test"]
        self.images = self.folder / listed.images
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        names, boxes, joints = self._annotations(listed)
        splits = self._splits(self.folder / listed.listed, names)
        mine = np.array([split not in TEST_SPLITS or s == split for s in splits], dtype=bool)
        rows = np.flatnonzero(mine & ~is_empty(boxes) if skip_degenerate else mine)
        self.names = [names[i] for i in rows]
        self.splits = [splits[i] for i in rows]
        self.boxes = boxes[rows]
        self.joints = None if joints is None else joints[rows]

    def _annotations(self, of: files.Files) -> tuple[list[str], Floats, Floats | None]:
        """Names, boxes and joints, which are None where there are no labels."""
        listed, joints = self.folder / of.listed, None
        path = self.folder / of.joints if of.joints else None
        if of.boxes:
            names, boxes = read_table(listed, 4, "x1 y1 x2 y2")
        if path and (self.split == "train" or path.is_file()):
            labelled, values = read_table(path, 63, "21 joints")
            joints = values.reshape(-1, 21, 3)
            if len(joints) and (middle := np.median(joints[..., 2])) < _NEAREST:
                unit = "metres" if abs(middle) < 10 else "centimetres" if middle > 0 else "-z"
                has = f"joints at a median depth of {middle:.3g}, which looks like {unit}"
                raise UnitsError(f"{path} has {has}, wanted millimetres in front of the camera")
            drawn = hand_box(joints, self.camera).astype(np.float32)
            if not of.boxes:
                self.box_form = "drawn around the joints"
                return labelled, drawn, joints
            check_same_names(path, labelled, listed, names)
        around = None if joints is None else drawn
        boxes, self.box_form = box_corners(boxes, listed, self.camera, around)
        return names, boxes, joints

    def _splits(self, listed: Path, names: list[str]) -> list[str]:
        path = self.folder / files.SPLITS_FILE
        if self.split == "train" or (self.split == "test" and not path.is_file()):
            return [self.split] * len(names)
        if not path.is_file():
            why = "the challenge does not publish them, so use split 'test'"
            raise FileNotFoundError(f"{path} is missing, wanted the {self.split} frames: {why}")
        table = list(lines(path))
        for number, fields in table:
            if len(fields) != 2 or fields[1] not in TEST_SPLITS:
                wanted = f"a name and one of {', '.join(TEST_SPLITS)}"
                raise ValueError(f"{path} line {number} is {' '.join(fields)!r}, wanted {wanted}")
        check_same_names(path, [name for _, (name, _) in table], listed, names)
        return [split for _, (_, split) in table]

    def check_depth(self) -> None:
        """Raise :class:`UnitsError` if most labels are not at the depth that their images have.

        Some frames are looked at. Joints lie up to 60 mm behind what is seen at their pixels.
        """
        if self.joints is None:
            return
        near, seen, labelled = [], [], []
        for row in np.linspace(0, len(self) - 1, min(_LOOK, len(self))).astype(int):
            try:
                depth = files.read_depth(self.path(self.names[row]), self.camera)
            except (OSError, ValueError):  # the checkup says so, and cropping
                continue
            x1, y1, x2, y2 = self.boxes[row].clip(0).astype(int)
            inside = depth[y1:y2, x1:x2]
            if not inside.any():
                continue
            joints = self.joints[row]
            u, v, z = self.camera.project(joints[joints[:, 2] > 0]).T
            shown = (u >= 0) & (v >= 0) & (u < depth.shape[1]) & (v < depth.shape[0])
            there = depth[v[shown].astype(int), u[shown].astype(int)]
            near.append((np.abs(z[shown] - there) < _DEEP).sum() > shown.sum() / 2)
            seen.append(np.median(inside[inside > 0]))
            labelled.append(np.median(joints[:, 2]))
        if near and sum(near) < len(near) / 2:
            has = f"{len(near) - sum(near)} of {len(near)} {self.split} labels off their depth"
            z = f"z {np.median(labelled):.0f}, depth in the boxes {np.median(seen):.0f}, medians"
            wanted = "wanted both in mm, and labels in the camera frame"
            raise UnitsError(f"{self.folder} has {has} ({z}), {wanted}")

    def path(self, name: str) -> Path:
        """Where the image of that name lies; its ending may be in capitals."""
        path = self.images / name.replace("\\", "/")
        if not path.exists() and (other := path.with_suffix(path.suffix.swapcase())).exists():
            return other
        return path

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> "Hands19": ...
    def __getitem__(self, index: int | slice) -> "Frame | Hands19":
        """A frame, or a part of the data set, whose images are not read yet."""
        if isinstance(index, slice):
            part = copy(self)
            for each in ("names", "splits", "boxes", "joints"):
                if (values := getattr(self, each)) is not None:
                    setattr(part, each, values[index])
            return part
        joints = None if self.joints is None else self.joints[index]
        depth = files.read_depth(self.path(self.names[index]), self.camera)
        about = self.boxes[index], joints, self.splits[index]
        return Frame(self.names[index], depth, *about, self.camera)

    def tensors(self) -> "TensorView":
        """The frames as dicts of tensors, for a ``DataLoader``."""
        return TensorView(self)


@dataclass(frozen=True)
class TensorView(Dataset[dict[str, Any]]):
    """A data set's frames as dicts that torch's default collate puts into batches.

    ``depth`` (height, width), float32, mm, 0 where nothing returned; ``box`` (4,), pixel frame;
    ``joints`` (21, 3), camera frame, mm, NaN without labels; ``name`` and ``split``, texts.
    """

    frames: Hands19

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        frame = self.frames[index]
        joints = np.full((21, 3), np.nan) if frame.joints is None else frame.joints
        arrays = {"depth": frame.depth, "box": frame.box, "joints": joints}
        tensors = {key: torch.from_numpy(np.array(v, np.float32)) for key, v in arrays.items()}
        return {"name": frame.name, "split": frame.split, **tensors}
