"""The reader of HANDS19 Task 1 and of HANDS17, whose files :mod:`.layouts` tells."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senorita_lib.camera import SR300
from senorita_lib.datasets.boxes import hand_box, is_empty
from senorita_lib.datasets.files import read_depth
from senorita_lib.datasets.layouts import LAYOUTS, SPLITS_FILE, find_layout
from senorita_lib.datasets.tables import lines, read_table, want_same_names
from senorita_lib.evaluation import TEST_SPLITS

SPLITS = ("train", "test", *TEST_SPLITS)


@dataclass(frozen=True, eq=False)
class Frame:
    """One depth image with what is known about it.

    Attributes
    ----------
    name : str
        Of the image file.
    depth : array, (480, 640), uint16
        mm, 0 where nothing returned.
    box : array, (4,)
        x1, y1, x2, y2 of the hand, pixel frame, clipped to the image.
    joints : array, (21, 3), float32, or None
        Camera frame, mm, HANDS19 order; None where there are no labels.
    split : str
    shape, view, pattern : int or None
        Hand shape, viewpoint bin and articulation pattern of a synthetic frame.
    """

    name: str
    depth: np.ndarray
    box: np.ndarray
    joints: np.ndarray | None = None
    split: str = "train"
    shape: int | None = None
    view: int | None = None
    pattern: int | None = None


class Hands19:
    """A split of HANDS19 Task 1, of HANDS17, or of a data set written in one of their layouts.

    Images are read lazily. The text files are parsed once: ``ROOT/index`` keeps what they hold.

    Parameters
    ----------
    root : path
        The folder that holds ``Task 1``, or that folder itself; for HANDS17 the folder that
        holds ``training`` and ``frame``.
    split : str
        ``train``, ``test`` or one of the test splits ``interp``, ``shape``, ``artic``,
        ``viewp``, ``extrap``, which need ``test_splits.txt``.
    skip_degenerate : bool
        Leave out frames with an empty box.

    Attributes
    ----------
    names : list of str
    boxes : array, (N, 4), float32
        Pixel frame; drawn around the joints where the data set has none, as HANDS17's training.
    joints : array, (N, 21, 3), float32, or None
        Camera frame, mm; None where the split has no labels.
    splits : list of str
        Of each frame; ``test`` where the test split is not known.
    degenerate : list of str
        Names of the frames whose box is empty (x1 >= x2 or y1 >= y2).
    layout : str
        ``HANDS19`` or ``HANDS17``.

    Raises
    ------
    FileNotFoundError
        If the root, a file or an image is missing.
    ValueError
        If a file does not hold what it should.
    """

    def __init__(self, root, split="train", *, skip_degenerate=True):
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        self.split, self.root = split, Path(root)
        self.folder, self.layout = find_layout(self.root)
        files = LAYOUTS[self.layout]["train" if split == "train" else "test"]
        self.images = self.folder / files.images
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        listed = self.folder / (files.boxes or files.joints)  # says which frames there are
        names, boxes, joints = self._annotations(files, listed)
        splits = self._splits(self.folder / SPLITS_FILE, listed, names)
        empty = is_empty(boxes)
        keep = ~(empty & skip_degenerate)
        if split in TEST_SPLITS:
            mine = np.array([s == split for s in splits], dtype=bool)
            keep, empty = keep & mine, empty & mine
        self.degenerate = [names[i] for i in np.flatnonzero(empty)]
        chosen = np.flatnonzero(keep)
        self.names = [names[i] for i in chosen]
        self.splits = [splits[i] for i in chosen]
        self.boxes = boxes[chosen].astype(np.float32)
        self.joints = None if joints is None else joints[chosen]

    def _annotations(self, files, listed):
        """Names, boxes, and joints or None, of all frames."""
        index = self.root / "index"
        if files.boxes:
            names, boxes = read_table(listed, 4, "x1 y1 x2 y2", index)
        path = files.joints and self.folder / files.joints
        if not path or (self.split != "train" and not path.is_file()):
            return names, boxes, None
        labelled, values = read_table(path, 63, "21 joints", index)
        joints = values.reshape(-1, 21, 3)
        if len(joints) and np.median(np.abs(joints[..., 2])) < 10:
            raise ValueError(
                f"{path} has joints at a median depth of {np.median(joints[..., 2]):.3g}, which "
                "looks like metres, wanted millimetres"
            )
        if not files.boxes:
            parts = range(0, len(joints) + 1, 1 << 14)  # so that a million frames fit in memory
            boxes = np.concatenate([hand_box(joints[i : i + (1 << 14)], SR300) for i in parts])
            return labelled, boxes, joints
        want_same_names(path, labelled, listed, names)
        return names, boxes, joints

    def _splits(self, path, listed, names):
        if self.split == "train" or (self.split == "test" and not path.is_file()):
            return [self.split] * len(names)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing, wanted the names of the {self.split} frames: the challenge "
                "does not publish them, so use split 'test'"
            )
        known, splits = [], []
        for number, fields in lines(path):
            if len(fields) != 2 or fields[1] not in TEST_SPLITS:
                raise ValueError(
                    f"{path} line {number} is {' '.join(fields)!r}, wanted a name and one of "
                    f"{', '.join(TEST_SPLITS)}"
                )
            known.append(fields[0])
            splits.append(fields[1])
        want_same_names(path, known, listed, names)
        return splits

    def __len__(self):
        return len(self.names)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        name = self.names[index]
        return Frame(
            name=name,
            depth=read_depth(self.images / name),
            box=self.boxes[index],
            joints=None if self.joints is None else self.joints[index],
            split=self.splits[index],
        )
