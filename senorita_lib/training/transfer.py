"""Weights of a network that finds people's keypoints, moved to one that finds hand joints.

Section 3.1: they "are directly transferred [...] up to the penultimate layer"; the last one, which
"outputs the 3D heatmap cube of 16 keypoints, is adjusted to encompass 21".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from senorita_lib.estimator import PoseEstimator

_FIRST, _STEM = "backbone.conv1.weight", "backbone.stems.depth."
Shape = tuple[int, ...] | None
Shapes = dict[str, tuple[Shape, Shape]]


@dataclass
class Transfer:
    """What became of each tensor, by name: its shape in the source and in the target network."""

    copied: Shapes = field(default_factory=dict)  # unchanged
    widened: Shapes = field(default_factory=dict)  # first convolution, for other input channels
    rebuilt: Shapes = field(default_factory=dict)  # last layer, keeps its initial values
    left: Shapes = field(default_factory=dict)  # no counterpart of its shape, keeps initial values

    def __str__(self) -> str:
        groups: dict[str, list[int]] = {}
        for name, (shape, _) in self.copied.items():
            groups.setdefault(".".join(name.split(".")[:2]), []).append(math.prod(shape or ()))
        lines = []
        for group, sizes in groups.items():
            lines.append(f"copied   {group:<24}{len(sizes):>4} tensors {sum(sizes):>12,} numbers")
        for kind in ("widened", "rebuilt", "left"):
            for name, (source, target) in getattr(self, kind).items():
                lines.append(f"{kind:<8} {name:<24} {_show(source)} -> {_show(target)}")
        return "\n".join(lines)


def _show(shape: Shape) -> str:
    return "none" if shape is None else "x".join(map(str, shape)) or "one number"


def transfer(weights: Mapping[str, torch.Tensor], estimator: PoseEstimator) -> Transfer:
    """Move the weights of an estimator of colour images into another one, in place.

    All tensors with the same name and shape are copied except the last layer's. Channel c of the
    first convolution takes the weights of colour c mod 3, divided by the number of channels that
    take them: equal channels then give the same response as a grey image. Of two stems, that of
    the depth image takes the colours'; the other one, and the convolution that reads both, keep
    their initial values. Raises ``ValueError`` if nothing fits.
    """
    own, report = estimator.state_dict(), Transfer()
    if any(_STEM in name for name in own):
        for module in ("conv1", "bn1"):
            old, new = f"backbone.{module}.", f"{_STEM}{module}."
            weights = {name.replace(old, new): tensor for name, tensor in weights.items()}
    last = f"head.{len(estimator.head) - 1}."
    for name in dict.fromkeys([*own, *weights]):
        tensor, target = weights.get(name), own.get(name)
        there, here = (None if t is None else tuple(t.shape) for t in (tensor, target))
        if name == _FIRST and tensor is not None and target is not None:
            colours = [channel % tensor.shape[1] for channel in range(target.shape[1])]
            often = tensor.new_tensor([colours.count(colour) for colour in colours])
            tensor = tensor[:, colours] / often[:, None, None]
        if name.startswith(last):
            report.rebuilt[name] = there, here
        elif tensor is None or target is None or tensor.shape != target.shape:
            report.left[name] = there, here
        else:
            target.copy_(tensor)
            (report.copied if there == here else report.widened)[name] = there, here
    if not any(len(shape or ()) > 1 for shape, _ in report.copied.values()):  # norms fit by chance
        name, (source, target_shape) = next(iter(report.left.items()))
        said = f"{name} is {_show(source)} there and {_show(target_shape)} here"
        raise ValueError(f"nothing of these weights fits this network: {said}, wanted equal widths")
    return report
