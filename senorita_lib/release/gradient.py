"""What the authors' release does where it is wrong, restated to be compared with: only trials
use it.
"""

import torch

from senorita_lib.hand import BONES
from senorita_lib.renderer import render_skeleton

GATED = {"distance": "euclidean", "ends": "gate"}  # the release's volumes
_UNITS = 200.0  # its units across the cube: u and v from 0 to 200, depth from -100 to 100


def released_gradient(
    predicted_voxel, target_voxel, *, size=(32, 32, 32), gamma=0.1, summed=False, smooth=False
):
    """The gradient of eq. 4 as the release's backward pass computes it.

    For q = r child + (1 - r) parent and a bone's residual p - q, the chain rule wants
    d|p - q|/d child = -r (p - q) / |p - q|, as the residual is orthogonal to the bone. The
    release multiplies the residual, axis by axis, with -(dr/d child) child - r and
    (dr/d parent) parent - (1 - r): r moves q by child - parent, of which one term is missing, so
    what is left depends on where the origin lies. And it assigns instead of adding, so that each
    joint keeps the share of the last voxel of the last bone that it belongs to.

    Parameters
    ----------
    predicted_voxel, target_voxel : tensor, (B, J, 3)
        Joints in the voxel frame, cells.
    size : (D, H, W)
        All three the same.
    gamma : float
        Per cell, of the release's volumes, ``GATED``.
    summed : bool
        Whether shares are added up: the release's formula without its assignment.
    smooth : bool
        Of smooth L1 instead of L1.

    Returns
    -------
    tensor, (B, J, 3)
        Per cell; of the sum over bones and voxels and the mean over the batch.
    """
    drawn, wanted = _draw(predicted_voxel, target_voxel, size, gamma)
    off = (drawn - wanted) if smooth else (drawn - wanted).sign()
    return _gradient(predicted_voxel, drawn, off, size, gamma, summed)


def _draw(predicted, target, size, gamma):
    how = {"size": size, "gamma": gamma, "compiled": False, **GATED}
    return [render_skeleton(pose.detach(), **how) for pose in (predicted, target)]


def _gradient(predicted, drawn, off, size, gamma, summed):
    unit = _UNITS / size[0]
    origin = predicted.new_tensor([0, 0, _UNITS / 2])
    cells = [torch.arange(n, dtype=origin.dtype, device=origin.device) for n in size]
    z, y, x = torch.meshgrid(*cells, indexing="ij")
    p = unit * torch.stack([x, y, z], dim=-1) - origin
    joints = unit * predicted.detach() - origin
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
                gradient[:, joint] = torch.where(
                    inside.any(dim=1, keepdim=True), kept, gradient[:, joint]
                )
    return gradient * unit / len(joints)


class _Released(torch.autograd.Function):
    @staticmethod
    def forward(ctx, predicted, target, size, gamma, summed):
        drawn, wanted = _draw(predicted, target, size, gamma)
        off = drawn - wanted
        ctx.save_for_backward(_gradient(predicted, drawn, off.sign(), size, gamma, summed))
        return off.abs().sum() / len(predicted)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0], None, None, None, None


def released_volume_loss(predicted_voxel, target_voxel, *, size, gamma, summed=False):
    """Eq. 4 of the release's volumes, with :func:`released_gradient` for a gradient.

    Called as :func:`~senorita_lib.renderer.skeleton_volume_loss` is.
    """
    return _Released.apply(predicted_voxel, target_voxel, size, gamma, summed)
