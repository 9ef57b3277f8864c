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


class PoseEstimator(nn.Module):
    """Input representation to initial pose.

    With the defaults this is the paper's network: ResNet-50, three 4 x 4 deconvolutions of
    256 channels, one heat map of 64 x 64 x 64 for each of 21 joints at 256 px.

    ``layers`` and ``widths`` are the number of residual blocks and their width at each of the four
    levels, ``head_channels`` the width of the deconvolutions, ``depth_bins`` the heat maps' cells
    along d. The ``head`` is "integral" (paper), heat maps and their expectation, or "regression",
    the direct one of Sun et al. (2018): mean over the last level's cells, one linear layer. With
    ``handedness`` another linear layer on that mean tells left from right hands. ``backbone`` makes
    what lies below, called as :func:`resnet`.
    """

    def __init__(
        self, in_channels: int = 3, *, block: Literal["bottleneck", "basic"] = "bottleneck",
        layers: Sequence[int] = (3, 4, 6, 3), widths: Sequence[int] = (64, 128, 256, 512),
        head_channels: int = 256, depth_bins: int = 64, joints: int = 21,
        head: Literal["integral", "regression"] = "integral", handedness: bool = False,
        backbone: Callable[..., nn.Module] = resnet,
    ) -> None:  # fmt: skip
        super().__init__()
        if head not in ("integral", "regression"):
            raise ValueError(f"head is {head!r}, wanted 'integral' or 'regression'")
        self.in_channels, self.joints, self.depth_bins = in_channels, joints, depth_bins
        self.integral = head == "integral"
        self.backbone = backbone(in_channels, block, layers, widths)
        channels = widths[-1] * (4 if block == "bottleneck" else 1)
        self.head = nn.Sequential()
        if self.integral:
            for inputs in (channels, head_channels, head_channels):
                self.head.append(nn.ConvTranspose2d(inputs, head_channels, 4, 2, 1, bias=False))
                self.head.extend([nn.BatchNorm2d(head_channels), nn.ReLU(inplace=True)])
            self.head.append(nn.Conv2d(head_channels, joints * depth_bins, 1))
        else:
            linear = nn.Linear(channels, joints * 3)
            self.head.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear])
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
        output = self.head(features)
        left = None if self.hand is None else self.hand(features.mean(dim=(2, 3)))[:, 0].float()
        if self.integral:
            maps = torch.unflatten(output, 1, (self.joints, self.depth_bins))
            return read_heatmaps(maps)._replace(left=left)
        # From the middle of the crop, where untrained heat maps point too.
        wide = torch.promote_types(output.dtype, torch.float32)
        return Reading(0.5 + torch.unflatten(output.to(wide), 1, (self.joints, 3)), None, left)

    def heatmaps(self, inputs: Tensor) -> Tensor:
        """Logits of the integral head's maps, (B, joints, depth_bins, S/4, S/4)."""
        output: Tensor = self.head(self._features(inputs))
        return torch.unflatten(output, 1, (self.joints, self.depth_bins))

    def _features(self, inputs: Tensor) -> Tensor:
        want_tensor("inputs", inputs)
        if inputs.shape[1] != self.in_channels:
            raise ValueError(f"inputs have {inputs.shape[1]} channels, wanted {self.in_channels}")
        features: Tensor = self.backbone(inputs)
        return features
