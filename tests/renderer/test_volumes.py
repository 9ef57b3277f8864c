import numpy as np
import pytest
import torch
from skeletons import OPTIONS, poses, released_poses, run_python

from senorita_lib.hand import BONES
from senorita_lib.renderer import plain_volumes, render_skeleton, skeleton_volume_loss


@pytest.mark.parametrize(("name", "gamma"), [("g010", 0.1), ("g005", 0.05)])
def test_released_mode_matches_the_authors_volumes(golden, name, gamma):
    data = golden("renderer")
    options = {"gamma": 6.25 * gamma, "distance": "euclidean", "ends": "gate"}
    joints, _ = released_poses(data)
    volumes = render_skeleton(joints, **options, compiled=False)
    np.testing.assert_allclose(volumes[:, :, ::4, ::4, ::4], data[f"{name}_vol_stride4"], atol=1e-5)
    sums = volumes.sum(dim=(2, 3, 4))
    np.testing.assert_allclose(sums, data[f"{name}_vol_sum_per_bone"], rtol=1e-5)


@pytest.mark.parametrize(("distance", "ends"), OPTIONS)
def test_volumes_equal_a_search_over_r(distance, ends):
    joints = poses(1, 8)
    options = {"size": (6, 7, 8), "gamma": 0.3, "distance": distance, "ends": ends}
    volumes = plain_volumes(joints, **options)
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
def test_fast_volumes_equal_the_plain_ones(distance, ends):
    """And so do their gradients, in joints and gamma; also of a bone without length."""
    options = {"size": (9, 10, 11), "distance": distance, "ends": ends}
    joints = poses(2, 10)
    joints[1, 8] = joints[1, 7]
    results = []
    for draw in (plain_volumes, render_skeleton):
        leaf, gamma = joints.clone().requires_grad_(), torch.tensor(0.2, dtype=torch.float64)
        volumes = draw(leaf, gamma=gamma.requires_grad_(), **options)
        weights = torch.linspace(-1, 1, volumes.numel(), dtype=torch.float64).view_as(volumes)
        results.append([volumes, *torch.autograd.grad((volumes * weights).sum(), (leaf, gamma))])
    torch.testing.assert_close(*results)
    assert render_skeleton(joints[:0], **options).shape == (0, 20, 9, 10, 11)


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"joints_voxel": torch.zeros(21, 3)}, "shape"),
        ({"joints_voxel": torch.zeros(1, 21, 3, dtype=torch.int64)}, "floating"),
        ({"distance": "cubic"}, "distance"),
        ({"bones": [(0, 21)]}, "bones name joint 21, wanted 0 to 20 as in joints_voxel"),
        ({"bones": [(0, 1, 2)]}, r"bones are \(\(0, 1, 2\),\), wanted at least one pair"),
        ({"bones": [(0.5, 1)]}, r"bones are \[\(0.5, 1\)\], wanted pairs of numbers"),
        ({"bones": [(-1, 0)]}, "wanted at least one pair"),
        ({"bones": []}, "at least one pair"),
        ({"joints_voxel": np.zeros((1, 21, 3))}, "ndarray, wanted a tensor"),
        ({"joints_voxel": torch.full((1, 21, 3), torch.nan)}, "not finite"),
        ({"size": (32, 32)}, r"size is \(32, 32\), wanted cells along"),
        ({"size": 8}, "size is 8, wanted cells along"),
        ({"gamma": torch.tensor(-1.0)}, "gamma is -1, wanted 0 or more"),
        ({"gamma": torch.ones(8)}, r"gamma has shape \(8,\), wanted one number"),
    ],
)
def test_unusable_arguments_get_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        render_skeleton(**({"joints_voxel": torch.zeros(1, 21, 3)} | arguments))


def test_needs_torch_alone():
    code = """
import sys, torch
before = set(sys.modules)
from senorita_lib.renderer import SkeletonVolumeLoss
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(added - set(sys.stdlib_module_names))
"""
    assert run_python(code).stdout.strip() == "{'senorita_lib'}"


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
