"""Analytic 3D skeleton volumes and the loss between two of them (paper, section 2.3).

Eq. 1:  V_p = exp(-gamma * dist(p, bone));   eq. 2:  dist = min over r in [0, 1] of
|p - (r * child + (1 - r) * parent)|^2, with p a voxel centre. The renderer has no
parameters; its gradient with respect to the joints is exact.
"""

import torch

from senorita_lib.hand import BONES

_DISTANCES, _ENDS = ("squared", "euclidean"), ("clamp", "gate")


def render_skeleton(
    joints_voxel, bones=BONES, *, size=(32, 32, 32), gamma=0.1, distance="squared", ends="clamp"
):
    """Draw each bone into a volume of its own.

    Parameters
    ----------
    joints_voxel : tensor, (B, J, 3)
        Joints in the voxel frame, cells: x, y, z along W, H, D.
    bones : sequence of (child, parent)
        Pairs of joint indices; a bone of length zero is drawn as a point (with ``gate``
        not at all).
    size : (D, H, W)
    gamma : float or scalar tensor
        Fall-off in eq. 1, per cell (squared or not, as ``distance`` says).
    distance : {"squared", "euclidean"}
        Eq. 2, or its square root as in the authors' release.
    ends : {"clamp", "gate"}
        Bones with round caps (eq. 2), or 0 beyond a bone's two ends (release).

    Returns
    -------
    tensor, (B, len(bones), D, H, W)
        In [0, 1], 1 on the bone.

    Raises
    ------
    ValueError
        If an argument has another shape or value, or a joint is not finite.
    """
    child, parent = _ends_of(joints_voxel, bones, distance, ends)
    axes = _axes(size, joints_voxel)
    squared, _, along = _squared_distance(child, parent, axes)
    # The root has no gradient at zero; there the volume is at its peak and needs none.
    length = squared if distance == "squared" else squared.clamp_min(1e-12).sqrt()
    volumes = torch.exp(-gamma * length)
    return volumes if ends == "clamp" else volumes * _gate(along)


def skeleton_volume_loss(
    predicted_voxel,
    target_voxel,
    bones=BONES,
    *,
    size=(32, 32, 32),
    gamma=0.1,
    distance="squared",
    ends="clamp",
):
    """Eq. 4: L1 distance between the skeleton volumes of two poses.

    Forward and exact gradient come out of one pass over the voxels, bone by bone, so that
    no more than one bone's volumes are in memory.

    Parameters
    ----------
    predicted_voxel, target_voxel : tensor, (B, J, 3)
        Joints in the voxel frame, cells; only the prediction receives a gradient.
    bones, size, gamma, distance, ends
        As in :func:`render_skeleton`; ``gamma`` receives no gradient here.

    Returns
    -------
    scalar tensor
        Sum over bones and voxels, mean over the batch.

    Raises
    ------
    ValueError
        If the two poses differ in shape, hold a value that is not finite, or an argument has
        another value.
    """
    if predicted_voxel.shape != target_voxel.shape or not len(predicted_voxel):
        raise ValueError(
            f"predicted_voxel and target_voxel have shapes {tuple(predicted_voxel.shape)} and "
            f"{tuple(target_voxel.shape)}, wanted the same and at least one pose"
        )
    for joints in (predicted_voxel, target_voxel):
        _ends_of(joints, bones, distance, ends)
    if predicted_voxel.dtype in (torch.float16, torch.bfloat16):  # too coarse for these sums
        predicted_voxel = predicted_voxel.float()
    target_voxel = target_voxel.to(predicted_voxel.dtype)
    options = (tuple(map(tuple, bones)), tuple(size), float(gamma), distance, ends)
    return _VolumeLoss.apply(predicted_voxel, target_voxel.detach(), options)


