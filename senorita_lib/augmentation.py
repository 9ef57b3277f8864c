"""Random rotation, scaling and translation of image, box and joints together (section 3.1).

A rotation is a roll of the camera about its optical axis, a scaling or translation
another crop box. So the augmented sample is one that a camera could have taken: its
joints stay metric, its bones keep their lengths, and every frame of the coordinate
contract still fits together.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Draws:
    """What is done to each sample of a batch.

    Attributes
    ----------
    angle : tensor, (B,)
        Rotation of the image content, degrees, from u towards v.
    scale : tensor, (B,)
        Factor on the content's size.
    shift : tensor, (B, 2)
        Translation of the content in uv, as a share of the box.
    """

    angle: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def take(self, rows):
        """The draws of some samples."""
        return Draws(self.angle[rows], self.scale[rows], self.shift[rows])


def draw(batch, generator, *, angle=30.0, scale=(0.75, 1.25), scale_probability=0.5, shift=5.0):
    """Draw a batch of augmentations.

    Parameters
    ----------
    batch : int
    generator : torch.Generator
        On the CPU, so that the draws are the same whatever the device.
    angle : float
        Largest rotation, degrees, either way.
    scale : (float, float)
        Range of the scaling, done with probability ``scale_probability``, else 1.
    shift : float
        Largest translation along u and v, px of a 256 px image.

    Returns
    -------
    Draws
    """
    unit = torch.rand(batch, 5, generator=generator)
    scaled = scale[0] + (scale[1] - scale[0]) * unit[:, 1]
    return Draws(
        angle=(2 * unit[:, 0] - 1) * angle,
        scale=torch.where(unit[:, 2] < scale_probability, scaled, torch.ones(batch)),
        shift=(2 * unit[:, 3:] - 1) * shift / 256,
    )


def augment(crops, joints_mm, draws):
    """Apply augmentations to crops and their joints.

    Parameters
    ----------
    crops : CropBatch
    joints_mm : tensor, (B, 21, 3)
        Camera frame, mm.
    draws : Draws

    Returns
    -------
    crops : CropBatch
        Image resampled bilinearly, background where nothing was; box and cube moved.
    joints_mm : tensor, (B, 21, 3)
        In the camera frame of the rolled camera, mm.
    """
    image = crops.image
    radians = draws.angle.to(image) * (math.pi / 180)
    scale, shift = draws.scale.to(image), draws.shift.to(image)
    cos, sin = radians.cos(), radians.sin()
    # Row vectors: point @ roll turns a point from u (or x) towards v (or y).
    roll = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], dim=-2)

    # uv' = 1/2 + scale * roll(uv - 1/2) + shift, read backwards by the sampler in [-1, 1].
    back = roll / scale[:, None, None]
    offset = -2 * (back @ shift[:, :, None])
    grid = F.affine_grid(torch.cat([back, offset], dim=2), image.shape, align_corners=False)
    # As in the crop: between the hand's pixels only, or silhouettes get depths of their own.
    near = torch.cat([image + 1, (image > -1).to(image)], dim=1)
    near, share = F.grid_sample(near, grid, align_corners=False).split(1, dim=1)
    image = torch.where(share >= 0.5, near / share.clamp(min=0.5) - 1, -1)

    centre = (crops.box[:, :2] + crops.box[:, 2:]) / 2
    axis = centre.new_tensor([crops.camera.cx, crops.camera.cy])
    centre = ((centre - axis)[:, None] @ roll)[:, 0] + axis
    side = ((crops.box[:, 2] - crops.box[:, 0]) / scale)[:, None]
    corner = centre - side * (0.5 + shift)

    roll_xyz = torch.zeros(len(image), 3, 3, dtype=image.dtype, device=image.device)
    roll_xyz[:, :2, :2] = roll
    roll_xyz[:, 2, 2] = 1
    moved = replace(
        crops,
        image=image,
        box=torch.cat([corner, corner + side], dim=1),
        cube_centre=(crops.cube_centre[:, None] @ roll_xyz)[:, 0],
    )
    return moved, joints_mm @ roll_xyz
