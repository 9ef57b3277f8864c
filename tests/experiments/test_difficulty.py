import numpy as np
import pytest

from senorita_lib.datasets.synthetic.posedhand import posed_hand
from senorita_lib.experiments.difficulty import finger_bend, palm_angle


@pytest.mark.parametrize(
    ("turn", "degrees"),
    [((0, 0, 0), 0), ((0, 0, 50), 0), ((90, 0, 0), 90), ((180, 0, 0), 180), ((0, 60, 20), 60)],
)
def test_palm_angle_is_how_far_the_hand_was_turned(turn, degrees):
    joints = posed_hand(turn=turn) * [1, 1, -1]  # of the voxel frame, where depth counts upwards
    assert palm_angle(joints) == pytest.approx(degrees, abs=0.1)


def test_bend_is_the_sum_of_turns():
    joints = np.zeros((21, 3))
    # Index: along x, then a turn of 30, 40 and 50 degrees in a plane.
    directions = np.radians([0, 30, 70, 120])
    joints[[2, 9, 10, 11], 0] = np.cumsum(np.cos(directions))
    joints[[2, 9, 10, 11], 1] = np.cumsum(np.sin(directions))
    for mcp in (1, 3, 4, 5):  # the others are straight
        joints[[mcp, 3 * mcp + 3, 3 * mcp + 4, 3 * mcp + 5], 2] = np.arange(1, 5) * mcp
    turned = joints @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    found = finger_bend(np.stack([joints, 3 * turned]))
    np.testing.assert_allclose(found, 2 * [[0, 120, 0, 0, 0]], atol=1e-5)
