from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from senorita_lib.hand import BONES, joints_to_bones
from senorita_lib.losses import true_residual
from senorita_lib.refinement import BoneRefiner, bone_patch_boxes, crop_bone_patches, orientations
from senorita_lib.release.refiner import Refiner

KINDS = {"unit": BoneRefiner, "raw": partial(Refiner, patches="rectangle", orientation="raw")}


@pytest.fixture
def refiner():
    torch.manual_seed(0)
    lengths = torch.linspace(20, 70, 20)
    return BoneRefiner(lengths, patch_sizes=(32, 16, 8), hidden=16, channels=2)


def test_default_has_the_papers_parameters():
    with torch.device("meta"):
        count = sum(p.numel() for p in BoneRefiner(torch.ones(20)).parameters())
    assert count == 20 * 3_235_619


def test_boxes_are_padded_to_ten_pixels_and_enlarged():
    joints = torch.full((1, 21, 2), 0.5)
    joints[0, 8] = torch.tensor([0.6, 0.5])
    box = bone_patch_boxes(joints)[0, BONES.index((8, 7))]
    np.testing.assert_allclose(box, [0.55, 0.5, 0.15, 1.5 * 10 / 256], atol=1e-6)


def test_patches_are_the_image_in_their_boxes():
    """On a linear ramp bilinear sampling is exact, so each patch is known."""
    v, u = torch.meshgrid(*[(torch.arange(64) + 0.5) / 64] * 2, indexing="ij")
    image = (u - 2 * v)[None, None]
    joints = 0.35 + 0.3 * torch.rand(1, 21, 3, generator=torch.Generator().manual_seed(0))
    for size, patch in zip((24, 8), crop_bone_patches(image, joints, (24, 8)), strict=True):
        assert patch.shape == (1, 20, size, size)
        centre_u, centre_v, width, height = bone_patch_boxes(joints)[0].T
        cells = (torch.arange(size) + 0.5) / size - 0.5
        wanted_u = centre_u[:, None] + width[:, None] * cells
        wanted_v = centre_v[:, None] + height[:, None] * cells
        wanted = wanted_u[:, None, :] - 2 * wanted_v[:, :, None]
        np.testing.assert_allclose(patch[0], wanted, atol=1e-5)


def test_gives_unit_orientations_times_training_lengths(refiner, crops, hand):
    joints = torch.from_numpy(hand)
    refined = refiner(crops.image, crops.to_uvd(joints), joints)
    refined.joints_mm.square().sum().backward()
    # (A bias before a batch norm has a gradient of zero, but it has one.)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in refiner.parameters())
    bones = joints_to_bones(refined.joints_mm.detach())
    lengths = refiner.bone_lengths.expand(4, -1)
    np.testing.assert_allclose(bones.norm(dim=-1), lengths, rtol=1e-4)
    wanted = F.normalize(orientations(joints) + refined.residual_orientation.detach(), dim=-1)
    np.testing.assert_allclose(F.normalize(bones, dim=-1), wanted, atol=1e-5)
    assert torch.equal(refined.joints_mm[:, 0], joints[:, 0])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BoneRefiner, {"length": "initial"}),
        (Refiner, {"orientation": "raw"}),
        (Refiner, {"orientation": "location", "patches": "rectangle"}),
    ],
)
def test_zero_residual_with_initial_lengths_is_the_initial_pose(crops, hand, kind, options):
    lengths = torch.full((20,), torch.nan)
    refiner = kind(lengths, patch_sizes=(16, 8, 8), hidden=4, **options)
    torch.nn.init.zeros_(refiner.residual.weight)
    joints = torch.from_numpy(hand)
    refined = refiner(crops.image, crops.to_uvd(joints), joints)
    np.testing.assert_allclose(refined.joints_mm.detach(), joints, atol=1e-3)


def test_location_moves_each_joint_by_its_own_offset(crops, hand):
    options = {"orientation": "location", "patches": "rectangle"}
    refiner = Refiner(torch.zeros(20), patch_sizes=(16, 8, 8), hidden=4, **options)
    joints = torch.from_numpy(hand)
    refined = refiner(crops.image, crops.to_uvd(joints), joints)
    moved = (refined.joints_mm - joints)[:, [child for child, _ in BONES]]
    torch.testing.assert_close(moved, 100 * refined.residual_orientation, atol=1e-3, rtol=0)
    assert moved.abs().max() > 0 and torch.equal(refined.joints_mm[:, 0], joints[:, 0])
    wanted = true_residual(refined, joints + 5)  # a hand that is only elsewhere
    torch.testing.assert_close(wanted, torch.zeros(4, 20, 3), atol=1e-5, rtol=0)


