"""The open world: nothing held back, labels that lie in the flesh, windows that show the hand."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from senorita_lib.camera import SR300
from senorita_lib.datasets import SyntheticHand, SyntheticStream
from senorita_lib.datasets.synthetic import openworld, posing
from senorita_lib.datasets.synthetic.handmodel import MEDIAN_BONES, palm_frame
from senorita_lib.datasets.synthetic.openworld import Block, rests
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.datasets.synthetic.stream import WINDOW_MM, WINDOW_PX
from senorita_lib.hand import BONES

COUNT = 300


@pytest.fixture(scope="module")
def poses():
    return [SyntheticHand(2).pose(i, "open") for i in range(COUNT)]


def test_every_view_pattern_and_size_occurs(poses):
    joints = np.stack([pose.joints for pose in poses])
    assert len(np.unique(posing.view_bin(joints))) == posing.N_VIEWS
    assert len({pose.pattern for pose in poses}) == posing.N_PATTERNS
    up = palm_frame(joints)[:, 1, 1]  # where the fingers point: -1 is up
    assert (up < -0.7).mean() > 0.4 and (up > 0.3).mean() > 0.05
    assert 100 < sum(pose.mesh is None for pose in poses) < 200
    size = np.array([pose.hand.bones.mean() for pose in poses]) / MEDIAN_BONES.mean()
    assert size.min() < 0.85 and size.max() > 1.15 and abs(size.mean() - 1) < 0.03
    swell = np.stack([pose.hand.swell for pose in poses])
    assert 0.04 < np.log(swell[:, :20]).std() < 0.12


def test_windows_show_the_hand(poses):
    """At a joint's pixel there is flesh around it, or something in front."""
    hidden = []
    for i in range(60):
        depth, box, joints = SyntheticHand(2).window(i, WINDOW_MM, WINDOW_PX)
        again = SyntheticHand(2).window(i, WINDOW_MM, WINDOW_PX)
        np.testing.assert_array_equal(depth, again[0])
        np.testing.assert_array_equal(joints, np.float32(poses[i].joints))
        assert depth.shape == (WINDOW_PX, WINDOW_PX) and depth.dtype == np.uint16
        uv = (SR300.project(joints)[:, :2] - box[:2]) / (box[2:] - box[:2])
        assert ((uv > 0) & (uv < 1)).all()
        column, row = (uv * WINDOW_PX).astype(int).T
        seen = depth[row, column] > 0
        gap = joints[seen, 2] - depth[row, column][seen]
        assert (gap > -12).mean() > 0.8
        hidden.append(np.mean(gap > 40))
    assert np.mean(hidden) < 0.25


def test_what_lies_outside_the_frame_is_not_seen():
    rng = np.random.default_rng(0)
    pose = SyntheticHand(2).pose(0, "open")
    joints, translation = (place + [-400, 0, 0] for place in (pose.joints, pose.translation))
    moved = replace(pose, joints=joints, translation=translation)
    depth, box = openworld.window(rng, SR300, moved, WINDOW_MM, WINDOW_PX)
    outside = box[0] + (box[2] - box[0]) * (np.arange(WINDOW_PX) + 0.5) / WINDOW_PX < -0.5
    assert outside.any() and not depth[:, outside].any()


def test_the_stream_gives_windows_of_frames():
    stream = SyntheticStream(3, seed=2, split="open", workers=0)
    (first, joints), (second, _) = islice(stream, 2)
    assert first.image.shape == (3, 1, WINDOW_PX, WINDOW_PX) and joints.shape == (3, 21, 3)
    depth, box, true = SyntheticHand(2).window(4, WINDOW_MM, WINDOW_PX)
    np.testing.assert_array_equal(second.image[1, 0], depth)
    np.testing.assert_array_equal(second.box[1], box)
    np.testing.assert_array_equal(second.cube_centre[1], true.mean(axis=0))
    frame = SyntheticHand(2).frame(4, "open")
    assert frame.depth.shape == (480, 640) and frame.split == "open"
    np.testing.assert_array_equal(frame.joints, true)


def test_joints_lie_in_the_flesh(poses):
    spheres = [pose for pose in poses if pose.mesh is None]  # test_meshhand has the others'
    assert 100 < len(spheres) < 200
    for pose in spheres[:40]:
        centres, radii = posing.pose_spheres(pose)
        gap = np.linalg.norm(pose.joints[:, None] - centres, axis=-1) - radii
        assert (gap.min(axis=1)[1:] < 0.5).all()


def test_a_block_is_drawn_where_it_is_and_knows_what_is_in_it():
    block = Block(np.array([10.0, -5, 400]), np.eye(3), np.array([30.0, 20, 10]), 0.5)
    depth = render_depth(*block.spheres(), SR300)
    seen, (wide, tall) = np.isfinite(depth), (2 * SR300.fx * half / 390 for half in (30, 20))
    assert seen.sum() == pytest.approx(wide * tall, rel=0.03)
    assert depth[seen].min() == pytest.approx(390, abs=0.1)
    assert (depth[seen] < 390.1).mean() > 0.9 and depth[seen].max() <= 410
    points = block.middle + [[0, 0, 0], [0, 0, -10], [0, 0, -15], [33.5, 23.5, 0], [29, 0, 0]]
    rounding = 0.5 * (np.sqrt(2) - 1)
    wanted = [-10, 0, 5, 3.5 * np.sqrt(2) + rounding, -1]
    np.testing.assert_allclose(block.distance(points), wanted, atol=1e-6)


def test_what_is_held_lies_out_of_the_palm_and_hardly_in_bones(poses):
    rng, sizes, fitted = np.random.default_rng(0), [], []
    for pose in poses[:80]:
        axes, knuckles = palm_frame(pose.joints), pose.joints[2:6].mean(axis=0)
        middle, _, room = openworld.grip(pose.joints)
        apart = (pose.joints[11::3].mean(axis=0) - knuckles) @ axes[:, 2]
        if apart > 30:  # fingers are bent: the grip lies halfway to their tips
            assert (middle - knuckles) @ axes[:, 2] == pytest.approx(apart / 2, abs=3)
            assert 2 * (room + 9) == pytest.approx(apart)
        centres, radii, *_ = openworld._held(rng, pose.joints)
        assert (((centres - knuckles) @ axes[:, 2] - radii) > 9 - 1e-6).all()
        sizes.append(np.ptp(centres, axis=0).max() + 2 * radii.max())
        for half in (10.0, 25.0, 40.0):
            block, fits = rests(Block(middle, axes, np.full(3, half), 0.01), pose.joints)
            midpoints = pose.joints[np.array(BONES)].mean(axis=1)
            points = np.concatenate([pose.joints, midpoints]) - block.middle
            assert fits == ((np.abs(points @ axes) < half).all(axis=1).mean() < 0.1)
            fitted.append(fits)
    assert np.min(sizes) < 30 and np.max(sizes) > 120 and 0.1 < np.mean(fitted) < 0.9
