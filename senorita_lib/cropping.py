"""Coarse-to-fine crop of the hand out of a depth image (paper, section 3).

Box → square → foreground → rough centre of mass → a box of 500 / avgZ * 210 pixels →
pixels within 100 mm of avgZ → centre of mass → a 200 mm cube → a 256 x 256 image in [-1, 1].
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch

from senorita_lib._arrays import like, stack_last
from senorita_lib.camera import SR300, Camera
from senorita_lib.release.foreground import otsu_threshold, valley_threshold

CUBE_MM = 200.0
# Side of the crop box, px: SIDE_PX at NOMINAL_MM from the camera that HANDS19 was recorded with.
SIDE_PX, NOMINAL_MM = 210.0, 500.0
_FOREGROUND = {"otsu": otsu_threshold, "valley": valley_threshold}


class HandNotFoundError(ValueError):
    """No depth pixel of a hand where one was expected."""


class _CropGeometry:
    """uvd ↔ camera frame, for one crop and for a batch (``box``, ``cube_centre``, ``camera``)."""

    def _frame(self, values):
        """x1, y1 and side of the box and z of the far face, such that they broadcast."""
        box, centre = like(self.box, values), like(self.cube_centre, values)
        if box.ndim == 2:  # a batch: the samples are the values' first axis
            box, centre = (t.T.reshape(-1, len(t), *[1] * (values.ndim - 1)) for t in (box, centre))
        return box[0], box[1], box[2] - box[0], centre[2] + CUBE_MM / 2

    def to_uvd(self, xyz):
        """Camera frame to uvd.

        Parameters
        ----------
        xyz : array or tensor, (..., 3), for a batch (B, joints, 3)
            Camera frame, mm.

        Returns
        -------
        array or tensor of the same shape
            u, v across the box, d through the cube; inside both they lie in [0, 1].
        """
        uvz = self.camera.project(xyz)
        u, v, z = uvz[..., 0], uvz[..., 1], uvz[..., 2]
        x1, y1, side, far = self._frame(z)
        return stack_last(((u - x1) / side, (v - y1) / side, (far - z) / CUBE_MM))

    def to_camera(self, uvd):
        """uvd to camera frame, mm: the inverse of :meth:`to_uvd`, with the same shapes."""
        return stack_last(self.lift(uvd[..., 0], uvd[..., 1], uvd[..., 2]))

    def lift(self, u, v, d):
        """:meth:`to_camera` for u, v and d apart, which may broadcast: x, y, z in mm.

        In a batch the samples are d's first axis. A row of u and a column of v do for a whole
        depth image d.
        """
        x1, y1, side, far = self._frame(d)
        return self.camera.lift(u * side + x1, v * side + y1, far - d * CUBE_MM)


@dataclass(frozen=True)
class HandCrop(_CropGeometry):
    """One cropped hand.

    Attributes
    ----------
    image : array, (size, size), float32
        Image frame: near face of the cube +1, far face and background -1.
    box : array, (4,), float32
        x1, y1, x2, y2 of the square crop, pixel frame.
    cube_centre : array, (3,), float32
        Centre of mass, camera frame, mm.
    camera : Camera
    steps : dict
        Every intermediate: ``square`` (box), ``square_depth``, ``threshold``, ``foreground``,
        ``rough_centre`` (u, v, z), ``coarse_z``, ``box_depth``, ``hand_depth``.
    """

    image: np.ndarray
    box: np.ndarray
    cube_centre: np.ndarray
    camera: Camera = SR300
    steps: dict = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class CropBatch(_CropGeometry):
    """Cropped hands as tensors: image (B, 1, S, S), box (B, 4) px, cube_centre (B, 3) mm."""

    image: torch.Tensor
    box: torch.Tensor
    cube_centre: torch.Tensor
    camera: Camera = SR300

    @classmethod
    def stack(cls, crops):
        """A batch from :class:`HandCrop` objects of one camera and one size."""
        crops = list(crops)
        if not crops:
            raise ValueError("crops is empty, wanted at least one HandCrop")
        if any(crop.camera != crops[0].camera for crop in crops):
            raise ValueError("crops come from several cameras, wanted one")
        if any(crop.image.shape != crops[0].image.shape for crop in crops):
            raise ValueError("crops have several sizes, wanted one")
        tensors = {
            name: torch.from_numpy(np.stack([getattr(crop, name) for crop in crops]))
            for name in ("image", "box", "cube_centre")
        }
        tensors["image"] = tensors["image"][:, None]
        return cls(**tensors, camera=crops[0].camera)

    def __len__(self):
        return len(self.image)

    def to(self, *args, **kwargs):
        """The batch on another device, as ``torch.Tensor.to``."""
        names = ("image", "box", "cube_centre")
        return replace(self, **{name: getattr(self, name).to(*args, **kwargs) for name in names})


def crop_hand(depth_mm, box_xyxy, camera=SR300, *, foreground="otsu", centre="mass", size=256):
    """Crop the hand in a box out of a depth image, coarse to fine.

    Parameters
    ----------
    depth_mm : array, (camera.height, camera.width), integer or float
        Depth, mm; 0 or not finite where nothing returned.
    box_xyxy : four numbers
        Rough box around the hand, x1, y1, x2, y2, pixel frame.
    camera : Camera
    foreground : {"otsu", "valley"}
        Paper's threshold, or the one that the authors' release uses.
    centre : {"mass", "box"}
        Centre of the crop: the rough centre of mass and the mean depth around it, as the
        paper says, or the centre of the given box and the depth there, as released.
    size : int
        Side of the image, px.

    Returns
    -------
    HandCrop

    Raises
    ------
    ValueError
        If an argument cannot be used.
    HandNotFoundError
        If the box holds no depth.
    """
    if foreground not in _FOREGROUND:
        raise ValueError(f"foreground is {foreground!r}, wanted one of {sorted(_FOREGROUND)}")
    if centre not in ("mass", "box"):
        raise ValueError(f"centre is {centre!r}, wanted 'mass' or 'box'")
    if not isinstance(size, int | np.integer) or not 0 < size < 2**15 - 1:  # as OpenCV has it
        raise ValueError(f"size is {size!r}, wanted a whole number of pixels from 1 to 32766")
    depth = checked_depth(depth_mm, camera)
    threshold = _FOREGROUND[foreground]
    steps = {"square": _square(box_xyxy, camera)}

    square_depth = steps["square_depth"] = _cut(depth, *steps["square"])
    steps["threshold"] = threshold(square_depth)
    front = steps["foreground"] = _keep_front(square_depth, steps["threshold"])
    steps["rough_centre"], coarse_z = _rough_centre(front, steps["square"], centre)
    steps["coarse_z"] = coarse_z

    side = NOMINAL_MM / coarse_z * SIDE_PX * camera.fx / SR300.fx
    x, y, side = (int(v) for v in (*(steps["rough_centre"][:2] - side / 2), side))
    if side < 8:
        raise HandNotFoundError(
            f"depth_mm has the hand at {coarse_z:.0f} mm, where it would be {side} px wide, "
            "wanted a hand nearer to the camera"
        )
    if side > 4 * max(camera.width, camera.height):
        raise HandNotFoundError(
            f"depth_mm has the hand at {coarse_z:.0f} mm, where it would be {side} px wide, "
            "wanted a hand farther from the camera"
        )
    box_depth = steps["box_depth"] = _cut(depth, x, y, side)
    hand = np.where(np.abs(box_depth.astype(np.float32) - coarse_z) <= CUBE_MM / 2, box_depth, 0)
    if foreground == "valley":  # the release thresholds a second time
        hand = _keep_front(hand, threshold(hand))
    steps["hand_depth"] = hand

    mask = hand > 0
    count = np.count_nonzero(mask)
    if count == 0:
        raise HandNotFoundError(f"box {_show(box_xyxy)} holds no hand around {coarse_z:.0f} mm")
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    mean = (
        moments["m10"] / count + x,
        moments["m01"] / count + y,
        hand.sum(dtype=np.float64) / count,
    )
    cube_centre = camera.unproject(np.array(mean))
    return HandCrop(
        image=_image(hand, mask, cube_centre[2], size),
        box=np.array([x, y, x + side, y + side], np.float32),
        cube_centre=cube_centre.astype(np.float32),
        camera=camera,
        steps=steps,
    )


def checked_depth(depth_mm, camera):
    """A depth frame as uint16, mm, 0 where nothing returned; ``ValueError`` if it is none."""
    try:
        depth = np.asarray(depth_mm)
    except ValueError:
        raise ValueError("depth_mm has rows of several lengths, wanted an array") from None
    wanted = (camera.height, camera.width)
    if depth.shape != wanted:
        raise ValueError(f"depth_mm has shape {depth.shape}, wanted {wanted} as its camera says")
    if depth.dtype in (np.uint8, np.int8, bool):
        raise ValueError(f"depth_mm is {depth.dtype}, wanted at least 16 bits a pixel, in mm")
    if depth.dtype.kind not in "iuf":
        raise ValueError(f"depth_mm is {depth.dtype}, wanted numbers, in mm")
    if depth.dtype.kind == "f":
        depth = depth.astype(np.result_type(depth, np.float32), copy=False)  # float16 ends early
        depth = np.nan_to_num(depth, nan=0, posinf=0, neginf=0)
    if 0 < depth.max() < 20:
        raise ValueError(f"depth_mm ends at {depth.max():.3g}, which looks like m, wanted mm")
    if depth.dtype == np.uint16:
        return depth
    if depth.min() < 0:
        raise ValueError(f"depth_mm has values down to {depth.min()}, wanted none below 0")
    return np.rint(np.where(depth > 65535, 0, depth)).astype(np.uint16)


def _show(box):
    return "(" + ", ".join(f"{float(v):g}" for v in box) + ")"


def checked_box(box_xyxy, camera):
    """A box x1, y1, x2, y2, pixel frame, as an array; ``ValueError`` if it is none."""
    try:
        box = np.asarray(box_xyxy, dtype=float)
    except (TypeError, ValueError):
        box = np.empty(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        shown = " ".join(repr(box_xyxy).split())[:80]
        raise ValueError(f"box_xyxy is {shown}, wanted four finite numbers x1, y1, x2, y2")
    x1, y1, x2, y2 = box = box.clip(-1e6, 1e6)
    if int(x2 - x1) < 1 or int(y2 - y1) < 1:
        raise ValueError(f"box {_show(box)} is empty, wanted x1 < x2 and y1 < y2")
    if x2 <= 0 or y2 <= 0 or x1 >= camera.width or y1 >= camera.height:
        raise ValueError(
            f"box {_show(box)} lies outside the {camera.width} x {camera.height} image"
        )
    return box


def _square(box_xyxy, camera):
    """The smallest square around the box: x, y, side in whole pixels."""
    x1, y1, x2, y2 = checked_box(box_xyxy, camera)
    width, height = int(x2 - x1), int(y2 - y1)
    side = min(max(width, height), 2 * max(camera.width, camera.height))
    return int(x1) + width // 2 - side // 2, int(y1) + height // 2 - side // 2, side


def _cut(depth, x, y, side):
    """A square window, 0 outside the image."""
    window = np.zeros((side, side), depth.dtype)
    rows = slice(max(y, 0), min(y + side, depth.shape[0]))
    columns = slice(max(x, 0), min(x + side, depth.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        window[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = depth[
            rows, columns
        ]
    return window


def _keep_front(depth, threshold):
    return np.where(depth <= threshold, depth, 0) if threshold else depth


def _rough_centre(front, square, centre):
    """(u, v, z) of the foreground pixel nearest to the box centre, and the coarse depth."""
    x, y, side = square
    rows, columns = np.nonzero(front)
    if rows.size == 0:
        raise HandNotFoundError(f"box ({x}, {y}, {x + side}, {y + side}) holds no depth at all")
    # Ties go to the left, then up: the order in which the release searches.
    distance = np.abs(rows - side // 2) + np.abs(columns - side // 2)
    if centre == "mass":
        distance = (rows - side // 2) ** 2 + (columns - side // 2) ** 2
    ties = np.flatnonzero(distance == distance.min())
    nearest = ties[np.lexsort((rows[ties], columns[ties]))[0]]
    z = float(front[rows[nearest], columns[nearest]])
    if centre == "box":
        return np.array([x + side / 2, y + side / 2, z]), z
    values = front[rows, columns].astype(np.float64)
    coarse_z = float(values[np.abs(values - z) <= CUBE_MM / 2].mean())
    return np.array([x + columns[nearest], y + rows[nearest], z], dtype=float), coarse_z


def _image(hand, mask, z, size):
    """Image frame; pixel i of n lies at (i + 1/2) / n of the box, as the uvd frame has it.

    Interpolates between the hand's pixels only: mixed with the background, a silhouette would
    get depths at which there is nothing.
    """
    scale = len(hand) / size
    inverse = np.array([[scale, 0, scale / 2], [0, scale, scale / 2]])
    near = np.where(mask, np.clip((z - hand) / CUBE_MM + 0.5, 0, 1), 0)  # 1 near, 0 far
    near, share = cv2.split(
        cv2.warpAffine(
            np.dstack([near, mask]).astype(np.float32),
            inverse,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )
    return np.where(share >= 0.5, 2 * near / np.maximum(share, 0.5) - 1, -1)
