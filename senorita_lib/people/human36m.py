"""The reader of Human3.6M in the form that Moon et al.'s PoseNet (2019) is trained on.

::

    ROOT/images/s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg
    ROOT/annotations/Human36M_subject1_data.json       images, and who is where in them
    ROOT/annotations/Human36M_subject1_camera.json     R, t, f, c of each camera
    ROOT/annotations/Human36M_subject1_joint_3d.json   17 joints by action, subaction and frame, mm

https://github.com/mks0601/3DMPPE_POSENET_RELEASE tells where they are.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from senorita_lib.people.colour import ColourImageError, read_colour
from senorita_lib.people.crops import BodySet
from senorita_lib.people.keypoints import PELVIS, from_human36m

SUBJECTS = (1, 5, 6, 7, 8, 9, 11)
TRAINING = (1, 5, 6, 7, 8)  # of protocol 2, as Sun et al. (2018) train
FILES = "annotations/Human36M_subject*_*.json"
_MARGIN = 1.25  # of a box's side
_SMALLEST = 50  # mm; nobody is that small, but everybody is in metres
_FIRST, _ENOUGH = 16, 0.9  # people of each camera that tell what its t is; how many must fit
_OFF = 8  # px that an image may be wider or higher than listed; the videos' heights differ by 2


class Human36m(BodySet):
    """Human3.6M's people, with their keypoints in 3D.

    A keypoint that is not in front of its camera has no place in the image: its u and v are not
    numbers.

    Parameters
    ----------
    root : path
        The folder that holds ``images`` and ``annotations``.
    subjects : list of int, optional
        Those of 1, 5, 6, 7 and 8 whose annotations are there.
    every : int
        Take the frames whose number this divides; neighbours, 20 ms apart, hardly differ.

    Attributes
    ----------
    names, boxes, keypoints, cameras, identity
        As of :class:`~senorita_lib.people.crops.BodySet`. A box is the square around the
        labelled one, and 1.25 times as large.
    sizes : array, (N, 2), int
        Width and height of each person's image, as listed.
    images : pathlib.Path
        The folder of the images' folders.

    Raises
    ------
    FileNotFoundError
        If a file or the folder of images is missing.
    ValueError
        If a file does not hold what it should.
    """

    def __init__(self, root, subjects=None, every=5):
        if every != int(every) or every < 1:
            raise ValueError(f"every is {every}, wanted a whole number from 1")
        self.root, self.every = Path(root), int(every)
        self.subjects = _subjects(self.root, subjects)
        self.images = self.root / "images"
        if not self.images.is_dir():
            raise FileNotFoundError(f"{self.images} is missing, wanted the folder of images")
        parts = [_Subject(self.root, subject, self.every) for subject in self.subjects]
        self.names = [name for part in parts for name in part.names]
        for name in ("boxes", "keypoints", "cameras", "sizes"):
            setattr(self, name, np.concatenate([getattr(part, name) for part in parts]))
        digest = hashlib.sha256("\n".join(self.names).encode())
        for values in (self.boxes, self.keypoints, self.cameras):
            digest.update(values.tobytes())
        self.identity = digest.hexdigest()

    def image(self, index):
        """The image of a person, (H, W, 3), uint8, red, green, blue."""
        path = self.images / self.names[index]
        image = read_colour(path)
        (height, width), (wide, high) = image.shape[:2], self.sizes[index]
        if max(abs(width - wide), abs(height - high)) > _OFF:
            raise ColourImageError(
                f"{path} is {width}x{height}, wanted {wide}x{high} pixels, as listed", "size"
            )
        return image

    def missing(self):
        """Names of the images that are not there."""
        names = dict.fromkeys(self.names)
        there = set()
        for folder in {os.path.dirname(name) for name in names}:
            if (self.images / folder).is_dir():
                there.update(
                    os.path.join(folder, file) for file in os.listdir(self.images / folder)
                )
        return [name for name in names if name not in there]


def _subjects(root, wanted):
    """Numbers of the subjects to read."""
    if wanted is not None:
        wanted = tuple(dict.fromkeys(wanted))
        if not wanted or not set(wanted) <= set(SUBJECTS):
            raise ValueError(f"subjects are {wanted}, wanted some of {SUBJECTS}")
        return wanted
    found = tuple(subject for subject in TRAINING if _path(root, subject, "data").is_file())
    if not found:
        raise FileNotFoundError(
            f"{root / 'annotations'} holds no Human36M_subject1_data.json, nor that of subject 5, "
            "6, 7 or 8, wanted the annotations of Human3.6M as PoseNet has them"
        )
    return found


def _path(root, subject, kind):
    return root / "annotations" / f"Human36M_subject{subject}_{kind}.json"


class _Subject:
    """Names, boxes, keypoints, cameras and sizes of one subject's people."""

    def __init__(self, root, subject, every):
        self.data, self.camera, self.joint = (
            _path(root, subject, kind) for kind in ("data", "camera", "joint_3d")
        )
        for path in (self.data, self.camera, self.joint):  # before the large ones are read
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing, wanted all of subject {subject}'s three files"
                )
        bbox, places, camera = self._people(every)
        rotation, translation, intrinsics = self._cameras(camera)
        joints = self._joints(places)
        # Of each camera the first few people, as rows.
        first = [np.flatnonzero(camera == number)[:_FIRST] for number in np.unique(camera)]
        joints = self._to_camera(
            joints, rotation, translation, intrinsics, bbox, np.concatenate(first)
        )
        keypoints = from_human36m(joints)
        pelvis = keypoints[:, PELVIS, 2]
        uv = _project(keypoints, intrinsics)
        relative = keypoints[..., 2] - pelvis[:, None]
        self.keypoints = np.concatenate([uv, relative[..., None]], axis=-1).astype(np.float32)
        cameras = np.concatenate([intrinsics, pelvis[:, None]], axis=1)
        self.cameras = cameras.astype(np.float32)
        reach = _MARGIN / 2 * bbox[:, 2:].max(axis=1, keepdims=True)
        centre = bbox[:, :2] + bbox[:, 2:] / 2
        self.boxes = np.concatenate([centre - reach, centre + reach], axis=1).astype(np.float32)

    def _people(self, every):
        """Of each person: bbox (N, 4); action, subaction and frame (N, 3); and camera (N,)."""
        content = _load(self.data)
        images, people = (_items(self.data, content, key) for key in ("images", "annotations"))
        ids = self._numbers("images", images, "id", int)
        wanted = self._numbers("annotations", people, "image_id", int)
        order = np.argsort(ids)
        rows = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
        if (strange := np.flatnonzero(ids[rows] != wanted)).size:
            raise ValueError(
                f"{self.data} has an annotation with image_id {wanted[strange[0]]}, wanted the id "
                "of one of its images"
            )
        frame = self._numbers("images", images, "frame_idx", int)
        taken = np.flatnonzero(frame[rows] % every == 0)
        if not taken.size:
            raise ValueError(f"{self.data} has no frame that {every} divides, wanted some")
        images = [images[row] for row in rows[taken]]
        bbox = self._numbers("annotations", [people[row] for row in taken], "bbox", float, (4,))
        if (bbox[:, 2:] <= 0).any():
            raise ValueError(f"{self.data} has an empty bbox, wanted x, y, width and height")
        self.names = _column(self.data, "images", images, "file_name")
        keys = "action_idx", "subaction_idx", "frame_idx", "cam_idx", "width", "height"
        columns = np.stack([self._numbers("images", images, key, int) for key in keys], axis=1)
        self.sizes = columns[:, 4:]
        return bbox, columns[:, :3], columns[:, 3]

    def _numbers(self, what, records, key, kind, shape=()):
        values = _column(self.data, what, records, key)
        return _array(self.data, values, f"{key} of {what}", kind, shape)

    def _cameras(self, camera):
        """Of each person's camera R (N, 3, 3), t (N, 3), and fx, fy, cx, cy (N, 4)."""
        content = _load(self.camera)
        numbers, which = np.unique(camera, return_inverse=True)
        cameras = [_item(self.camera, content, str(number)) for number in numbers]
        values = []
        for key, shape in (("R", (3, 3)), ("t", (3,)), ("f", (2,)), ("c", (2,))):
            column = _column(self.camera, "cameras", cameras, key)
            values.append(_array(self.camera, column, f"{key} of cameras", float, shape)[which])
        return values[0], values[1], np.concatenate(values[2:], axis=1)

    def _joints(self, places):
        """Joints (N, 17, 3), world frame, mm."""
        content = _load(self.joint)
        # Each was seen by four cameras.
        keys, which = np.unique(places, axis=0, return_inverse=True)
        poses = []
        for key in keys.tolist():
            pose = content
            for part in key:
                pose = pose.get(str(part)) if isinstance(pose, dict) else None
            name = "action {} subaction {} frame {}".format(*key)
            if pose is None:
                raise ValueError(
                    f"{self.joint} has no joints for {name}, wanted those of every image that "
                    f"{self.data.name} lists"
                )
            if not isinstance(pose, list) or len(pose) != 17:
                count = len(pose) if isinstance(pose, list) else "no"
                raise ValueError(f"{self.joint} has {count} joints for {name}, wanted 17")
            poses.append(pose)
        poses = _array(self.joint, poses, "joints", float, (17, 3))
        size = np.median(np.ptp(poses, axis=1).max(axis=1))
        if size < _SMALLEST:
            raise ValueError(
                f"{self.joint} has people of a median size of {size:.3g}, which looks like "
                "metres, wanted millimetres"
            )
        return poses[which.ravel()]

    def _to_camera(self, joints, rotation, translation, intrinsics, bbox, first):
        """Joints from the world frame to the cameras'.

        What t is has changed (issue 58 of PoseNet's repository): R X + t now, R (X - t) before
        (as its tool/Human36M/h36m2coco.py). It is the one that puts joints into their bbox.
        """
        turned = np.swapaxes(rotation, 1, 2)

        def now(rows):
            return joints[rows] @ turned[rows] + translation[rows, None]

        def before(rows):
            return (joints[rows] - translation[rows, None]) @ turned[rows]

        low, size = bbox[first, None, :2], bbox[first, None, 2:]
        shares = []
        for transform in (now, before):
            uv = _project(transform(first), intrinsics[first])
            # What is behind the camera has no pixel, so it is not inside.
            inside = ((uv >= low) & (uv <= low + size)).all(axis=-1)
            shares.append(inside.mean())
            if shares[-1] >= _ENOUGH:
                return transform(slice(None))
        raise ValueError(
            f"{self.camera} is of another version: it puts {shares[0]:.0%} of the first joints "
            f"into their bbox as R X + t and {shares[1]:.0%} as R (X - t), wanted nearly all"
        )


