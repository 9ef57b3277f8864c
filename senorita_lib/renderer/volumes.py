"""Skeleton volumes: a volume for each bone, eq. 1 and 2 (paper, section 2.3).

For a voxel with centre p and a bone from ``parent`` to ``child``::

    eq. 1   V_p = exp(-gamma * dist(p, bone))
    eq. 2   dist(p, bone) = min over r in [0, 1] of |p - (r * child + (1 - r) * parent)|^2

:func:`plain_volumes` is these lines. :func:`render_skeleton` computes the same many times faster
(:mod:`.kernels`).
"""

import math
import operator
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, get_args

import torch
from torch import Tensor

from senorita_lib._arguments import flag, number, want_tensor
from senorita_lib.hand import BONES
from senorita_lib.renderer import kernels
from senorita_lib.renderer.compiled import left_alone

Bones = Sequence[tuple[int, int]]
Size = tuple[int, int, int]
Distance = Literal["squared", "euclidean"]
Ends = Literal["clamp", "gate"]
Difference = Literal["l1", "smooth_l1"]
_CHOICES = {"distance": Distance, "ends": Ends, "difference": Difference}
_WORTH_COMPILING = 1 << 19  # voxels of all bones; one pose of 20 bones in 32³ has more
_FAR = 1e5  # cells: squares of more would drown the voxels in rounding


def plain_volumes(
    joints_voxel: Tensor, bones: Bones = BONES, *, size: Size = (32, 32, 32),
    gamma: float | Tensor = 0.1, distance: Distance = "squared", ends: Ends = "clamp",
) -> Tensor:  # fmt: skip
    """Eq. 1 and 2 as they are written: slow, to compare :func:`render_skeleton` with."""
    bones = check_bones(bones)
    check_joints("joints_voxel", joints_voxel, bones)
    z, y, x = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
    p = torch.stack([x, y, z], dim=-1).to(joints_voxel)  # (D, H, W, 3)
    volumes = []
    for bone in bones:
        child, parent = (joints_voxel[:, None, None, None, joint] for joint in bone)
        # p falls on the bone's line at r: 0 at the parent, 1 at the child.
        length2 = (child - parent).square().sum(-1, keepdim=True).clamp_min(1e-12)
        r = ((p - parent) * (child - parent)).sum(-1, keepdim=True) / length2
        nearest = r.clamp(0, 1)
        dist = (p - (nearest * child + (1 - nearest) * parent)).square().sum(-1)  # eq. 2
        if distance == "euclidean":  # release
            dist = dist.clamp_min(1e-12).sqrt()
        volume = torch.exp(-gamma * dist)  # eq. 1
        if ends == "gate":  # release: nothing beyond a bone's two ends
            volume = volume * ((r > 1e-6) & (r <= 1)).squeeze(-1)
        volumes.append(volume)
    return torch.stack(volumes, dim=1)


@left_alone
def render_skeleton(
    joints_voxel: Tensor, bones: Bones = BONES, *, size: Size = (32, 32, 32),
    gamma: float | Tensor = 0.1, distance: Distance = "squared", ends: Ends = "clamp",
    compiled: bool | None = None,
) -> Tensor:  # fmt: skip
    """Draw each bone into a volume of its own.

    Parameters
    ----------
    joints_voxel
        (B, J, 3), voxel frame, cells: x, y, z along W, H, D; outside too, up to 100,000 cells.
        Half precision is computed in single.
    bones
        Pairs (child, parent) of joint indices. Without length: a point (with ``gate`` nothing).
    size
        (D, H, W), cells.
    gamma
        Fall-off in eq. 1, per cell (squared or not, as ``distance`` says).
    distance
        "squared": eq. 2. "euclidean": its square root, as in the authors' release.
    ends
        "clamp": bones with round caps (eq. 2). "gate": 0 beyond a bone's two ends (release).
    compiled
        Whether ``torch.compile`` makes one kernel of it, which takes seconds at the first call; by
        default from half a million voxels on, all bones counted (one pose in 32³ has more).
        Uncompiled, the result can be differentiated twice.

    Returns
    -------
        (B, len(bones), D, H, W), in [0, 1], 1 on the bone. Differentiable in joints and gamma.

    Raises
    ------
    ValueError
        If an argument has another shape or value, or a joint on the CPU (alone checked) is not
        finite.
    """
    bones = check_bones(bones)
    check_joints("joints_voxel", joints_voxel, bones)
    check_options(size, gamma, compiled, distance=distance, ends=ends)
    (bone,), gamma, centres = kernel_arguments([joints_voxel], bones, size, gamma)
    if compiled is None:
        compiled = worth_compiling(joints_voxel, bones, size)
    draw = kernels.fused_volumes if compiled else kernels.volumes_in_pieces
    volumes: Tensor = draw(bone, gamma, centres, distance, ends)
    return volumes.to(joints_voxel.dtype).view(len(joints_voxel), len(bones), *size)


