import pytest
import torch

from senorita_lib.estimator import PoseEstimator
from senorita_lib.release.stems import second_stem_channels, two_stems
from senorita_lib.representations import input_channels

SMALL = {"layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "head_channels": 8, "depth_bins": 5}


def with_stems(channels, second, **options):
    return PoseEstimator(channels, backbone=two_stems(second), **options)


@pytest.mark.parametrize(
    ("model", "layers", "count"),
    [(1, 64, 34_340_736), (2, 64, 34_564_480), (3, 64, 34_464_128), (4, 32, 34_555_072)],
)
def test_two_stems_have_the_releases_parameters(model, layers, count):
    channels, second = input_channels(model, layers), second_stem_channels(model, layers)
    assert second == {1: 0, 2: 70, 3: 38, 4: 67}[model]
    with torch.device("meta"):
        assert sum(p.numel() for p in with_stems(channels, second).parameters()) == count


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_stems_read_their_own_channels(block):
    """The first block's shortcut goes on from the depth stem, its convolutions from both."""
    network = with_stems(9, 6, block=block, **SMALL).eval()
    inputs = torch.randn(2, 9, 64, 64, requires_grad=True)
    stems, first = network.backbone.stems, network.backbone.layer1[0]
    second, depth = stems(inputs).chunk(2, dim=1)
    for part, channels in ((depth, slice(3)), (second, slice(3, None))):
        (gradient,) = torch.autograd.grad(part.sum(), inputs, retain_graph=True)
        read = torch.zeros(9, dtype=torch.bool)
        read[channels] = True
        assert torch.equal(gradient.abs().sum(dim=(0, 2, 3)) > 0, read)
    with torch.no_grad():
        shortcut = first.downsample(stems(inputs))
        stems.second.conv1.weight.zero_()
        assert torch.equal(first.downsample(stems(inputs)), shortcut)
        assert first.conv1.in_channels == 16 and network(inputs).shape == (2, 21, 3)
    network(inputs).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
