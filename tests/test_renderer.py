import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

from senorita_lib import renderer
from senorita_lib.hand import BONES
from senorita_lib.renderer import SkeletonVolumeLoss, render_skeleton, skeleton_volume_loss

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
    volumes = render_skeleton(joints, **options, compiled=False)
    np.testing.assert_allclose(volumes[:, :, ::4, ::4, ::4], data[f"{name}_vol_stride4"], atol=1e-5)
    np.testing.assert_allclose(
        volumes.sum(dim=(2, 3, 4)), data[f"{name}_vol_sum_per_bone"], rtol=1e-5
    )
    loss = skeleton_volume_loss(joints, label, **options, compiled=False)
    assert loss.item() == pytest.approx(float(data[f"{name}_loss_L1_sum_over_batch"]), rel=1e-5)


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
def test_gradient_is_the_exact_one_not_the_released(golden, name, gamma):
    """The fused gradient and autograd's: the authors' top gradient is that of smooth L1."""
    data = golden("renderer")
    options = {"gamma": 6.25 * gamma, "distance": "euclidean", "ends": "gate", "compiled": False}
    joints, label = released(data, "joint").requires_grad_(), released(data, "label")
    difference = render_skeleton(joints, **options) - render_skeleton(label, **options)
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
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_half_precision_is_summed_in_single():
    joints, target = poses(2).bfloat16(), poses(2, seed=1).float()  # as in mixed precision
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


def test_a_bone_from_far_to_far_is_seen_where_it_passes():
    near = torch.tensor([[[-30.0, 3, 5], [40, 3, 5]]])
    far = torch.tensor([[[-30e4, 3, 5], [40e4, 3, 5]]])
    options = {"size": (8, 8, 8), "gamma": 0.3}
    two = [render_skeleton(ends, [(0, 1)], **options) for ends in (near, far)]
    torch.testing.assert_close(*two, atol=1e-3, rtol=0)
    assert render_skeleton(far * 1e20, [(0, 1)], **options).isfinite().all()
    leaf = far.requires_grad_()
    skeleton_volume_loss(leaf, near + 1, [(0, 1)], **options).backward()
    assert leaf.grad.isfinite().all()


def test_ends_of_a_bone_may_be_swapped_and_cells_shifted():
    joints = poses(1)
    swapped = [(parent, child) for child, parent in BONES]
    one, two = (render_skeleton(joints, bones, size=(16, 16, 16)) for bones in (BONES, swapped))
    torch.testing.assert_close(one, two)
    moved = render_skeleton(joints + torch.tensor([1, 2, 3]), size=(20, 20, 20))
    still = render_skeleton(joints, size=(20, 20, 20))
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
        ({"bones": [(0, 21)]}, "bones name joint 21, wanted 0 to 20 as in joints_voxel"),
        ({"bones": [(0, 1, 2)]}, r"bones are \(\(0, 1, 2\),\), wanted at least one pair"),
        ({"bones": [(0.5, 1)]}, "bones hold 0.5, wanted numbers of joints"),
        ({"bones": [(-1, 0)]}, "wanted at least one pair"),
        ({"bones": []}, "at least one pair"),
        ({"joints_voxel": np.zeros((1, 21, 3))}, "ndarray, wanted a tensor"),
        ({"joints_voxel": torch.full((1, 21, 3), torch.nan)}, "not finite"),
        ({"size": (32, 32)}, r"size is \(32, 32\), wanted cells along"),
        ({"size": 8}, "size is 8, wanted cells along"),
        ({"size": (8.0, 8.0, 8.0)}, "wanted cells along"),
        ({"gamma": -0.1}, "gamma is -0.1, wanted 0 or more"),
        ({"gamma": torch.tensor(-1.0)}, "gamma is -1, wanted 0 or more"),
        ({"gamma": torch.ones(8)}, r"gamma has shape \(8,\), wanted one number"),
    ],
)
def test_unusable_arguments_get_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        render_skeleton(**({"joints_voxel": torch.zeros(1, 21, 3)} | arguments))


