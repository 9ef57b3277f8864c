"""Depth windows as many cameras would see them: randomised sensing, batched, on any device.

Each sample gets a few of the effects, weak or strong. Labels stay true: pixels move by little, and
depths are right on average.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_BORDER_MM = 25.0  # steps in depth larger than this are borders
# Noise, mm: of each pixel at most, and with long waves, standard deviation.
_WHITE, _SMOOTH = 5.0, 4.0
_SHADOW = 8  # px, width of what is lost beside a border


def randomise(depth: Tensor, generator: torch.Generator, joints_uv: Tensor) -> Tensor:
    """Depth windows (B, 1, S, S), mm, 0 where nothing is, as some cameras would give them.

    ``generator`` is one of the CPU, whatever the device; ``joints_uv`` (B, 21, 2) is where the
    joints lie, shares of the window: what is cut away depends on them.
    """
    depth = depth.clone()
    for effect, chance in EFFECTS.items():
        rows = (torch.rand(len(depth), generator=generator) < chance).nonzero()[:, 0]
        if len(rows):
            rows = rows.to(depth.device)
            depth[rows] = effect(_Some(depth[rows], joints_uv[rows], generator))
    return depth


class _Some:
    """The samples that an effect is given, and its random numbers."""

    def __init__(self, depth: Tensor, joints_uv: Tensor, generator: torch.Generator) -> None:
        self.depth, self.joints_uv, self.generator = depth, joints_uv, generator
        self.pixels: int = depth.shape[-1]

    def unit(self, channels: int = 1, cells: int = 1) -> Tensor:
        """(B, channels, cells, cells), uniform in [0, 1)."""
        shape = len(self.depth), channels, cells, cells
        return torch.rand(shape, generator=self.generator).to(self.depth)

    def waves(self, share: float) -> Tensor:
        """(B, 1, S, S), about normal, whose waves are a share of the window long."""
        cells = max(round(1 / share), 2)
        coarse = torch.randn(len(self.depth), 1, cells, cells, generator=self.generator)
        size = self.pixels, self.pixels
        return 1.5 * F.interpolate(coarse.to(self.depth), size, mode="bilinear")


def _front(depth: Tensor) -> Tensor:
    """Depth, inf where nothing is."""
    return torch.where(depth > 0, depth, torch.inf)


def _least(values: Tensor, reach: int) -> Tensor:
    """The least value within some pixels to all sides."""
    return -F.max_pool2d(-values, 2 * reach + 1, 1, reach)


def _swell(x: _Some) -> Tensor:
    near = _least(_front(x.depth), 1)
    return torch.where(near.isfinite(), near, x.depth)


def _shrink(x: _Some) -> Tensor:
    far = -_least(-_front(x.depth), 1)
    return torch.where(far - x.depth > _BORDER_MM, 0, x.depth)


def _blur(x: _Some) -> Tensor:
    """Means of 3 x 3 pixels within a surface."""
    front = _front(x.depth)
    one_surface = -_least(-front, 1) - _least(front, 1) < _BORDER_MM
    mean = F.avg_pool2d(x.depth, 3, 1, 1, count_include_pad=False)
    return torch.where(one_surface, mean, x.depth)


def _resample(x: _Some) -> Tensor:
    """Coarser pixels, each of them looked up beside its place."""
    n, unit = x.pixels, x.unit(4)
    # Down to 0.3 of the resolution, and up to 2.5 px beside.
    cells = n * (1 - 0.7 * unit[:, 0, 0] * (unit[:, 1, 0] < 0.8))  # (B, 1)
    at = (torch.arange(n).to(x.depth) + 0.5) / n
    phase = unit[:, 2, 0]
    at = 2 * ((at * cells + phase).floor() + 0.5 - phase) / cells - 1  # (B, n)
    uv = torch.stack([at[:, None, :].expand(-1, n, -1), at[:, :, None].expand(-1, -1, n)], dim=-1)
    beside = F.grid_sample(x.unit(2, n) * 2 - 1, uv, mode="nearest", align_corners=False)
    far = 2 * 2.5 / n * (2 * unit[:, 3:] - 1).clamp(min=0)
    uv = uv + (far * beside).permute(0, 2, 3, 1)
    return F.grid_sample(x.depth, uv, mode="nearest", align_corners=False)


def _noise(x: _Some) -> Tensor:
    strength = x.unit(3) ** 2
    noise = _WHITE * strength[:, :1] * (2 * x.unit(1, x.pixels) - 1)
    noise = noise + _SMOOTH * strength[:, 1:2] * x.waves(0.03)
    noise = noise + _SMOOTH * strength[:, 2:] * x.waves(0.12)
    return torch.where(x.depth > 0, x.depth + noise, 0)


def _flying(x: _Some) -> Tensor:
    """Pixels of a border that lie between near and far."""
    near = _least(_front(x.depth), 1)
    step, unit = x.depth - near, x.unit(2, x.pixels)
    some = (x.depth > 0) & (step > _BORDER_MM) & (unit[:, :1] < 0.7 * x.unit())
    return torch.where(some, near + step.clamp(max=150) * unit[:, 1:], x.depth)


def _quantise(x: _Some) -> Tensor:
    """Steps in depth, or in disparity, where they grow with the square of the depth."""
    unit = x.unit(2)
    step = 0.5 + 6 * unit[:, :1] ** 3
    scale = 500**2 / step
    disparity = (scale / x.depth.clamp(min=50)).round().clamp(min=1)
    stepped = torch.where(unit[:, 1:] < 0.5, (x.depth / step).round() * step, scale / disparity)
    return torch.where(x.depth > 0, stepped, 0)


def _shadow(x: _Some) -> Tensor:
    """What lies beside something nearer is lost, on one side: the projector's shadow."""
    left = bool(x.unit()[0, 0, 0, 0] < 0.5)
    front = F.pad(_front(x.depth), (_SHADOW, 0) if left else (0, _SHADOW), value=torch.inf)
    near = -F.max_pool2d(-front, (1, _SHADOW + 1), 1)
    return torch.where(x.depth - near > 2 * _BORDER_MM, 0, x.depth)


