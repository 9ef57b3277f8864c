"""The release's gradient of eq. 4, which is wrong, to be compared with: only trials use it."""

from typing import Any

import torch
from torch import Tensor

from senorita_lib._arguments import check_flags
from senorita_lib.hand import BONES
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
from senorita_lib.renderer.volumes import Size

GATED: dict[str, Any] = {"distance": "euclidean", "ends": "gate"}  # the release's volumes
_UNITS = 200.0  # its units across the cube: u and v from 0 to 200, depth from -100 to 100


def released_gradient(
    predicted_voxel: Tensor, target_voxel: Tensor, *, size: Size = (32, 32, 32),
    gamma: float = 0.1, summed: bool = False, smooth: bool = False,
) -> Tensor:  # fmt: skip
    """The gradient of eq. 4 as the release's backward pass computes it.

    For q = r child + (1 - r) parent the chain rule wants d|p - q|/d child = -r (p - q) / |p - q|,
    as the residual p - q is orthogonal to the bone. The release multiplies the residual, axis by
    axis, with -(dr/d child) child - r and (dr/d parent) parent - (1 - r), so the gradient depends
    on where the origin lies. And it assigns instead of adding: each joint keeps the share of the
    last voxel of its last bone.

    Poses are (B, J, 3), voxel frame, cells; the gradient is that of the sum over bones and voxels
    and the mean over the batch. ``gamma`` is per cell, of the release's volumes, ``GATED``. With
    ``summed`` shares are added up: the release's formula without its assignment. With ``smooth``
    it is the gradient of smooth L1 instead of L1.
    """
    check_flags(summed=summed, smooth=smooth)
    how: dict[str, Any] = {"size": size, "gamma": gamma, "compiled": False, **GATED}
    poses = predicted_voxel.detach(), target_voxel.detach()
    drawn, wanted = (render_skeleton(pose, **how) for pose in poses)
    off = (drawn - wanted) if smooth else (drawn - wanted).sign()
    unit = _UNITS / size[0]
    origin = predicted_voxel.new_tensor([0, 0, _UNITS / 2])
    cells = [torch.arange(n, dtype=origin.dtype, device=origin.device) for n in size]
    z, y, x = torch.meshgrid(*cells, indexing="ij")
    p = unit * torch.stack([x, y, z], dim=-1) - origin
    joints = unit * poses[0] - origin
    gradient = torch.zeros_like(joints)
    for bone, (child, parent) in enumerate(BONES):
        a, b = (joints[:, j, None, None, None] for j in (child, parent))
        length2 = (b - a).square().sum(-1, keepdim=True) + 1e-8
        r = ((b - p) * (b - a)).sum(-1, keepdim=True) / length2
        residual = p - (r * a + (1 - r) * b)
        residual = residual / residual.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        dr_da = (2 * (b - a) * r - (b - p)) / length2
        dr_db = ((b - a) + (b - p) - 2 * (b - a) * r) / length2
        weight = (-gamma / unit * off[:, bone] * drawn[:, bone])[..., None] * residual
        inside = ((r > 1e-6) & (r <= 1)).flatten(1)
        shares = weight * (-dr_da * a - r), weight * (dr_db * b - (1 - r))
        for joint, share in zip((child, parent), shares, strict=True):
            if summed:
                gradient[:, joint] += share.sum(dim=(1, 2, 3))
            else:
                last = inside.shape[1] - 1 - inside.flip(1).int().argmax(dim=1)
                kept = share.flatten(1, 3)[torch.arange(len(share)), last]
                seen = inside.any(dim=1, keepdim=True)
                gradient[:, joint] = torch.where(seen, kept, gradient[:, joint])
    return gradient * unit / len(joints)


def released_volume_loss(
    predicted_voxel: Tensor, target_voxel: Tensor, *, size: Size, gamma: float, summed: bool = False
) -> Tensor:
    """Eq. 4 of the release's volumes, with :func:`released_gradient` for a gradient."""
    how: dict[str, Any] = {"size": size, "gamma": gamma}
    gradient = released_gradient(predicted_voxel, target_voxel, **how, summed=summed)
    pose = predicted_voxel.detach()
    nothing = gradient * (predicted_voxel - pose)  # zeros, with that gradient
    return skeleton_volume_loss(pose, target_voxel, **how, **GATED, compiled=False) + nothing.sum()
