"""The training losses, eq. 3-6, and their balance (paper, sections 2.5 and 3.1).

Eq. 4 is :func:`senorita_lib.renderer.skeleton_volume_loss`.
"""

import torch

from senorita_lib.refinement import orientations

# Poses are compared in cells of the paper's 64 x 64 x 64 heat map.
HEATMAP_CELLS = 64


def pose_loss(predicted_uvd, true_uvd):
    """Eq. 3 and 6: mean L1 distance of the initial or refined pose, in cells of a 64³ heat map.

    Parameters
    ----------
    predicted_uvd, true_uvd : tensor, (B, 21, 3)
    """
    return (predicted_uvd - true_uvd).abs().mean() * HEATMAP_CELLS


def residual_orientation_loss(refinement, true_mm):
    """Eq. 5: mean L1 distance of the residual orientation from U_gt - U_0.

    Parameters
    ----------
    refinement : Refinement
    true_mm : tensor, (B, 21, 3)
        Camera frame, mm.
    """
    wanted = orientations(true_mm) - refinement.initial_orientation
    return (refinement.residual_orientation - wanted).abs().mean()


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
        Detached; the first is 1. A loss whose gradient is zero gets weight 1.

    Notes
    -----
    The gradient of a mean L1 distance is a constant, so for eq. 3, 5 and 6 these weights are
    too: they turn on the losses' units and sizes, not on how training goes.
    """
    magnitudes = []
    for loss, output in zip(losses, outputs, strict=True):
        (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
        magnitudes.append(gradient.abs().mean())
    magnitudes = torch.stack(magnitudes)
    weights = magnitudes[0] / magnitudes
    return torch.where(weights.isfinite(), weights, 1.0)
