"""The copy of a network that only predicts."""

import pytest
import torch

from senorita_lib.cropping import CropBatch
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe

SMALL = {"image_size": 64, "patch_sizes": (48, 24, 12)}


@pytest.mark.parametrize(
    "values",
    [{"model": 2, "source": "open", "handedness": True},
     {"model": 3, "fusion": "stems", "patches": "released"},
     {"block": "bottleneck", "head": "regression"}],
)  # fmt: skip
def test_folded_norms_change_poses_by_rounding_alone(values):
    torch.manual_seed(0)
    net = HandPoseNet(find_recipe("tiny", **SMALL, **values), torch.full((20,), 30.0)).double()
    image = torch.rand(3, 1, 64, 64).double() * 2 - 1
    box = torch.tensor([[0.0, 0, 100, 100]] * 3).double()
    crops = CropBatch(image, box, torch.tensor([[0.0, 0, 500]] * 3).double())
    for _ in range(3):  # so that the norms' statistics are not 0 and 1
        net.train()(crops)
    folded, plain = net.eval().folded(), net(crops)
    found = folded(crops)
    for a, b in ((plain.uvd, found.uvd), (plain.refinement[2], found.refinement[2])):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
    norms = [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not norms and any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert not any(p.requires_grad for p in folded.parameters())
