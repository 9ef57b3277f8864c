"""Weights of a network that finds people's keypoints, moved to one that finds a hand's joints.

Section 3.1: they "are directly transferred [...] up to the penultimate layer"; the last one, which
"outputs the 3D heatmap cube of 16 keypoints, is adjusted to encompass 21".
"""

import math
from dataclasses import dataclass, field

_FIRST, _STEM = "backbone.conv1.weight", "backbone.stems.depth."


@dataclass
class Transfer:
    """What became of each tensor, by name: its shape in the one network and in the other.

    Attributes
    ----------
    copied, widened, rebuilt, left : dict of (shape or None, shape or None)
        ``copied`` as they are; ``widened``: the first convolution, for other inputs; ``rebuilt``:
        the last layer, for other outputs, as it was drawn; ``left``: what has no counterpart of
        its shape, as it was drawn.
    """

    copied: dict = field(default_factory=dict)
    widened: dict = field(default_factory=dict)
    rebuilt: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)

    def __str__(self):
        lines, groups = [], {}
        for name, (shape, _) in self.copied.items():
            groups.setdefault(".".join(name.split(".")[:2]), []).append((name, shape))
        for group, tensors in groups.items():
            numbers = sum(math.prod(shape) for _, shape in tensors)
            lines.append(f"copied   {group:<24}{len(tensors):>4} tensors {numbers:>12,} numbers")
        for kind in ("widened", "rebuilt", "left"):
            for name, (source, target) in getattr(self, kind).items():
                lines.append(f"{kind:<8} {name:<24} {_show(source)} -> {_show(target)}")
        return "\n".join(lines)


def _renamed(name):
    """A name of the colour image's stem as that of the depth image's, where there are two."""
    for module in ("conv1", "bn1"):
        name = name.replace(f"backbone.{module}.", f"{_STEM}{module}.")
    return name


def _but_inputs(shape):
    return shape[:1] + shape[2:]


def _show(shape):
    return "none" if shape is None else "x".join(map(str, shape)) or "one number"


def transfer(weights, estimator):
    """Move weights into an estimator, in place.

    All that both have by name and shape is copied, but for the last layer, which stays as it was
    drawn. The first convolution reads red, green and blue there and C channels here: channel c
    takes the weights of colour c mod 3, divided by the number of channels that take them. So with
    Model 1, whose depth image fills three channels, they are those of the colours, and an input
    whose channels are all alike answers as a grey image did. Of two stems that of the depth image
    is the one that the colours had; the other and the convolution that reads both stay as drawn.

    Parameters
    ----------
    weights : dict of tensors
        State of an estimator of colour images.
    estimator : PoseEstimator

    Returns
    -------
    Transfer

    Raises
    ------
    ValueError
        If nothing fits.
    """
    own, report = estimator.state_dict(), Transfer()
    if any(_STEM in name for name in own):
        weights = {_renamed(name): tensor for name, tensor in weights.items()}
    last = f"head.{len(estimator.head) - 1}."
    for name in dict.fromkeys([*own, *weights]):
        shapes = source, target = tuple(
            tuple(state[name].shape) if name in state else None for state in (weights, own)
        )
        if name.startswith(last):
            report.rebuilt[name] = shapes
        elif source == target:
            report.copied[name] = shapes
            own[name].copy_(weights[name])
        elif name == _FIRST and source and target and _but_inputs(source) == _but_inputs(target):
            report.widened[name] = shapes
            own[name].copy_(widen(weights[name], target[1]))
        else:
            report.left[name] = shapes
    if not any(len(shape) > 1 for shape, _ in report.copied.values()):  # norms fit by chance
        name, (source, target) = next(iter(report.left.items()))
        raise ValueError(
            f"nothing of these weights fits this network: {name} is {_show(source)} there and "
            f"{_show(target)} here, wanted networks of the same widths"
        )
    return report


def widen(weight, channels):
    """A first convolution's weights for another number of input channels.

    Parameters
    ----------
    weight : tensor, (outputs, n, k, k)
    channels : int
        C.

    Returns
    -------
    tensor, (outputs, C, k, k)
        Channel c is the old channel c mod n, divided by how often that occurs.
    """
    inputs = weight.shape[1]
    source = [channel % inputs for channel in range(channels)]
    often = [source.count(colour) for colour in source]
    return weight[:, source] / weight.new_tensor(often)[:, None, None]
