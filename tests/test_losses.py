import pytest
import torch

from senorita_lib import losses
from senorita_lib.hand import joints_to_bones
from senorita_lib.losses import balance_weights, pose_loss, step2_losses
from senorita_lib.refinement import Refinement, orientations
from senorita_lib.release.losses import adaptive_step2_losses


def test_pose_loss_counts_heat_map_cells(golden):
    assert pose_loss(torch.full((2, 21, 3), 0.25), torch.zeros(2, 21, 3)) == 16
    data = golden("losses")
    one, two = (torch.from_numpy(data[f"jointabs_{k}"]) for k in "ab")
    loss = pose_loss(one / 64, two / 64)
    assert loss.item() == pytest.approx(float(data["jointabs_loss"]), rel=1e-5)


@pytest.mark.parametrize("orient", [orientations, joints_to_bones])
def test_residual_loss_is_zero_at_the_true_residual(orient):
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(2, 21, 3, generator=generator)
    initial = orient(torch.randn(2, 21, 3, generator=generator))
    wanted = orient(true) - initial
    exact = Refinement(initial, wanted, true, orient)
    assert torch.equal(losses.true_residual(exact, true), wanted)
    assert losses.residual_orientation_loss(exact, true) == 0
    off = exact._replace(residual_orientation=wanted + 0.5)
    assert losses.residual_orientation_loss(off, true) == pytest.approx(0.5)


def test_balanced_losses_pull_alike_at_their_own_outputs():
    one, two = torch.randn(4, 5, requires_grad=True), torch.randn(3, requires_grad=True)
    values = [one.abs().mean() * 7, two.square().sum()]
    weights = balance_weights(values, [one, two])
    balanced = zip(weights * torch.stack(values), (one, two), strict=True)
    pulls = [torch.autograd.grad(*pair, retain_graph=True)[0].abs().mean() for pair in balanced]
    assert weights[0] == 1 and not weights.requires_grad
    assert pulls[0].item() == pytest.approx(pulls[1].item(), rel=1e-5)
    assert balance_weights([one.sum(), (two * 0).sum()], [one, two]).tolist() == [1, 1]


@pytest.mark.parametrize("balanced", [step2_losses, adaptive_step2_losses])
def test_eq_6_has_the_weight_that_it_is_given(crops, hand, balanced):
    true = torch.from_numpy(hand)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    uvd = crops.to_uvd(true + 5)
    gradients = []
    for weight in (0.0, 1.0, 2.0):
        residual = torch.zeros(4, 20, 3, requires_grad=True)
        refined = (true + noise).requires_grad_()
        refinement = Refinement(orientations(true + 5), residual, refined)
        start = uvd.clone().requires_grad_()
        named, loss = balanced(start, refinement, crops, true, weight)
        gradients.append(torch.autograd.grad(loss, refined)[0])
        assert named["L_jt_ref"] > 0
    none, once, twice = gradients
    assert not none.any() and once.any()
    torch.testing.assert_close(twice, 2 * once)
