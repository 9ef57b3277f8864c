"""Bone patches as the authors' release cuts them: squares, behind a band along the bone.

Only the first size is cut out of the image; the smaller ones are its average-pooled copies.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from senorita_lib.hand import BONES

_REACH = 50 / 256  # half the thickness of the band, as a share of the image


def released_boxes(joints_uv: Tensor, image_size: int) -> Tensor:
    """Square boxes around each bone's two joints (B, 21, 2 or more), whole pixels wide.

    With joints at ``image_size * uv`` px, ``side = int(1.5 * max(10 px of 256, int(|du|),
    int(|dv|)))``. Returns centre u, v and the side, twice, (B, 20, 4), uvd frame.
    """
    centre, side = _squares(image_size * joints_uv[:, list(BONES), :2], image_size)
    return torch.cat([centre, side, side], dim=-1) / image_size


def released_patches(
    image: Tensor, joints_uv: Tensor, sizes: Sequence[int] = (96, 48, 24)
) -> list[Tensor]:
    """:func:`~senorita_lib.refinement.crop_bone_patches` as the release does it.

    The pixels of the box, first to last, and one empty row and column behind them are resized
    bilinearly to the first size, of which the others must be a whole part. Pixels that a line of
    100 px (of 256) between the bone's joints would not cover are background.
    """
    windows = pooling_windows(sizes)
    image_size = image.shape[-1]
    # At least single precision, as pixels are counted; and finite, as they become indices.
    joints = joints_uv.detach().to(torch.promote_types(image.dtype, torch.float32))
    ends = image_size * joints[:, list(BONES), :2].nan_to_num().clamp(-1e6, 1e6)
    pixels, weights = _taps(*_squares(ends, image_size), sizes[0])
    weights = weights * ((pixels >= 0) & (pixels < image_size))
    weight = weights[..., 1, :, None] * weights[..., 0, None, :]
    weight = weight * _band(pixels, ends.trunc(), image_size)
    columns, rows = pixels.clamp(0, image_size - 1).long().unbind(dim=2)
    places = rows[..., :, None] * image_size + columns[..., None, :]  # (B, 20, 2 size, 2 size)
    depth = (image[:, 0].flatten(1) + 1).gather(1, places.flatten(1)).view_as(places)
    # The four neighbours of a patch's pixel lie side by side.
    patch = 4 * F.avg_pool2d(depth * weight.to(image.dtype), 2) - 1
    return [F.avg_pool2d(patch, window) for window in windows]


def pooling_windows(sizes: Sequence[int]) -> list[int]:
    """Sides of the windows that pool the first of ``sizes`` to each; ValueError if not whole."""
    if any(size < 1 or sizes[0] % size for size in sizes):
        wanted = "the first to be a multiple of the others, as released patches are pooled from it"
        raise ValueError(f"sizes are {tuple(sizes)}, wanted {wanted}")
    return [sizes[0] // size for size in sizes]


def _squares(ends: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Centre (B, 20, 2) and side (B, 20, 1) of the boxes around ``ends`` (B, 20, 2, 2), px."""
    spread = (ends[:, :, 0] - ends[:, :, 1]).abs().trunc().amax(dim=-1, keepdim=True)
    return ends.mean(dim=2), (spread.clamp_min(10 / 256 * image_size) * 1.5).trunc()


def _taps(centre: Tensor, side: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The two pixels beside each of a patch's cells along u and v, and weights, (B, 20, 2, 2 size).

    The last pixel of a box's side + 1 is the empty one, of weight 0.
    """
    first, last = (centre - side / 2).ceil()[..., None, None], side[..., None, None]
    cells = torch.arange(size, device=side.device, dtype=side.dtype)[:, None] + 0.5
    place = (cells * (last + 1) / size - 0.5).clamp_min(0).minimum(last)
    step = torch.arange(2, device=side.device)
    taps = place.floor() + step
    weights = (1 - (place - taps).abs()) * (taps < last)
    return (first + taps).flatten(-2), weights.flatten(-2)


def _band(pixels: Tensor, ends: Tensor, image_size: int) -> Tensor:
    """Which pixels, (B, 20, rows, columns), a line covers: half a pixel more between its ends."""
    start, along = ends[:, :, 0], ends[:, :, 1] - ends[:, :, 0]
    offset = pixels - start[..., None]
    length2 = along.square().sum(dim=-1)[..., None].clamp_min(1)  # whole pixels: 0, or from 1 on
    # As in the renderer, r and the distance from the start are sums of a column's and a row's part.
    r_column, r_row = (offset * along[..., None] / length2[..., None]).unbind(dim=2)
    column2, row2 = offset.square().unbind(dim=2)
    r = r_row[..., :, None] + r_column[..., None, :]
    start2 = row2[..., :, None] + column2[..., None, :]
    nearest = r.clamp(0, 1)
    distance2 = start2 + nearest * (nearest - 2 * r) * length2[..., None]
    reach = _REACH * image_size
    between = (r > 0) & (r < 1)
    return distance2 <= torch.where(between, (reach + 0.5) ** 2, reach**2)
