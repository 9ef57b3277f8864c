"""What runs over voxels, written to be fast: eq. 1, 2 and 4, and the gradient of eq. 4.

N bones give volumes (N, D, H, W). ``centres`` are the voxel centres along x, y and z:
(p - parent) · bone and |p - q|^2 are sums over the axes, so no tensor (..., 3) is needed.
For large volumes each function is compiled into one pass, which takes a third of the time; the
loss then needs no memory for volumes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from senorita_lib.renderer.compiled import Compiled

Bone = tuple[Tensor, Tensor]  # child and parent, (N, 3) each
Axes = tuple[Tensor, Tensor, Tensor]
_IN_CACHE, _IN_MEMORY = 1 << 18, 1 << 26  # voxels in a piece of work, on CPUs and elsewhere


def volumes(bone: Bone, gamma: Tensor, centres: Axes, distance: str, ends: str) -> Tensor:
    """Eq. 1."""
    return _draw(bone, gamma, centres, distance, ends)[0]


def loss_and_gradient(
    bone: Bone, true: Bone, gamma: Tensor, centres: Axes, distance: str, ends: str, difference: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Each bone's share of eq. 4, (N,), and its gradient at child and parent, (N, 3) each.

    At the best r the residual p - q, with q = r child + (1 - r) parent, is orthogonal to the
    bone, so d dist/d child = -2 r (p - q) and d dist/d parent = -2 (1 - r) (p - q).
    """
    wanted = volumes(true, gamma, centres, distance, ends)
    drawn, length, residual, r = _draw(bone, gamma, centres, distance, ends)
    off = drawn - wanted
    loss, slope = (off.abs(), off.sign()) if difference == "l1" else (off * off / 2, off)
    # Along d loss / d q: the root's own slope is 1 / (2 length), and none on the bone itself.
    pull = 2 * gamma * slope * drawn
    if distance == "euclidean":
        pull = torch.where(length > 1e-6, pull / (2 * length), 0)
    both = torch.stack([_total(pull * part) for part in residual], dim=1)
    at_child = torch.stack([_total(pull * r * part) for part in residual], dim=1)
    return _total(loss), at_child, both - at_child


def _draw(
    bone: Bone, gamma: Tensor, centres: Axes, distance: str, ends: str
) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """Eq. 1 and, of eq. 2 at all voxels, the distance, the three parts of p - q, and r."""
    child, parent = bone
    along_bone = child - parent
    norm = (along_bone * along_bone).sum(dim=1)[:, None, None, None]
    from_parent = [axis - parent[:, i, None] for i, axis in enumerate(centres)]  # p - parent
    x, y, z = _spread([offset * along_bone[:, i, None] for i, offset in enumerate(from_parent)])
    along = (x + y + z) / norm.clamp_min(1e-12)
    r = along.clamp(0, 1)
    lengths = along_bone[:, :, None, None, None].unbind(dim=1)
    parts = zip(_spread(from_parent), lengths, strict=True)
    x, y, z = residual = [offset - r * length for offset, length in parts]
    dist = x * x + y * y + z * z
    if distance == "euclidean":
        # The root has no gradient at zero; there the volume is at its peak and needs none.
        dist = dist.clamp_min(1e-12).sqrt()
    # exp(-gamma dist), to another base: on CPUs the compiler writes every exp that it uses
    # twice into memory.
    drawn = torch.exp2(dist * (gamma * -1.4426950408889634))
    if ends == "gate":
        drawn = drawn * ((along > 1e-6) & (along <= 1)).to(along.dtype)
    return drawn, dist, residual, r


def _spread(parts: Sequence[Tensor]) -> Axes:
    x, y, z = parts
    return x[:, None, None, :], y[:, None, :, None], z[:, :, None, None]


def _total(values: Tensor) -> Tensor:
    return values.sum(dim=(1, 2, 3))


def volumes_in_pieces(bone: Bone, *rest: Any) -> Tensor:
    """:func:`volumes`, uncompiled."""
    return torch.cat([volumes(*piece, *rest) for piece in _pieces([bone], *rest)])


def loss_in_pieces(bone: Bone, true: Bone, *rest: Any) -> tuple[Tensor, ...]:
    """:func:`loss_and_gradient`, uncompiled."""
    parts = [loss_and_gradient(*piece, *rest) for piece in _pieces([bone, true], *rest)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _pieces(bones: list[Bone], _: Tensor, centres: Axes, *choices: str) -> Iterator[Any]:
    """A few bones at a time, so that what they need stays in the processor's cache."""
    most = _IN_CACHE if centres[0].device.type == "cpu" else _IN_MEMORY
    count = max(1, most // math.prod(map(len, centres)))
    pairs = [zip(*(torch.split(end, count) for end in bone), strict=True) for bone in bones]
    return zip(*pairs, strict=True)


fused_volumes = Compiled(volumes, volumes_in_pieces)
fused_loss = Compiled(loss_and_gradient, loss_in_pieces)
