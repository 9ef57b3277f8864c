"""Random rotation, scaling and translation of image, box and joints together (section 3.1).

A rotation is a roll of the camera about its optical axis, a scaling or translation another crop
box: a camera could have taken the augmented sample, and all coordinate frames still fit together.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from senorita_lib.cropping import CropBatch
from senorita_lib.recipes import Recipe
from senorita_lib.views import Turn


class Draws(NamedTuple):
    """What is done to the image content of each sample of a batch."""

    angle: Tensor  # (B,): rotation, degrees, from u towards v
    scale: Tensor  # (B,): factor on its size
    shift: Tensor  # (B, 2): translation in uv, as a share of the box


def draw(batch: int, generator: torch.Generator, recipe: Recipe) -> Draws:
    """Draw a batch of augmentations, with a generator on the CPU whatever the device.

    The recipe's ``rotation`` is the largest rotation, degrees, ``shift`` the largest translation
    along u and v, px of 256, either way; ``scale`` is the range of the scaling, of probability
    ``scale_probability``.
    """
    unit, (least, most) = torch.rand(batch, 5, generator=generator), recipe.scale
    scaled = least + (most - least) * unit[:, 1]
    return Draws(
        angle=(2 * unit[:, 0] - 1) * recipe.rotation,
        scale=torch.where(unit[:, 2] < recipe.scale_probability, scaled, torch.ones(batch)),
        shift=(2 * unit[:, 3:] - 1) * recipe.shift / 256,
    )


def augment(crops: CropBatch, joints_mm: Tensor, draws: Draws) -> tuple[CropBatch, Tensor]:
    """Apply augmentations to crops and their joints (B, 21, 3), camera frame, mm.

    Images are resampled bilinearly; the result is in the camera frame of the rolled camera.
    """
    image = crops.image
    angle, scale, shift = (values.to(image) for values in draws)
    turn = Turn(angle)
    # The plane is turned in mm, as joints are. An SR300's pixels count as square, to the bit.
    focal = image.new_tensor([1.0, round(crops.camera.fy / crops.camera.fx, 5)])
    roll = turn.matrix() * focal / focal[:, None]

    # uv' = 1/2 + scale * roll(uv - 1/2) + shift, read backwards by the sampler in [-1, 1].
    back = turn.matrix() * focal[:, None] / focal / scale[:, None, None]
    offset = -2 * (back @ shift[:, :, None])
    grid = F.affine_grid(torch.cat([back, offset], dim=2), list(image.shape), align_corners=False)
    # As in the crop: between the hand's pixels only, or silhouettes get depths of their own.
    near = torch.cat([image + 1, (image > -1).to(image)], dim=1)
    near, share = F.grid_sample(near, grid, align_corners=False).chunk(2, dim=1)
    image = torch.where(share >= 0.5, near / share.clamp(min=0.5) - 1, -1)

    centre = (crops.box[:, :2] + crops.box[:, 2:]) / 2
    axis = centre.new_tensor([crops.camera.cx, crops.camera.cy])
    centre = ((centre - axis)[:, None] @ roll)[:, 0] + axis
    side = ((crops.box[:, 2] - crops.box[:, 0]) / scale)[:, None]
    corner = centre - side * (0.5 + shift)

    box = torch.cat([corner, corner + side], dim=1)
    moved = replace(crops, image=image, box=box, cube_centre=turn.apply(crops.cube_centre))
    return moved, turn.apply(joints_mm)