def test_bones_without_length_stay_finite(refiner, crops):
    joints = torch.full((4, 21, 3), 500.0, requires_grad=True)
    refined = refiner(crops.image, torch.full((4, 21, 3), 0.5), joints)
    refined.joints_mm.sum().backward()
    assert refined.joints_mm.isfinite().all() and joints.grad.isfinite().all()


@pytest.mark.parametrize("orientation", ["unit", "raw"])
def test_equals_twenty_networks_in_a_loop(crops, hand, orientation):
    """One network a bone, spelt out, its batch norms with the batch's statistics."""
    torch.manual_seed(0)
    sizes, channels = (32, 16, 8), 3
    refiner = KINDS[orientation](
        torch.linspace(20, 70, 20), patch_sizes=sizes, hidden=8, channels=channels
    ).double()
    for name, parameter in refiner.named_parameters():  # nothing at a value that hides a mistake
        torch.nn.init.normal_(parameter, mean=1.0 * name.endswith("1.weight"), std=0.3)
    image, joints = crops.image.double(), torch.from_numpy(hand).double()
    uvd = crops.to_uvd(joints)
    found = refiner(image, uvd, joints)

    def normed(features, norm, rows):
        weight, bias = norm.weight[rows], norm.bias[rows]
        return F.relu(F.batch_norm(features, None, None, weight, bias, training=True))

    def connected(features, stage, bone):
        linear, norm = stage.get_submodule("0"), stage.get_submodule("1")
        outputs = linear.weight.shape[2]
        features = F.linear(features, linear.weight[bone].T, linear.bias[bone, 0])
        return normed(features, norm, slice(outputs * bone, outputs * (bone + 1)))

    patches = crop_bone_patches(image, uvd, sizes)
    initial = orientations(joints) if orientation == "unit" else joints_to_bones(joints)
    for bone in range(20):
        rows = slice(channels * bone, channels * (bone + 1))
        flat = []
        for patch, (conv, norm, _, _), pool in zip(
            patches, refiner.patch_stream, (4, 2, 1), strict=True
        ):
            maps = F.conv2d(patch[:, bone : bone + 1], conv.weight[rows], conv.bias[rows])
            flat.append(F.max_pool2d(normed(maps, norm, rows), pool).flatten(1))
        features = connected(torch.cat(flat, dim=1), refiner.patch_features, bone)
        pose = initial[:, bone]
        for stage in refiner.pose_stream:
            pose = connected(pose, stage, bone)
        last = refiner.residual
        both = torch.cat([pose, features], dim=1)
        wanted = F.linear(both, last.weight[bone].T, last.bias[bone, 0])
        residual = found.residual_orientation[:, bone]
        torch.testing.assert_close(residual, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("orientation", ["unit", "raw"])
def test_double_precision_stays_and_gradients_are_right(crops, hand, orientation):
    torch.manual_seed(0)
    sizes = {"patch_sizes": (16, 8, 8), "hidden": 4, "channels": 1}
    refiner = KINDS[orientation](torch.linspace(20, 70, 20), **sizes)
    refiner = refiner.double().eval()
    torch.nn.init.normal_(refiner.residual.weight)
    image, joints = crops.image[:1].double(), torch.from_numpy(hand[:1]).double().requires_grad_()
    uvd = torch.rand(1, 21, 3, dtype=torch.float64)
    assert all(field.dtype == torch.float64 for field in refiner(image, uvd, joints)[:3])
    assert torch.autograd.gradcheck(lambda mm: refiner(image, uvd, mm).joints_mm, (joints,))


def test_without_its_pose_stream_the_residual_follows_the_patches_alone(crops, hand):
    torch.manual_seed(0)
    sizes = {"patch_sizes": (32, 16, 8), "hidden": 8, "channels": 2}
    refiner = BoneRefiner(torch.full((20,), 30.0), **sizes, pose_stream=False).eval()
    assert not [name for name, _ in refiner.named_parameters() if "pose" in name]
    with_stream = BoneRefiner(torch.full((20,), 30.0), **sizes).eval()
    uvd, joints = crops.to_uvd(torch.from_numpy(hand)), torch.from_numpy(hand)
    # Joints that move in depth alone leave patches where they were, and turn bones.
    moved = joints + torch.tensor([0, 0, 9.0]) * torch.arange(21)[:, None]
    for network, same in ((refiner, True), (with_stream, False)):
        one, two = (network(crops.image, uvd, j).residual_orientation for j in (joints, moved))
        assert torch.equal(one, two) == same


def test_unusable_arguments_are_refused():
    with pytest.raises(ValueError, match="length is 'mean', wanted 'train' or 'initial'"):
        BoneRefiner(torch.ones(20), length="mean")
    for shape in [(1, 32, 32), (1, 3, 32, 32), (1, 1, 32, 24)]:
        with pytest.raises(ValueError, match="image has shape .*, wanted"):
            crop_bone_patches(torch.zeros(shape), torch.zeros(1, 21, 3))
