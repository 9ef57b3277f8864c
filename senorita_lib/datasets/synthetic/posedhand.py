"""A hand posed by a few angles in degrees, for sliders: no chance, no sensor, no flesh."""

import numpy as np

from senorita_lib.datasets.synthetic.handmodel import SHAPES, HandAngles, hand_joints, palm_frame
from senorita_lib.datasets.synthetic.posing import facing

CUBE = 200.0  # mm, its side
MIDDLE = (6.0, 80.0, 10.0)  # mm, hand frame: what stays in the middle of the cube
OPEN = (20, 10, 10, 10, 10)  # bends of an open hand
APART = (45, 6, 1, -3, -4)  # spreads of an open hand

# Bends of some gestures, degrees.
GESTURES = {
    "open": OPEN,
    "fist": (60, 85, 85, 85, 85),
    "point": (60, 5, 85, 85, 85),
    "victory": (60, 5, 5, 85, 85),
}


def posed_hand(bends=OPEN, spreads=APART, turn=(0.0, 0.0, 0.0), *, size=32, shape=SHAPES[0]):
    """Joints of a hand in the middle of a 200 mm cube.

    Parameters
    ----------
    bends : sequence, (5,)
        Flexion of each finger, thumb first, degrees: of its MCP and its PIP joint alike, the
        DIP joint follows by two thirds. About -15 (stretched) to 90 (in a fist).
    spreads : sequence, (5,)
        Abduction of each finger, degrees, positive towards the thumb's side, about -25 to 25;
        of the thumb the angle of its metacarpal away from the palm, about 0 to 60.
    turn : (azimuth, elevation, roll)
        Degrees. Where the palm faces: 0, 0 is the camera, azimuth 90 the image's right,
        elevation 90 up. Roll is anticlockwise for whom the palm faces.
    size : int
        Cells along the cube's sides.
    shape : HandShape

    Returns
    -------
    array, (21, 3)
        Voxel frame, cells, HANDS19 order. The cube does not follow the hand: bending one
        finger leaves the others where they are. Joints may lie outside.
    """
    bend, spread = np.radians(bends), np.radians(spreads)
    fingers = np.stack([bend[1:], spread[1:], bend[1:], bend[1:] * 2 / 3], axis=-1)
    # The thumb stands out of the palm by 20°, and by more in a fist, where it lies over fingers.
    rise = np.radians(20) + 0.3 * bend[0]
    thumb = np.array([spread[0] - 0.3 * bend[0], rise, np.radians(-12), bend[0] * 2 / 3, bend[0]])
    local = hand_joints(shape, HandAngles(fingers, thumb, np.zeros(2)))
    rotation = facing(*np.radians(turn)) @ palm_frame(local).T
    x, y, z = (rotation @ (local - MIDDLE).T) / CUBE  # camera frame, cubes
    return size * (np.stack([x, y, -z], axis=-1) + 0.5) - 0.5
