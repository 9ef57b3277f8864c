"""The training losses, eq. 3-6, and their balance (paper, sections 2.5 and 3.1).

Eq. 4 is :func:`senorita_lib.renderer.skeleton_volume_loss`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from senorita_lib.cropping import CropBatch
from senorita_lib.refinement import Refinement

HEATMAP_CELLS = 64  # along a side of the paper's heat map, in which poses are compared

Losses = dict[str, Tensor]
PoseLoss = Callable[[Tensor, Tensor], Tensor]
Reduce = Callable[[Tensor], Tensor]


def pose_loss(predicted_uvd: Tensor, true_uvd: Tensor) -> Tensor:
    """Eq. 3 and 6: mean L1 distance of poses (B, 21, 3), in cells of a 64³ heat map."""
    return (predicted_uvd - true_uvd).abs().mean() * HEATMAP_CELLS


def true_residual(refinement: Refinement, true_mm: Tensor) -> Tensor:
    """U_gt - U_0 of eq. 5, (B, 20, 3), from the true pose (B, 21, 3), camera frame, mm."""
    return refinement.orient(true_mm) - refinement.initial_orientation


def residual_orientation_loss(refinement: Refinement, true_mm: Tensor) -> Tensor:
    """Eq. 5: mean L1 distance of the residual orientation from :func:`true_residual`."""
    return (refinement.residual_orientation - true_residual(refinement, true_mm)).abs().mean()


def identity(values: Tensor) -> Tensor:
    """The mean over processes where there is only one."""
    return values


def balance_weights(
    losses: Sequence[Tensor], outputs: Sequence[Tensor], reduce: Reduce = identity
) -> Tensor:
    """Weights, detached, with which all losses have gradients of one magnitude at their outputs.

    ``outputs`` are for each scalar loss the output neurons that it judges; ``reduce`` is the mean
    over the processes that share a batch. The first weight is 1, that of a loss without gradient
    too; if the first has none, the others get 0. As a mean L1 distance has a constant gradient,
    the weights of eq. 3, 5 and 6 depend on units and sizes, not on how training goes.
    """
    pairs = zip(losses, outputs, strict=True)
    gradients = [torch.autograd.grad(*pair, retain_graph=True)[0] for pair in pairs]
    shared = reduce(torch.stack([gradient.abs().mean() for gradient in gradients]))
    weights = shared[0] / shared
    return torch.where(weights.isfinite(), weights, 1.0)


def step1_losses(
    predicted_uvd: Tensor, true_uvd: Tensor, volume_loss: PoseLoss | None = None,
    cells: int = 32, weight: float = 1 / 200, own: Losses | None = None,
) -> tuple[Losses, Tensor]:  # fmt: skip
    """What Step 1 minimises: eq. 3, then with eq. 4; by name, and their weighted sum.

    ``volume_loss`` is eq. 4 of both poses, voxel frame of ``cells`` a side; eq. 3 has weight 1.
    ``own`` are another method's losses in place of eq. 3.
    """
    losses = own or {"L_jt": pose_loss(predicted_uvd, true_uvd)}
    total = torch.stack([*losses.values()]).sum()
    if volume_loss is None:
        return losses, total
    volume = volume_loss(cells * predicted_uvd - 0.5, cells * true_uvd - 0.5)
    return losses | {"L_3dske": volume}, total + weight * volume


def handedness_loss(logits: Tensor, right: int) -> Tensor:
    """Cross entropy of a left hand's logits (B,), of which the first ``right`` are right hands'."""
    of_right, of_left = F.softplus(logits[:right]), F.softplus(-logits[right:])
    return (of_right.mean() + of_left.mean()) / 2  # each hand weighs the same


def step2_terms(
    uvd: Tensor, refined: Refinement, crops: CropBatch, true_mm: Tensor
) -> tuple[Losses, tuple[Tensor, ...]]:
    """Eq. 3, 5 and 6 by name, and the output that each of them judges."""
    refined_uvd, true_uvd = crops.to_uvd(refined.joints_mm), crops.to_uvd(true_mm)
    losses = {
        "L_jt": pose_loss(uvd, true_uvd),
        "L_res_ori": residual_orientation_loss(refined, true_mm),
        "L_jt_ref": pose_loss(refined_uvd, true_uvd),
    }
    return losses, (uvd, refined.residual_orientation, refined_uvd)


def step2_losses(
    uvd: Tensor, refined: Refinement, crops: CropBatch, true_mm: Tensor,
    refined_pose_weight: float = 1.0, reduce: Reduce = identity,
) -> tuple[Losses, Tensor]:  # fmt: skip
    """What Step 2 minimises: eq. 3, 5 and 6, balanced by :func:`balance_weights`.

    ``refined_pose_weight`` is the weight of eq. 6 on top of the balance; 0 trains without it.
    Poses are (B, 21, 3), camera frame, mm. Returns losses and weights by name, and their sum.
    """
    losses, outputs = step2_terms(uvd, refined, crops, true_mm)
    values = list(losses.values())
    weights = balance_weights(values, outputs, reduce)
    extra = [refined_pose_weight if name == "L_jt_ref" else 1 for name in losses]
    weights = weights * weights.new_tensor(extra)
    loss = (weights * torch.stack(values)).sum()
    return losses | dict(zip((f"w{name[1:]}" for name in losses), weights, strict=True)), loss
