"""A submission whose hands are not where its frames' boxes are is refused, and no good one is."""

from itertools import product

import numpy as np
import pytest
from conftest import ROOT

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets.files import image_name
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.submission import check_submission, write_submission

IMAGE = (640, 480)
POSES = {
    f"{name} {i}": np.load(ROOT / f"results/tiny/model_{i}/predictions.npz")[name].astype(float)
    for i, name in [(1, "joints"), *product((1, 2, 3, 4), ("initial", "refined"))]
}
TRUE = POSES["joints 1"]
BOXES = hand_box(TRUE, SR300)  # as the data set has them: in the image
KINECT = Camera(588.03, 587.07, 320, 240, 640, 480)
PHONE = Camera(240.99, 240.96, 160, 120, 320, 240)


def check(folder, joints, boxes, count=None):
    """The number of frames, after the check."""
    names = [image_name(i) for i in range(len(joints))][:count]
    lines = (" ".join([name, *map(str, boxes[i])]) + "\n" for i, name in enumerate(names))
    (folder / "test_bbs.txt").write_text("".join(lines), encoding="utf-8")
    write_submission(folder / "result.zip", names, joints[:count])
    return check_submission(folder / "result.zip", folder / "test_bbs.txt")


def off(joints, mm):
    way = np.random.default_rng(0).normal(size=(len(joints), 1, 3))
    return joints + mm * way / np.linalg.norm(way, axis=-1, keepdims=True)


def larger(boxes, factor):
    """What a detector makes of them, cut by the image again."""
    corners = boxes.reshape(-1, 2, 2)
    centre = corners.mean(axis=1, keepdims=True)
    return (centre + factor * (corners - centre)).clip(0, IMAGE).round().astype(int).reshape(-1, 4)


def at_border(joints, side):
    """The hands moved along x or y until more than half of each is beyond the image's border."""
    axis = side % 2
    uv = SR300.project(joints)[..., axis]
    size = np.ptp(uv, axis=1) / 4
    goal = IMAGE[axis] + size if side > 1 else -size
    middle, z = (uv.min(axis=1) + uv.max(axis=1)) / 2, joints[..., 2].mean(axis=1)
    return joints + ((goal - middle) * z / SR300.fx)[:, None, None] * np.eye(3)[axis]


@pytest.mark.parametrize("poses", POSES.values(), ids=POSES)
def test_true_and_predicted_poses_pass(tmp_path, poses):
    assert check(tmp_path, poses, BOXES) == 500
    sizes = BOXES - np.pad(BOXES[:, :2], ((0, 0), (2, 0)))  # x y width height, as HANDS17 has them
    assert check(tmp_path, poses, sizes) == 500
    for factor, count in ((0.7, 500), (1.3, 500), (1, 1), (1, 5), (1, 40)):
        assert check(tmp_path, off(poses, 20), larger(BOXES, factor), count) == count


@pytest.mark.parametrize("side", range(4))
def test_hands_that_the_image_cuts_pass(tmp_path, side):
    joints = at_border(TRUE, side)
    assert check(tmp_path, off(joints, 20), larger(hand_box(joints, SR300), 0.7)) == 500
    with pytest.raises(ValueError, match="hands lie outside theirs"):
        check(tmp_path, np.roll(joints, 1, axis=0), hand_box(joints, SR300))


def test_boxes_that_hold_the_arm_or_lie_beside_pass(tmp_path):
    side = np.tile(BOXES[:, 2:] - BOXES[:, :2], 2)
    to_border = BOXES * [1, 1, 1, 0] + [0, 0, 0, 480]
    beside = BOXES + np.random.default_rng(0).uniform(-0.2, 0.2, BOXES.shape) * side
    for boxes in (to_border, beside.clip(0, 2 * IMAGE).astype(int), 0 * BOXES + [0, 0, *IMAGE]):
        assert check(tmp_path, off(TRUE, 20), boxes) == 500


OUTSIDE = r"a hand round pixel \[\d+, \d+\] and a box of \[\d+, \d+, \d+, \d+\]; "
OUTSIDE += r"\d+ of \d+ hands lie outside theirs, wanted camera frame, mm"


@pytest.mark.parametrize(
    ("spoil", "count", "line", "words"),
    [
        (SR300.project, 500, 1, OUTSIDE),
        (SR300.project, 1, 1, OUTSIDE),
        (lambda j: np.roll(j, 1, axis=0), 500, "[1-3]", OUTSIDE),
        (lambda j: np.roll(j, -1, axis=0), 20, "[1-3]", OUTSIDE),
        (lambda j: j * [-1, 1, 1], 500, "[1-3]", OUTSIDE),
        (lambda j: j * [1, -1, 1], 500, "[1-3]", OUTSIDE),
        (lambda j: j[..., [1, 0, 2]], 500, "[1-9]", OUTSIDE),
        (lambda j: j + [200, 0, 0], 500, 1, OUTSIDE),
        (lambda j: j - j[:, :1] + [0, 0, 600], 500, "[1-3]", OUTSIDE),
        (lambda j: PHONE.unproject(SR300.project(j)), 40, 1, OUTSIDE),
        (lambda j: KINECT.unproject(SR300.project(j)), 500, r"\d", r".*; hands lie 0\.8\d times"),
        (lambda j: j * (np.arange(500) == 8)[:, None, None], 500, 1, "zeros, as have 499 of 500 f"),
        (lambda j: j * (np.arange(500) % 2)[:, None, None], 40, 1, "zeros, as have 20 of 40 frame"),
    ],
)
def test_poses_of_other_frames_and_cameras_are_refused(tmp_path, spoil, count, line, words):
    sentence = rf"result\.zip: line {line} of result\.txt has {words}"
    for joints in (TRUE, POSES["refined 3"]):
        with pytest.raises(ValueError, match=sentence):
            check(tmp_path, spoil(joints), BOXES, count)


def test_zeros_where_boxes_are_empty_pass(tmp_path):
    without = np.arange(500) % 3 == 0
    joints, boxes = np.where(without[:, None, None], 0, TRUE), np.where(without[:, None], 0, BOXES)
    assert check(tmp_path, joints, boxes) == 500
    joints[::10] = 0  # and one tenth of the other ones: no hand was found
    assert check(tmp_path, joints, boxes) == 500
