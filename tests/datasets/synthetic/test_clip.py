"""The clip of a moving hand."""

import numpy as np

from senorita_lib.camera import SR300
from senorita_lib.datasets.synthetic.clip import moving_hand
from senorita_lib.datasets.synthetic.posing import bent_fingers


def test_a_hand_moves_a_little_from_frame_to_frame_and_much_in_all():
    frames = moving_hand(40)
    joints = np.stack([frame.joints for frame in frames])
    steps = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
    assert steps.max() < 60 and np.ptp(joints.mean(axis=1), axis=0).min() > 80
    assert {0, 31, 29, 25} <= set(bent_fingers(joints).tolist())
    for frame in frames:
        u, v = np.rint(SR300.project(np.asarray(frame.joints, float))[:, :2]).astype(int).T
        assert u.min() > 0 and v.min() > 0 and u.max() < 640 and v.max() < 480
        seen = frame.depth[v, u].astype(float)
        assert np.median(np.asarray(frame.joints)[:, 2] - seen) > 0  # flesh lies before joints
    person = [frame.depth[60, 400] for frame in frames]  # the head
    assert min(person) > 600 and np.ptp(person) < 30


def test_a_clip_depends_on_seed_and_count_alone():
    one, other, another = (moving_hand(3, seed=seed)[1].depth for seed in (4, 4, 5))
    assert (one == other).all() and (one != another).any()
