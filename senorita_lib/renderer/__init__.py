"""Analytic 3D skeleton volumes and the loss between two of them (paper, section 2.3).

Eq. 1:  V_p = exp(-gamma * dist(p, bone));   eq. 2:  dist = min over r in [0, 1] of
|p - (r * child + (1 - r) * parent)|^2, with p a voxel centre. The renderer has no
parameters; its gradient with respect to the joints is exact.

What runs over voxels is written once, as plain tensor arithmetic. For large volumes it is
compiled, which takes seconds at the first call and then two thirds less time; the loss then
needs no memory for volumes.
"""

import math
import operator

import torch
from torch import nn

from senorita_lib.hand import BONES
from senorita_lib.renderer.compiled import Compiled

_CHOICES = {
    "distance": ("squared", "euclidean"),
    "ends": ("clamp", "gate"),
    "difference": ("l1", "smooth_l1"),
}
_WORTH_COMPILING = 1 << 19  # voxels of all bones; one pose of 20 bones in 32³ has more
_FAR = 1e5  # cells: squares of more would drown the voxels in rounding
_IN_CACHE, _IN_MEMORY = 1 << 18, 1 << 26  # voxels in a piece of work, on CPUs and elsewhere


# Both are kept out of whatever a caller compiles: they bring what they compile themselves.
# (torch.compiler.disable is the same, but takes seconds to import.)
@torch._disable_dynamo
def render_skeleton(
    joints_voxel,
    bones=BONES,
    *,
    size=(32, 32, 32),
    gamma=0.1,
    distance="squared",
    ends="clamp",
    compiled=None,
):
    """Draw each bone into a volume of its own.

    Parameters
    ----------
    joints_voxel : tensor, (B, J, 3)
        Joints in the voxel frame, cells: x, y, z along W, H, D. They may lie outside; beyond
        100,000 cells they count as lying there. Half precision is computed in single.
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
    compiled : bool, optional
        Whether ``torch.compile`` makes one kernel of it: by default from half a million
        voxels on, all bones counted, as one pose has in 32³. The first call then takes seconds,
        so that it is worth it for hundreds of calls. Uncompiled, the result can be
        differentiated more than once.

    Returns
    -------
    tensor, (B, len(bones), D, H, W)
        In [0, 1], 1 on the bone. Differentiable in joints and gamma.

    Raises
    ------
    ValueError
        If an argument has another shape or value, or a joint on the CPU is not finite.
        (Elsewhere that is not looked for, and its volumes are not finite either.)
    """
    bones = _check_bones(bones)
    _check_joints("joints_voxel", joints_voxel, bones)
    _check_options(size, gamma, distance=distance, ends=ends)
    (child, parent), rest = _arguments([joints_voxel], bones, size, gamma)
    draw = _fused_volumes if _compile(compiled, child, size) else _volumes_in_pieces
    volumes = draw(child, parent, *rest, distance, ends)
    return volumes.to(joints_voxel.dtype).view(len(joints_voxel), len(bones), *size)


@torch._disable_dynamo
def skeleton_volume_loss(
    predicted_voxel,
    target_voxel,
    bones=BONES,
    *,
    size=(32, 32, 32),
    gamma=0.1,
    distance="squared",
    ends="clamp",
    difference="l1",
    compiled=None,
):
    """Eq. 4: the distance between the skeleton volumes of two poses.

    Forward and exact gradient come out of one pass over the voxels; compiled, no volume is
    ever in memory.

    Parameters
    ----------
    predicted_voxel, target_voxel : tensor, (B, J, 3)
        Joints in the voxel frame, cells; only the prediction receives a gradient.
    bones, size, gamma, distance, ends, compiled
        As in :func:`render_skeleton`, but for gamma's gradient, which there is none of.
    difference : {"l1", "smooth_l1"}
        Eq. 4, or as in the release. Voxels never differ by more than 1, so that smooth L1 is
        half the square.

    Returns
    -------
    scalar tensor
        Sum over bones and voxels, mean over the batch. It can be differentiated once.

    Raises
    ------
    ValueError
        If the two poses differ in shape, gamma wants a gradient, or as :func:`render_skeleton`.
    """
    bones = _check_bones(bones)
    _check_joints("predicted_voxel", predicted_voxel, bones)
    _check_joints("target_voxel", target_voxel, bones)
    one, two = ((tuple(v.shape), str(v.device)) for v in (predicted_voxel, target_voxel))
    if one != two or not len(predicted_voxel):
        raise ValueError(
            f"predicted_voxel and target_voxel are {one[0]} on {one[1]} and {two[0]} on {two[1]}, "
            "wanted the same and at least one pose"
        )
    choices = {"distance": distance, "ends": ends, "difference": difference}
    _check_options(size, gamma, **choices)
    if isinstance(gamma, torch.Tensor) and gamma.requires_grad:
        raise ValueError(
            "gamma requires a gradient, wanted a constant: the loss alone would drive it to "
            "infinity, where all volumes are empty"
        )
    poses = [predicted_voxel, target_voxel.detach()]
    rows, rest = _arguments(poses, bones, size, gamma)
    compiled = _compile(compiled, rows[0], size)
    return _VolumeLoss.apply(compiled, *rows, *rest, *choices.values()) / len(predicted_voxel)