class _VolumeLoss(torch.autograd.Function):
    """Loss and gradient together: the residual p - q is orthogonal to the bone at the best r, so
    d dist²/d child = -2 r (p - q) and d dist²/d parent = -2 (1 - r) (p - q)."""

    @staticmethod
    def forward(ctx, predicted, target, options):
        bones, size, gamma, distance, ends = options
        axes = _axes(size, predicted)
        loss = predicted.new_zeros(())
        gradient = torch.zeros_like(predicted)
        for child, parent in bones:
            bone = ((0, 1),)
            true = render_skeleton(
                target[:, [child, parent]],
                bone,
                size=size,
                gamma=gamma,
                distance=distance,
                ends=ends,
            )[:, 0]
            a, b = predicted[:, child], predicted[:, parent]
            squared, r, along = _squared_distance(a, b, axes)
            length = squared if distance == "squared" else squared.clamp_min(1e-12).sqrt()
            volume = torch.exp(-gamma * length)
            if ends == "gate":
                volume = volume * _gate(along)
            difference = volume - true
            loss = loss + difference.abs().sum()
            # weight = d|V - V*| / d dist², for each voxel
            weight = difference.sign() * volume * -gamma
            if distance == "euclidean":  # the root has no slope on the bone itself
                weight = torch.where(squared > 1e-12, weight / (2 * length), 0)
            for joint, share in ((child, r), (parent, 1 - r)):
                moved = weight * share
                total = moved.sum(dim=(1, 2, 3))
                along_bone = (moved * r).sum(dim=(1, 2, 3))
                first = torch.stack(
                    [
                        (moved.sum(dim=(1, 2)) * axes[0]).sum(dim=1),
                        (moved.sum(dim=(1, 3)) * axes[1]).sum(dim=1),
                        (moved.sum(dim=(2, 3)) * axes[2]).sum(dim=1),
                    ],
                    dim=1,
                )
                # sum of moved * (p - q), with q = b + r (a - b)
                pull = first - total[:, None] * b - along_bone[:, None] * (a - b)
                gradient[:, joint] -= 2 * pull
        ctx.save_for_backward(gradient / len(predicted))
        return loss / len(predicted)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _ends_of(joints, bones, distance, ends):
    if not isinstance(joints, torch.Tensor):
        raise ValueError(f"joints_voxel is {type(joints).__name__}, wanted a tensor")
    if joints.ndim != 3 or joints.shape[-1] != 3:
        raise ValueError(f"joints_voxel has shape {tuple(joints.shape)}, wanted (B, J, 3)")
    if not joints.is_floating_point():
        raise ValueError(f"joints_voxel is {joints.dtype}, wanted a floating-point type")
    if not joints.isfinite().all():
        raise ValueError("joints_voxel has values that are not finite, wanted cells")
    if distance not in _DISTANCES:
        raise ValueError(f"distance is {distance!r}, wanted one of {_DISTANCES}")
    if ends not in _ENDS:
        raise ValueError(f"ends is {ends!r}, wanted one of {_ENDS}")
    named = [joint for bone in bones for joint in bone]
    if not named or min(named) < 0 or max(named) >= joints.shape[1]:
        raise ValueError(
            f"bones name the joints {sorted(set(named))}, wanted at least one pair out of "
            f"0 to {joints.shape[1] - 1}"
        )
    child, parent = (list(column) for column in zip(*bones, strict=True))
    return joints[:, child], joints[:, parent]


def _axes(size, joints):
    """Voxel centres along x (W), y (H) and z (D)."""
    depth, height, width = size
    return tuple(
        torch.arange(n, dtype=joints.dtype, device=joints.device) for n in (width, height, depth)
    )


def _squared_distance(child, parent, axes):
    """Eq. 2 for bones (..., 3) at all voxels: dist² and clamped r, (..., D, H, W), and r unclamped.

    |p - parent|² and (p - parent) · bone are sums of three one-dimensional arrays, so no
    (..., D, H, W, 3) tensor is needed.
    """
    bone = child - parent
    norm = (bone * bone).sum(dim=-1)[..., None, None, None]
    from_parent = [axis - parent[..., i, None] for i, axis in enumerate(axes)]
    square = _outer_sum([offset * offset for offset in from_parent])
    dot = _outer_sum([offset * bone[..., i, None] for i, offset in enumerate(from_parent)])
    along = dot / norm.clamp_min(1e-12)
    r = along.clamp(0, 1)
    squared = (square - r * (2 * dot - r * norm)).clamp_min(0)
    return squared, r, along


def _outer_sum(parts):
    x, y, z = parts
    return x[..., None, None, :] + y[..., None, :, None] + z[..., :, None, None]


def _gate(along):
    return ((along > 1e-6) & (along <= 1)).to(along.dtype)
