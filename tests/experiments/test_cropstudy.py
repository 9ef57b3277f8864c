"""The comparison of crops with the truth."""

import numpy as np
import pytest

from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic import posing
from senorita_lib.experiments.cropstudy import WAYS, compare_crops, quality_table

HANDS = SyntheticHand(seed=2)


def test_mask_is_the_hand_without_its_arm():
    arm, shown = 0, []
    for index in range(8):
        pose = HANDS.pose(index)
        mask, surface = HANDS.mask(pose), HANDS.surface(pose)
        assert np.isfinite(surface[mask]).all()
        uv = np.rint(HANDS.camera.project(pose.joints)[:, :2]).astype(int)
        seen = ((uv >= 0) & (uv < [640, 480])).all(axis=1)
        u, v = uv[seen].T
        assert (mask[v, u] | (surface[v, u] < pose.joints[seen, 2] - 20)).all()  # behind the arm
        shown.append(mask[v, u].mean())
        away = np.linalg.norm(np.argwhere(mask)[:, ::-1, None] - uv.T, axis=1).min(axis=1)
        assert away.max() < 60 * HANDS.camera.fx / pose.joints[:, 2].min()  # no elbow
        arm += (np.isfinite(surface) & ~mask).sum()
    assert arm > 10000
    assert np.mean(shown) > 0.9


def test_given_boxes_lose_next_to_nothing_and_keep_no_wall():
    """Rougher ones lose more; the table has a line for each way."""
    fine, rough = (compare_crops(HANDS, range(12), slack=slack) for slack in (0.0, 0.4))
    assert rough.loc[("otsu", "box"), "hand lost"] > fine.loc[("otsu", "box"), "hand lost"]
    lines = quality_table(fine).splitlines()
    assert len(lines) == 1 + len(WAYS) and lines[1].split()[:2] == ["otsu", "mass"]
    for _, quality in fine.iterrows():
        assert 0 <= quality["hand lost"] < 0.03
        assert 0 <= quality["background"] < 0.05
        assert 0.02 < quality["arm"] < 0.5
        assert 2 < quality["off centre"] < 40


@pytest.mark.parametrize("degrees", [30, -75])
def test_turned_hands_keep_their_shape_and_place(degrees):
    pose = HANDS.pose(3)
    other = posing.turned(pose, degrees)
    np.testing.assert_allclose(other.joints.mean(axis=0), pose.joints.mean(axis=0), atol=1e-9)
    lengths = [np.linalg.norm(p.joints[1:] - p.joints[:-1], axis=1) for p in (pose, other)]
    np.testing.assert_allclose(*lengths)
    rigid = other.local @ other.rotation.T + other.translation
    np.testing.assert_allclose(other.joints, rigid, atol=1e-6)
    # Seen from above the hand turns from the image's right towards the camera.
    right = np.argmax(pose.joints[:, 0])
    assert (other.joints[right, 2] < pose.joints[right, 2]) == (degrees > 0)


def test_a_hand_alone_has_nothing_behind_it():
    pose = HANDS.pose(5)
    frame, surface = HANDS.alone(pose), HANDS.surface(pose)
    assert np.abs(frame.depth[frame.depth > 0] - surface[frame.depth > 0]).max() < 15
    np.testing.assert_array_equal(frame.joints, pose.joints.astype(np.float32))
