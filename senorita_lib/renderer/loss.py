"""Eq. 4: the distance between the skeleton volumes of two poses (paper, section 2.3)."""

from typing import Any

import torch
from torch import Tensor, nn

from senorita_lib.hand import BONES
from senorita_lib.renderer import kernels, volumes
from senorita_lib.renderer.compiled import left_alone
from senorita_lib.renderer.volumes import Bones, Difference, Distance, Ends, Size


@left_alone
def skeleton_volume_loss(
    predicted_voxel: Tensor, target_voxel: Tensor, bones: Bones = BONES, *,
    size: Size = (32, 32, 32), gamma: float | Tensor = 0.1, distance: Distance = "squared",
    ends: Ends = "clamp", difference: Difference = "l1", compiled: bool | None = None,
) -> Tensor:  # fmt: skip
    """Eq. 4.

    Parameters
    ----------
    predicted_voxel, target_voxel
        (B, J, 3), voxel frame, cells; only the prediction receives a gradient.
    bones, size, gamma, distance, ends, compiled
        As in :func:`~senorita_lib.renderer.render_skeleton`; gamma receives no gradient.
    difference
        "l1": eq. 4. "smooth_l1": as in the release; half the square, as no voxels differ by > 1.

    Returns
    -------
        Scalar: sum over bones and voxels, mean over the batch. It can be differentiated once.

    Raises
    ------
    ValueError
        If the two poses differ in shape, gamma requires a gradient, or as ``render_skeleton``.
    """
    bones = volumes.check_bones(bones)
    volumes.check_joints("predicted_voxel", predicted_voxel, bones)
    volumes.check_joints("target_voxel", target_voxel, bones)
    one, two = (f"{tuple(v.shape)} on {v.device}" for v in (predicted_voxel, target_voxel))
    if one != two or not len(predicted_voxel):
        found = f"predicted_voxel and target_voxel are {one} and {two}"
        raise ValueError(f"{found}, wanted the same and at least one pose")
    choices = {"distance": distance, "ends": ends, "difference": difference}
    volumes.check_options(size, gamma, compiled, **choices)
    if isinstance(gamma, Tensor) and gamma.requires_grad:
        why = "the loss alone would drive it to infinity, where all volumes are empty"
        raise ValueError(f"gamma requires a gradient, wanted a constant: {why}")
    poses = [predicted_voxel, target_voxel.detach()]
    (bone, true), gamma, centres = volumes.kernel_arguments(poses, bones, size, gamma)
    if compiled is None:
        compiled = volumes.worth_compiling(predicted_voxel, bones, size)
    run = kernels.fused_loss if compiled else kernels.loss_in_pieces
    apply: Any = _VolumeLoss.apply
    shares, *_ = apply(run, *bone, *true, gamma, centres, *choices.values())
    total: Tensor = shares.sum() / len(predicted_voxel)
    return total


class SkeletonVolumeLoss(nn.Module):
    """:func:`skeleton_volume_loss` and its options as a module, for any joints and bones."""

    def __init__(self, bones: Bones = BONES, **options: Any) -> None:
        super().__init__()
        self.bones, self.options = volumes.check_bones(bones), options
        nothing = torch.zeros(1, 1 + max(map(max, self.bones)), 3)  # shows a wrong option now
        one_voxel = {**options, "size": (1, 1, 1), "compiled": False}
        skeleton_volume_loss(nothing, nothing, self.bones, **one_voxel)

    def forward(self, predicted_voxel: Tensor, target_voxel: Tensor) -> Tensor:
        """Poses (B, J, 3) and (B, J, 3), voxel frame, cells, to a scalar."""
        return skeleton_volume_loss(predicted_voxel, target_voxel, self.bones, **self.options)


class _VolumeLoss(torch.autograd.Function):
    """Each bone's share of eq. 4, (N,), and its gradient at child and parent, not to be used."""

    @staticmethod
    def forward(
        run: Any, child: Tensor, parent: Tensor, true_child: Tensor, true_parent: Tensor, *rest: Any
    ) -> Any:
        return run((child, parent), (true_child, true_parent), *rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs[1:3], *output[1:])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> Any:
        child, parent, at_child, at_parent = ctx.saved_tensors
        if torch.is_grad_enabled():  # whoever differentiates again must not get zero
            once: Any = _Once.apply
            at_child, at_parent = once(at_child, child), once(at_parent, parent)
        upstream = upstream[:, None]
        return None, upstream * at_child, upstream * at_parent, *[None] * 7

    @staticmethod
    def vmap(info: Any, in_dims: Any, run: Any, *rest: Any) -> Any:
        """Under torch.vmap all batches' bones are rows of one call."""
        if in_dims[5] is not None:
            raise ValueError("gamma is mapped by vmap, wanted one for all")
        ends = [
            (end.expand(info.batch_size, *end.shape) if dim is None else end.movedim(dim, 0))
            for end, dim in zip(rest[:4], in_dims[1:5], strict=True)
        ]
        apply: Any = _VolumeLoss.apply
        outputs = apply(run, *(end.flatten(0, 1) for end in ends), *rest[4:])
        return tuple(o.unflatten(0, (info.batch_size, -1)) for o in outputs), (0, 0, 0)


class _Once(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, joints: Tensor) -> Tensor:
        return gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        found = "skeleton_volume_loss can be differentiated once, found a second time"
        other = "render_skeleton(..., compiled=False) can be differentiated again"
        raise RuntimeError(f"{found}: {other}")
