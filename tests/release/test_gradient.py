import numpy as np
import pytest
import torch
from skeletons import released_poses

from senorita_lib.release.gradient import GATED, released_gradient, released_volume_loss
from senorita_lib.renderer import skeleton_volume_loss


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
@pytest.mark.parametrize(
    ("summed", "recorded"),
    [(False, "grad_reference_code"), (True, "grad_reference_formula_accumulated")],
)
def test_it_is_what_the_release_computes(golden, name, gamma, summed, recorded):
    data = golden("renderer")
    predicted, target = released_poses(data)
    gradient = released_gradient(predicted, target, gamma=6.25 * gamma, summed=summed, smooth=True)
    gradient = gradient.numpy() * len(predicted) / 6.25  # of the batch's sum, per 1/200
    expected = data[f"{name}_{recorded}"]
    np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())


def test_loss_has_the_exact_value_and_the_released_gradient():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 21, 3, generator=generator) * 12
    predicted = (target + torch.rand(2, 21, 3, generator=generator)).requires_grad_()
    how = {"size": (12, 12, 12), "gamma": 0.5}
    exact = skeleton_volume_loss(predicted, target, **how, **GATED)
    (exact_gradient,) = torch.autograd.grad(exact, predicted)
    for summed in (False, True):
        loss = released_volume_loss(predicted, target, **how, summed=summed)
        assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
        (gradient,) = torch.autograd.grad(3 * loss, predicted)
        released = released_gradient(predicted, target, **how, summed=summed)
        torch.testing.assert_close(gradient, 3 * released)
        cosine = torch.cosine_similarity(gradient.flatten(), exact_gradient.flatten(), dim=0)
        assert cosine < 0.95
