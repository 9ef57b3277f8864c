"""The readers of MPII Human Pose (Andriluka et al. 2014), and of Human3.6M as PoseNet has it.

``docs/people.md`` shows their folders; https://github.com/mks0601/3DMPPE_POSENET_RELEASE (Moon et
al. 2019) says where to get the latter. Its joints are listed by action, subaction and frame.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from senorita_lib.files import PathLike, user_path
from senorita_lib.people.crops import BodySet, labels_digest
from senorita_lib.people.keypoints import HUMAN36M_JOINT, PELVIS, THORAX

_MARGIN = 1.25  # of a box's side
_MAT = "mpii_human_pose_v1_u12_1.mat"
_HEIGHT, _LOWER = 200, 15  # px a scale: a person's height; how far the box is below objpos

TRAINING = (1, 5, 6, 7, 8)  # subjects of protocol 2, as in Sun et al. (2018)
_PATH = "annotations/Human36M_subject{}_{}.json"
_EVERY = 5  # frames, which are 20 ms apart
_SMALLEST = 50  # mm; everybody is larger, but not in metres
_FIRST, _ENOUGH = 16, 0.9  # people of each camera to try t on; share of joints inside their boxes
_HELD, _FEW = 1000, 0.01  # people of a kind to validate on, at most; share of lost images
_OFF = 8  # px that an image's size may differ from the listed one; the videos differ by 2 in height


class Mpii(BodySet):
    """MPII's people for training with their 2D keypoints, hidden ones too, if they have labels.

    The boxes are the usual ones. A damaged file or one of another version raises ``ValueError``.
    """

    def __init__(self, root: PathLike) -> None:
        root = user_path(root)
        path = next((p for place in ("", "*/") for p in root.glob(place + _MAT)), None)
        if path is None:
            said = f"{root} does not hold {_MAT}"
            raise FileNotFoundError(f"{said}, wanted it there or a folder below")
        self.images, self.names = root / "images", []
        places, points = [], []
        for image in _read_images(path):
            for person in _rows(image.annorect):
                centre = getattr(person, "objpos", None)
                place = [*_numbers(person, "scale"), *_numbers(centre, "x", "y")]
                keypoints = np.full((16, 2), np.nan)
                annopoints = getattr(person, "annopoints", None)
                for point in _rows(getattr(annopoints, "point", None)):
                    number, x, y = _numbers(point, "id", "x", "y")
                    if number not in range(16):
                        said = f"{path}, {image.image.name} has a keypoint with id {number}"
                        raise ValueError(f"{said}, wanted 0 to 15")
                    if math.isfinite(x + y):
                        keypoints[int(number)] = x, y
                if np.isfinite(place).all() and place[0] > 0 and np.isfinite(keypoints).any():
                    self.names.append(str(image.image.name))
                    places.append(place)
                    points.append(keypoints)
        if not self.names:
            raise ValueError(f"{path} holds no labelled person, wanted annopoints, scale, objpos")
        scale, centre = np.array(places)[:, :1], np.array(places)[:, 1:]
        self.boxes = _squares(centre - 1 + [0, _LOWER] * scale, _MARGIN * _HEIGHT * scale / 2)
        self.keypoints = np.full((len(self.names), 16, 3), np.nan, np.float32)
        self.keypoints[..., :2] = np.array(points) - 1  # MATLAB counts pixels from 1
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


def _rows(value: Any) -> list[Any]:
    """The rows of a MATLAB struct array, which scipy squeezes; none of anything else."""
    return [row for row in np.atleast_1d(value) if hasattr(row, "_fieldnames")]


def _numbers(row: Any, *keys: str) -> list[float]:
    """Numbers from a struct; NaN where one is absent or [], MATLAB's nothing."""
    values = [getattr(row, key, None) for key in keys]
    return [float(value) if isinstance(value, int | float) else math.nan for value in values]


def _squares(centre: np.ndarray, reach: np.ndarray) -> np.ndarray:
    return np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)


