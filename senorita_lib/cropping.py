"""Coarse-to-fine crop of the hand out of a depth image (paper, section 3).

Box → square → foreground → rough centre of mass → a box of 500 / avgZ * 210 pixels →
pixels within 100 mm of avgZ → centre of mass → a 200 mm cube → a 256 x 256 image in [-1, 1].
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any, Literal, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from senorita_lib._arguments import check_device
from senorita_lib._arrays import Array, given, like, plain, stack_last
from senorita_lib.camera import SR300, Camera

CUBE_MM = 200.0
# Side of the crop box, px: SIDE_PX at NOMINAL_MM from the camera that HANDS19 was recorded with.
SIDE_PX, NOMINAL_MM = 210.0, 500.0
# The two ways to write a box; of a list in the right one, at least this share is usable.
CORNERS, SIZES = "x1 y1 x2 y2", "x y width height"
_MOST = 0.75
# A hand is under 200 mm deep, so two groups of pixels closer than this are both hand.
_LEAST_GAP_MM = 100
# Less of the square of a hand's side than a finger shows, or of a smaller given box, is no hand but
# stray pixels. The clean frames of the synthetic hands have at least 0.057 of that square.
_LEAST_SHARE, _LEAST_FILLED = 0.01, 0.25

Box = Sequence[float] | np.ndarray
Foreground = Literal["otsu", "valley"]
Centre = Literal["mass", "box"]
# Resolved when it is used: the release builds on the method, so the method cannot import it.
_VALLEY = "senorita_lib.release.foreground:valley_threshold"


class HandNotFoundError(ValueError):
    """No depth pixel of a hand where one was expected."""


class _CropGeometry:
    """uvd ↔ camera frame, for one crop and for a batch."""

    box: np.ndarray | Tensor
    cube_centre: np.ndarray | Tensor
    camera: Camera
    turned: np.ndarray | None = None

    def _frame(self, values: Array) -> tuple[Array, Array, Array, Array]:
        """x1, y1 and side of the box and z of the far face, shaped to broadcast with ``values``."""
        box, centre = like(self.box, values), like(self.cube_centre, values)
        if box.ndim == 2:  # a batch: the samples are the values' first axis
            ones = [1] * (values.ndim - 1)
            box, centre = box.T.reshape(4, -1, *ones), centre.T.reshape(3, -1, *ones)
        return box[0], box[1], box[2] - box[0], centre[2] + CUBE_MM / 2

    def to_uvd(self, xyz: Array) -> Array:
        """Camera frame (..., 3), of a batch (B, joints, 3), mm, to uvd; [0, 1] within the cube."""
        if self.turned is not None:
            (a, b), (c, d) = self.turned.tolist()
            x, y = xyz[..., 0], xyz[..., 1]
            xyz = stack_last((a * x + c * y, b * x + d * y, xyz[..., 2]))
        uvz = self.camera.project(xyz)
        u, v, z = uvz[..., 0], uvz[..., 1], uvz[..., 2]
        x1, y1, side, far = self._frame(z)
        return stack_last(((u - x1) / side, (v - y1) / side, (far - z) / CUBE_MM))

    def to_camera(self, uvd: Array) -> Array:
        """uvd to camera frame, mm: the inverse of :meth:`to_uvd`, with the same shapes."""
        uvd = given("uvd", uvd)
        return stack_last(self.lift(uvd[..., 0], uvd[..., 1], uvd[..., 2]))

    def lift(self, u: Array, v: Array, d: Array) -> tuple[Array, Array, Array]:
        """:meth:`to_camera` of separate u, v and d, which may broadcast: x, y, z in mm."""
        x1, y1, side, far = self._frame(d)
        x, y, z = self.camera.lift(u * side + x1, v * side + y1, far - d * CUBE_MM)
        if self.turned is not None:
            (a, b), (c, d) = self.turned.tolist()
            x, y = a * x + b * y, c * x + d * y  # by the inverse: the matrix is orthogonal
        return x, y, z


@dataclass(frozen=True)
class HandCrop(_CropGeometry):
    """One cropped hand, float32.

    ``steps`` holds every intermediate: ``square`` (x, y, side), ``square_depth``, ``threshold``,
    ``foreground``, ``rough_centre`` (u, v, z), ``coarse_z``, ``box_depth``, ``hand_depth``; and
    ``skipped``, the depths of nearer surfaces, mm, that were too small for a hand.
    """

    image: np.ndarray  # (size, size), image frame: near face of the cube +1, far face, nothing -1
    box: np.ndarray  # (4,): x1, y1, x2, y2 of the square crop, pixel frame
    cube_centre: np.ndarray  # (3,): centre of mass, camera frame, mm
    camera: Camera = SR300
    steps: dict[str, Any] = field(default_factory=dict, repr=False)
    # (2, 2), how the camera is turned about its axis (:mod:`senorita_lib.views`): box and
    # cube_centre are then those of the turned camera. None: not at all.
    turned: np.ndarray | None = None


@dataclass(frozen=True)
class CropBatch(_CropGeometry):
    """Cropped hands as tensors: image (B, 1, S, S), box (B, 4) px, cube_centre (B, 3) mm."""

    image: Tensor
    box: Tensor
    cube_centre: Tensor
    camera: Camera = SR300

    @classmethod
    def stack(cls, crops: Iterable[HandCrop]) -> Self:
        """A batch from crops of one camera and one size."""
        crops = list(crops)
        if not crops:
            raise ValueError("crops is empty, wanted at least one HandCrop")
        if any(crop.turned is not None for crop in crops):
            raise ValueError("crops has one of a turned camera, wanted those of crop_hand")
        if len({crop.camera for crop in crops}) > 1:
            raise ValueError("crops come from several cameras, wanted one")
        if len({crop.image.shape for crop in crops}) > 1:
            raise ValueError("crops have several sizes, wanted one")
        parts = zip(*((crop.image, crop.box, crop.cube_centre) for crop in crops), strict=True)
        images, boxes, centres = (torch.from_numpy(np.stack(part)) for part in parts)
        return cls(images[:, None], boxes, centres, crops[0].camera)

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: str | torch.device) -> Self:
        """The batch on another device."""
        check_device(device)
        image, box, centre = (x.to(device) for x in (self.image, self.box, self.cube_centre))
        return replace(self, image=image, box=box, cube_centre=centre)


def crop_hand(
    depth_mm: np.ndarray, box_xyxy: Box, camera: Camera = SR300, *,
    foreground: Foreground = "otsu", centre: Centre = "mass", size: int = 256,
) -> HandCrop:  # fmt: skip
    """Crop the hand in a box out of a depth image, coarse to fine.

    Parameters
    ----------
    depth_mm
        (camera.height, camera.width), integer or float, mm; 0, masked or not finite: nothing
        returned.
    box_xyxy
        Rough box around the hand, x1, y1, x2, y2, pixel frame.
    foreground
        "otsu" (paper), or "valley" (the heuristic of the authors' release).
    centre
        "mass" (paper): the rough centre of mass and the mean depth around it. "box" (release): the
        centre of the given box and the depth there.
    size
        Side of the image, px.

    Raises
    ------
    ValueError
        If an argument cannot be used; :class:`HandNotFoundError` if the box holds no hand.
    """
    check_options(foreground, centre, size)
    depth = checked_depth(depth_mm, camera)
    return crop_checked(depth, box_xyxy, camera, foreground, centre, size)


def check_options(foreground: object, centre: object, size: object) -> None:
    """Refuse options that :func:`crop_hand` does not have."""
    if foreground not in ("otsu", "valley"):
        raise ValueError(f"foreground is {foreground!r}, wanted 'otsu' or 'valley'")
    if centre not in ("mass", "box"):
        raise ValueError(f"centre is {centre!r}, wanted 'mass' or 'box'")
    if not isinstance(size, int | np.integer) or not 0 < size < 2**15 - 1:  # OpenCV's limit
        raise ValueError(f"size is {size!r}, wanted a whole number of pixels from 1 to 32766")


def crop_checked(
    depth: np.ndarray, box: Box, camera: Camera, foreground: Foreground, centre: Centre, size: int
) -> HandCrop:
    """:func:`crop_hand` of a depth image that :func:`checked_depth` returned."""
    threshold = otsu_threshold if foreground == "otsu" else resolve_name(_VALLEY)
    x1, y1, x2, y2 = checked_box(box, camera)
    width, height = int(x2 - x1), int(y2 - y1)
    # The smallest square around the box: x, y, side in whole pixels.
    side = min(max(width, height), 2 * max(camera.width, camera.height))
    square = int(x1) + width // 2 - side // 2, int(y1) + height // 2 - side // 2, side
    square_depth = cut_square(depth, *square)
    steps = _find_surface(square_depth, square, box, camera, threshold, centre)
    coarse_z = steps["coarse_z"]
    exact_side = side_px(coarse_z, camera)
    x, y = map(int, steps["rough_centre"][:2] - exact_side / 2)
    side = int(exact_side)
    box_depth = cut_square(depth, x, y, side)
    hand = np.where(np.abs(box_depth.astype(np.float32) - coarse_z) <= CUBE_MM / 2, box_depth, 0)
    if foreground == "valley":  # the release thresholds a second time
        hand = _keep_front(hand, threshold(hand))
    mask = hand > 0
    if not (count := np.count_nonzero(mask)):
        raise HandNotFoundError(f"box {_show(box)} holds no hand around {coarse_z:.0f} mm")
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    u, v = moments["m10"] / count + x, moments["m01"] / count + y
    cube_centre = camera.unproject(np.array([u, v, hand.sum(dtype=np.float64) / count]))
    steps |= {"square": square, "square_depth": square_depth}
    steps |= {"box_depth": box_depth, "hand_depth": hand}
    corners = np.array([x, y, x + side, y + side], np.float32)
    image = _image(hand, mask, cube_centre[2], size)
    return HandCrop(image, corners, cube_centre.astype(np.float32), camera, steps)


def box_middle(depth: np.ndarray, box: np.ndarray, camera: Camera) -> np.ndarray:
    """Middle (3,) of the foreground in a box, camera frame, mm, of a checked frame and box.

    Raises :class:`HandNotFoundError`, as :func:`crop_hand`, which looks in the square around it.
    """
    x1, y1 = np.maximum(box[:2], 0).astype(int).tolist()
    x2, y2 = np.minimum(box[2:], depth.shape[::-1]).astype(int).tolist()
    inside = np.zeros_like(depth)
    inside[y1:y2, x1:x2] = depth[y1:y2, x1:x2]
    side = max(x2 - x1, y2 - y1)
    x, y = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    window = cut_square(inside, x, y, side)
    steps = _find_surface(window, (x, y, side), box, camera, otsu_threshold, "mass")
    v, u = np.nonzero(steps["foreground"])
    z = window[v, u].astype(np.float64)
    near = np.abs(z - np.median(z)) <= CUBE_MM / 2
    middle = u[near].mean() + x, v[near].mean() + y, z[near].mean()
    return np.asarray(camera.unproject(np.array(middle)))


def side_px(z: float, camera: Camera) -> float:
    """How wide the paper's crop is at a depth, mm, in px; HandNotFoundError if out of sight."""
    exact = _exact_side(max(z, 1e-3), camera)
    side = int(exact)
    if side < 8 or side > 4 * max(camera.width, camera.height):
        wanted = f"wanted a hand {'nearer to' if side < 8 else 'farther from'} the camera"
        found = f"the hand at {z:.0f} mm, where it would be {side} px wide"
        raise HandNotFoundError(f"depth_mm has {found}, {wanted}")
    return exact


def _exact_side(z: float, camera: Camera) -> float:
    return NOMINAL_MM / z * SIDE_PX * camera.fx / SR300.fx


def _find_surface(
    window: np.ndarray, place: tuple[int, int, int], box: Box, camera: Camera,
    threshold: Callable[[np.ndarray], int], centre: Centre,
) -> dict[str, Any]:  # fmt: skip
    """The foreground of a window, without what is too small for a hand: see HandCrop's steps."""
    rest, skipped = window, list[float]()
    while True:
        level = threshold(rest)
        front = _keep_front(rest, level)
        rough_centre, coarse_z = _rough_centre(front, *place, centre)
        surface = (front > 0) & (np.abs(front.astype(np.float32) - coarse_z) <= CUBE_MM / 2)
        least = min(_LEAST_SHARE * _exact_side(coarse_z, camera) ** 2, _LEAST_FILLED * front.size)
        if (count := np.count_nonzero(surface)) >= least:
            steps = {"threshold": level, "foreground": front, "rough_centre": rough_centre}
            return steps | {"coarse_z": coarse_z, "skipped": skipped}
        skipped.append(coarse_z)
        rest = np.where(surface, 0, rest)
        if not rest.any():
            found = f"box {_show(box)} holds no hand: {count} pixels at {coarse_z:.0f} mm"
            raise HandNotFoundError(f"{found}, wanted {least:.0f} or more")


def otsu_threshold(depth: np.ndarray) -> int:
    """Largest depth of the foreground by Otsu's method, mm, of a window (H, W), uint16 mm.

    0 if nothing has a depth, or if the two groups are closer than 100 mm: one surface.
    """
    values = depth[depth > 0]
    if values.size == 0:
        return 0
    threshold, _ = cv2.threshold(values.reshape(1, -1), 0, 0, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    far = values > threshold
    if far.all() or not far.any() or values[far].mean() - values[~far].mean() < _LEAST_GAP_MM:
        return 0
    return int(threshold)


def checked_depth(depth_mm: object, camera: Camera) -> np.ndarray:
    """A depth frame as uint16, mm, 0 where nothing returned; ``ValueError`` if it is none."""
    if not isinstance(camera, Camera):
        raise ValueError(f"camera is {camera!r}, wanted a senorita_lib.camera.Camera")
    depth = plain("depth_mm", depth_mm, masked=0)
    wanted = (camera.height, camera.width)
    if depth.shape != wanted:
        raise ValueError(f"depth_mm has shape {depth.shape}, wanted {wanted} as its camera says")
    if depth.dtype in (np.uint8, np.int8, bool):
        raise ValueError(f"depth_mm is {depth.dtype}, wanted at least 16 bits a pixel, in mm")
    nearest = 20  # no sensor sees nearer; whole numbers are no m
    if depth.dtype.kind == "f":
        nearest = 100  # in m a far wall may fill the frame
        depth = depth.astype(np.result_type(depth, np.float32), copy=False)  # float16 ends early
        depth = np.nan_to_num(depth, nan=0, posinf=0, neginf=0)
    seen = (depth > 0) & (depth <= 65535)
    if 2 * np.count_nonzero(seen & (depth < nearest)) > np.count_nonzero(seen):
        middle = f"a median of {np.median(depth[seen]):.3g}"
        raise ValueError(f"depth_mm has {middle}, which looks like m or cm, wanted mm")
    if depth.max() > 65535 and not seen.any():
        raise ValueError(f"depth_mm reaches {depth.max():.3g}, wanted mm, 65535 at most")
    if depth.dtype == np.uint16:
        return depth
    if depth.min() < 0:
        raise ValueError(f"depth_mm has values down to {depth.min()}, wanted none below 0")
    return np.rint(np.where(depth > 65535, 0, depth)).astype(np.uint16)


def _show(box: Iterable[float]) -> str:
    return "(" + ", ".join(f"{float(v):g}" for v in box) + ")"


def checked_box(box_xyxy: object, camera: Camera) -> np.ndarray:
    """A box x1, y1, x2, y2, pixel frame, as an array; ``ValueError`` if it is none."""
    try:
        box = plain("box_xyxy", box_xyxy).astype(float)
    except ValueError:
        box = np.empty(0)
    if box.shape != (4,) or not np.isfinite(box).all():
        shown = " ".join(repr(box_xyxy).split())[:80]
        raise ValueError(f"box_xyxy is {shown}, wanted four finite numbers x1, y1, x2, y2")
    x1, y1, x2, y2 = box = box.clip(-1e6, 1e6)
    if not (x1 < x2 and y1 < y2):
        raise ValueError(f"box {_show(box)} is empty, wanted x1 < x2 and y1 < y2")
    if int(x2 - x1) < 1 or int(y2 - y1) < 1:
        small = "is less than a pixel wide or high"
        raise ValueError(f"box {_show(box)} {small}, wanted {CORNERS} in pixels")
    width, height = camera.width, camera.height
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        raise ValueError(f"box {_show(box)} lies outside the {width} x {height} image")
    return box


def box_corners(
    boxes: np.ndarray, where: object, camera: Camera = SR300, drawn: np.ndarray | None = None
) -> tuple[np.ndarray, str]:
    """A list of boxes (N, 4), px, as corners, and how it is written: ``CORNERS`` or ``SIZES``.

    With labels, whichever is more like the boxes ``drawn`` (N, 4) around the joints. Without, and
    where neither is like them, corners, unless many such boxes are empty or leave the image and
    fewer do as sizes. Where most do in both ways, a ``ValueError`` names the file, ``where``.
    """
    count, edge = len(boxes), np.array([camera.width, camera.height]) + 1  # 1: rounded up
    if count and 0 < boxes.max() <= 1:
        raise ValueError(f"{where} has boxes of {boxes.min():g} to {boxes.max():g}, wanted pixels")
    ways = {CORNERS: boxes, SIZES: np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])}
    usable, alike = {}, {}

    def area(box: np.ndarray) -> np.ndarray:
        return np.asarray((box[:, 2:] - box[:, :2]).clip(0).prod(axis=1))

    for way, box in ways.items():
        inside = (box >= -1).all(axis=1) & (box[:, 2:] <= edge).all(axis=1)
        usable[way] = np.count_nonzero(inside & (area(box) > 0))
        if drawn is not None:
            low, high = np.maximum(box, drawn)[:, :2], np.minimum(box, drawn)[:, 2:]
            shared = area(np.hstack([low, high]))
            alike[way] = (shared / (area(box) + area(drawn) - shared).clip(1)).sum()
    sizes = usable[SIZES] > usable[CORNERS] < _MOST * count
    if drawn is not None and max(alike.values()) > count / 2:
        sizes = alike[SIZES] > alike[CORNERS]
    form = SIZES if sizes else CORNERS
    if usable[form] < count / 2:
        bad = f"{count - usable[form]:,} of {count:,} boxes that are empty or leave the image"
        image = f"a {camera.width}x{camera.height} image"
        raise ValueError(f"{where} has {bad}, wanted {CORNERS} or {SIZES} in pixels of {image}")
    return ways[form], form


