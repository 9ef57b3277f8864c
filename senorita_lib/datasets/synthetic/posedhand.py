"""Joints of a hand posed by a few angles in degrees, for sliders."""

from collections.abc import Sequence

import numpy as np

from senorita_lib.cropping import CUBE_MM
from senorita_lib.datasets.synthetic.handmodel import SHAPES, HandAngles, hand_joints, palm_frame
from senorita_lib.datasets.synthetic.posing import facing

MIDDLE = (6.0, 80.0, 10.0)  # mm, hand frame: what stays in the middle of the cube
OPEN = (20, 10, 10, 10, 10)  # bends of an open hand
APART = (45, 6, 1, -3, -4)  # spreads of an open hand
GESTURES = {  # their bends, degrees
    "open": OPEN, "fist": (60, 85, 85, 85, 85), "point": (60, 5, 85, 85, 85),
    "victory": (60, 5, 5, 85, 85),
}  # fmt: skip


def posed_hand(
    bends: Sequence[float] | np.ndarray = OPEN,
    spreads: Sequence[float] | np.ndarray = APART,
    turn: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0), *, size: int = 32,
) -> np.ndarray:  # fmt: skip
    """Joints (21, 3), voxel frame, of a hand in the middle of a 200 mm cube of ``size`` cells.

    Degrees: ``bends`` (5,), thumb first, flex MCP and PIP joints alike, the DIP follows by two
    thirds, about -15 (stretched) to 90 (in a fist); ``spreads`` (5,) abduct towards the thumb's
    side, about -25 to 25, the thumb's metacarpal away from the palm, about 0 to 60; ``turn`` is
    azimuth, elevation and roll, as in :func:`.posing.facing`. The cube does not follow the hand:
    bending one finger leaves the others where they are, and joints may lie outside.
    """
    bend, spread = np.radians(bends), np.radians(spreads)
    fingers = np.stack([bend[1:], spread[1:], bend[1:], bend[1:] * 2 / 3], axis=-1)
    # The thumb is 20° out of the palm's plane, and more in a fist, where it lies over fingers.
    rise = np.radians(20) + 0.3 * bend[0]
    thumb = np.array([spread[0] - 0.3 * bend[0], rise, np.radians(-12), bend[0] * 2 / 3, bend[0]])
    local = hand_joints(SHAPES[0], HandAngles(fingers, thumb, np.zeros(2)))
    rotation = facing(*np.radians(turn)) @ palm_frame(local).T
    x, y, z = (rotation @ (local - MIDDLE).T) / CUBE_MM  # camera frame, cubes
    return size * (np.stack([x, y, -z], axis=-1) + 0.5) - 0.5