def test_loss_refuses_poses_of_different_shape_and_a_gamma_to_learn():
    with pytest.raises(ValueError, match="wanted the same"):
        skeleton_volume_loss(torch.zeros(1, 21, 3), torch.zeros(2, 21, 3))
    with pytest.raises(ValueError, match="target_voxel is list, wanted a tensor"):
        skeleton_volume_loss(torch.zeros(1, 21, 3), [0])
    with pytest.raises(ValueError, match="target_voxel has values that are not finite"):
        skeleton_volume_loss(torch.zeros(1, 21, 3), torch.full((1, 21, 3), torch.inf))
    with pytest.raises(ValueError, match=r"distance is 'cubic', wanted one of"):
        SkeletonVolumeLoss(distance="cubic")
    with pytest.raises(ValueError, match=r"difference is 'l2', wanted one of"):
        skeleton_volume_loss(*torch.zeros(2, 1, 21, 3), size=(4, 4, 4), difference="l2")
    gamma = torch.tensor(0.1, requires_grad=True)
    with pytest.raises(ValueError, match="wanted a constant"):
        skeleton_volume_loss(*torch.zeros(2, 1, 21, 3), size=(4, 4, 4), gamma=gamma)


# Other kinds of call are the same definition; each takes the compiler some ten seconds.
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (torch.float32, {}),
        (
            torch.float64,
            {"distance": "euclidean", "ends": "gate", "difference": "smooth_l1", "gamma": 0.2},
        ),
    ],
)
def test_compiled_is_the_same(dtype, options):
    options = {"size": (9, 10, 11)} | options
    how = {key: value for key, value in options.items() if key != "difference"}
    joints, target = poses(3, 10).to(dtype), poses(3, 10, seed=1).to(dtype)
    results, drawn = [], []
    for compiled in (True, False):
        leaf = joints.clone().requires_grad_()
        loss = skeleton_volume_loss(leaf, target, **options, compiled=compiled)
        volumes = render_skeleton(leaf, **how, compiled=compiled)
        unrecorded = render_skeleton(joints, **how, compiled=compiled)
        gradients = [torch.autograd.grad(value, leaf)[0] for value in (loss, volumes.sum())]
        results.append((loss.detach(), *gradients))
        drawn.append((volumes.detach(), unrecorded))
    assert renderer._fused_volumes.refused is renderer._fused_loss.refused is None
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=0)
    single = dtype == torch.float32
    torch.testing.assert_close(*results, atol=2e-3 if single else 1e-8, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None or not sys.platform.startswith("linux"),
    reason="no C++ compiler, or no /proc to measure memory with",
)
def test_compiled_loss_keeps_no_volume():
    code = """
import ctypes, torch
from pathlib import Path
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
poses = torch.rand(64, 21, 3).mul_(32).requires_grad_()
def peak():
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024
def added(function):
    function()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew
    before = peak()
    function()
    return peak() - before
with torch.no_grad():
    print(added(lambda: render_skeleton(poses, compiled=True)))
print(added(lambda: skeleton_volume_loss(poses, poses.detach() + 1, compiled=True).backward()))
"""
    volumes, loss = map(float, run(code).stdout.split())
    assert volumes > 0.9 * 64 * 20 * 32**3 * 4 / 2**20  # MB: so it is a volume that is seen
    assert loss < 0.1 * volumes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
@pytest.mark.parametrize("compiled", [True, False])
def test_on_a_graphics_card(compiled):
    joints, target = poses(3, 32).float(), poses(3, 32, seed=1).float()
    results, drawn = [], []
    for device, how in (("cpu", False), ("cuda", compiled)):
        leaf = joints.to(device).requires_grad_()
        loss = skeleton_volume_loss(leaf, target.to(device), compiled=how)
        volumes = render_skeleton(leaf, compiled=how)
        (gradient,) = torch.autograd.grad(loss, leaf)
        results.append([value.detach().cpu() for value in (loss, gradient)])
        drawn.append(volumes.detach().cpu())
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=0)
    torch.testing.assert_close(*results, atol=2e-3, rtol=1e-5)