def in_mirror(depth: np.ndarray, camera: Camera, box: Box) -> tuple[np.ndarray, Camera, np.ndarray]:
    """A depth image, its camera and a box, x1, y1, x2, y2, px, as a mirror shows them."""
    x1, y1, x2, y2 = box
    turned = np.array([camera.width - x2, y1, camera.width - x1, y2])
    return depth[:, ::-1], camera.mirrored(), turned


def with_square_pixels(
    depth: np.ndarray, camera: Camera, box: np.ndarray | None
) -> tuple[np.ndarray, Camera, np.ndarray | None]:
    """A depth image, its camera and a box, resized so that the focal lengths are equal."""
    ratio = camera.fx / camera.fy
    across, down = max(1 / ratio, 1), max(ratio, 1)
    seen_by = camera.resized(round(camera.width * across), round(camera.height * down))
    size = seen_by.width, seen_by.height
    scaled = None if box is None else box * [across, down, across, down]
    return cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT), seen_by, scaled


def cut_square(depth: np.ndarray, x: int, y: int, side: int) -> np.ndarray:
    """A square window, 0 outside the image."""
    window = np.zeros((side, side), depth.dtype)
    top, bottom = max(y, 0), min(y + side, depth.shape[0])
    left, right = max(x, 0), min(x + side, depth.shape[1])
    if top < bottom and left < right:
        window[top - y : bottom - y, left - x : right - x] = depth[top:bottom, left:right]
    return window


