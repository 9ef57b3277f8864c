"""Crops at a given place and roll: they show what the paper's crop shows, turned and mirrored."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import HandCrop, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.views import WIDTH_MM, Turn, crop_views, depth_window, upright


@pytest.fixture(scope="module")
def frame():
    return SyntheticHand(seed=4).frame(11)


def view(frame, centre, turn, size=128, camera=SR300, width=WIDTH_MM):
    window, box = depth_window(frame.depth, camera, centre)
    centre = torch.from_numpy(np.float32(centre))[None]
    return crop_views(window, box, camera, centre, turn, size, width)


def test_upright_and_at_the_papers_place_it_is_the_papers_crop(frame):
    crop = crop_hand(frame.depth, frame.box, size=128)
    x1, y1, x2, y2 = crop.box
    # The paper's box is in whole pixels, and centred elsewhere than the cube.
    middle = SR300.unproject(np.array([(x1 + x2) / 2, (y1 + y2) / 2, crop.cube_centre[2]]))
    width = float((x2 - x1) * middle[2] / SR300.fx)
    ours = view(frame, middle, Turn(torch.zeros(1)), width=width)
    np.testing.assert_allclose(ours.box[0], crop.box, atol=0.01)
    image = ours.image[0, 0].numpy()
    both = (image > -1) & (crop.image > -1)
    assert both.sum() > 0.97 * (crop.image > -1).sum()
    np.testing.assert_allclose(image[both], crop.image[both], atol=0.01)
    assert width == pytest.approx(WIDTH_MM, rel=0.1)


@pytest.mark.parametrize("roll", [0.0, 37.0, 90.0, 180.0])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("camera", [SR300, replace(SR300, fy=0.7 * SR300.fy)])
def test_joints_keep_their_pixels_and_depths(roll, mirrored, camera):
    """The depth that the crop shows at a joint's uv is the frame's at the joint's pixel."""
    frame = SyntheticHand(seed=4, camera=camera).frame(11)
    joints = torch.from_numpy(frame.joints)[None]
    turn = Turn(torch.tensor([roll]), torch.tensor([mirrored]))
    crops = view(frame, frame.joints.mean(axis=0), turn, size=256, camera=camera)
    uvd = crops.to_uvd(turn.apply(joints))[0].numpy()
    image = crops.image[0, 0].numpy()
    z = crops.cube_centre[0, 2].item() - 100 * image
    seen = 0
    for (u, v, _), (x, y, _) in zip(uvd, camera.project(frame.joints), strict=True):
        row, column, true = int(v * 256), int(u * 256), frame.depth[round(y), round(x)]
        near = frame.depth[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
        if true and np.ptp(near) < 6 and image[row, column] > -1:
            assert abs(z[row, column] - true) < 6
            seen += 1
    assert seen > 8
    crop = HandCrop(image, *(x[0].numpy() for x in (crops.box, crops.cube_centre)), camera,
                    turned=turn.matrix()[0].numpy())  # fmt: skip
    np.testing.assert_allclose(crop.to_uvd(frame.joints), uvd, atol=1e-4)
    np.testing.assert_allclose(crop.to_camera(uvd), frame.joints, atol=0.05)


def test_turned_there_and_back_and_with_the_fingers_up():
    joints = torch.from_numpy(np.stack([SyntheticHand(1).pose(i).joints for i in range(6)]))
    mirrored = torch.tensor([True, False] * 3)
    turn = upright(joints, mirrored)
    seen = turn.apply(joints)
    np.testing.assert_allclose(turn.apply(seen, back=True), joints, atol=1e-4)
    np.testing.assert_allclose(seen.norm(dim=-1), joints.norm(dim=-1))
    along = seen[:, 2:6, :2].mean(dim=1) - seen[:, 0, :2]
    np.testing.assert_allclose(along[:, 0], 0, atol=1e-3)
    assert (along[:, 1] < 0).all()
    flipped = torch.linalg.det(turn.matrix()) < 0
    assert torch.equal(flipped, mirrored)


def test_a_hand_at_the_border_of_another_camera_is_seen_whole():
    camera = Camera(300, 300, 160, 120, 320, 240)
    depth = np.zeros((240, 320), np.uint16)
    depth[100:140, :30] = 400
    window, box = depth_window(depth, camera, np.array([-200.0, 0, 400]))
    assert window.sum() == depth.sum() and box[0, 0] < 0