def worth_compiling(joints: Tensor, bones: Bones, size: Size) -> bool:
    """Whether volumes are so large that a compiled kernel pays."""
    return len(joints) * len(bones) * math.prod(size) > _WORTH_COMPILING


def kernel_arguments(
    poses: list[Tensor], bones: Bones, size: Size, gamma: float | Tensor
) -> tuple[list[kernels.Bone], Tensor, kernels.Axes]:
    """All bones of each pose in B * bones rows, gamma and voxel centres, as kernels take them."""
    dtype, device = poses[0].dtype, poses[0].device
    if dtype in (torch.float16, torch.bfloat16):  # too coarse for squares of cells
        dtype = torch.float32

    def rows(joints: Tensor, ends: Sequence[int]) -> Tensor:
        # Cloned, because compiled code would look at what a view is a view of.
        return joints[:, list(ends)].to(dtype).clamp(-_FAR, _FAR).flatten(0, 1).clone()

    child, parent = zip(*bones, strict=True)
    gamma = torch.as_tensor(gamma, dtype=dtype, device=device).reshape(())
    z, y, x = (torch.arange(n, dtype=dtype, device=device) for n in size)
    return [(rows(pose, child), rows(pose, parent)) for pose in poses], gamma, (x, y, z)


def check_bones(bones: Bones) -> Bones:
    """The bones as a tuple of pairs of int; ``ValueError`` if they are none."""
    try:
        pairs = tuple(tuple(map(operator.index, bone)) for bone in bones)
    except TypeError:
        raise ValueError(f"bones are {bones!r}, wanted pairs of numbers of joints") from None
    if not pairs or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(f"bones are {pairs}, wanted at least one pair (child, parent) of joints")
    return pairs  # type: ignore[return-value]  # their lengths were checked


def check_joints(name: str, joints: Tensor, bones: Bones) -> None:
    """``ValueError`` if a pose cannot be drawn."""
    want_tensor(name, joints)
    if joints.ndim != 3 or joints.shape[-1] != 3:
        raise ValueError(f"{name} has shape {tuple(joints.shape)}, wanted (B, J, 3)")
    if not joints.is_floating_point():
        raise ValueError(f"{name} is {joints.dtype}, wanted a floating-point type")
    finite = True
    with suppress(RuntimeError):  # under torch.vmap, where none can look at values
        finite = joints.device.type != "cpu" or bool(joints.isfinite().all())
    if not finite:
        raise ValueError(f"{name} has values that are not finite, wanted cells")
    last = max(map(max, bones))
    if last >= joints.shape[1]:
        raise ValueError(f"bones name joint {last}, wanted 0 to {joints.shape[1] - 1} as in {name}")


def check_options(size: Size, gamma: float | Tensor, compiled: bool | None, **choices: str) -> None:
    """``ValueError`` if an option is none."""
    if compiled is not None:
        flag("compiled", compiled, "True, False or None")
    for name, value in choices.items():
        wanted = get_args(_CHOICES[name])
        if not isinstance(value, str) or value not in wanted:
            raise ValueError(f"{name} is {value!r}, wanted one of {wanted}")
    fine = False
    with suppress(TypeError):
        fine = len(size) == 3 and min(map(operator.index, size)) > 0
    if not fine:
        raise ValueError(f"size is {size!r}, wanted cells along (D, H, W)")
    if isinstance(gamma, Tensor) and gamma.numel() != 1:
        raise ValueError(f"gamma has shape {tuple(gamma.shape)}, wanted one number")
    if isinstance(gamma, Tensor) and gamma.device.type != "cpu":
        return  # looking at it would make the device wait
    if not 0 <= (gamma := number("gamma", gamma)) < math.inf:
        raise ValueError(f"gamma is {gamma:g}, wanted 0 or more")