class Human36m(BodySet):
    """Human3.6M's training subjects whose annotations are there, in 3D, in every fifth frame.

    A box is the square around the labelled one, 1.25 times as large. A keypoint behind its camera
    has no pixel: its u and v are NaN. Raises ``FileNotFoundError``, or ``ValueError`` if a file is
    damaged or of another form.
    """

    sizes: np.ndarray  # (N, 2), int: width and height of each person's image, as listed
    images: Path

    def __init__(self, root: PathLike) -> None:
        root = user_path(root)
        self.images = root / "images"
        subjects = [n for n in TRAINING if (root / _PATH.format(n, "data")).is_file()]
        if not subjects:
            said = f"{root} holds no {_PATH.format(1, 'data')} or another subject's"
            raise FileNotFoundError(f"{said}, wanted PoseNet's annotations of Human3.6M")
        parts = zip(*(_read_subject(root, number) for number in subjects), strict=True)
        names, self.boxes, self.keypoints, self.cameras, self.sizes = map(np.concatenate, parts)
        self.names = names.tolist()
        self.identity = labels_digest(self.names, self.boxes, self.keypoints, self.cameras)

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (H, W, 3), uint8; red, green, blue."""
        image = super().image(index)
        (height, width), (wide, high) = image.shape[:2], self.sizes[index]
        if max(abs(width - wide), abs(height - high)) > _OFF:
            path = self.images / self.names[index]
            raise ValueError(f"{path} is {width}x{height}, wanted {wide}x{high} pixels, as listed")
        return image


@contextmanager
def _reading(root: Path, subject: int, kind: str) -> Iterator[Any]:
    """The content of a JSON file; what goes wrong with it is raised with the file's name."""
    path = root / _PATH.format(subject, kind)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing, wanted all three files of each subject")
    try:
        yield json.loads(path.read_bytes())
    except (KeyError, TypeError, ValueError) as error:
        said = f"{path} is damaged or of another form ({type(error).__name__}: {error})"
        raise ValueError(f"{said}, wanted PoseNet's annotations") from None


def _finite(what: str, values: list[Any], *shape: int) -> np.ndarray:
    """Numbers (N, *shape)."""
    array = np.array(values, float)
    if array.shape[1:] != shape or not np.isfinite(array).all():
        raise ValueError(f"{what} is not {'x'.join(map(str, shape))} finite numbers")
    return array


def _read_subject(root: Path, subject: int) -> tuple[list[str], *tuple[np.ndarray, ...]]:
    """Names, boxes, keypoints, cameras and sizes of one subject's people."""
    with _reading(root, subject, "data") as content:
        images = {image["id"]: image for image in content["images"]}
        people = [(images[person["image_id"]], person["bbox"]) for person in content["annotations"]]
        people = [(image, bbox) for image, bbox in people if image["frame_idx"] % _EVERY == 0]
        if not people:
            raise ValueError(f"no frame is a multiple of {_EVERY}")
        bbox = _finite("bbox", [bbox for _, bbox in people], 4)
        if not (bbox[:, 2:] > 0).all():
            raise ValueError("a bbox is empty")
        names = [image["file_name"] for image, _ in people]
        sizes = np.array([(image["width"], image["height"]) for image, _ in people], int)
        keys = "action_idx", "subaction_idx", "frame_idx"
        places = [tuple(str(image[key]) for key in keys) for image, _ in people]
        number = [str(image["cam_idx"]) for image, _ in people]
    with _reading(root, subject, "joint_3d") as content:
        world = _finite("a pose", [content[a][sub][frame] for a, sub, frame in places], 17, 3)
        size = np.median(np.ptp(world, axis=1).max(axis=1))
        if size < _SMALLEST:
            raise ValueError(f"people's median size is {size:.3g}: metres, not millimetres?")
    with _reading(root, subject, "camera") as content:
        rotation, translation, focal, middle = (
            _finite(f"a camera's {key}", [content[camera][key] for camera in number], *shape)
            for key, shape in (("R", (3, 3)), ("t", (3,)), ("f", (2,)), ("c", (2,)))
        )
        intrinsics = np.concatenate([focal, middle], axis=1)
        # t is that of R X + t, but was that of R (X - t) before (issue 58 of PoseNet's repository,
        # its tool/Human36M/h36m2coco.py). The right one puts joints inside their boxes.
        turned, shift = np.swapaxes(rotation, 1, 2), translation[:, None]
        numbers = np.array(number)
        first = np.concatenate([np.flatnonzero(numbers == n)[:_FIRST] for n in set(number)])
        low, size = bbox[first, None, :2], bbox[first, None, 2:]
        for joints in (world @ turned + shift, (world - shift) @ turned):
            uv = _project(joints[first], intrinsics[first])
            if ((uv >= low) & (uv <= low + size)).all(axis=-1).mean() >= _ENOUGH:
                break
        else:
            raise ValueError("neither R X + t nor R (X - t) puts the joints inside their bbox")
    keypoints = joints[:, [joint or 0 for joint in HUMAN36M_JOINT]]
    keypoints[:, THORAX] = joints[:, [14, 11]].mean(axis=1)  # midway between the shoulders
    pelvis = keypoints[:, PELVIS, 2:]
    uv, z = _project(keypoints, intrinsics), keypoints[..., 2:] - pelvis[:, None]
    uvz = np.concatenate([uv, z], axis=-1).astype(np.float32)
    cameras = np.concatenate([intrinsics, pelvis], axis=1).astype(np.float32)
    reach = _MARGIN / 2 * bbox[:, 2:].max(axis=1, keepdims=True)
    return names, _squares(bbox[:, :2] + bbox[:, 2:] / 2, reach), uvz, cameras, sizes