class SkeletonVolumeLoss(nn.Module):
    """:func:`skeleton_volume_loss` as a module, for any joints and bones.

    Parameters
    ----------
    bones : sequence of (child, parent)
    **options
        As in :func:`skeleton_volume_loss`.
    """

    def __init__(self, bones=BONES, **options):
        super().__init__()
        self.bones, self.options = _check_bones(bones), options
        nothing = torch.zeros(1, 1 + max(map(max, self.bones)), 3)  # shows a wrong option now
        one_voxel = {**options, "size": (1, 1, 1), "compiled": False}
        skeleton_volume_loss(nothing, nothing, self.bones, **one_voxel)

    def forward(self, predicted_voxel, target_voxel):
        """Poses (B, J, 3) and (B, J, 3), voxel frame, cells, to a scalar."""
        return skeleton_volume_loss(predicted_voxel, target_voxel, self.bones, **self.options)

    def extra_repr(self):  # noqa: D102
        named = [f"{name}={value!r}" for name, value in self.options.items()]
        return ", ".join([f"{len(self.bones)} bones", *named])


class _VolumeLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, compiled, child, parent, *rest):
        run = _fused_loss if compiled else _loss_in_pieces
        loss, *gradients = run(child, parent, *rest)
        ctx.save_for_backward(child, parent, *gradients)
        return loss.sum()

    @staticmethod
    def backward(ctx, upstream):
        child, parent, at_child, at_parent = ctx.saved_tensors
        if torch.is_grad_enabled():  # whoever differentiates again must not get zero
            at_child, at_parent = _Once.apply(at_child, child), _Once.apply(at_parent, parent)
        return None, upstream * at_child, upstream * at_parent, *[None] * 9


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gradient, joints):
        return gradient.clone()

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError(
            "skeleton_volume_loss can be differentiated once, found a second time: "
            "render_skeleton(..., compiled=False) can be differentiated again"
        )


# Below, rows are bones, (N, 3), and volumes are (N, D, H, W).
def _volumes(child, parent, gamma, x, y, z, distance, ends):
    """Eq. 1."""
    residual, _, along = _residual(child, parent, x, y, z)
    volumes = _fall_off(_distance(residual, distance), gamma)
    return volumes if ends == "clamp" else volumes * _gate(along)


def _loss_and_gradient(
    child, parent, true_child, true_parent, gamma, x, y, z, distance, ends, difference
):
    """Each bone's share of eq. 4, (N,), and its gradient at both ends, (N, 3) each.

    At the best r the residual p - q, with q = r child + (1 - r) parent, is orthogonal to the
    bone, so d dist/d child = -2 r (p - q) and d dist/d parent = -2 (1 - r) (p - q).
    """
    true = _volumes(true_child, true_parent, gamma, x, y, z, distance, ends)
    residual, r, along = _residual(child, parent, x, y, z)
    length = _distance(residual, distance)
    volumes = _fall_off(length, gamma)
    if ends == "gate":
        volumes = volumes * _gate(along)
    off = volumes - true
    loss, slope = (off.abs(), off.sign()) if difference == "l1" else (off * off / 2, off)
    # Of d loss / d q: the root's own slope is 1 / (2 length), and none on the bone itself.
    pull = 2 * gamma * slope * volumes
    if distance == "euclidean":
        pull = torch.where(length > 1e-6, pull / (2 * length), 0)

    def total(values):
        return values.sum(dim=(1, 2, 3))

    both = torch.stack([total(pull * part) for part in residual], dim=1)
    at_child = torch.stack([total(pull * r * part) for part in residual], dim=1)
    return total(loss), at_child, both - at_child


# Uncompiled, a few bones at a time, so that what they need stays in the processor's cache.
def _volumes_in_pieces(child, parent, *rest):
    return torch.cat([_volumes(*piece, *rest) for piece in _pieces([child, parent], *rest)])


