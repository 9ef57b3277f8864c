"""The release's losses of Step 2: adaptive squares in place of eq. 3, 5 and 6 and their balance."""

import torch
from torch import Tensor

from senorita_lib.cropping import CropBatch
from senorita_lib.losses import Losses, Reduce, identity, step2_terms, true_residual
from senorita_lib.refinement import Refinement


def adaptive_loss(predicted: Tensor, true: Tensor, reduce: Reduce = identity) -> Tensor:
    """Squared distance over the mean L1 distance of (B, ...): ``sum (p - g)^2 / (B m)``.

    ``m = mean |p - g|`` is a constant in the backward pass, so that the gradient's mean magnitude
    is 2 / B whatever the unit. No gradient flows to ``true``; ``reduce`` is as in balancing.
    """
    if predicted.shape != true.shape:
        shapes = f"{tuple(predicted.shape)} and {tuple(true.shape)}"
        raise ValueError(f"predicted and true have shapes {shapes}, wanted the same")
    off = predicted - true.detach()
    mean = reduce(off.detach().abs().mean()).clamp_min(torch.finfo(off.dtype).tiny)
    return (off / mean * off).sum() / len(off)


def adaptive_step2_losses(
    uvd: Tensor, refined: Refinement, crops: CropBatch, true_mm: Tensor,
    refined_pose_weight: float = 1.0, reduce: Reduce = identity,
) -> tuple[Losses, Tensor]:  # fmt: skip
    """As :func:`senorita_lib.losses.step2_losses`: adaptive, of uv, depth, residual and pose."""
    losses, _ = step2_terms(uvd, refined, crops, true_mm)
    true_uvd, wanted = crops.to_uvd(true_mm), true_residual(refined, true_mm)
    uv = adaptive_loss(uvd[..., :2], true_uvd[..., :2], reduce)
    depth = adaptive_loss(2 * uvd[..., 2], 2 * true_uvd[..., 2], reduce)  # theirs is in [-1, 1]
    residual = adaptive_loss(refined.residual_orientation, wanted, reduce)
    pose = adaptive_loss(refined.joints_mm, true_mm, reduce)
    return losses, uv + depth + residual + refined_pose_weight * pose
