"""The release's way to combine inputs: a second stem beside that of the depth image.

The paper concatenates the channels; here only the features of two stems are concatenated.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from senorita_lib.estimator import resnet
from senorita_lib.representations import CHANNELS, LAYERS, VOXEL_DEPTH, input_channels

_DEPTH = CHANNELS["depth"]  # the first channels of every input


def second_stem_channels(model: int, layers: int = LAYERS, voxel_depth: int = VOXEL_DEPTH) -> int:
    """How many channels, counted from the last, the second stem reads in Model 1-4.

    The depth image, which the first reads, in Models 2 and 3 but not in 4; 0 for none in Model 1.
    """
    channels = input_channels(model, layers, voxel_depth)
    return channels - _DEPTH if model in (1, 4) else channels


def two_stems(second: int) -> Callable[..., nn.Module]:
    """A ``backbone`` for PoseEstimator: stems [second, depth], see :func:`second_stem_channels`."""
    return partial(_two_stems, second) if second else resnet


def _two_stems(
    second: int, in_channels: int, block: str, layers: Sequence[int], widths: Sequence[int]
) -> nn.Sequential:
    if second > in_channels:
        raise ValueError(f"second is {second}, wanted 0 to {in_channels} channels")
    backbone = resnet(_DEPTH, block, layers, widths)
    width = widths[0]
    depth_stem = _Stem(slice(_DEPTH), *list(backbone)[:4])
    second_stem = _Stem(
        slice(-second, None),
        nn.Conv2d(second, width, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    # Only the first block's first convolution (of a basic block: 3 x 3) reads both; its
    # shortcut (of a basic block: the identity) goes on from the depth stem.
    first: Any = backbone.get_submodule("layer1.0")  # MONAI's blocks have no types
    old = first.conv1
    shape = old.out_channels, old.kernel_size
    first.conv1 = nn.Conv2d(2 * width, *shape, padding=old.padding, bias=False)
    shortcut = nn.Sequential()
    shortcut.add_module("channels", _Channels(slice(-width, None)))
    for name, module in (first.downsample or nn.Sequential()).named_children():
        shortcut.add_module(name, module)
    first.downsample = shortcut
    fused = nn.Sequential()
    fused.add_module("stems", _Stems({"second": second_stem, "depth": depth_stem}))
    for name in ("layer1", "layer2", "layer3", "layer4"):  # the names that one stem has too
        fused.add_module(name, getattr(backbone, name))
    return fused


class _Stem(nn.Sequential):
    """Some channels, and the modules that read them, with a backbone's names."""

    def __init__(self, channels: slice, *modules: nn.Module) -> None:
        super().__init__()
        self.add_module("channels", _Channels(channels))
        for name, module in zip(("conv1", "bn1", "act", "maxpool"), modules, strict=True):
            self.add_module(name, module)


class _Stems(nn.ModuleDict):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([stem(inputs) for stem in self.values()], dim=1)


class _Channels(nn.Module):
    def __init__(self, which: slice) -> None:
        super().__init__()
        self.which = which

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, self.which]
