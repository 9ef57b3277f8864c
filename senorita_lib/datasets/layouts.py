"""The files of HANDS19 Task 1 and of HANDS17: the one place that knows their names.

::

    ROOT/Task 1/training_images/image_D00000000.png   640x480, 16 bit, mm, 0 = no return
    ROOT/Task 1/test_images/image_D00000000.png
    ROOT/Task 1/training_joint_annotation.txt         name and 63 numbers, TAB separated, mm
    ROOT/Task 1/training_bbs.txt, test_bbs.txt        name x1 y1 x2 y2, px
    ROOT/Task 1/test_joint_annotation.txt             optional; the challenge keeps its own
    ROOT/Task 1/test_splits.txt                       optional; name and split

    ROOT/training/images/image_D00000001.png          HANDS17, as HANDS19 but for these names
    ROOT/training/Training_Annotation.txt             joints; there are no boxes for training
    ROOT/frame/images, ROOT/frame/BoundingBox.txt     its test frames
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from senorita_lib.files import atomic_write, user_path

SPLITS_FILE = "test_splits.txt"
_TASK_FOLDERS = ("Task 1", "Task1", "Task_1")


@dataclass(frozen=True)
class Files:
    """Files of training or test, relative to the data set's folder; None if not published."""

    images: str
    boxes: str | None
    joints: str | None

    @property
    def listed(self) -> str:
        """The file that says which frames there are."""
        return self.boxes or str(self.joints)


LAYOUTS = {
    "HANDS19": {
        "train": Files("training_images", "training_bbs.txt", "training_joint_annotation.txt"),
        "test": Files("test_images", "test_bbs.txt", "test_joint_annotation.txt"),
    },
    "HANDS17": {
        "train": Files("training/images", None, "training/Training_Annotation.txt"),
        "test": Files("frame/images", "frame/BoundingBox.txt", None),
    },
}


def find_layout(root: str | os.PathLike[str]) -> tuple[Path, str]:
    """The folder in which a data set's files lie, and its layout, a key of ``LAYOUTS``.

    ``root`` is the folder that holds the data set, or ``Task 1``.
    """
    root = user_path(root)
    make = f"`python -m senorita_lib.datasets.synthetic {root}` makes a synthetic one"
    if root.is_file():
        raise NotADirectoryError(f"{root} is a file, wanted HANDS19's folder, unpacked")
    if not root.is_dir():
        raise FileNotFoundError(f"{root} does not exist, wanted a HANDS19 folder; {make}")
    for folder in (root, *(root / name for name in _TASK_FOLDERS)):
        for layout, kinds in LAYOUTS.items():
            if any((folder / files.listed).is_file() for files in kinds.values()):
                return folder, layout
    raise FileNotFoundError(
        f"{root} holds neither training_bbs.txt nor test_bbs.txt, nor a folder 'Task 1' with them, "
        f"wanted HANDS19's layout or HANDS17's; {make}"
    )


def write_annotations(
    folder: Path, kind: Literal["train", "test"], names: Sequence[str], boxes: np.ndarray,
    joints: np.ndarray, splits: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Write HANDS19's text files into the task's folder.

    For N file names: boxes (N, 4), pixel frame, whole numbers; joints (N, 21, 3), camera frame,
    mm; and the splits of test frames.
    """
    files = LAYOUTS["HANDS19"][kind]

    def write(name: str, rows: Iterable[Sequence[str]]) -> None:
        atomic_write(folder / name, "".join("\t".join(row) + "\n" for row in rows))

    poses = ([n, *(f"{v:.4f}" for v in j.ravel())] for n, j in zip(names, joints, strict=True))
    write(str(files.joints), poses)
    corners = ([n, *(str(int(v)) for v in b)] for n, b in zip(names, boxes, strict=True))
    write(str(files.boxes), corners)
    if splits is not None:
        write(SPLITS_FILE, zip(names, splits, strict=True))