def test_smooth_l1_is_torchs():
    joints, target = poses(2), poses(2, seed=1)
    ours = skeleton_volume_loss(joints, target, size=(8, 8, 8), difference="smooth_l1")
    volumes = [render_skeleton(p, size=(8, 8, 8)) for p in (joints, target)]
    plain = torch.nn.functional.smooth_l1_loss(*volumes, reduction="sum") / 2
    assert ours.item() == pytest.approx(plain.item())


def test_readmes_example_runs_for_body_and_hand():
    text = (ROOT / "README.md").read_text()
    (code,) = [block for block in text.split("```") if "SkeletonVolumeLoss" in block]
    network = torch.nn.Sequential(torch.nn.Linear(4, 17 * 3), torch.nn.Unflatten(1, (17, 3)))
    names = {"network": network, "images": torch.ones(1, 4), "labels": torch.rand(1, 17, 3)}
    exec(code.removeprefix("python\n"), names)
    assert network[0].weight.grad.abs().sum() > 0
    assert names["volume_loss"].bones == BONES
    joints, options = poses(1, 6), {"size": (6, 6, 6), "gamma": 0.3, "difference": "smooth_l1"}
    module = SkeletonVolumeLoss(BONES[:3], **options)
    expected = skeleton_volume_loss(joints, joints + 1, BONES[:3], **options)
    assert module(joints, joints + 1).item() == expected.item()
    assert "3 bones" in repr(module) and "gamma=0.3" in repr(module)


def test_bones_and_samples_do_not_see_each_other():
    joints = poses(3)
    volumes = render_skeleton(joints, size=(8, 8, 8))
    assert render_skeleton(joints[:0], size=(8, 8, 8)).shape == (0, 20, 8, 8, 8)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1)).tolist()
    mixed = render_skeleton(joints, [BONES[i] for i in order], size=(8, 8, 8))
    torch.testing.assert_close(mixed, volumes[:, order])
    torch.testing.assert_close(render_skeleton(joints[1:2], size=(8, 8, 8))[0], volumes[1])
    target = poses(3, seed=4)
    size = {"size": (8, 8, 8)}
    alone = [skeleton_volume_loss(joints[i : i + 1], target[i : i + 1], **size) for i in range(3)]
    assert skeleton_volume_loss(joints, target, **size).item() == pytest.approx(
        sum(alone).item() / 3, rel=1e-6
    )


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_volumes_shrink_with_gamma_and_stay_bounded(distance, ends):
    options = {"size": (10, 10, 10), "distance": distance, "ends": ends}
    joints = poses(2) * 3 - 16  # partly far outside
    previous = torch.ones(())
    for gamma in (0.0, 0.05, 0.2, 1.0, 10.0):
        volumes = render_skeleton(joints, gamma=gamma, **options)
        assert volumes.min() >= 0 and (volumes <= previous + 1e-12).all()
        previous = volumes
    far = render_skeleton(joints + 1e4, gamma=0.1, **options)
    assert far.isfinite().all() and far.max() == 0


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


def run(code, **environment):
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_needs_torch_alone():
    code = """
import sys, torch
before = set(sys.modules)
from senorita_lib.renderer import SkeletonVolumeLoss
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(added - set(sys.stdlib_module_names))
"""
    assert run(code).stdout.strip() == "{'senorita_lib'}"


@pytest.mark.filterwarnings("ignore")  # the compiler's about itself
def test_inside_a_compiled_step_of_someone_else():
    joints, target = poses(1, 6), poses(1, 6, seed=1)

    def step(pose):
        return 2 * skeleton_volume_loss(pose, target, size=(6, 6, 6), compiled=True)

    gradients = []
    for function in (step, torch.compile(step, backend="eager")):
        leaf = joints.clone().requires_grad_()
        function(leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)