def _project(joints: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Camera frame (N, J, 3) to pixel frame (N, J, 2); NaN behind the camera."""
    z = np.where(joints[..., 2:] > 0, joints[..., 2:], np.nan)
    return joints[..., :2] / z * intrinsics[:, None, :2] + intrinsics[:, None, 2:]


class People(BodySet):
    """Several sets as one, without the people whose images are missing.

    Not every copy of MPII has all that it lists: that gives a warning. More than 1 % of a set's
    images missing raise ``FileNotFoundError``.
    """

    def __init__(self, sets: Sequence[BodySet]) -> None:
        self._places: list[tuple[BodySet, int]] = []
        labels, digest = [], hashlib.sha256()
        for people in sets:
            missing, listed = sorted(people.missing()), len(set(people.names))
            words = f"{len(missing):,} of {listed:,} images are missing in {people.images}"
            words += f", first {missing[:3]}"
            if len(missing) > _FEW * listed:
                raise FileNotFoundError(f"{words}, wanted at most {_FEW:.0%} missing")
            if missing:
                warnings.warn(f"{words}: their people are left out", stacklevel=2)
            rows = np.flatnonzero(~np.isin(people.names, missing)).tolist()
            self._places += [(people, row) for row in rows]
            labels.append((people.boxes[rows], people.keypoints[rows], people.cameras[rows]))
            digest.update("\n".join([people.identity, *missing]).encode())
        self.names = [people.names[row] for people, row in self._places]
        self.boxes, self.keypoints, self.cameras = map(np.concatenate, zip(*labels, strict=True))
        self.identity = digest.hexdigest()

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (H, W, 3), uint8; red, green, blue."""
        people, row = self._places[index]
        return people.image(row)

    def split(self, share: float) -> tuple[list[np.ndarray], np.ndarray]:
        """Rows to train on, with 2D labels and with depths; to validate on, of each the last share.

        One person alone of a kind raises ``ValueError``.
        """
        seen, held = [], []
        for spatial, labels in enumerate(("2D labels alone", "depths")):
            rows = np.flatnonzero(self.spatial == spatial)
            if len(rows) == 1:
                raise ValueError(f"there is one person with {labels}, wanted none or at least two")
            cut = len(rows) - min(max(1, round(len(rows) * share)), _HELD, len(rows))
            seen.append(rows[:cut])
            held.append(rows[cut:])
        return seen, np.concatenate(held)


def find_people(root: PathLike) -> list[BodySet]:
    """The people in the folders ``MPII`` and ``Human36M`` of ``root``; either may be missing."""
    places = (Mpii, user_path(root) / "MPII"), (Human36m, user_path(root) / "Human36M")
    found: list[BodySet] = [reader(place) for reader, place in places if place.is_dir()]
    if not found:
        raise FileNotFoundError(f"{user_path(root)} holds neither MPII nor Human36M, wanted one")
    return found
