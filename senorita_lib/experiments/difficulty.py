"""What makes a frame hard, or tells that it is: the palm's turn, the fingers' bend, the spread."""

import numpy as np

from senorita_lib.datasets.synthetic.posing import view_angles
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
    """Spearman's correlation of two arrays (N,): that of their ranks, of equals the mean rank."""
    return float(np.corrcoef(*(_ranks(values) for values in (one, two)))[0, 1])


def _ranks(values):
    _, which, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[which]


def remaining_error(errors, uncertainty):
    """Mean error of the frames that remain when the most uncertain are left out.

    Parameters
    ----------
    errors, uncertainty : array, (N,)

    Returns
    -------
    array, (N,)
        The mean over all frames, then without the most uncertain one, and so on.
    """
    kept = np.asarray(errors, np.float64)[np.argsort(uncertainty, kind="stable")]
    return (np.cumsum(kept) / np.arange(1, len(kept) + 1))[::-1]
