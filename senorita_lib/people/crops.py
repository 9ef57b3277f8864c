"""People in colour images with 16 keypoints, and their crops: the data of pretraining.

Keypoints are (u, v, z): pixel frame, px, and depth behind the pelvis, mm; unknown ones are NaN,
such as the depths where there are only 2D labels. Crops follow the coordinate contract
(:mod:`senorita_lib`): u and v across a square box, d through a cube of 2 m around the pelvis
(Sun et al. 2018), 0 = far face, 1 = near face.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from senorita_lib.people.keypoints import MIRRORED

CUBE_MM = 2000.0
_JPEG_TAIL = 4096  # the end of a JPEG lies within these bytes: some cameras append more


class BodyFrame(NamedTuple):
    """One person in one image."""

    image: np.ndarray  # (H, W, 3), uint8; red, green, blue
    box: np.ndarray  # (4,): x1, y1, x2, y2 of a square, px; may reach out of the image
    keypoints: np.ndarray  # (16, 3), float32: u, v in px, z in mm behind the pelvis


class BodySet:
    """People with keypoints; an image is read when its frame is taken."""

    names: list[str]  # of the images; several people may be in one
    boxes: np.ndarray  # (N, 4) and
    keypoints: np.ndarray  # (N, 16, 3), float32, as in BodyFrame
    cameras: np.ndarray  # (N, 5), float32: fx, fy, cx, cy, px; pelvis's depth, mm; NaN if 2D
    identity: str  # digest of the labels
    images: Path | None = None  # folder of the images, if they are files

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (H, W, 3), uint8; red, green, blue."""
        assert self.images is not None
        return read_colour(self.images / self.names[index])

    def missing(self) -> list[str]:
        """Names of the images that do not exist."""
        if self.images is None:
            return []
        # Few listings instead of a question for each file, which is slow on a network drive.
        folders = {Path(name).parent for name in self.names}
        listings = (folder for folder in folders if (self.images / folder).is_dir())
        there = {str(f / file) for f in listings for file in os.listdir(self.images / f)}
        return [name for name in dict.fromkeys(self.names) if name not in there]

    @property
    def spatial(self) -> np.ndarray:
        """Which people have depths, (N,), bool."""
        return np.isfinite(self.keypoints[..., 2]).any(axis=1)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> BodyFrame:
        return BodyFrame(self.image(index), self.boxes[index], self.keypoints[index])


def labels_digest(names: list[str], *labels: np.ndarray) -> str:
    """The identity of a set with these image names and labels."""
    parts = ["\n".join(names).encode(), *(values.tobytes() for values in labels)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_colour(path: Path) -> np.ndarray:
    """Read a whole JPEG or PNG: (H, W, 3), uint8; red, green, blue, as stored, not turned."""
    data = path.read_bytes()
    # OpenCV silently decodes the rest of a truncated JPEG as grey: look at both ends first.
    jpeg = data[:2] == b"\xff\xd8" and b"\xff\xd9" in data[-_JPEG_TAIL:]
    png = data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"
    # The labels count stored pixels, whatever the camera's EXIF data says of turning them.
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if jpeg or png else None
    if image is None:
        said = f"{path} ({len(data)} bytes) is truncated or damaged"
        raise ValueError(f"{said}, wanted a JPEG or PNG")
    return image


def cut_body(
    frame: BodyFrame, size: int, angle: float = 0.0, scale: float = 1.0,
    shift: Sequence[float] = (0.0, 0.0), mirror: bool = False,
    colour: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Cut a person out: an image (3, size, size), red, green, blue in [-1, 1]; uvd (16, 3).

    The image is -1 outside the frame's; unknown uvd are NaN. The content is augmented as in
    :mod:`senorita_lib.augmentation`, ``angle`` in degrees, ``shift`` in uv; a ``mirror`` swaps left
    and right keypoints too; ``colour`` are factors.
    """
    # uv' = 1/2 + scale R (uv - 1/2) + shift, with uv = (pixel - corner) / side; a mirror then maps
    # u' to 1 - u'. A crop pixel's uv is (index + 1/2) / size.
    corner, side = frame.box[:2].astype(float), float(frame.box[2]) - float(frame.box[0])
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    linear = scale * np.array([[cos, -sin], [sin, cos]]) / side
    offset = 0.5 + np.array(shift) - linear @ (corner + side / 2)
    if mirror:
        linear[0], offset[0] = -linear[0], 1 - offset[0]
    linear, offset = size * linear, size * offset - 0.5
    uvd = frame.keypoints.astype(float)
    uvd[:, :2] = (uvd[:, :2] @ linear.T + offset + 0.5) / size
    uvd[:, 2] = 0.5 - uvd[:, 2] / CUBE_MM
    if mirror:
        uvd = uvd[list(MIRRORED)]
    image = frame.image
    factor = min(int(1 / np.sqrt(abs(np.linalg.det(linear)))), *image.shape[:2])
    if factor > 1:  # the crop is coarser: means of pixels, pixel = factor * mean + (factor - 1) / 2
        height, width = (length // factor for length in image.shape[:2])
        image = image[: height * factor, : width * factor]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        offset = offset + linear @ np.full(2, (factor - 1) / 2)
        linear = factor * linear
    matrix = np.concatenate([linear, offset[:, None]], axis=1)
    image = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    image = image.astype(np.float32) * (np.array(colour, np.float32) * (2 / 255)) - 1
    return image.clip(-1, 1).transpose(2, 0, 1), uvd.astype(np.float32)
