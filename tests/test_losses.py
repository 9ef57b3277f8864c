import numpy as np
import pytest
import torch

from senorita_lib.losses import (
    adaptive_loss,
    balance_weights,
    pose_loss,
    residual_orientation_loss,
    step2_losses,
    true_residual,
)
from senorita_lib.model import Prediction
from senorita_lib.refinement import Refinement, orientations


def test_pose_loss_counts_heat_map_cells(golden):
    assert pose_loss(torch.full((2, 21, 3), 0.25), torch.zeros(2, 21, 3)) == 16
    data = golden("losses")
    one, two = (torch.from_numpy(data[f"jointabs_{k}"]) for k in "ab")
    loss = pose_loss(one / 64, two / 64)
    assert loss.item() == pytest.approx(float(data["jointabs_loss"]), rel=1e-5)


@pytest.mark.parametrize("kind", ["unit", "raw"])
def test_residual_loss_is_zero_at_the_true_residual(kind):
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(2, 21, 3, generator=generator)
    initial = orientations(torch.randn(2, 21, 3, generator=generator), kind)
    wanted = orientations(true, kind) - initial
    exact = Refinement(initial, wanted, true, kind)
    assert torch.equal(true_residual(exact, true), wanted)
    assert residual_orientation_loss(exact, true) == 0
    off = exact._replace(residual_orientation=wanted + 0.5)
    assert residual_orientation_loss(off, true) == pytest.approx(0.5)


def test_balanced_losses_pull_alike_at_their_own_outputs():
    one, two = torch.randn(4, 5, requires_grad=True), torch.randn(3, requires_grad=True)
    losses = [one.abs().mean() * 7, two.square().sum()]
    weights = balance_weights(losses, [one, two])
    pulls = [
        torch.autograd.grad(weight * loss, output)[0].abs().mean()
        for weight, loss, output in zip(weights, losses, (one, two), strict=True)
    ]
    assert weights[0] == 1 and not weights.requires_grad
    assert pulls[0].item() == pytest.approx(pulls[1].item(), rel=1e-5)


def test_loss_without_gradient_keeps_weight_one():
    one, two = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    assert balance_weights([one.sum(), (two * 0).sum()], [one, two]).tolist() == [1, 1]


def test_adaptive_loss_matches_the_authors(golden):
    data = golden("losses")
    total = 0
    for pair in range(4):
        predicted = torch.from_numpy(data[f"ada_pred{pair}"]).requires_grad_()
        loss = adaptive_loss(predicted, torch.from_numpy(data[f"ada_gt{pair}"]))
        loss.backward()
        wanted = data[f"ada_grad{pair}"]
        np.testing.assert_allclose(predicted.grad, wanted, rtol=1e-4, atol=1e-6)
        total += loss.item()
    assert total == pytest.approx(float(data["ada_loss"]), rel=1e-5)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_adaptive_loss_is_its_equation(unit):
    """And its mean gradient is 2 / B, whatever the unit."""
    generator = torch.Generator().manual_seed(0)
    predicted, true = unit * torch.randn(2, 5, 20, 3, generator=generator, dtype=torch.float64)
    predicted.requires_grad_()
    true.requires_grad_()
    loss = adaptive_loss(predicted, true)
    loss.backward()
    off = (predicted - true).detach()
    mean = off.abs().mean()
    assert loss.item() == pytest.approx((off.square().sum() / (5 * mean)).item())
    np.testing.assert_allclose(predicted.grad, 2 * off / (5 * mean), rtol=1e-12)
    assert predicted.grad.abs().mean().item() == pytest.approx(2 / 5)
    assert true.grad is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_adaptive_loss_of_the_truth_is_zero(dtype):
    true = torch.randn(4, 21, 3).to(dtype)
    predicted = true.clone().requires_grad_()
    loss = adaptive_loss(predicted, true)
    loss.backward()
    assert loss == 0 and loss.dtype == dtype and (predicted.grad == 0).all()


def test_adaptive_loss_refuses_what_would_be_broadcast():
    with pytest.raises(ValueError, match=r"shapes \(4, 63\) and \(63,\), wanted the same"):
        adaptive_loss(torch.zeros(4, 63), torch.zeros(63))


@pytest.mark.parametrize("balance", ["gradient", "adaptive"])
def test_eq_6_has_the_weight_that_it_is_given(crops, hand, balance):
    true = torch.from_numpy(hand)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    uvd = crops.to_uvd(true + 5)
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        residual = torch.zeros(4, 20, 3, requires_grad=True)
        refined = (true + noise).requires_grad_()
        refinement = Refinement(orientations(true + 5), residual, refined)
        start = uvd.clone().requires_grad_()
        prediction = Prediction(start, true + 5, refinement)
        losses, loss = step2_losses(prediction, crops, true, balance, weight)
        gradients.append(torch.autograd.grad(loss, refined)[0])
        assert losses["L_jt_ref"] > 0
    none, once, twice = gradients
    assert not none.any() and once.any()
    torch.testing.assert_close(twice, 2 * once)
