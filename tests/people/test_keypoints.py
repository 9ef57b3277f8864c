import numpy as np

from senorita_lib.people.keypoints import (
    BODY_BONES,
    HUMAN36M_JOINT,
    HUMAN36M_NAMES,
    KEYPOINT_NAMES,
    MIRRORED,
    PELVIS,
    from_human36m,
)


def test_bones_are_a_tree_that_hangs_on_the_pelvis():
    parents = dict(BODY_BONES)
    assert len(parents) == len(BODY_BONES) == 15 and PELVIS not in parents
    for keypoint in range(16):
        steps = 0
        while keypoint != PELVIS:
            keypoint, steps = parents[keypoint], steps + 1
            assert steps < 16


def test_mirror_changes_left_and_right():
    for name, other in zip(KEYPOINT_NAMES, MIRRORED, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert KEYPOINT_NAMES[other] == swapped
    bones = {(MIRRORED[child], MIRRORED[parent]) for child, parent in BODY_BONES}
    assert bones == set(BODY_BONES)


def test_human36m_joints_become_those_of_the_same_name():
    joints = np.random.default_rng(0).normal(size=(2, 17, 3))
    keypoints = from_human36m(joints)
    others = {"thorax": None, "upper_neck": "neck", "head_top": "head"}
    for number, (name, joint) in enumerate(zip(KEYPOINT_NAMES, HUMAN36M_JOINT, strict=True)):
        called = others.get(name, name)
        if called is not None:
            assert HUMAN36M_NAMES[joint] == called
            assert np.array_equal(keypoints[:, number], joints[:, joint])
    shoulders = [HUMAN36M_NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
    np.testing.assert_allclose(keypoints[:, 7], joints[:, shoulders].mean(axis=1))
    unused = set(range(17)) - set(HUMAN36M_JOINT)
    assert {HUMAN36M_NAMES[joint] for joint in unused} == {"torso", "nose"}
