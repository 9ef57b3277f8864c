import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from senorita_lib.hand import BONES, joints_to_bones
from senorita_lib.refinement import BoneRefiner, crop_bone_patches
from senorita_lib.release.patches import released_boxes, released_patches
from senorita_lib.release.refiner import Refiner


def _pixel_by_pixel(levels, joints_px, size):
    """Patches (20, size, size) of one image, as reference_facts.md tells them, bone by bone."""
    count = len(levels)
    patches = []
    for child, parent in BONES:
        a, b = joints_px[child], joints_px[parent]
        band = np.zeros((count, count), np.uint8)
        ends = [tuple(int(x) for x in end) for end in (a, b)]
        cv2.line(band, *ends, 255, 100 * count // 256)
        width, height = (max(10 * count / 256, int(x)) for x in np.abs(a - b))
        side = int(1.5 * max(width, height))
        first = np.ceil((a + b) / 2 - side / 2).astype(int)
        canvas = np.zeros((side + 1, side + 1), np.float32)
        for row in range(max(0, -first[1]), min(side, count - first[1])):
            for column in range(max(0, -first[0]), min(side, count - first[0])):
                place = first[1] + row, first[0] + column
                canvas[row, column] = levels[place] if band[place] else 0
        patches.append(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_LINEAR))
    return np.stack(patches)


def test_matches_the_authors_patches(golden):
    """The same but for rounding to whole levels and for the rim of the band, a polygon in OpenCV.

    The image loses the level that their 8-bit canvas loses.
    """
    data = golden("patch")
    levels = (256 * torch.from_numpy(data["img"]) - 1).clamp_min(0)
    joints = torch.from_numpy(data["joint_px256"]) / 256
    patch, half, quarter = released_patches(levels / 128 - 1, joints)
    off = (128 * (patch + 1) - 256 * torch.from_numpy(data["bone_patch"])).abs()
    assert (off > 1).double().mean() < 2e-4
    assert off.median() < 0.05 and off.mean() < 0.2
    # Bones too short for the band to bite have no such pixel.
    boxes = torch.from_numpy(data["bone_patch_box"])
    short = (boxes[..., 2] - boxes[..., 0]) < 70
    assert short.sum() > 25 and off[short].max() < 0.8
    for pooled, window in ((half, 2), (quarter, 4)):
        assert torch.equal(pooled, F.avg_pool2d(patch, window))


def test_boxes_match_the_authors(golden):
    data = golden("patch")
    joints = torch.from_numpy(data["joint_px256"]) / 256
    boxes = 256 * released_boxes(joints, 256)
    corners = [boxes[..., :2] + sign * boxes[..., 2:] / 2 for sign in (-1, 1)]
    np.testing.assert_allclose(torch.cat(corners, dim=-1), data["bone_patch_box"], atol=1e-4)


@pytest.mark.parametrize("count", [128, 256])
def test_matches_pixel_by_pixel(count):
    """Also where joints lie outside the image and where the band bites, but for its rim."""
    rng = np.random.default_rng(count)
    noise = rng.uniform(0, 255, (2, count, count)).astype(np.float32)
    levels = np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in noise])
    joints = rng.uniform(-0.1, 1.1, (2, 21, 3)).astype(np.float32)
    joints[1, 8] = joints[1, 7]  # a bone without length
    image = torch.from_numpy(levels)[:, None] / 128 - 1
    found = 128 * (released_patches(image, torch.from_numpy(joints), (32,))[0] + 1)
    places = joints[..., :2] * count
    wanted = np.stack([_pixel_by_pixel(*sample, 32) for sample in zip(levels, places, strict=True)])
    off = np.abs(found.numpy() - wanted)
    assert wanted.max() > 100 and (off > 0.01).mean() < 5e-3


@pytest.mark.parametrize(
    ("cut", "places"), [(crop_bone_patches, [3.0]), (released_patches, [3, 1e30, -1e30, torch.nan])]
)
def test_background_where_there_is_no_image(cut, places):
    for place in places:
        for dtype in (torch.float32, torch.float64):
            image = torch.ones(1, 1, 32, 32, dtype=dtype)
            patches = cut(image, torch.full((1, 21, 3), place), (16, 8))
            assert [patch.dtype for patch in patches] == [dtype, dtype]
            assert [patch.shape for patch in patches] == [(1, 20, 16, 16), (1, 20, 8, 8)]
            assert all(patch.isfinite().all() for patch in patches)
            assert place != place or all((patch == -1).all() for patch in patches)


@pytest.mark.parametrize("cut", [crop_bone_patches, released_patches])
def test_gradient_reaches_the_image_but_not_the_joints(cut):
    torch.manual_seed(0)
    image = torch.rand(1, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    joints = torch.rand(1, 21, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image: cut(image, joints, (8, 4))[1], (image,))
    cut(image, joints, (8, 4))[1].sum().backward()
    assert joints.grad is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("cut", [crop_bone_patches, released_patches])
def test_gpu_gives_the_same_patches(cut):
    image, joints = 2 * torch.rand(2, 1, 64, 64) - 1, torch.rand(2, 21, 3)
    there = cut(image.cuda(), joints.cuda(), (16, 8))
    for one, other in zip(cut(image, joints, (16, 8)), there, strict=True):
        # A pixel on the band's rim may tip over.
        assert ((one - other.cpu()).abs() > 1e-4).double().mean() < 1e-3


def test_raw_orientations_are_bones_in_mm(crops, hand):
    """Refined bone = initial bone + residual, whatever lengths are given; of other patches."""
    joints, uvd = torch.from_numpy(hand), crops.to_uvd(torch.from_numpy(hand))
    refiner = Refiner(torch.full((20,), torch.nan), patch_sizes=(32, 16, 8), hidden=8, channels=2)
    refined = refiner(crops.image, uvd, joints)
    assert torch.equal(refined.initial_orientation, refined.orient(joints))
    wanted = (joints_to_bones(joints) + refined.residual_orientation).detach()
    np.testing.assert_allclose(joints_to_bones(refined.joints_mm.detach()), wanted, atol=1e-3)
    cut = zip(
        refiner.cut(crops.image, uvd), BoneRefiner.cut(refiner, crops.image, uvd), strict=True
    )
    assert not any(torch.equal(*patches) for patches in cut)
    with pytest.raises(ValueError, match=r"sizes are \(96, 50, 24\), wanted the first"):
        Refiner(torch.ones(20), patch_sizes=(96, 50, 24))


def test_boxes_are_squares_of_whole_pixels():
    joints = torch.full((1, 21, 2), 0.5)
    joints[0, 8] = torch.tensor([0.5 + 20.9 / 256, 0.5 - 5 / 256])
    boxes = 256 * released_boxes(joints, 256)[0]
    np.testing.assert_allclose(boxes[BONES.index((8, 7))], [138.45, 125.5, 30, 30], atol=1e-4)
    np.testing.assert_allclose(boxes[BONES.index((11, 10))], [128, 128, 15, 15], atol=1e-4)
    small = 64 * released_boxes(joints, 64)[0]
    np.testing.assert_allclose(small[BONES.index((8, 7)), 2:], [7, 7], atol=1e-5)  # int(1.5 * 5)
