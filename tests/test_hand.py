import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from senorita_lib import hand
from senorita_lib.hand import BONES, FINGERS, JOINT_NAMES, bones_to_joints, joints_to_bones


def test_names_and_bones_are_a_tree_rooted_at_the_wrist():
    assert JOINT_NAMES[:4] == ("wrist", "thumb_mcp", "index_mcp", "middle_mcp")
    assert JOINT_NAMES[6:9] == ("thumb_pip", "thumb_dip", "thumb_tip")
    assert len(set(JOINT_NAMES)) == 21 and BONES[:5] == ((8, 7), (7, 6), (6, 1), (1, 0), (11, 10))
    assert sorted(child for child, _ in BONES) == list(range(1, 21))
    for child, parent in BONES:
        finger = JOINT_NAMES[child].split("_")[0]
        assert parent == 0 or JOINT_NAMES[parent].startswith(finger)
        assert FINGERS[hand.JOINT_FINGER[child]] == finger
    assert [FINGERS[f] for f in hand.BONE_FINGER[::4]] == list(FINGERS)


@given(arrays(np.float64, (2, 21, 3), elements=st.floats(-1e3, 1e3)))
def test_joints_and_bones_round_trip(joints):
    for made in (joints, torch.from_numpy(joints)):
        bones = joints_to_bones(made)
        assert np.array_equal(bones[:, 0], joints[:, 8] - joints[:, 7])
        np.testing.assert_allclose(bones_to_joints(made[:, 0], bones), joints, atol=1e-9)


def test_matches_the_authors_chain(golden):
    data = golden("geometry")
    # Theirs are parent minus child, and relative to the wrist.
    np.testing.assert_allclose(joints_to_bones(data["joints"]), -data["bones"], atol=1e-4)
    joints = bones_to_joints(np.zeros((8, 3), np.float32), -data["bones"])
    np.testing.assert_allclose(joints, data["bone2joint_rel"], atol=1e-3)


def test_wrong_shapes_are_refused():
    for shape in [(20, 3), (21, 2), (2, 63)]:
        with pytest.raises(ValueError, match="wanted"):
            joints_to_bones(np.zeros(shape))
    with pytest.raises(ValueError, match="wanted"):
        bones_to_joints(np.zeros(3), np.zeros((21, 3)))
