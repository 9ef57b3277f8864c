"""The reader of MPII Human Pose (Andriluka et al. 2014), as it is released.

::

    ROOT/images/015601864.jpg
    ROOT/mpii_human_pose_v1_u12_1.mat   or in a folder mpii_human_pose_v1_u12_2 or annotations
"""

import hashlib
import math
import os
import warnings
from pathlib import Path

import numpy as np

from senorita_lib.people.colour import read_colour
from senorita_lib.people.crops import BodySet

MAT_FILE = "mpii_human_pose_v1_u12_1.mat"
SPLITS = ("train", "test")
_FOLDERS = ("", "mpii_human_pose_v1_u12_2", "annotations")
_HEIGHT = 200  # px, of a person whose scale is 1
_MARGIN, _LOWER = 1.25, 15  # of the box: its side, and how far below objpos it is, in scales
_NOTHING = np.empty((0, 0))  # MATLAB's []


class Mpii(BodySet):
    """MPII's people with their 2D keypoints.

    The order of the keypoints is the file's own. One that is hidden counts as known: it was
    labelled all the same.

    Parameters
    ----------
    root : path
        The folder that holds ``images``.
    split : str
        ``train`` or ``test``; the released file has no keypoints for ``test``.

    Attributes
    ----------
    names, boxes, keypoints, cameras, identity
        As of :class:`~senorita_lib.people.crops.BodySet`. A box is the field's usual one: 1.25
        times as high as the person, and its centre a little below the labelled one.
    unlabelled : int
        People left out, for they lack keypoints, size or place.
    images : pathlib.Path
        The folder of the images.

    Raises
    ------
    FileNotFoundError
        If the file or the folder of images is missing.
    ImportError
        If scipy is.
    ValueError
        If the file does not hold what it should.
    """

    def __init__(self, root, split="train"):
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        self.root, self.split = Path(root), split
        path = find_mat(root)
        if path is None:
            raise FileNotFoundError(
                f"{root} does not hold {MAT_FILE}, nor does a folder "
                f"{' or '.join(_FOLDERS[1:])} in it, wanted the annotations of MPII"
            )
        self.images = self.root / "images"
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        annolist, train = _read_release(path)
        found = _People(path)
        for entry in annolist[train == (split == "train")]:
            found.add(entry)
        if not found.names:
            raise ValueError(
                f"{path} holds no labelled person in its images for {split}, wanted people with "
                "annopoints, scale and objpos"
            )
        self.names, self.unlabelled = found.names, found.unlabelled
        centre, scale = np.array(found.centres), np.array(found.scales)[:, None]
        # MATLAB counts pixels from 1.
        centre = centre - 1 + [0, _LOWER] * scale
        reach = _MARGIN * _HEIGHT * scale / 2
        self.boxes = np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)
        self.keypoints = np.full((len(self.names), 16, 3), np.nan, np.float32)
        self.keypoints[..., :2] = np.array(found.points) - 1
        self.cameras = np.full((len(self.names), 5), np.nan, np.float32)
        digest = hashlib.sha256("\n".join(self.names).encode())
        for values in (self.boxes, self.keypoints):
            digest.update(values.tobytes())
        self.identity = digest.hexdigest()

    def image(self, index):
        """The image of a person, (H, W, 3), uint8, red, green, blue."""
        return read_colour(self.images / self.names[index])

    def missing(self):
        """Names of the images that are not there."""
        there = set(os.listdir(self.images))
        return [name for name in dict.fromkeys(self.names) if name not in there]


def find_mat(root):
    """Path of the annotations of MPII below a folder, or None if they are not there."""
    paths = (Path(root) / folder / MAT_FILE for folder in _FOLDERS)
    return next((path for path in paths if path.is_file()), None)


def _read_release(path):
    """The file's annolist (N,), rows of a struct, and which images are for training (N,), bool."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ImportError(
            f"{path} is MATLAB's, and scipy, which reads it, is not installed: pip install scipy"
        ) from None
    with open(path, "rb") as file:
        head = file.read(1024)
    # HDF5's signature comes behind MATLAB's own header, where there is one.
    if head.startswith(b"MATLAB 7.3") or b"\x89HDF\r\n\x1a\n" in head:
        raise ValueError(f"{path} is of MATLAB 7.3 (HDF5), wanted MATLAB 5's format, as released")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Unreadable variable")  # scipy goes on without it
            content = loadmat(path, variable_names=["RELEASE"])
    except Exception as error:  # whatever scipy stumbles over
        raise ValueError(
            f"{path} is truncated or damaged ({type(error).__name__}), wanted a whole MATLAB file"
        ) from None
    release = _first(content.get("RELEASE"))
    annolist, train = (_field(release, name) for name in ("annolist", "img_train"))
    if not {"image", "annorect"} <= set(annolist.dtype.names or ()) or not train.size:
        raise ValueError(
            f"{path} is of another version: it lacks RELEASE with annolist and img_train, wanted "
            f"{MAT_FILE} as released"
        )
    if annolist.size != train.size:
        raise ValueError(
            f"{path} has {annolist.size} images in annolist and {train.size} in img_train, wanted "
            "as many"
        )
    return annolist.ravel(), train.ravel() == 1


class _People:
    """Collects the labelled people, image by image, in MATLAB's pixels."""

    def __init__(self, path):
        self.path, self.unlabelled = path, 0
        self.names, self.centres, self.scales, self.points = [], [], [], []

    def add(self, entry):
        """Take the people of an entry of annolist."""
        name = "".join(_field(_first(entry["image"]), "name").ravel().astype(str))
        if not name:
            raise ValueError(
                f"{self.path} is of another version: an image has no name, wanted image.name"
            )
        for number, person in enumerate(_rows(entry["annorect"]), 1):
            where = f"person {number} of {name}"
            place = _first(_field(person, "objpos"))
            annotated = _first(_field(person, "annopoints"))
            centre = [self._number(place, axis, where) for axis in "xy"]
            scale = self._number(person, "scale", where)
            points = self._points(annotated, where)
            if None in (*centre, scale) or scale <= 0 or np.isnan(points).all():
                self.unlabelled += 1
                continue
            self.names.append(name)
            self.centres.append(centre)
            self.scales.append(scale)
            self.points.append(points)

    def _points(self, annotated, where):
        """A person's points (16, 2), not a number where not labelled."""
        points = np.full((16, 2), np.nan)
        for point in _rows(_field(annotated, "point")):
            number = self._number(point, "id", where)
            if number not in range(16):
                raise ValueError(
                    f"{self.path} has a keypoint with id {number} for {where}, wanted 0 to 15"
                )
            u, v = (self._number(point, axis, where) for axis in "xy")
            if u is not None and v is not None:
                points[int(number)] = u, v
        return points

    def _number(self, row, name, where):
        """A number of a struct's row; None where there is none."""
        value = _field(row, name)
        if not value.size:
            return None
        try:
            number = float(value.flat[0])  # whole numbers may come in as few bits as they need
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(
                f"{self.path} has {name} {value.flat[0]} for {where}, wanted a finite number"
            )
        return number


def _rows(value):
    """The rows of a MATLAB struct array; none of [] or of anything that is no struct."""
    return value.ravel() if isinstance(value, np.ndarray) and value.dtype.names else ()


def _first(value):
    """The first row of a struct array that has one row or none; None where it has none."""
    return next(iter(_rows(value)), None)


def _field(row, name):
    """A field of a struct's row; [] where there is no such field, or no row."""
    return row[name] if row is not None and name in row.dtype.names else _NOTHING
