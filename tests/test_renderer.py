import numpy as np
import pytest
import torch

from senorita_lib.hand import BONES
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss

OPTIONS = [(d, e) for d in ("squared", "euclidean") for e in ("clamp", "gate")]


def poses(batch=2, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 21, 3, generator=generator, dtype=torch.float64) * size


def released(data, prefix):
    depth = (data["depth_x100" if prefix == "joint" else "label_depth_x100"][..., None] + 100) / 200
    uv = data[f"{prefix}_uv_x200"] / 200
    return torch.from_numpy(32 * np.concatenate([uv, depth], axis=-1)).double()


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
def test_released_mode_matches_the_authors_volumes(golden, name, gamma):
    data = golden("renderer")
    options = {"gamma": 6.25 * gamma, "distance": "euclidean", "ends": "gate"}
    joints, label = released(data, "joint"), released(data, "label")
    volumes = render_skeleton(joints, **options)
    np.testing.assert_allclose(volumes[:, :, ::4, ::4, ::4], data[f"{name}_vol_stride4"], atol=1e-5)
    np.testing.assert_allclose(
        volumes.sum(dim=(2, 3, 4)), data[f"{name}_vol_sum_per_bone"], rtol=1e-5
    )
    loss = skeleton_volume_loss(joints, label, **options)
    assert loss.item() == pytest.approx(float(data[f"{name}_loss_L1_sum_over_batch"]), rel=1e-5)


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
def test_gradient_is_the_exact_one_not_the_released(golden, name, gamma):
    data = golden("renderer")
    options = {"gamma": 6.25 * gamma, "distance": "euclidean", "ends": "gate"}
    joints = released(data, "joint").requires_grad_()
    target = render_skeleton(released(data, "label"), **options)
    (0.5 * (render_skeleton(joints, **options) - target) ** 2).sum().backward()
    gradient = joints.grad.numpy() / 6.25  # per 1/200 of the cube
    exact = data[f"{name}_grad_exact_gated"]
    np.testing.assert_allclose(gradient, exact, atol=2e-3 * np.abs(exact).max())
    assert np.abs(gradient).mean() > 1e4 * np.abs(data[f"{name}_grad_reference_code"]).mean()


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_volumes_equal_a_search_over_r(distance, ends):
    joints = poses(1, 8)
    volumes = render_skeleton(joints, size=(6, 7, 8), gamma=0.3, distance=distance, ends=ends)
    r = torch.linspace(0, 1, 4001, dtype=torch.float64)
    for bone, (child, parent) in enumerate(BONES[:6]):
        a, b = joints[0, child], joints[0, parent]
        for z, y, x in [(0, 0, 0), (3, 5, 1), (5, 2, 7), (1, 6, 4)]:
            p = torch.tensor([x, y, z], dtype=torch.float64)
            squares = ((p - (r[:, None] * a + (1 - r[:, None]) * b)) ** 2).sum(dim=1)
            best = squares.min()
            value = torch.exp(-0.3 * (best if distance == "squared" else best.sqrt()))
            if ends == "gate" and r[squares.argmin()] in (0, 1):
                value = torch.zeros(())
            assert volumes[0, bone, z, y, x].item() == pytest.approx(value.item(), abs=1e-4)


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_fused_loss_equals_autograd(distance, ends):
    options = {"size": (9, 10, 11), "gamma": 0.2, "distance": distance, "ends": ends}
    one = poses(3, 10).requires_grad_()
    two = one.detach().clone().requires_grad_()
    target = poses(3, 10, seed=1)
    loss = skeleton_volume_loss(one, target, **options)
    plain = (render_skeleton(two, **options) - render_skeleton(target, **options)).abs().sum() / 3
    assert loss.item() == pytest.approx(plain.item(), rel=1e-9)
    (3 * loss).backward()
    (3 * plain).backward()
    torch.testing.assert_close(one.grad, two.grad, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_single_precision_survives_voxels_on_the_bone(distance, ends):
    """Joints in cell centres put voxels exactly on bones, where the root has no slope."""
    options = {"size": (16, 16, 16), "gamma": 0.5, "distance": distance, "ends": ends}
    joints, target = poses(2).round(), poses(2, seed=1)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = joints.to(dtype).requires_grad_()
        skeleton_volume_loss(leaf, target.to(dtype), **options).backward()
        gradients.append(leaf.grad.double())
    torch.testing.assert_close(*gradients, atol=5e-3, rtol=1e-3)


def test_half_precision_is_summed_in_single():
    joints, target = poses(2).bfloat16(), poses(2, seed=1).bfloat16()
    leaf = joints.clone().requires_grad_()
    loss = skeleton_volume_loss(leaf, target, size=(16, 16, 16))
    exact = skeleton_volume_loss(joints.double(), target.double(), size=(16, 16, 16))
    assert loss.item() == pytest.approx(exact.item(), rel=1e-4)
    loss.backward()
    assert leaf.grad.dtype == torch.bfloat16


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


def test_bounds_peak_and_fall_off():
    joints = torch.full((1, 21, 3), 4.0)
    joints[0, 8] = torch.tensor([12.0, 4, 4])
    joints[0, 7] = torch.tensor([2.0, 4, 4])
    volume = render_skeleton(joints, [(8, 7)])[0, 0]
    assert volume.min() >= 0 and volume.max() == 1
    assert (volume[4, 4, 2:13] == 1).all()
    assert volume[4, 6, 5].item() == pytest.approx(np.exp(-0.4))  # two cells off, squared
    assert volume[7, 4, 5].item() == pytest.approx(np.exp(-0.9))  # along z
    assert volume[4, 4, 15].item() == pytest.approx(np.exp(-0.9))  # beyond the cap


def test_ends_of_a_bone_may_be_swapped_and_cells_shifted():
    joints = poses()
    swapped = [(parent, child) for child, parent in BONES]
    torch.testing.assert_close(render_skeleton(joints), render_skeleton(joints, swapped))
    moved = render_skeleton(joints + torch.tensor([1, 2, 3]), size=(24, 24, 24))
    still = render_skeleton(joints, size=(24, 24, 24))
    torch.testing.assert_close(moved[..., 3:, 2:, 1:], still[..., :-3, :-2, :-1])


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_bones_without_length_have_finite_gradients(distance, ends):
    joints = torch.full((1, 21, 3), 3.0, requires_grad=True)
    volumes = render_skeleton(joints, size=(8, 8, 8), distance=distance, ends=ends)
    volumes.sum().backward()
    assert volumes.isfinite().all() and joints.grad.isfinite().all()
    joints.grad = None
    target = torch.full((1, 21, 3), 4.0)
    skeleton_volume_loss(joints, target, size=(8, 8, 8), distance=distance, ends=ends).backward()
    assert joints.grad.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"joints_voxel": torch.zeros(21, 3)}, "shape"),
        ({"joints_voxel": torch.zeros(1, 21, 3, dtype=torch.int64)}, "floating"),
        ({"distance": "cubic"}, "distance"),
        ({"ends": "round"}, "ends"),
        ({"bones": [(0, 21)]}, r"bones name the joints \[0, 21\]"),
        ({"bones": [(-1, 0)]}, "bones name the joints"),
        ({"bones": []}, "at least one pair"),
        ({"joints_voxel": np.zeros((1, 21, 3))}, "ndarray, wanted a tensor"),
        ({"joints_voxel": torch.full((1, 21, 3), torch.nan)}, "not finite"),
    ],
)
def test_unusable_arguments_get_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        render_skeleton(**({"joints_voxel": torch.zeros(1, 21, 3)} | arguments))


def test_poses_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="wanted the same"):
        skeleton_volume_loss(torch.zeros(1, 21, 3), torch.zeros(2, 21, 3))
