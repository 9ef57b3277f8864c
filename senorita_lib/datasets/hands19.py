"""HANDS19 Task 1 on disk: the one place that knows its folders and formats.

::

    ROOT/Task 1/training_images/image_D00000000.png   640x480, 16 bit, mm, 0 = no return
    ROOT/Task 1/test_images/image_D00000000.png
    ROOT/Task 1/training_joint_annotation.txt         name and 63 numbers, TAB separated, mm
    ROOT/Task 1/training_bbs.txt, test_bbs.txt        name x1 y1 x2 y2, px
    ROOT/Task 1/test_joint_annotation.txt             optional; the challenge keeps its own
    ROOT/Task 1/test_splits.txt                       optional; name and split
"""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

TEST_SPLITS = ("interp", "shape", "artic", "viewp", "extrap")
SPLITS = ("train", "test", *TEST_SPLITS)
HEIGHT, WIDTH = 480, 640
_TASK_FOLDERS = ("Task 1", "Task1", "Task_1")
# Runs suit depth images: 20 % smaller than the default, in the same time.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
_PREFIX = {"train": "training", "test": "test"}


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


def image_name(number):
    """File name of the frame with a number, which counts from 0."""
    return f"image_D{number:08d}.png"


class Hands19:
    """A split of HANDS19 Task 1, or of a data set written in its layout; images are read lazily.

    Parameters
    ----------
    root : path
        The folder that holds ``Task 1``, or that folder itself.
    split : str
        ``train``, ``test`` or one of the test splits ``interp``, ``shape``, ``artic``,
        ``viewp``, ``extrap``, which need ``test_splits.txt``.
    skip_degenerate : bool
        Leave out frames with an empty box.

    Attributes
    ----------
    names : list of str
    boxes : array, (N, 4), float32
        Pixel frame.
    joints : array, (N, 21, 3), float32, or None
        Camera frame, mm; None where the split has no labels.
    splits : list of str
        Of each frame; ``test`` where the test split is not known.
    degenerate : list of str
        Names of the frames whose box is empty (x1 >= x2 or y1 >= y2).

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
        self.folder = _task_folder(self.root)
        kind = _PREFIX["train" if split == "train" else "test"]
        self.images = self.folder / f"{kind}_images"
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        boxes_file = self.folder / f"{kind}_bbs.txt"
        names, boxes = _read_table(boxes_file, 4, "x1 y1 x2 y2")
        joints = self._joints(self.folder / f"{kind}_joint_annotation.txt", boxes_file, names)
        splits = self._splits(self.folder / "test_splits.txt", boxes_file, names)
        empty = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
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

    def _joints(self, path, boxes_file, names):
        if not path.is_file() and self.split != "train":
            return None
        labelled, values = _read_table(path, 63, "21 joints")
        _same_names(path, labelled, boxes_file, names)
        joints = values.reshape(-1, 21, 3).astype(np.float32)
        if len(joints) and np.median(np.abs(joints[..., 2])) < 10:
            raise ValueError(
                f"{path} has joints at a median depth of {np.median(joints[..., 2]):.3g}, which "
                "looks like metres, wanted millimetres"
            )
        return joints

    def _splits(self, path, boxes_file, names):
        if self.split == "train" or (self.split == "test" and not path.is_file()):
            return [self.split] * len(names)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing, wanted the names of the {self.split} frames: the challenge "
                "does not publish them, so use split 'test'"
            )
        known, splits = [], []
        for number, fields in _lines(path):
            if len(fields) != 2 or fields[1] not in TEST_SPLITS:
                raise ValueError(
                    f"{path} line {number} is {' '.join(fields)!r}, wanted a name and one of "
                    f"{', '.join(TEST_SPLITS)}"
                )
            known.append(fields[0])
            splits.append(fields[1])
        _same_names(path, known, boxes_file, names)
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


def read_depth(path):
    """Read a depth image.

    Parameters
    ----------
    path : path

    Returns
    -------
    array, (480, 640), uint16
        mm, 0 where nothing returned.

    Raises
    ------
    FileNotFoundError
        If it is missing.
    ValueError
        If it is no whole 16-bit image of 640x480 with one channel.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted a depth image") from None
    # OpenCV decodes a truncated PNG without a word, as zeros: look for its end first.
    whole = data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"
    depth = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if depth is None:
        raise ValueError(f"{path} is truncated or no PNG ({len(data)} bytes), wanted a whole one")
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise ValueError(
            f"{path} has {8 * depth.itemsize} bits and {depth[0, 0].size} channels, wanted 16 "
            "bits and one channel, depth in mm"
        )
    if depth.shape != (HEIGHT, WIDTH):
        raise ValueError(
            f"{path} is {depth.shape[1]}x{depth.shape[0]}, wanted {WIDTH}x{HEIGHT} pixels"
        )
    return depth