def _grains(x: _Some) -> Tensor:
    return torch.where(x.unit(1, x.pixels) < 0.06 * x.unit(), 0, x.depth)


def _spots(x: _Some) -> Tensor:
    return torch.where(x.waves(0.08) > 3.6 - 1.8 * x.unit(), 0, x.depth)


def _steep(x: _Some) -> Tensor:
    """Surfaces seen at a grazing angle give little light back."""
    front = _front(x.depth)
    rise = -_least(-front, 1) - _least(front, 1)
    lost = (rise > 12 + 40 * x.unit()) & (x.unit(1, x.pixels) < 0.7)
    return torch.where(lost, 0, x.depth)


def _axes(x: _Some) -> tuple[Tensor, Tensor]:
    at = (torch.arange(x.pixels).to(x.depth) + 0.5) / x.pixels
    return at[None, None, None, :], at[None, None, :, None]


def _cut_arm(x: _Some) -> Tensor:
    """The arm ends a little behind the wrist, as under a sleeve that gives nothing back."""
    (u, v), wrist = _axes(x), x.joints_uv[:, 0]
    away = F.normalize(wrist - x.joints_uv[:, 2:6].mean(dim=1), dim=1)[..., None, None, None]
    at = wrist[..., None, None, None]
    beyond = (u - at[:, 0]) * away[:, 0] + (v - at[:, 1]) * away[:, 1]
    return torch.where(beyond > 0.05 + 0.35 * x.unit(), 0, x.depth)


def _cut_sides(x: _Some) -> Tensor:
    """Nothing beyond a box around the joints, as a detector or the image's border gives it."""
    u, v = _axes(x)
    edge = 0.35 / 2 * x.unit(4)[..., None] - 0.01
    low, high = (f(x.joints_uv, 1)[..., None, None, None] for f in (torch.amin, torch.amax))
    gone = (u < low[:, 0] - edge[:, 0]) | (u > high[:, 0] + edge[:, 1])
    gone = gone | (v < low[:, 1] - edge[:, 2]) | (v > high[:, 1] + edge[:, 3])
    return torch.where(gone, 0, x.depth)


# In the order in which they act, and the share of samples that gets each.
EFFECTS: dict[Callable[[_Some], Tensor], float] = {
    _swell: 0.12, _shrink: 0.20, _blur: 0.35, _resample: 0.80, _noise: 0.85, _flying: 0.35,
    _quantise: 0.90, _shadow: 0.30, _grains: 0.35, _spots: 0.25, _steep: 0.25, _cut_arm: 0.30,
    _cut_sides: 0.15,
}  # fmt: skip
