"""The release's way to combine inputs: a second stem beside that of the depth image.

The paper concatenates the channels; here only the features of two stems are concatenated.
"""

from collections import OrderedDict
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
    backbone = resnet(_DEPTH, block, layers, widths)
    width = widths[0]
    modules = dict(backbone.named_children())
    stem = ("conv1", "bn1", "act", "maxpool")
    depth_stem = _Part(slice(_DEPTH), {name: modules[name] for name in stem})
    conv = nn.Conv2d(second, width, 7, stride=2, padding=3, bias=False)
    rest = nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    second_stem = _Part(slice(-second, None), dict(zip(stem, (conv, *rest), strict=True)))
    # Only the first block's first convolution (of a basic block: 3 x 3) reads both; its
    # shortcut (of a basic block: the identity) goes on from the depth stem.
    first: Any = backbone.get_submodule("layer1.0")  # MONAI's blocks have no types
    old = first.conv1
    shape = old.out_channels, old.kernel_size
    first.conv1 = nn.Conv2d(2 * width, *shape, padding=old.padding, bias=False)
    shortcut = first.downsample or nn.Sequential()
    first.downsample = _Part(slice(-width, None), dict(shortcut.named_children()))
    stems = _Stems({"second": second_stem, "depth": depth_stem})
    levels = {name: modules[name] for name in ("layer1", "layer2", "layer3", "layer4")}
    return nn.Sequential(OrderedDict(stems=stems, **levels))  # with the names of one stem's


class _Part(nn.Sequential):
    """Modules by name, which read some of the channels."""

    def __init__(self, channels: slice, modules: dict[str, nn.Module]) -> None:
        super().__init__(OrderedDict(modules))
        self.channels = channels

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = super().forward(inputs[:, self.channels])
        return outputs


class _Stems(nn.ModuleDict):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([stem(inputs) for stem in self.values()], dim=1)
