from dataclasses import replace

import cv2
import numpy as np
import torch

from senorita_lib.augmentation import Draws, augment, draw
from senorita_lib.camera import SR300
from senorita_lib.cropping import CropBatch
from senorita_lib.hand import joints_to_bones
from senorita_lib.recipes import Recipe


def draws(angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    return Draws(*(torch.tensor([value] * 4) for value in (angle, scale, shift)))


def test_nothing_drawn_changes_nothing_and_else_bones_keep_their_lengths(crops, hand):
    joints = torch.from_numpy(hand)
    moved, moved_joints = augment(crops, joints, draws())
    np.testing.assert_allclose(moved.image, crops.image, atol=1e-5)
    np.testing.assert_allclose(moved.box, crops.box, atol=1e-3)
    assert torch.equal(moved_joints, joints)
    _, moved_joints = augment(crops, joints, draws(20.0, 1.2, (0.02, 0.0)))
    before, after = (joints_to_bones(j).norm(dim=-1) for j in (joints, moved_joints))
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_image_and_joints_turn_alike_where_pixels_are_not_quite_square(hand):
    """A dot stays at its joint, away from the camera's axis."""
    camera = replace(SR300, fy=0.99 * SR300.fy)
    joints = torch.from_numpy(hand) + torch.tensor([150.0, 60, 0])
    uv = torch.from_numpy(camera.project(joints.numpy())[:, :1, :2])
    box = torch.cat([uv[:, 0] - 100, uv[:, 0] + 110], dim=1)
    crops = CropBatch(torch.full((4, 1, 210, 210), -1.0), box, joints.mean(dim=1), camera)
    crops.image[:, :, 98:102, 98:102] = 0.0
    moved, turned = augment(crops, joints, draws(30.0))
    dots = [(image > -1).nonzero().float().mean(dim=0).flip(0) + 0.5 for image in moved.image[:, 0]]
    uv = 210 * moved.to_uvd(turned)[:, 0, :2]
    torch.testing.assert_close(torch.stack(dots), uv, atol=0.2, rtol=0)


def test_draws_have_the_papers_ranges():
    drawn = draw(4000, torch.Generator().manual_seed(0), Recipe())
    assert drawn.angle.abs().max() <= 30 and drawn.angle.abs().max() > 29
    assert drawn.shift.abs().max() * 256 <= 5 and drawn.shift.abs().max() * 256 > 4.9
    scaled = drawn.scale[drawn.scale != 1]
    assert 0.75 <= scaled.min() < 0.76 and 1.24 < scaled.max() <= 1.25
    assert 0.47 < len(scaled) / 4000 < 0.53


def test_recorded_draws_of_the_release_give_its_joints_and_images(golden):
    data, scene = golden("aug_train_mode"), golden("crop")
    samples = data["sample"]
    crops = CropBatch(
        image=torch.from_numpy(scene["out_depth256"][samples]).float()[:, None] * 2 - 1,
        box=torch.from_numpy(scene["out_box_xyxy"][samples]),
        cube_centre=torch.from_numpy(scene["out_avg_XYZUV"][samples, :3]),
    )
    draws = Draws(
        angle=torch.from_numpy(-data["degree"]),  # theirs turns from v towards u
        scale=torch.from_numpy(data["scale_multiplier"] * 0.9765625),  # always applied there
        # Theirs moves the window, ours the content.
        shift=-torch.from_numpy(np.stack([data["offset_x"], data["offset_y"]], axis=1)) / 256,
    )
    joints = torch.from_numpy(scene["joints_cam_mm"][samples])
    moved, seen = augment(crops, joints, draws)
    cut = torch.from_numpy(data["joint2d_local"]) - moved.to_uvd(seen)[..., :2]
    assert np.ptp(256 * cut.numpy(), axis=1).max() < 0.001  # px of the 256
    # Their canvas grows with the rotation and is cut at a centre truncated to whole pixels.
    assert cut.min() >= 0 and 256 * cut.max() < 1
    # Images within the hand: silhouettes are mixed with the background there, and here not.
    moved, _ = augment(crops, joints, draws._replace(shift=draws.shift + cut.mean(dim=1)))
    ours = (moved.image[:, 0].numpy() + 1) / 2 * 255
    theirs = data["img"] * 256
    for one, other in zip(ours, theirs, strict=True):
        hand = cv2.erode(((one > 0) & (other > 0)).astype(np.uint8), np.ones((9, 9))) > 0
        difference = np.abs(one - other)[hand]
        assert hand.sum() > 3000
        # Levels of 255; theirs is bicubic, in 8 bits, and resampled three times.
        assert difference.mean() < 1 and np.percentile(difference, 95) < 3
