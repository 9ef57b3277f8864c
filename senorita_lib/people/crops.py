"""People in colour images with 16 keypoints, and how they are cut out: the data of pretraining.

:class:`~senorita_lib.people.mpii.Mpii` and :class:`~senorita_lib.people.human36m.Human36m`
read real ones, :class:`~senorita_lib.people.synthetic.SyntheticBody` draws them.

Keypoints are (u, v, z): pixel frame, px, and depth behind the pelvis, mm; what is not known is not
a number, as the depths of an image with 2D labels alone. A crop has the frames of the coordinate
contract (:mod:`senorita_lib`): uvd with u and v across a square box and d through a cube of 2 m
around the pelvis (Sun et al. 2018), 0 = far face, 1 = near face.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from senorita_lib.people.keypoints import MIRRORED

CUBE_MM = 2000.0


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """One person in one image.

    Attributes
    ----------
    name : str
    image : array, (H, W, 3), uint8
        Red, green, blue.
    box : array, (4,)
        x1, y1, x2, y2 of a square around the person, pixel frame; it may reach out of the image.
    keypoints : array, (16, 3), float32
        u, v in px, z in mm behind the pelvis; not a number where not known.
    """

    name: str
    image: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray


class BodySet:
    """People with keypoints; their images are read when they are asked for.

    Attributes
    ----------
    names : list of str
        Of the images; several people may be in one.
    boxes : array, (N, 4), float32
        As in :class:`BodyFrame`.
    keypoints : array, (N, 16, 3), float32
        As in :class:`BodyFrame`.
    cameras : array, (N, 5), float32
        fx, fy, cx, cy in px and the pelvis's depth in mm; not a number for 2D labels alone.
    identity : str
        Digest of what is labelled: which set this is.
    """

    names: list
    boxes: np.ndarray
    keypoints: np.ndarray
    cameras: np.ndarray
    identity: str

    def image(self, index):
        """The image of a person, (H, W, 3), uint8, red, green, blue."""
        raise NotImplementedError

    def missing(self):
        """Names of the images that are not there."""
        return []

    @property
    def spatial(self):
        """Which people have depths too, (N,), bool."""
        return np.isfinite(self.keypoints[..., 2]).any(axis=1)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return BodyFrame(
            self.names[index], self.image(index), self.boxes[index], self.keypoints[index]
        )


@dataclass(frozen=True)
class Change:
    """What is done to one person's crop.

    Attributes
    ----------
    angle : float
        Rotation of the image content, degrees, from u towards v.
    scale : float
        Factor on the content's size.
    shift : (float, float)
        Of the content in uv, as a share of the box.
    mirror : bool
        Left becomes right, and so do the keypoints.
    colour : (float, float, float)
        Factors on red, green and blue.
    """

    angle: float = 0.0
    scale: float = 1.0
    shift: tuple = (0.0, 0.0)
    mirror: bool = False
    colour: tuple = (1.0, 1.0, 1.0)


def cut_body(frame, size, change=None):
    """Cut a person out.

    Parameters
    ----------
    frame : BodyFrame
    size : int
        Side of the crop, px.
    change : Change, optional

    Returns
    -------
    image : array, (3, size, size), float32
        Red, green, blue from -1 to 1; -1 where the box reaches out of the image, as behind a hand.
    uvd : array, (16, 3), float32
        Not a number where not known. Depths do not change.
    """
    change = change or Change()
    matrix = _to_crop(frame.box, size, change)
    image, matrix_px = _shrunk(frame.image, matrix)
    image = cv2.warpAffine(image, matrix_px, (size, size), flags=cv2.INTER_LINEAR)
    image = image.astype(np.float32) * (np.array(change.colour, np.float32) * (2 / 255)) - 1
    uvd = frame.keypoints.astype(float)
    uvd[:, :2] = (uvd[:, :2] @ matrix[:, :2].T + matrix[:, 2] + 0.5) / size
    uvd[:, 2] = 0.5 - uvd[:, 2] / CUBE_MM
    if change.mirror:
        uvd = uvd[list(MIRRORED)]
    return image.clip(-1, 1).transpose(2, 0, 1), uvd.astype(np.float32)


def _to_crop(box, size, change):
    """The matrix (2, 3) from pixels to those of the crop.

    uv' = 1/2 + scale R (uv - 1/2) + shift as in :mod:`senorita_lib.augmentation`, uv = (pixel -
    corner) / side; then, in a mirror, u' becomes 1 - u'. A pixel's uv is (index + 1/2) / size.
    """
    box = np.asarray(box, float)
    corner, side = box[:2], box[2] - box[0]
    radians = np.radians(change.angle)
    cos, sin = np.cos(radians), np.sin(radians)
    linear = change.scale * np.array([[cos, -sin], [sin, cos]]) / side
    offset = 0.5 + np.array(change.shift) - linear @ (corner + side / 2)
    if change.mirror:
        linear[0], offset[0] = -linear[0], 1 - offset[0]
    return np.concatenate([size * linear, (size * offset - 0.5)[:, None]], axis=1)


def _shrunk(image, matrix):
    """An image made smaller, by means, where the crop is coarser than it; and its matrix."""
    factor = int(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    factor = min(factor, *image.shape[:2])
    if factor < 2:
        return image, matrix
    height, width = (length // factor for length in image.shape[:2])
    image = image[: height * factor, : width * factor]
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    # pixel = factor * small + (factor - 1) / 2
    offset = matrix[:, 2] + matrix[:, :2] @ np.full(2, (factor - 1) / 2)
    return image, np.concatenate([factor * matrix[:, :2], offset[:, None]], axis=1)


def to_uvd(keypoints, boxes):
    """Keypoints (N, 16, 3) of :class:`BodySet`, as uvd in boxes (N, 4), pixel frame."""
    corner, side = boxes[:, None, :2], (boxes[:, 2] - boxes[:, 0])[:, None, None]
    uv = (keypoints[..., :2] - corner) / side
    return np.concatenate([uv, 0.5 - keypoints[..., 2:] / CUBE_MM], axis=-1)


def to_camera(uvd, boxes, cameras):
    """uvd to camera frame, relative to the pelvis.

    Parameters
    ----------
    uvd : array, (N, 16, 3)
    boxes : array, (N, 4)
        Pixel frame.
    cameras : array, (N, 5)
        As in :class:`BodySet`.

    Returns
    -------
    array, (N, 16, 3)
        mm; the pelvis itself is where the uvd says, so compare poses less their pelvis.
    """
    corner, side = boxes[:, None, :2], (boxes[:, 2] - boxes[:, 0])[:, None, None]
    u, v = np.moveaxis(corner + side * uvd[..., :2], -1, 0)
    fx, fy, cx, cy, pelvis = cameras.T[..., None]
    z = pelvis + (0.5 - uvd[..., 2]) * CUBE_MM
    return np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z - pelvis], axis=-1)
