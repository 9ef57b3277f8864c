"""Integral pose regression: ResNet, deconvolutions, soft-argmax (paper, section 2.2)."""

import torch
from monai.networks.nets.resnet import ResNet
from torch import nn

from senorita_lib.representations import CHANNELS

_DEPTH = CHANNELS["depth"]  # the first channels of every input


def soft_argmax(logits):
    """Expected position under the softmax of a heat map (integral regression, Sun et al. 2018).

    Parameters
    ----------
    logits : tensor, (B, joints, D, H, W)

    Returns
    -------
    tensor, (B, joints, 3)
        uvd frame; cell i of n counts as (i + 1/2) / n.

    Raises
    ------
    ValueError
        If ``logits`` is not five-dimensional.
    """
    if logits.ndim != 5:
        raise ValueError(f"logits have shape {tuple(logits.shape)}, wanted (B, joints, D, H, W)")
    # Sums over a quarter of a million cells want full precision under autocast too.
    wide = torch.promote_types(logits.dtype, torch.float32)
    heat = logits.flatten(2).softmax(dim=2, dtype=wide).view(logits.shape)
    plane = heat.sum(dim=2)  # read whole once less, both ways, than with three sums
    marginals = plane.sum(dim=2), plane.sum(dim=3), heat.sum(dim=(3, 4))
    return torch.stack([_expectation(marginal) for marginal in marginals], dim=-1)


def _expectation(marginal):
    n = marginal.shape[-1]
    cells = torch.arange(n, device=marginal.device, dtype=marginal.dtype)
    return (marginal * ((cells + 0.5) / n)).sum(dim=-1)  # autocast would round a product @


class PoseEstimator(nn.Module):
    """Input representation to initial pose.

    With the defaults this is the paper's network: ResNet-50, three 4 x 4 deconvolutions of
    256 channels, one heat map of 64 x 64 x 64 for each of 21 joints at 256 px.

    Parameters
    ----------
    in_channels : int
        Channels of the input, see :func:`senorita_lib.representations.input_channels`.
    second_stem : int
        0: one stem reads the concatenated input, as in the paper. More, as released: the
        first stem reads the depth image alone, a second one so many channels, counted from
        the last, see :func:`senorita_lib.representations.second_stem_channels`.
    block : {"bottleneck", "basic"}
    layers, widths : four ints each
        Residual blocks of each level and their width.
    head_channels : int
        Width of the deconvolutions.
    depth_bins : int
        Cells of the heat maps along d; along u and v they have a quarter of the image.
    head : {"integral", "regression"}
        Heat maps and their expectation (paper), or, of the pose itself, the direct regression
        that Sun et al. (2018) compare with: mean over the last level's cells, one linear layer.
    joints : int

    Raises
    ------
    ValueError
        If the second stem would read more channels than there are, or the head is unknown.
    """

    def __init__(
        self,
        in_channels=3,
        *,
        second_stem=0,
        block="bottleneck",
        layers=(3, 4, 6, 3),
        widths=(64, 128, 256, 512),
        head_channels=256,
        depth_bins=64,
        head="integral",
        joints=21,
    ):
        super().__init__()
        if not 0 <= second_stem <= in_channels:
            raise ValueError(f"second_stem is {second_stem}, wanted 0 to {in_channels} channels")
        if head not in ("integral", "regression"):
            raise ValueError(f"head is {head!r}, wanted 'integral' or 'regression'")
        self.in_channels, self.joints, self.depth_bins = in_channels, joints, depth_bins
        self.integral = head == "integral"
        resnet = ResNet(
            block,
            list(layers),
            list(widths),
            spatial_dims=2,
            n_input_channels=_DEPTH if second_stem else in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        # The same modules and names as the ResNet, less its average pooling.
        self.backbone = nn.Sequential()
        for name in ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.backbone.add_module(name, getattr(resnet, name))
        if second_stem:
            self.backbone = _with_second_stem(self.backbone, second_stem)
        channels = widths[-1] * (4 if block == "bottleneck" else 1)
        if self.integral:
            self.head = _deconvolutions(channels, head_channels, joints * depth_bins)
        else:
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, joints * 3)
            )
        self.apply(_xavier)

    def forward(self, inputs):
        """The pose.

        Parameters
        ----------
        inputs : tensor, (B, in_channels, S, S)

        Returns
        -------
        tensor, (B, joints, 3)
            uvd frame.

        Raises
        ------
        ValueError
            If the input has other channels.
        """
        if self.integral:
            return soft_argmax(self.heatmaps(inputs))
        # From the middle of the crop, where untrained heat maps point too.
        offset = self._head(inputs)
        wide = torch.promote_types(offset.dtype, torch.float32)
        return 0.5 + offset.to(wide).unflatten(1, (self.joints, 3))

    def heatmaps(self, inputs):
        """Logits of the integral head's maps, (B, joints, depth_bins, S/4, S/4)."""
        return self._head(inputs).unflatten(1, (self.joints, self.depth_bins))

    def _head(self, inputs):
        if inputs.shape[1] != self.in_channels:
            raise ValueError(f"inputs have {inputs.shape[1]} channels, wanted {self.in_channels}")
        return self.head(self.backbone(inputs))


def _deconvolutions(channels, width, outputs):
    """Three deconvolutions, each of twice the cells, and a 1 x 1 convolution."""
    head = nn.Sequential()
    for _ in range(3):
        head.append(nn.ConvTranspose2d(channels, width, 4, 2, 1, bias=False))
        head.extend([nn.BatchNorm2d(width), nn.ReLU(inplace=True)])
        channels = width
    return head.append(nn.Conv2d(channels, outputs, 1))


def _with_second_stem(backbone, channels):
    """The backbone as the release has it: two stems, concatenated as [second, depth]."""
    width = backbone.conv1.out_channels
    depth = _Stem(slice(_DEPTH), *backbone[:4])
    second = _Stem(
        slice(-channels, None),
        nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    # Only the first block's first convolution (of a basic block: 3 x 3) reads both; its
    # shortcut (of a basic block: the identity) goes on from the depth stem.
    block = backbone.layer1[0]
    old = block.conv1
    block.conv1 = nn.Conv2d(
        2 * width, old.out_channels, old.kernel_size, padding=old.padding, bias=False
    )
    shortcut = nn.Sequential()
    shortcut.add_module("channels", _Channels(slice(-width, None)))
    for name, module in (block.downsample or nn.Sequential()).named_children():
        shortcut.add_module(name, module)
    block.downsample = shortcut
    fused = nn.Sequential()
    fused.add_module("stems", _Stems({"second": second, "depth": depth}))
    for name in ("layer1", "layer2", "layer3", "layer4"):  # called as without a second stem
        fused.add_module(name, getattr(backbone, name))
    return fused


class _Stem(nn.Sequential):
    """Some channels, and the modules that read them, called as in a backbone."""

    def __init__(self, channels, *modules):
        super().__init__()
        self.add_module("channels", _Channels(channels))
        for name, module in zip(("conv1", "bn1", "act", "maxpool"), modules, strict=True):
            self.add_module(name, module)


class _Stems(nn.ModuleDict):
    def forward(self, inputs):
        return torch.cat([stem(inputs) for stem in self.values()], dim=1)


class _Channels(nn.Module):
    def __init__(self, which):
        super().__init__()
        self.which = which

    def forward(self, inputs):
        return inputs[:, self.which]


def _xavier(module):
    """Section 3.1: every convolution starts with xavier weights."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
