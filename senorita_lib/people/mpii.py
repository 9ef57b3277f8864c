"""The reader of MPII Human Pose (Andriluka et al. 2014), as released.

::

    ROOT/images/015601864.jpg
    ROOT/mpii_human_pose_v1_u12_1.mat   or in a folder of any name
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from senorita_lib.files import user_path
from senorita_lib.people.crops import BodySet, labels_digest

MAT_FILE = "mpii_human_pose_v1_u12_1.mat"
_HEIGHT = 200  # px, of a person whose scale is 1
_MARGIN, _LOWER = 1.25, 15  # the box's side in heights; its centre is so many scales below objpos


class Mpii(BodySet):
    """MPII's people for training with their 2D keypoints, hidden ones too, if they have labels.

    The boxes are the usual ones: 1.25 times the person's height, centred slightly below the
    labelled centre. A damaged file or one of another version raises ``ValueError``.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        root = user_path(root)
        path = next((p for place in ("", "*/") for p in root.glob(place + MAT_FILE)), None)
        if path is None:
            said = f"{root} does not hold {MAT_FILE}"
            raise FileNotFoundError(f"{said}, wanted it there or a folder below")
        self.images = root / "images"
        self.names, places, points = [], [], []
        for image in _read_images(path):
            for person in _rows(image.annorect):
                centre = getattr(person, "objpos", None)
                place = [*_numbers(person, "scale"), *_numbers(centre, "x", "y")]
                keypoints = _keypoints(person, f"{path}, {image.image.name}")
                if np.isfinite(place).all() and place[0] > 0 and np.isfinite(keypoints).any():
                    self.names.append(str(image.image.name))
                    places.append(place)
                    points.append(keypoints)
        if not self.names:
            raise ValueError(f"{path} holds no labelled person, wanted annopoints, scale, objpos")
        # MATLAB counts pixels from 1.
        scale, centre = np.array(places)[:, :1], np.array(places)[:, 1:]
        centre = centre - 1 + [0, _LOWER] * scale
        reach = _MARGIN * _HEIGHT * scale / 2
        self.boxes = np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)
        self.keypoints = np.full((len(self.names), 16, 3), np.nan, np.float32)
        self.keypoints[..., :2] = np.array(points) - 1
        self.cameras = np.full((len(self.names), 5), np.nan, np.float32)
        self.identity = labels_digest(self.names, self.boxes, self.keypoints)


def _read_images(path: Path) -> list[Any]:
    """The rows of annolist that are for training: the released file labels no others."""
    from scipy.io import loadmat  # 0.2 s

    try:
        content = loadmat(path, variable_names=["RELEASE"], squeeze_me=True, struct_as_record=False)
    except Exception as error:  # scipy raises many kinds
        said = f"{path} is damaged or in another format ({type(error).__name__})"
        raise ValueError(f"{said}, wanted the MATLAB 5 file as released") from None
    release = content.get("RELEASE")
    images = _rows(getattr(release, "annolist", None))
    train = np.atleast_1d(getattr(release, "img_train", ()))
    if not images or len(images) != train.size or not hasattr(images[0].image, "name"):
        said = f"{path} has {len(images)} images in annolist and {train.size} in img_train"
        raise ValueError(f"{said}, wanted RELEASE with as many of both")
    return [row for row, used in zip(images, train, strict=True) if used == 1]


def _keypoints(person: Any, where: str) -> np.ndarray:
    """A person's keypoints (16, 2) in MATLAB's pixels, NaN where not labelled."""
    keypoints = np.full((16, 2), np.nan)
    for point in _rows(getattr(getattr(person, "annopoints", None), "point", None)):
        number, x, y = _numbers(point, "id", "x", "y")
        if number not in range(16):
            raise ValueError(f"{where} has a keypoint with id {number}, wanted 0 to 15")
        if math.isfinite(x + y):
            keypoints[int(number)] = x, y
    return keypoints


def _rows(value: Any) -> list[Any]:
    """The rows of a MATLAB struct array, which scipy squeezes; none of anything else."""
    return [row for row in np.atleast_1d(value) if hasattr(row, "_fieldnames")]


def _numbers(row: Any, *keys: str) -> list[float]:
    """Numbers from a struct; NaN where one is absent or [], MATLAB's nothing."""
    values = [getattr(row, key, None) for key in keys]
    return [float(value) if isinstance(value, int | float) else math.nan for value in values]
