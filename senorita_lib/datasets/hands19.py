"""The reader of HANDS19 Task 1 and of HANDS17, whose files :mod:`.layouts` lists."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets.files import read_depth
from senorita_lib.datasets.layouts import LAYOUTS, SPLITS_FILE, Files, find_layout
from senorita_lib.datasets.tables import check_same_names, lines, read_table
from senorita_lib.evaluation import TEST_SPLITS

SPLITS = ("train", "test", *TEST_SPLITS)
Floats = npt.NDArray[np.float32]
_FLESH = 14.0  # mm around the joints, in a box


def hand_box(joints: npt.ArrayLike, camera: Camera) -> npt.NDArray[np.int64]:
    """Box (..., 4) around joints (..., 21, 3), mm, as in HANDS19: whole pixels, in the image.

    x1, y1, x2, y2, pixel frame; empty unless all joints are in front of the camera.
    """
    joints = np.asarray(joints)
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
    depth: np.ndarray  # (480, 640), uint16, mm, 0 where nothing returned
    box: np.ndarray  # (4,), x1, y1, x2, y2 of the hand, pixel frame, clipped to the image
    joints: np.ndarray | None = None  # (21, 3), float32, camera frame, mm; None without labels
    split: str = "train"  # or a test split, or ``test`` where the test split is not known
    shape: int | None = None  # bins of a synthetic frame: hand shape,
    view: int | None = None  # viewpoint
    pattern: int | None = None  # and articulation


class Hands19:
    """A split of HANDS19 Task 1, of HANDS17, or of a data set in one of their layouts.

    Images are read when a frame is asked for.

    Parameters
    ----------
    root
        The folder that holds ``Task 1``, or that folder itself; for HANDS17 the folder that
        holds ``training`` and ``frame``.
    split
        ``train``, ``test`` or one of the test splits ``interp``, ``shape``, ``artic``,
        ``viewp``, ``extrap``, which need ``test_splits.txt``.
    skip_degenerate
        Leave out frames with an empty box (x1 >= x2 or y1 >= y2).

    Attributes
    ----------
    names
        N file names.
    boxes
        (N, 4), float32, pixel frame; drawn around the joints where the data set has none, as in
        HANDS17's training set.
    joints
        (N, 21, 3), float32, camera frame, mm; None without labels.
    splits
        Split of each frame; ``test`` where the test split is not known.
    """

    def __init__(
        self, root: str | os.PathLike[str], split: str = "train", *, skip_degenerate: bool = True
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        self.split, self.root = split, Path(root)
        self.folder, layout = find_layout(self.root)
        files = LAYOUTS[layout]["train" if split == "train" else "test"]
        self.images = self.folder / files.images
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        names, boxes, joints = self._annotations(files)
        splits = self._splits(self.folder / files.listed, names)
        mine = np.array([split not in TEST_SPLITS or s == split for s in splits], dtype=bool)
        rows = np.flatnonzero(mine & ~is_empty(boxes) if skip_degenerate else mine)
        self.names = [names[i] for i in rows]
        self.splits = [splits[i] for i in rows]
        self.boxes = boxes[rows]
        self.joints = None if joints is None else joints[rows]

    def _annotations(self, files: Files) -> tuple[list[str], Floats, Floats | None]:
        """Names, boxes and joints, which are None where there are no labels."""
        names: list[str] = []
        if files.boxes:
            names, boxes = read_table(self.folder / files.boxes, 4, "x1 y1 x2 y2")
        path = self.folder / files.joints if files.joints else None
        if not path or (self.split != "train" and not path.is_file()):
            return names, boxes, None
        labelled, values = read_table(path, 63, "21 joints")
        joints = values.reshape(-1, 21, 3)
        if len(joints) and np.median(np.abs(joints[..., 2])) < 10:
            has = f"joints at a median depth of {np.median(joints[..., 2]):.3g}"
            raise ValueError(f"{path} has {has}, which looks like metres, wanted millimetres")
        if not files.boxes:
            return labelled, hand_box(joints, SR300).astype(np.float32), joints
        check_same_names(path, labelled, self.folder / files.boxes, names)
        return names, boxes, joints

    def _splits(self, listed: Path, names: list[str]) -> list[str]:
        path = self.folder / SPLITS_FILE
        if self.split == "train" or (self.split == "test" and not path.is_file()):
            return [self.split] * len(names)
        if not path.is_file():
            why = "the challenge does not publish them, so use split 'test'"
            what = f"wanted the names of the {self.split} frames: {why}"
            raise FileNotFoundError(f"{path} is missing, {what}")
        table = list(lines(path))
        for number, fields in table:
            if len(fields) != 2 or fields[1] not in TEST_SPLITS:
                wanted = f"a name and one of {', '.join(TEST_SPLITS)}"
                raise ValueError(f"{path} line {number} is {' '.join(fields)!r}, wanted {wanted}")
        check_same_names(path, [name for _, (name, _) in table], listed, names)
        return [split for _, (_, split) in table]

    def path(self, name: str) -> Path:
        """Where the image of that name lies."""
        return self.images / name

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        joints = None if self.joints is None else self.joints[index]
        depth = read_depth(self.path(name))
        return Frame(name, depth, self.boxes[index], joints, self.splits[index])
