import numpy as np
import pytest
import torch
from conftest import ROOT
from skeletons import OPTIONS, poses, released_poses
from torch.nn import functional as F

from senorita_lib.hand import BONES
from senorita_lib.renderer import (
    SkeletonVolumeLoss,
    plain_volumes,
    render_skeleton,
    skeleton_volume_loss,
)


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
def test_gradient_is_the_exact_one_not_the_released(golden, name, gamma):
    """The fused gradient and autograd's: the authors' top gradient is that of smooth L1."""
    data = golden("renderer")
    options = {"gamma": 6.25 * gamma, "distance": "euclidean", "ends": "gate", "compiled": False}
    joints, label = released_poses(data)
    joints.requires_grad_()
    difference = render_skeleton(joints, **options) - render_skeleton(label, **options)
    loss = skeleton_volume_loss(joints, label, **options)
    assert loss.item() == pytest.approx(float(data[f"{name}_loss_L1_sum_over_batch"]), rel=1e-5)
    loss = skeleton_volume_loss(joints, label, difference="smooth_l1", **options)
    half_square = data[f"{name}_loss_half_L2_sum_over_batch"]
    assert loss.item() == pytest.approx(float(half_square), rel=1e-5)
    exact = data[f"{name}_grad_exact_gated"]
    for total in (difference.square().sum() / 2, loss * len(joints)):
        (gradient,) = torch.autograd.grad(total, joints)
        gradient = gradient.numpy() / 6.25  # per 1/200 of the cube
        np.testing.assert_allclose(gradient, exact, atol=2e-3 * np.abs(exact).max())
    assert np.abs(gradient).mean() > 1e4 * np.abs(data[f"{name}_grad_reference_code"]).mean()


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
@pytest.mark.parametrize("difference", ["l1", "smooth_l1"])
def test_fused_loss_equals_autograd(distance, ends, difference):
    options = {"size": (9, 10, 11), "gamma": 0.2, "distance": distance, "ends": ends}
    one = poses(3, 10).requires_grad_()
    two = one.detach().clone().requires_grad_()
    target = poses(3, 10, seed=1)
    loss = skeleton_volume_loss(one, target, **options, difference=difference)
    volumes = [plain_volumes(p, **options) for p in (two, target)]
    plain = getattr(F, f"{difference}_loss")(*volumes, reduction="sum") / 3
    assert loss.item() == pytest.approx(plain.item(), rel=1e-9)
    (3 * loss).backward()
    (3 * plain).backward()
    torch.testing.assert_close(one.grad, two.grad, atol=1e-10, rtol=1e-8)


def test_gradcheck():
    joints = poses(1, 6).requires_grad_()
    gamma = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    bones = BONES[:4]
    torch.autograd.gradcheck(
        lambda j, g: render_skeleton(j, bones, size=(4, 5, 6), gamma=g), (joints, gamma)
    )
    target = poses(1, 6, seed=3)
    torch.autograd.gradcheck(
        lambda j: skeleton_volume_loss(j, target, bones, size=(4, 5, 6)), (joints,), atol=1e-4
    )


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_voxels_on_a_bone_and_bones_without_length_have_finite_gradients(distance, ends):
    """Joints in cell centres put voxels exactly on bones, where the root has no slope."""
    options = {"size": (16, 16, 16), "gamma": 0.5, "distance": distance, "ends": ends}
    joints, target = poses(2).round(), poses(2, seed=1)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = joints.to(dtype).requires_grad_()
        skeleton_volume_loss(leaf, target.to(dtype), **options).backward()
        gradients.append(leaf.grad.double())
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
    point = torch.full((1, 21, 3), 3.0, requires_grad=True)
    drawn = render_skeleton(point, **options).sum()
    loss = skeleton_volume_loss(point, torch.full((1, 21, 3), 4.0), **options)
    for value in (drawn, loss):
        assert value.isfinite() and torch.autograd.grad(value, point)[0].isfinite().all()


def test_half_precision_is_summed_in_single():
    joints, target = poses(2).bfloat16(), poses(2, seed=1).float()  # as in mixed precision
    leaf = joints.clone().requires_grad_()
    loss = skeleton_volume_loss(leaf, target, size=(16, 16, 16))
    exact = skeleton_volume_loss(joints.double(), target.double(), size=(16, 16, 16))
    assert loss.item() == pytest.approx(exact.item(), rel=1e-4)
    loss.backward()
    assert leaf.grad.dtype == torch.bfloat16


def test_loss_cannot_be_differentiated_twice_but_volumes_can():
    joints, weight = poses(1, 6).requires_grad_(), torch.ones((), requires_grad=True)
    loss = skeleton_volume_loss(joints, poses(1, 6, seed=1), size=(4, 4, 4))
    (gradient,) = torch.autograd.grad(weight * loss, joints, create_graph=True)
    # The weight of a loss may well be found by the gradient's magnitude.
    (slope,) = torch.autograd.grad(gradient.norm(), weight, retain_graph=True)
    assert slope.item() == pytest.approx(gradient.norm().item())
    with pytest.raises(RuntimeError, match="once, found a second time"):
        gradient.square().sum().backward()
    torch.autograd.gradgradcheck(lambda j: render_skeleton(j, BONES[:2], size=(3, 3, 3)), (joints,))


def test_loss_refuses_poses_of_different_shape_and_a_gamma_to_learn():
    pose = torch.zeros(1, 21, 3)
    for target, options, sentence in (
        (torch.zeros(2, 21, 3), {}, "wanted the same"),
        ([0], {}, "target_voxel is list, wanted a tensor"),
        (torch.full((1, 21, 3), torch.inf), {}, "target_voxel has values that are not finite"),
        (pose, {"difference": "l2"}, "difference is 'l2', wanted one of"),
        (pose, {"gamma": torch.tensor(0.1, requires_grad=True)}, "wanted a constant"),
    ):
        with pytest.raises(ValueError, match=sentence):
            skeleton_volume_loss(pose, target, **options)
    with pytest.raises(ValueError, match="distance is 'cubic', wanted one of"):
        SkeletonVolumeLoss(distance="cubic")


def test_the_docs_example_runs_for_body_and_hand():
    text = (ROOT / "docs" / "renderer.md").read_text()
    (code,) = [block for block in text.split("```") if "SkeletonVolumeLoss" in block]
    network = torch.nn.Sequential(torch.nn.Linear(4, 17 * 3), torch.nn.Unflatten(1, (17, 3)))
    names = {"network": network, "images": torch.ones(1, 4), "labels": torch.rand(1, 17, 3)}
    exec(code.removeprefix("python\n"), names)
    assert network[0].weight.grad.abs().sum() > 0
    assert names["volume_loss"].bones == BONES
