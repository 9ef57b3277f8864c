"""The reader of Human3.6M in the form used by Moon et al.'s PoseNet (2019).

::

    ROOT/images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg
    ROOT/annotations/Human36M_subject1_data.json       images and people's boxes
    ROOT/annotations/Human36M_subject1_camera.json     R, t, f, c of each camera
    ROOT/annotations/Human36M_subject1_joint_3d.json   17 joints by action, subaction, frame; mm

https://github.com/mks0601/3DMPPE_POSENET_RELEASE says where to get them.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from senorita_lib.files import user_path
from senorita_lib.people.crops import BodySet, labels_digest
from senorita_lib.people.keypoints import PELVIS, from_human36m

TRAINING = (1, 5, 6, 7, 8)  # subjects of protocol 2, as in Sun et al. (2018)
_PATH = "annotations/Human36M_subject{}_{}.json"
_EVERY = 5  # frames, which are 20 ms apart
_MARGIN = 1.25  # of a box's side
_SMALLEST = 50  # mm; everybody is larger, but not in metres
_FIRST, _ENOUGH = 16, 0.9  # people of each camera to try t on; share of joints inside their boxes
_OFF = 8  # px that an image's size may differ from the listed one; the videos differ by 2 in height


class Human36m(BodySet):
    """Human3.6M's people with their keypoints in 3D.

    They are those of the training subjects whose annotations are there, in every fifth frame. A box
    is the square around the labelled one, 1.25 times as large. A keypoint behind its camera has no
    pixel: its u and v are NaN. Raises ``FileNotFoundError``, or ``ValueError`` if a file is damaged
    or of another form.
    """

    sizes: np.ndarray  # (N, 2), int: width and height of each person's image, as listed
    images: Path

    def __init__(self, root: str | os.PathLike[str]) -> None:
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
    keypoints = from_human36m(joints)
    pelvis = keypoints[:, PELVIS, 2:]
    uv, z = _project(keypoints, intrinsics), keypoints[..., 2:] - pelvis[:, None]
    uvz = np.concatenate([uv, z], axis=-1).astype(np.float32)
    cameras = np.concatenate([intrinsics, pelvis], axis=1).astype(np.float32)
    reach = _MARGIN / 2 * bbox[:, 2:].max(axis=1, keepdims=True)
    centre = bbox[:, :2] + bbox[:, 2:] / 2
    boxes = np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)
    return names, boxes, uvz, cameras, sizes


def _project(joints: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Camera frame (N, J, 3) to pixel frame (N, J, 2); NaN behind the camera."""
    z = np.where(joints[..., 2:] > 0, joints[..., 2:], np.nan)
    return joints[..., :2] / z * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
