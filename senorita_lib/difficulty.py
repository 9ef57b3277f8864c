"""What makes a frame hard: how the palm is turned, how the fingers are bent."""

import numpy as np

from senorita_lib.datasets.posing import view_angles
from senorita_lib.hand import joints_to_bones


def palm_angle(joints):
    """How far the palm is turned from the camera: 0° it faces it, 90° edge on, 180° the back.

    Parameters
    ----------
    joints : array, (..., 21, 3)
        Camera frame, a right hand.

    Returns
    -------
    array, (...)
        Degrees.
    """
    azimuth, elevation = np.radians(view_angles(np.asarray(joints, np.float64)))
    return np.degrees(np.arccos(np.cos(azimuth) * np.cos(elevation)))


def finger_bend(joints):
    """By how much the fingers are bent: the turns from bone to bone, summed along each finger.

    Parameters
    ----------
    joints : array, (..., 21, 3)
        Any frame and unit; no bone without length.

    Returns
    -------
    array, (..., 5)
        Degrees, thumb first; about 0 for a straight finger, 200 and more in a fist.
    """
    bones = joints_to_bones(np.asarray(joints, np.float64))
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    bones = bones.reshape(*bones.shape[:-2], 5, 4, 3)
    cosines = (bones[..., 1:, :] * bones[..., :-1, :]).sum(axis=-1)
    return np.degrees(np.arccos(cosines.clip(-1, 1))).sum(axis=-1)


def rank_correlation(one, two):
    """Spearman's rank correlation of two quantities of the same frames, from -1 to 1.

    Parameters
    ----------
    one, two : array, (N,)
    """
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (one, two)]
    return float(np.corrcoef(ranks)[0, 1])
