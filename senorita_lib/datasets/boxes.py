"""Boxes around hands: (..., 4), x1, y1, x2, y2, pixel frame."""

import numpy as np


def hand_box(joints, camera, margin=14.0):
    """Box around joints, as HANDS19's: whole pixels, clipped to the image.

    Parameters
    ----------
    joints : array, (..., 21, 3)
        Camera frame, mm.
    camera : Camera
    margin : float
        mm around the joints, for the flesh.

    Returns
    -------
    array of int, (..., 4)
        x1, y1, x2, y2, pixel frame; empty where a joint is not in front of the camera.
    """
    joints = np.asarray(joints)
    ahead = (joints[..., 2] > 0).all(axis=-1)
    if not ahead.all():
        joints = np.where(ahead[..., None, None], joints, 1)
    uvz = camera.project(joints)
    border = margin / uvz[..., 2:] * [camera.fx, camera.fy]
    size = [camera.width, camera.height]
    low = np.floor((uvz[..., :2] - border).min(axis=-2))
    high = np.ceil((uvz[..., :2] + border).max(axis=-2))
    box = np.concatenate([np.clip(low, 0, size), np.clip(high, 0, size)], axis=-1)
    return (box * ahead[..., None]).astype(np.int64)


def is_empty(boxes):
    """Which boxes (..., 4) hold no pixel; HANDS19 has such."""
    return (boxes[..., 0] >= boxes[..., 2]) | (boxes[..., 1] >= boxes[..., 3])
