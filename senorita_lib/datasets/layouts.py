"""Which files HANDS19 Task 1 consists of, and HANDS17: the one place that knows their names.

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

from dataclasses import dataclass
from pathlib import Path

from senorita_lib.files import atomic_write

SPLITS_FILE = "test_splits.txt"
_TASK_FOLDERS = ("Task 1", "Task1", "Task_1")


@dataclass(frozen=True)
class Files:
    """Of training or test, as paths in the data set's folder; None for what is not published."""

    images: str
    boxes: str | None
    joints: str | None


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


def find_layout(root):
    """Find a data set.

    Parameters
    ----------
    root : path
        The folder that holds it, or ``Task 1``.

    Returns
    -------
    folder : pathlib.Path
        Its files lie there.
    layout : str
        A key of ``LAYOUTS``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} does not exist, wanted a HANDS19 folder; "
            f"`python -m senorita_lib.datasets.synthetic {root}` makes a synthetic one"
        )
    for folder in (root, *(root / name for name in _TASK_FOLDERS)):
        for layout, kinds in LAYOUTS.items():
            if any((folder / (files.boxes or files.joints)).is_file() for files in kinds.values()):
                return folder, layout
    raise FileNotFoundError(
        f"{root} holds neither training_bbs.txt nor test_bbs.txt, nor does a folder 'Task 1' or "
        "'Task1' in it, wanted HANDS19's layout or HANDS17's; "
        f"`python -m senorita_lib.datasets.synthetic {root}` makes a synthetic data set"
    )


def write_annotations(folder, kind, names, boxes, joints, splits=None):
    """Write HANDS19's text files.

    Parameters
    ----------
    folder : path
        The task's folder.
    kind : str
        ``train`` or ``test``.
    names : list of str
    boxes : array of int, (N, 4)
        Pixel frame.
    joints : array, (N, 21, 3)
        Camera frame, mm.
    splits : list of str, optional
        Of test frames.
    """
    folder, files = Path(folder), LAYOUTS["HANDS19"][kind]

    def table(rows):
        return "".join("\t".join(row) + "\n" for row in rows).encode()

    text = [[n, *(f"{v:.4f}" for v in j.ravel())] for n, j in zip(names, joints, strict=True)]
    atomic_write(folder / files.joints, table(text))
    text = [[n, *(str(int(v)) for v in b)] for n, b in zip(names, boxes, strict=True)]
    atomic_write(folder / files.boxes, table(text))
    if splits is not None:
        atomic_write(folder / SPLITS_FILE, table(zip(names, splits, strict=True)))