def _keep_front(depth: np.ndarray, threshold: int) -> np.ndarray:
    return np.where(depth <= threshold, depth, 0) if threshold else depth


def _rough_centre(
    front: np.ndarray, x: int, y: int, side: int, centre: Centre
) -> tuple[np.ndarray, float]:
    """(u, v, z) of the foreground pixel nearest to the box centre, and the coarse depth."""
    rows, columns = np.nonzero(front)
    if rows.size == 0:
        raise HandNotFoundError(f"box ({x}, {y}, {x + side}, {y + side}) holds no depth at all")
    # Ties go to the left, then up: the order in which the release searches.
    power = 2 if centre == "mass" else 1
    distance = np.abs(rows - side // 2) ** power + np.abs(columns - side // 2) ** power
    ties = np.flatnonzero(distance == distance.min())
    nearest = ties[np.lexsort((rows[ties], columns[ties]))[0]]
    z = float(front[rows[nearest], columns[nearest]])
    if centre == "box":
        return np.array([x + side / 2, y + side / 2, z]), z
    values = front[rows, columns].astype(np.float64)
    coarse_z = float(values[np.abs(values - z) <= CUBE_MM / 2].mean())
    return np.array([x + columns[nearest], y + rows[nearest], z], dtype=float), coarse_z


def _image(hand: np.ndarray, mask: np.ndarray, z: float, size: int) -> np.ndarray:
    """Image frame; between the hand's pixels only, or silhouettes get depths of their own."""
    scale = len(hand) / size
    inverse = np.array([[scale, 0, scale / 2], [0, scale, scale / 2]])
    near = np.where(mask, np.clip((z - hand) / CUBE_MM + 0.5, 0, 1), 0)  # 1 near, 0 far
    both = np.dstack([near, mask]).astype(np.float32)
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    warped = cv2.warpAffine(both, inverse, (size, size), flags=flags, borderMode=border)
    near, share = cv2.split(warped)
    return np.where(share >= 0.5, 2 * near / np.maximum(share, 0.5) - 1, -1)
