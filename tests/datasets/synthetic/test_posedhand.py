"""A hand posed by a few angles."""

import numpy as np
import pytest

from senorita_lib.cropping import CUBE_MM
from senorita_lib.datasets.synthetic.handmodel import SHAPES
from senorita_lib.datasets.synthetic.posedhand import APART, GESTURES, OPEN, posed_hand
from senorita_lib.datasets.synthetic.posing import bent_fingers, view_angles
from senorita_lib.hand import JOINT_FINGER, joints_to_bones


def camera_frame(joints):
    x, y, z = ((joints + 0.5) / 32 - 0.5).T * CUBE_MM
    return np.stack([x, y, -z], axis=-1)


@pytest.mark.parametrize("finger", range(5))
@pytest.mark.parametrize("angles", ["bends", "spreads"])
def test_an_angle_moves_its_finger_and_no_other(finger, angles):
    """Bends go towards the palm, which faces the camera, and spreads towards the thumb."""
    moved = list({"bends": OPEN, "spreads": APART}[angles])
    moved[finger] += 15
    shift = posed_hand(**{angles: moved}) - posed_hand()
    off, of_finger = np.linalg.norm(shift, axis=-1), np.array(JOINT_FINGER) == finger
    assert (off[of_finger][1:] > 0.3).all()  # all but the MCP, which does not move
    np.testing.assert_allclose(off[~of_finger], 0, atol=1e-9)
    if finger:
        assert shift[8 + 3 * finger, 2 if angles == "bends" else 0] > 1


def test_bone_lengths_are_kept_at_any_angles():
    rng = np.random.default_rng(0)
    wanted = np.linalg.norm(joints_to_bones(posed_hand()), axis=-1) * CUBE_MM / 32
    np.testing.assert_allclose(np.sort(wanted), np.sort(SHAPES[0].bones.ravel()), atol=1e-9)
    for _ in range(20):
        degrees = (rng.uniform(low, high, 5) for low, high in ((-15, 90), (-25, 60)))
        joints = posed_hand(*degrees, rng.uniform(-180, 180, 3), size=48)
        found = np.linalg.norm(joints_to_bones(joints), axis=-1) * CUBE_MM / 48
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_the_palm_faces_where_it_should_and_positive_roll_is_anticlockwise():
    for turn in ((0, 0, 0), (60, 0, 0), (-120, 30, 0), (20, -40, 70)):
        found = view_angles(camera_frame(posed_hand(turn=turn)))
        np.testing.assert_allclose(found, turn[:2], atol=1e-6)
    fingers = posed_hand(turn=(0, 0, 30))[3] - posed_hand(turn=(0, 0, 30))[0]
    np.testing.assert_allclose(np.degrees(np.arctan2(-fingers[0], -fingers[1])), 30, atol=1e-6)


def test_gestures_are_what_they_are_called():
    pattern = {name: int(bent_fingers(posed_hand(bends))) for name, bends in GESTURES.items()}
    assert pattern == {"open": 0, "fist": 31, "point": 29, "victory": 25}
    # The open hand lies within the cube.
    for turn in ((0, 0, 0), (90, 0, 0), (0, 60, 0), (180, 0, 0)):
        joints = posed_hand(turn=turn)
        assert joints.min() > -0.5 and joints.max() < 31.5