def _project(joints, intrinsics):
    """Pixel frame (N, J, 2) of joints (N, J, 3) in camera frame; not a number behind the camera."""
    z = np.where(joints[..., 2:] > 0, joints[..., 2:], np.nan)
    return joints[..., :2] / z * intrinsics[:, None, :2] + intrinsics[:, None, 2:]


# ----------------------------------------------------------------------------------------- JSON
def _load(path):
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        reason = getattr(error, "msg", "no UTF-8")
        raise ValueError(
            f"{path} is truncated or damaged ({reason}), wanted a whole JSON file"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, wanted keys and values")
    return content


def _item(path, content, key):
    if key not in content:
        raise ValueError(f"{path} has no {key!r}, wanted it as in PoseNet's annotations")
    return content[key]


def _items(path, content, key):
    values = _item(path, content, key)
    if not isinstance(values, list) or not values:
        raise ValueError(f"{path} has no list of {key}, wanted one")
    return values


def _column(path, what, records, key):
    """One value of each record."""
    try:
        return [record[key] for record in records]
    except (KeyError, TypeError):
        raise ValueError(
            f"{path} has {what} without {key!r}, wanted it as in PoseNet's annotations"
        ) from None


def _array(path, values, what, kind, shape):
    """Finite numbers of a shape for each of the values."""
    try:
        values = np.array(values)
    except ValueError:  # some are longer than others
        values = np.empty(0, object)
    if values.shape[1:] != shape or values.dtype.kind not in ("i" if kind is int else "if"):
        numbers = "whole numbers" if kind is int else "numbers"
        each = f", {'x'.join(map(str, shape))} each" if shape else ""
        raise ValueError(f"{path} has {what} of another kind, wanted {numbers}{each}")
    if not np.isfinite(values).all():
        raise ValueError(f"{path} has {what} that are not finite, wanted numbers")
    return values.astype(kind)