def _loss_in_pieces(child, parent, true_child, true_parent, *rest):
    pieces = _pieces([child, parent, true_child, true_parent], *rest)
    parts = [_loss_and_gradient(*piece, *rest) for piece in pieces]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _pieces(rows, gamma, x, y, z, *_):
    most = _IN_CACHE if x.device.type == "cpu" else _IN_MEMORY
    count = max(1, most // (len(x) * len(y) * len(z)))
    return zip(*(ends.split(count) for ends in rows), strict=True)


_fused_volumes = Compiled(_volumes, _volumes_in_pieces, dynamic=True)
_fused_loss = Compiled(_loss_and_gradient, _loss_in_pieces, dynamic=True)


def _residual(child, parent, x, y, z):
    """p - q of eq. 2 at all voxels, as its three parts, with r clamped to the bone and r unclamped.

    (p - parent) · bone is a sum of three one-dimensional arrays, one for each axis.
    """
    bone = child - parent
    norm = (bone * bone).sum(dim=1)[:, None, None, None]
    from_parent = [axis - parent[:, i, None] for i, axis in enumerate((x, y, z))]
    dot = _outer_sum([offset * bone[:, i, None] for i, offset in enumerate(from_parent)])
    along = dot / norm.clamp_min(1e-12)
    r = along.clamp(0, 1)
    parts = zip(_spread(from_parent), bone[:, :, None, None, None].unbind(dim=1), strict=True)
    return [offset - r * length for offset, length in parts], r, along


def _spread(parts):
    x, y, z = parts
    return x[:, None, None, :], y[:, None, :, None], z[:, :, None, None]


def _outer_sum(parts):
    x, y, z = _spread(parts)
    return x + y + z


def _fall_off(length, gamma):
    # exp(-gamma length), to another base: on CPUs the compiler writes every exp that it uses
    # twice into memory.
    return torch.exp2(length * (gamma * -1.4426950408889634))


def _distance(residual, distance):
    x, y, z = residual
    squared = x * x + y * y + z * z
    # The root has no gradient at zero; there the volume is at its peak and needs none.
    return squared if distance == "squared" else squared.clamp_min(1e-12).sqrt()


def _gate(along):
    return ((along > 1e-6) & (along <= 1)).to(along.dtype)


def _compile(compiled, rows, size):
    return len(rows) * math.prod(size) > _WORTH_COMPILING if compiled is None else compiled


def _arguments(poses, bones, size, gamma):
    """Children and parents of all bones of each pose, (B * bones, 3) each; gamma, voxel centres."""
    dtype, device = poses[0].dtype, poses[0].device
    if dtype in (torch.float16, torch.bfloat16):  # too coarse for squares of cells
        dtype = torch.float32
    rows = []
    for joints in poses:
        for column in zip(*bones, strict=True):
            # Cloned, as compiled code would look at what a view is a view of.
            ends = joints[:, list(column)].to(dtype).clamp(-_FAR, _FAR)
            rows.append(ends.flatten(0, 1).clone())
    gamma = torch.as_tensor(gamma, dtype=dtype, device=device).reshape(())
    centres = [torch.arange(n, dtype=dtype, device=device) for n in reversed(size)]  # x, y, z
    return rows, (gamma, *centres)


def _check_bones(bones):
    pairs = tuple(tuple(map(_whole, bone)) for bone in bones)
    if not pairs or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(f"bones are {pairs}, wanted at least one pair (child, parent) of joints")
    return pairs


def _whole(value):
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"bones hold {value!r}, wanted numbers of joints") from None


def _check_joints(name, joints, bones):
    if not isinstance(joints, torch.Tensor):
        raise ValueError(f"{name} is {type(joints).__name__}, wanted a tensor")
    if joints.ndim != 3 or joints.shape[-1] != 3:
        raise ValueError(f"{name} has shape {tuple(joints.shape)}, wanted (B, J, 3)")
    if not joints.is_floating_point():
        raise ValueError(f"{name} is {joints.dtype}, wanted a floating-point type")
    if joints.device.type == "cpu" and not joints.isfinite().all():
        raise ValueError(f"{name} has values that are not finite, wanted cells")
    last = max(map(max, bones))
    if last >= joints.shape[1]:
        raise ValueError(f"bones name joint {last}, wanted 0 to {joints.shape[1] - 1} as in {name}")


def _check_options(size, gamma, **choices):
    for name, value in choices.items():
        if value not in _CHOICES[name]:
            raise ValueError(f"{name} is {value!r}, wanted one of {_CHOICES[name]}")
    try:
        fine = len(size) == 3 and min(map(operator.index, size)) > 0
    except TypeError:
        fine = False
    if not fine:
        raise ValueError(f"size is {size!r}, wanted cells along (D, H, W)")
    if isinstance(gamma, torch.Tensor):
        if gamma.numel() != 1:
            raise ValueError(f"gamma has shape {tuple(gamma.shape)}, wanted one number")
        if gamma.device.type != "cpu":
            return  # looking at it would make the device wait
        gamma = gamma.item()
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is {gamma:g}, wanted 0 or more")
