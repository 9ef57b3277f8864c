import numpy as np
import pytest
import torch

from senorita_lib.release.losses import adaptive_loss


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


def test_adaptive_loss_of_the_truth_is_zero_and_it_refuses_what_would_be_broadcast():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        true = torch.randn(4, 21, 3).to(dtype)
        predicted = true.clone().requires_grad_()
        loss = adaptive_loss(predicted, true)
        loss.backward()
        assert loss == 0 and loss.dtype == dtype and (predicted.grad == 0).all()
    with pytest.raises(ValueError, match=r"shapes \(4, 63\) and \(63,\), wanted the same"):
        adaptive_loss(torch.zeros(4, 63), torch.zeros(63))