def _task_folder(root):
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} does not exist, wanted a HANDS19 folder; "
            f"`python -m senorita_lib.datasets.synthetic {root}` makes a synthetic one"
        )
    for folder in (root, *(root / name for name in _TASK_FOLDERS)):
        if any((folder / f"{kind}_bbs.txt").is_file() for kind in _PREFIX.values()):
            return folder
    raise FileNotFoundError(
        f"{root} holds neither training_bbs.txt nor test_bbs.txt, nor does a folder 'Task 1' or "
        "'Task1' in it, wanted HANDS19's layout; "
        f"`python -m senorita_lib.datasets.synthetic {root}` makes a synthetic data set"
    )


def _lines(path):
    """Numbers and fields of the lines that are not blank."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted one line for each image") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text, wanted one line for each image") from None
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if fields:
            yield number, fields


def _read_table(path, count, what):
    """Names and numbers (N, count) of a file with a name and ``count`` numbers a line."""
    names, rows = [], []
    for number, fields in _lines(path):
        if len(fields) != count + 1:
            raise ValueError(
                f"{path} line {number} has {len(fields) - 1} numbers after the name, wanted "
                f"{count} ({what})"
            )
        try:
            row = np.array(fields[1:], dtype=np.float64)
        except ValueError:
            row = np.array([np.nan])
        if not np.isfinite(row).all():
            raise ValueError(
                f"{path} line {number} has something that is no finite number, wanted a name and "
                f"{count} numbers ({what})"
            )
        names.append(fields[0])
        rows.append(row)
    return names, np.array(rows).reshape(-1, count)


def _same_names(path, names, boxes_file, wanted):
    if len(names) != len(wanted):
        raise ValueError(
            f"{path} has {len(names)} lines and {boxes_file.name} has {len(wanted)}, wanted as many"
        )
    for number, (name, other) in enumerate(zip(names, wanted, strict=True), 1):
        if name != other:
            raise ValueError(
                f"{path} has {name} as frame {number} and {boxes_file.name} has {other}, wanted "
                "the same frames in the same order"
            )


# ------------------------------------------------------------------------------------ writing
def write_aside(path, data):
    """Write bytes such that a file of that name is always a whole one."""
    part = Path(f"{path}.{os.getpid()}.part")
    part.write_bytes(data)
    os.replace(part, path)


def encode_depth(depth):
    """PNG bytes of a depth image (480, 640), uint16."""
    done, data = cv2.imencode(".png", depth, _PNG)
    if not done:
        raise ValueError(f"an image of shape {depth.shape} and {depth.dtype} cannot be a PNG")
    return data.tobytes()


def is_whole_png(path):
    """Whether a file exists and ends as a PNG does."""
    try:
        with open(path, "rb") as file:
            file.seek(-8, os.SEEK_END)
            return file.read(4) == b"IEND"
    except OSError:
        return False


def write_annotations(folder, kind, names, boxes, joints, splits=None):
    """Write the text files of ``train`` or ``test``.

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
    folder, prefix = Path(folder), _PREFIX[kind]

    def table(rows):
        return "".join("\t".join(row) + "\n" for row in rows).encode()

    text = [[n, *(f"{v:.4f}" for v in j.ravel())] for n, j in zip(names, joints, strict=True)]
    write_aside(folder / f"{prefix}_joint_annotation.txt", table(text))
    text = [[n, *(str(int(v)) for v in b)] for n, b in zip(names, boxes, strict=True)]
    write_aside(folder / f"{prefix}_bbs.txt", table(text))
    if splits is not None:
        write_aside(folder / "test_splits.txt", table(zip(names, splits, strict=True)))
