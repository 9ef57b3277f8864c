"""Where to look in a depth image: crops at any place and roll, batched, on any device.

The paper's crop finds its place itself (:mod:`senorita_lib.cropping`). Here the place is known from
labels or a first prediction, and the crop may be turned so that the fingers point up, and
mirrored so that a left hand looks like a right one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CUBE_MM, NOMINAL_MM, SIDE_PX, CropBatch, cut_square, side_px

WIDTH_MM = SIDE_PX * NOMINAL_MM / SR300.fx  # what the paper's crop shows at the hand's depth
_DIAGONAL = 1.6  # of a square, and room for crops beside it


@dataclass(frozen=True)
class Turn:
    """How each sample's camera is mirrored, and then rolled about its axis.

    ``roll`` (B,), degrees, turns the image's content from u towards v; ``mirrored`` (B,), bool.
    """

    roll: Tensor
    mirrored: Tensor | None = None

    def matrix(self) -> Tensor:
        """(B, 2, 2), orthogonal: row vectors in the image's plane @ this are turned."""
        radians = torch.deg2rad(self.roll)
        cos, sin = radians.cos(), radians.sin()
        along = torch.stack([cos, sin], dim=-1)
        if self.mirrored is not None:
            along = torch.where(self.mirrored[:, None], -along, along)
        return torch.stack([along, torch.stack([-sin, cos], dim=-1)], dim=-2)

    def apply(self, xyz: Tensor, back: bool = False) -> Tensor:
        """Points (B, ..., 3), camera frame, as the turned camera has them, or ``back``."""
        matrix = F.pad(self.matrix(), (0, 1, 0, 1))
        matrix[:, 2, 2] = 1
        return torch.einsum("b...i,bji->b...j" if back else "b...i,bij->b...j", xyz, matrix)


def upright(joints: Tensor, mirrored: Tensor | None = None) -> Turn:
    """The turn after which the fingers point up, for joints (B, 21, 3), camera frame."""
    along = joints[:, 2:6, :2].mean(dim=1) - joints[:, 0, :2]  # from the wrist to the knuckles
    u = along[:, 0] if mirrored is None else torch.where(mirrored, -along[:, 0], along[:, 0])
    return Turn(-90 - torch.rad2deg(torch.atan2(along[:, 1], u)), mirrored)


def crop_views(
    depth: Tensor, box: Tensor, camera: Camera, centre: Tensor, turn: Turn, size: int,
    width_mm: float | Tensor = WIDTH_MM,
) -> CropBatch:  # fmt: skip
    """Crops of depth windows about given points, as turned cameras see them.

    ``depth`` (B, 1, H, W), mm, is 0 where nothing returned; ``box`` (B, 4), x1, y1, x2, y2 of each
    window, pixel frame: pixel i of n lies at (i + 1/2) / n. ``centre`` (B, 3) is that of each cube,
    camera frame, mm; ``size`` is the side of the images, px; ``width_mm``, one number or (B,), is
    what an image shows at its centre's depth. The crops are in the camera frames of the turned
    cameras; :meth:`Turn.apply` leads there and back.
    """
    z = centre[:, 2, None, None, None]
    inside = (depth > 0) & ((depth - z).abs() <= CUBE_MM / 2)
    near = torch.where(inside, (z - depth) / CUBE_MM + 0.5, 0)
    middle = camera.project(centre)[:, :2]
    side = (width_mm * camera.fx / centre[:, 2])[:, None]
    # The plane is turned in mm, where pixels are not square in pixels: x = u / fx.
    focal = middle.new_tensor([camera.fx, camera.fy])
    matrix = turn.matrix() * focal / focal[:, None]
    inverse = turn.matrix() / focal * focal[:, None]
    # In [-1, 1] of the window: 2 (middle + side (uv - 1/2) @ inverse.T - corner) / window - 1.
    window = box[:, 2:] - box[:, :2]
    back = inverse * (side / window)[:, :, None]
    offset = 2 * (middle - box[:, :2]) / window - 1
    shape = [len(depth), 1, size, size]
    grid = F.affine_grid(torch.cat([back, offset[:, :, None]], dim=2), shape, align_corners=False)
    # As in the paper's crop: between the hand's pixels only, no depths of silhouettes' own.
    both = torch.cat([near, inside.to(near)], dim=1)
    near, share = F.grid_sample(both, grid, align_corners=False).chunk(2, dim=1)
    image = torch.where(share >= 0.5, 2 * near / share.clamp(min=0.5) - 1, -1)
    axis = middle.new_tensor([camera.cx, camera.cy])
    corner = ((middle - axis)[:, None] @ matrix)[:, 0] + axis - side / 2
    return CropBatch(image, torch.cat([corner, corner + side], dim=1), turn.apply(centre), camera)


def depth_window(depth: np.ndarray, camera: Camera, centre: np.ndarray) -> tuple[Tensor, Tensor]:
    """The part of a checked frame that :func:`crop_views` needs about a point, and its box.

    (1, 1, S, S), mm, and (1, 4), for a point (3,), camera frame, mm.
    """
    u, v, z = camera.project(np.asarray(centre, float))
    side_px(z, camera)
    side = int(np.ceil(_DIAGONAL * WIDTH_MM * max(camera.fx, camera.fy) / z)) + 2
    x, y = int(u) - side // 2, int(v) - side // 2
    cut = torch.from_numpy(cut_square(depth, x, y, side).astype(np.float32))
    box = torch.tensor([[x, y, x + side, y + side]], dtype=torch.float32) - 0.5
    return cut[None, None], box
