"""The files of HANDS19 Task 1 and of HANDS17: where they lie, and depth images as PNG.

::

    ROOT/Task 1/training_images/image_D00000000.png   640x480, 16 bit, mm, 0 = no return
    ROOT/Task 1/test_images/image_D00000000.png
    ROOT/Task 1/training_joint_annotation.txt         name and 63 numbers, TAB separated, mm
    ROOT/Task 1/training_bbs.txt, test_bbs.txt        name x1 y1 x2 y2, px
    ROOT/Task 1/test_joint_annotation.txt             optional; the challenge keeps its own
    ROOT/Task 1/test_splits.txt                       optional; name and split
    ROOT/Task 1/camera.json, or ROOT/camera.json      optional; fx, fy, cx, cy, width, height, px

    ROOT/training/images/image_D00000001.png          HANDS17, as HANDS19 but for these names
    ROOT/training/Training_Annotation.txt             joints; there are no boxes for training
    ROOT/frame/images, ROOT/frame/BoundingBox.txt     its test frames
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from senorita_lib.camera import SR300, Camera, read_camera
from senorita_lib.files import PathLike, atomic_write, user_path

SPLITS_FILE = "test_splits.txt"
_TASK_FOLDERS = ("Task 1", "Task1", "Task_1")
# Runs suit depth images: 20 % smaller than the default, in the same time.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
_HEAD = 26  # bytes of a PNG: signature, then width, height, bits and colour type
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types


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


def find_layout(root: PathLike) -> tuple[Path, str]:
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


class DepthImageError(ValueError):
    """A file is not a usable depth image; ``kind`` is ``truncated``, ``bits`` or ``size``."""

    def __init__(self, sentence: str, kind: str = "") -> None:  # pickle gives no kind at first
        super().__init__(sentence)
        self.kind = kind


def image_name(number: int) -> str:
    """File name of a frame; numbers count from 0."""
    return f"image_D{number:08d}.png"


def camera_of(folder: Path, root: Path) -> Camera:
    """The camera of the files in a data set's folder; ``camera.json`` may lie above ``Task 1``."""
    above = [folder.parent] if folder.name in _TASK_FOLDERS else []
    return read_camera(folder, root, *above)


def read_depth(path: PathLike, camera: Camera | None = SR300) -> npt.NDArray[np.uint16]:
    """Read a depth image (height, width) of a camera, or of any, mm, 0 where nothing returned.

    A :class:`DepthImageError` says what is not a whole 16-bit image of one channel and its size.
    """
    path = user_path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted a depth image") from None
    # OpenCV decodes a truncated PNG without a word, as zeros: look at its ends first.
    _check_ends(path, data[:_HEAD], data[-8:], len(data), camera)
    depth = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if depth is None:
        raise DepthImageError(f"{path} is damaged, wanted a whole PNG", "truncated")
    return np.asarray(depth, np.uint16)


def probe_depth(path: PathLike, camera: Camera = SR300) -> None:
    """Check both ends of a depth image only, with the errors of :func:`read_depth`."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        length = file.seek(0, os.SEEK_END)
        file.seek(max(length - 8, 0))
        _check_ends(path, head, file.read(), length, camera)


def _check_ends(
    path: PathLike, head: bytes, tail: bytes, length: int, camera: Camera | None
) -> None:
    if len(head) < _HEAD or head[:8] != b"\x89PNG\r\n\x1a\n" or tail[:4] != b"IEND":
        what = f"{path} is truncated or no PNG ({length} bytes), wanted a whole one"
        raise DepthImageError(what, "truncated")
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    bits, channels = head[24], _CHANNELS.get(head[25], 0)
    if (bits, channels) != (16, 1):
        what = f"{path} has {bits} bits and {channels} channels"
        raise DepthImageError(f"{what}, wanted 16 bits and one channel, depth in mm", "bits")
    if camera and (width, height) != (camera.width, camera.height):
        wanted = f"wanted {camera.width}x{camera.height} pixels"
        raise DepthImageError(f"{path} is {width}x{height}, {wanted}", "size")


def encode_depth(depth: npt.NDArray[np.uint16]) -> bytes:
    """PNG bytes of a depth image (height, width), uint16."""
    return cv2.imencode(".png", depth, _PNG)[1].tobytes()


def write_annotations(
    folder: Path, kind: Literal["train", "test"], names: Sequence[str], boxes: np.ndarray,
    joints: np.ndarray, splits: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Write HANDS19's text files into the task's folder, for N file names.

    Boxes (N, 4), pixel frame, become whole numbers; joints are (N, 21, 3), camera frame, mm.
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
