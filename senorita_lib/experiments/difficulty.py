"""What makes a frame hard: how far the palm is turned, and how far the fingers are bent."""

import numpy as np
import numpy.typing as npt

from senorita_lib.datasets.synthetic.posing import view_angles
from senorita_lib.hand import joints_to_bones


def palm_angle(joints: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Angle between palm and camera: 0° the palm faces it, 90° edge on, 180° the back faces it.

    ``joints`` are (..., 21, 3), camera frame, of a right hand.
    """
    azimuth, elevation = np.radians(view_angles(np.asarray(joints, np.float64)))
    return np.degrees(np.arccos(np.cos(azimuth) * np.cos(elevation)))


def finger_bend(joints: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far each finger is bent: the angles between its successive bones, summed.

    ``joints`` are (..., 21, 3), any frame and unit, without bones of zero length. The sums,
    (..., 5), degrees, thumb first, are about 0 for a straight finger, 200 and more in a fist.
    """
    bones = joints_to_bones(np.asarray(joints, np.float64))
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    bones = bones.reshape(*bones.shape[:-2], 5, 4, 3)
    cosines = (bones[..., 1:, :] * bones[..., :-1, :]).sum(axis=-1)
    return np.degrees(np.arccos(cosines.clip(-1, 1))).sum(axis=-1)
