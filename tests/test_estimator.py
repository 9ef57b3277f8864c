from functools import partial

import numpy as np
import pytest
import torch

from senorita_lib.estimator import PoseEstimator, soft_argmax

SMALL = {"layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "head_channels": 8, "depth_bins": 5}
small = partial(PoseEstimator, block="basic", **SMALL)


def test_default_is_the_papers_network():
    """ResNet-50 with three deconvolutions and 21 x 64 heat-map channels."""
    with torch.device("meta"):
        counts = [sum(p.numel() for p in PoseEstimator(n).parameters()) for n in (3, 70)]
    assert counts == [34_340_736, 34_340_736 + 67 * 64 * 49]


def test_heat_map_has_a_quarter_of_the_image():
    network = small().eval()
    inputs = torch.randn(2, 3, 64, 96)
    assert network.heatmaps(inputs).shape == (2, 21, 5, 16, 24)
    pose = network(inputs)
    assert pose.shape == (2, 21, 3) and pose.min() > 0 and pose.max() < 1


def test_soft_argmax_matches_the_release(golden):
    data = golden("integral")
    volumes = torch.from_numpy(data["vol_zyx"])[None]
    # Theirs are softmax volumes already, and its positions run over [0, 64].
    uvd = soft_argmax(volumes.clamp_min(1e-30).log())[0]
    np.testing.assert_allclose(uvd * 64, data["ub6"], atol=1e-3)


def test_soft_argmax_is_differentiable_and_exact_under_autocast_too():
    logits = torch.randn(1, 2, 3, 3, 3, dtype=torch.float64)
    heat = logits.flatten(2).softmax(-1).view_as(logits)
    cells = (torch.arange(3) + 0.5) / 3
    places = cells, cells[:, None], cells[:, None, None]
    brute = torch.stack([(heat * place).sum((2, 3, 4)) for place in places], dim=-1)
    np.testing.assert_allclose(soft_argmax(logits), brute, atol=1e-6)
    leaf = logits.float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        uvd = soft_argmax(leaf)
    assert uvd.dtype == torch.float32 and soft_argmax(logits).dtype == torch.float64
    np.testing.assert_allclose(uvd.detach(), brute, atol=1e-6)
    uvd.sum().backward()
    assert leaf.grad.abs().sum() > 0


def test_direct_regression_starts_about_the_middle_and_can_leave_the_crop():
    torch.manual_seed(0)
    network = small(head="regression")
    inputs = torch.randn(3, 3, 64, 64)
    pose = network(inputs)
    assert pose.shape == (3, 21, 3) and abs(pose.mean() - 0.5) < 0.2 and pose.std() > 0
    with torch.no_grad():
        network.head[-1].bias += 5
    torch.testing.assert_close(network(inputs), pose + 5)
    network(inputs).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert network(inputs).dtype == torch.float32
    assert network.double()(inputs.double()).dtype == torch.float64


def test_unusable_arguments_are_refused():
    with pytest.raises(ValueError, match="logits have shape .* wanted"):
        soft_argmax(torch.zeros(2, 21, 6, 6))
    with pytest.raises(ValueError, match="inputs have 3 channels, wanted 9"):
        small(9)(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="head is 'direct', wanted 'integral' or 'regression'"):
        small(head="direct")
