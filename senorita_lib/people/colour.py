"""Colour images as JPEG or PNG."""

import os
from pathlib import Path

import cv2
import numpy as np

from senorita_lib.datasets.files import ImageError

_HEAD = 8  # bytes that tell the kind
_TAIL = 4096  # a JPEG ends within these: some cameras write something behind its end
# The labels count pixels as they are stored, so a camera's note of how it was held does not count.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


class ColourImageError(ImageError):
    """A file is no usable colour image; ``kind`` is ``truncated`` or ``size``."""


def read_colour(path):
    """Read a colour image.

    Parameters
    ----------
    path : path

    Returns
    -------
    array, (H, W, 3), uint8
        Red, green, blue, as stored: not turned.

    Raises
    ------
    FileNotFoundError
        If it is missing.
    ColourImageError
        A ValueError: if it is no whole JPEG or PNG. Damage that leaves a JPEG's two ends and its
        header alone is not found.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted a colour image") from None
    # OpenCV decodes a truncated JPEG without a word, its rest grey: look at its ends first.
    _check_ends(path, data[:_HEAD], data[-_TAIL:], len(data))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS)
    except cv2.error:  # a header that tells of more pixels than OpenCV takes
        image = None
    if image is None:
        raise ColourImageError(f"{path} is damaged, wanted a whole JPEG or PNG", "truncated")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def probe_colour(path):
    """Look at a colour image's two ends only; refuses as :func:`read_colour` what shows there."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        length = file.seek(0, os.SEEK_END)
        file.seek(max(length - _TAIL, 0))
        _check_ends(path, head, file.read(), length)


def _check_ends(path, head, tail, length):
    jpeg = head[:2] == b"\xff\xd8" and b"\xff\xd9" in tail
    png = head == b"\x89PNG\r\n\x1a\n" and tail[-8:-4] == b"IEND"
    if not (jpeg or png):
        raise ColourImageError(
            f"{path} is truncated or neither JPEG nor PNG ({length} bytes), wanted a whole one",
            "truncated",
        )
