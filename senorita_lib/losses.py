"""The training losses, eq. 3-6, and their balance (paper, sections 2.5 and 3.1).

Eq. 4 is :func:`senorita_lib.renderer.skeleton_volume_loss`. :func:`adaptive_loss` is what the
release takes for the others.
"""

import torch

from senorita_lib.refinement import orientations
from senorita_lib.training import processes

# Poses are compared in cells of the paper's 64 x 64 x 64 heat map.
HEATMAP_CELLS = 64


def pose_loss(predicted_uvd, true_uvd):
    """Eq. 3 and 6: mean L1 distance of the initial or refined pose, in cells of a 64³ heat map.

    Parameters
    ----------
    predicted_uvd, true_uvd : tensor, (B, 21, 3)
    """
    return (predicted_uvd - true_uvd).abs().mean() * HEATMAP_CELLS


def body_pose_loss(predicted_uvd, true_uvd):
    """Eq. 3 of people, where labels may be of u and v alone (Sun et al. 2018, joint training).

    Each coordinate that is known pulls as in eq. 3, whatever else is known; the others not at all.

    Parameters
    ----------
    predicted_uvd, true_uvd : tensor, (B, K, 3)
        What is not known is not a number in ``true_uvd``.
    """
    off = torch.where(true_uvd.isnan(), 0, predicted_uvd - true_uvd)
    return off.abs().mean() * HEATMAP_CELLS


def residual_orientation_loss(refinement, true_mm):
    """Eq. 5: mean L1 distance of the residual orientation from U_gt - U_0.

    Parameters
    ----------
    refinement : Refinement
    true_mm : tensor, (B, 21, 3)
        Camera frame, mm.

    Returns
    -------
    tensor, scalar
        Without unit, or in mm if the refiner's orientations are raw.
    """
    wanted = true_residual(refinement, true_mm)
    return (refinement.residual_orientation - wanted).abs().mean()


def true_residual(refinement, true_mm):
    """U_gt - U_0 of eq. 5, what the residual orientation should be.

    Parameters
    ----------
    refinement : Refinement
    true_mm : tensor, (B, 21, 3)
        Camera frame, mm.

    Returns
    -------
    tensor, (B, 20, 3)
        In the refiner's representation: unit vectors, or mm where its orientations are raw.
    """
    return orientations(true_mm, refinement.orientation) - refinement.initial_orientation


def adaptive_loss(predicted, true):
    """The release's loss in place of eq. 3, 5 and 6: squared distance over the mean L1 distance.

    ``sum (p - g)^2 / (B m)`` with ``m = mean |p - g|`` over the batch and all dimensions, a
    constant in the backward pass, so that the gradient's mean magnitude is 2 / B whatever the
    unit. The release adds it up over four pairs: u and v, depth, residuals, refined joints.

    Parameters
    ----------
    predicted, true : tensor, (B, ...)
        In any frame and unit, both in the same. No gradient flows to ``true``.

    Returns
    -------
    tensor, scalar
        In the unit of the two; zero, with a gradient of zero, where they are equal.

    Raises
    ------
    ValueError
        If their shapes differ.
    """
    if predicted.shape != true.shape:
        raise ValueError(
            f"predicted and true have shapes {tuple(predicted.shape)} and {tuple(true.shape)}, "
            "wanted the same"
        )
    off = predicted - true.detach()
    mean = processes.mean(off.detach().abs().mean()).clamp_min(torch.finfo(off.dtype).tiny)
    return (off / mean * off).sum() / len(off)


def balance_weights(losses, outputs):
    """Weights with which all losses have gradients of one magnitude at their own outputs.

    Parameters
    ----------
    losses : sequence of scalar tensors
    outputs : sequence of tensors
        For each loss the output neurons that it judges, part of its graph.

    Returns
    -------
    tensor, (len(losses),)
        Detached; the first is 1. A loss whose gradient is zero gets weight 1; if the first's is,
        the others get 0.

    Notes
    -----
    The gradient of a mean L1 distance is a constant, so for eq. 3, 5 and 6 these weights are
    too: they turn on the losses' units and sizes, not on how training goes.
    """
    magnitudes = []
    for loss, output in zip(losses, outputs, strict=True):
        (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
        magnitudes.append(gradient.abs().mean())
    magnitudes = processes.mean(torch.stack(magnitudes))
    weights = magnitudes[0] / magnitudes
    return torch.where(weights.isfinite(), weights, 1.0)


def step1_losses(predicted_uvd, true_uvd, volume_loss=None, cells=32, weight=1 / 200):
    """What Step 1 minimises: eq. 3, then with eq. 4.

    Parameters
    ----------
    predicted_uvd, true_uvd : tensor, (B, 21, 3)
    volume_loss : callable, optional
        Of both poses in the voxel frame; without it, eq. 3 alone.
    cells : int
        Along each side of a volume.
    weight : float
        Of eq. 4, that of eq. 3 being 1.

    Returns
    -------
    losses : dict
        ``L_jt`` and ``L_3dske``.
    loss : scalar tensor
    """
    losses = {"L_jt": pose_loss(predicted_uvd, true_uvd)}
    if volume_loss is None:
        return losses, losses["L_jt"]
    losses["L_3dske"] = volume_loss(cells * predicted_uvd - 0.5, cells * true_uvd - 0.5)
    return losses, losses["L_jt"] + weight * losses["L_3dske"]


def step2_losses(prediction, crops, true_mm, balance="gradient", refined_pose_weight=1.0):
    """What Step 2 minimises: eq. 3, 5 and 6 in balance.

    Parameters
    ----------
    prediction : Prediction
    crops : CropBatch
    true_mm : tensor, (B, 21, 3)
        Camera frame, mm.
    balance : {"gradient", "adaptive"}
        Weights of :func:`balance_weights` (paper), or the sum of :func:`adaptive_loss` over
        uv, depth, residual orientation and refined pose (release).
    refined_pose_weight : float
        Of eq. 6, on top of the balance; 0 trains without it.

    Returns
    -------
    losses : dict
        ``L_jt``, ``L_res_ori`` and ``L_jt_ref``, and the weights of the first kind of balance,
        ``w_jt`` and so on.
    loss : scalar tensor
    """
    refined, true_uvd = prediction.refinement, crops.to_uvd(true_mm)
    refined_uvd = crops.to_uvd(refined.joints_mm)
    losses = {
        "L_jt": pose_loss(prediction.uvd, true_uvd),
        "L_res_ori": residual_orientation_loss(refined, true_mm),
        "L_jt_ref": pose_loss(refined_uvd, true_uvd),
    }
    if balance == "adaptive":
        wanted = true_residual(refined, true_mm)
        return losses, (
            adaptive_loss(prediction.uvd[..., :2], true_uvd[..., :2])
            + adaptive_loss(
                2 * prediction.uvd[..., 2], 2 * true_uvd[..., 2]
            )  # theirs is in [-1, 1]
            + adaptive_loss(refined.residual_orientation, wanted)
            + refined_pose_weight * adaptive_loss(refined.joints_mm, true_mm)
        )
    outputs = prediction.uvd, refined.residual_orientation, refined_uvd
    weights = balance_weights(list(losses.values()), outputs)
    weights = weights * weights.new_tensor([1, 1, refined_pose_weight])
    loss = (weights * torch.stack(list(losses.values()))).sum()
    return losses | dict(zip(("w_jt", "w_res_ori", "w_jt_ref"), weights, strict=True)), loss
