"""Integral pose regression: ResNet, deconvolutions, soft-argmax (paper, section 2.2)."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from senorita_lib._arguments import want_tensor


class Reading(NamedTuple):
    """What an estimator reads from its input; the pose of a left hand is not: mirror its image."""

    uvd: Tensor  # (B, joints, 3): the pose
    spread: Tensor | None = None  # (B, joints, 3): of the heat maps, standard deviations, uvd frame
    left: Tensor | None = None  # (B,): logit of a left hand, with ``handedness``
    dense: Tensor | None = None  # what the loss of a head of another method judges

    def first(self, count: int) -> "Reading":
        """Of the first images."""
        return self._replace(**{k: v[:count] for k, v in self._asdict().items() if v is not None})


def soft_argmax(logits: Tensor) -> Tensor:
    """Expected position under the softmax of a heat map (integral regression, Sun et al. 2018).

    Logits (B, joints, D, H, W) to (B, joints, 3), uvd frame; cell i of n counts as (i + 1/2) / n.
    """
    return read_heatmaps(logits).uvd


def read_heatmaps(logits: Tensor) -> Reading:
    """:func:`soft_argmax`, and the standard deviations beside the expected positions."""
    want_tensor("logits", logits)
    if logits.ndim != 5:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, wanted (B, joints, D, H, W)")
    # Sums over a quarter of a million cells need full precision under autocast too.
    wide = torch.promote_types(logits.dtype, torch.float32)
    heat = logits.flatten(2).softmax(dim=2, dtype=wide).view(logits.shape)
    plane = heat.sum(dim=2)  # so that the whole map is read twice, not three times
    moments = []
    for marginal in (plane.sum(dim=2), plane.sum(dim=3), heat.sum(dim=(3, 4))):
        n = marginal.shape[-1]
        cells = (torch.arange(n, device=marginal.device, dtype=marginal.dtype) + 0.5) / n
        mean = (marginal * cells).sum(dim=-1)  # autocast would round a product @
        with torch.no_grad():  # nothing is trained by it
            moments.append((mean, (marginal * cells**2).sum(dim=-1) - mean**2))
    uvd, variance = (torch.stack(part, dim=-1) for part in zip(*moments, strict=True))
    return Reading(uvd, variance.clamp(min=0).sqrt())


def cell_centres(maps: Tensor) -> Tensor:
    """u and v of the cells of maps (..., H, W), (2, H, W)."""
    v, u = ((torch.arange(n, device=maps.device) + 0.5) / n for n in maps.shape[-2:])
    return torch.stack(torch.meshgrid(u, v, indexing="xy")).to(maps)


def resnet(
    in_channels: int, block: str, layers: Sequence[int], widths: Sequence[int]
) -> nn.Sequential:
    """A ResNet without its average pooling and last layer, with the same names of its modules."""
    whole = ResNet(
        block, list(layers), list(widths), spatial_dims=2, n_input_channels=in_channels,
        conv1_t_size=7, conv1_t_stride=2, shortcut_type="B", bias_downsample=False,
        feed_forward=False,
    )  # fmt: skip
    backbone = nn.Sequential()
    for name in ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        backbone.add_module(name, getattr(whole, name))
    return backbone


class Head(nn.Sequential):
    """Layers from the backbone's last features to what is read as a pose."""

    def __init__(self, joints: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.joints = joints

    def read(self, features: Tensor, inputs: Tensor) -> Reading:
        """The pose; ``inputs`` are the estimator's."""
        raise NotImplementedError

    def losses(self, reading: Reading, true_uvd: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        """What the method minimises in place of eq. 3, by name: nothing of its own here."""
        return {}


MakeHead = Callable[[int, int, int, int], Head]  # of channels, head_channels, joints, depth_bins


class IntegralHead(Head):
    """The paper's: heat maps (B, joints, depth_bins, S/4, S/4), and their expectation."""

    def __init__(self, channels: int, width: int, joints: int, depth_bins: int) -> None:
        super().__init__(joints, *deconvolutions(channels, width, joints * depth_bins))
        self.depth_bins = depth_bins

    def heatmaps(self, features: Tensor) -> Tensor:
        """Logits of the heat maps."""
        return torch.unflatten(self(features), 1, (self.joints, self.depth_bins))

    def read(self, features: Tensor, inputs: Tensor) -> Reading:
        """The heat maps' expectation and spread."""
        return read_heatmaps(self.heatmaps(features))


class RegressionHead(Head):
    """The direct one of Sun et al. (2018): mean over the last level's cells, one linear layer."""

    def __init__(self, channels: int, width: int, joints: int, depth_bins: int) -> None:
        linear = nn.Linear(channels, joints * 3)
        super().__init__(joints, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)

    def read(self, features: Tensor, inputs: Tensor) -> Reading:
        """The pose alone, from the middle of the crop, where untrained heat maps point too."""
        output = self(features)
        output = output.to(torch.promote_types(output.dtype, torch.float32))
        return Reading(0.5 + torch.unflatten(output, 1, (self.joints, 3)))


HEADS: dict[str, MakeHead] = {"integral": IntegralHead, "regression": RegressionHead}


def deconvolutions(channels: int, width: int, outputs: int = 0, count: int = 3) -> list[nn.Module]:
    """Layers: ``count`` deconvolutions, each of twice the cells; a 1 x 1 one to ``outputs``."""
    layers: list[nn.Module] = []
    for _ in range(count):
        layers.append(nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        channels = width
    return [*layers, nn.Conv2d(channels, outputs, 1)] if outputs else layers


class PoseEstimator(nn.Module):
    """Input representation to initial pose.

    With the defaults this is the paper's network: ResNet-50, three 4 x 4 deconvolutions of
    256 channels, one heat map of 64 x 64 x 64 for each of 21 joints at 256 px.

    ``layers`` and ``widths`` are the number of residual blocks and their width at each of the four
    levels, ``head_channels`` the width of the deconvolutions, ``depth_bins`` the heat maps' cells
    along d. The ``head`` is "integral" (paper), "regression", or a class of :mod:`.rivals`. With
    ``handedness`` a linear layer on the mean of the last features tells left from right hands.
    ``backbone`` makes what lies below, called as :func:`resnet`.
    """

    def __init__(
        self, in_channels: int = 3, *, block: Literal["bottleneck", "basic"] = "bottleneck",
        layers: Sequence[int] = (3, 4, 6, 3), widths: Sequence[int] = (64, 128, 256, 512),
        head_channels: int = 256, depth_bins: int = 64, joints: int = 21,
        head: str | MakeHead = "integral", handedness: bool = False,
        backbone: Callable[..., nn.Module] = resnet,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(head, str):
            if head not in HEADS:
                raise ValueError(f"head is {head!r}, wanted 'integral' or 'regression'")
            head = HEADS[head]
        self.in_channels, self.joints = in_channels, joints
        self.backbone = backbone(in_channels, block, layers, widths)
        channels = widths[-1] * (4 if block == "bottleneck" else 1)
        self.head = head(channels, head_channels, joints, depth_bins)
        for module in self.modules():  # section 3.1: every convolution starts with xavier weights
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.hand = nn.Linear(channels, 1) if handedness else None

    def forward(self, inputs: Tensor) -> Tensor:
        """The pose, (B, joints, 3), uvd frame, from an input (B, in_channels, S, S)."""
        return self.read(inputs).uvd

    def read(self, inputs: Tensor) -> Reading:
        """The pose as of :meth:`forward`, with what else is read there."""
        features = self._features(inputs)
        left = None if self.hand is None else self.hand(features.mean(dim=(2, 3)))[:, 0].float()
        return self.head.read(features, inputs)._replace(left=left)

    def heatmaps(self, inputs: Tensor) -> Tensor:
        """Logits of the integral head's maps, (B, joints, depth_bins, S/4, S/4)."""
        assert isinstance(self.head, IntegralHead)
        return self.head.heatmaps(self._features(inputs))

    def _features(self, inputs: Tensor) -> Tensor:
        want_tensor("inputs", inputs)
        if inputs.shape[1] != self.in_channels:
            raise ValueError(f"inputs have {inputs.shape[1]} channels, wanted {self.in_channels}")
        features: Tensor = self.backbone(inputs)
        return features
