"""The 16 keypoints of a person that MPII and Human3.6M have in common, in MPII's order.

Step 1 of the paper begins with them (section 3.1): the network that will find 21 joints of a
hand first finds these.
"""

import numpy as np

KEYPOINT_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "pelvis", "thorax", "upper_neck", "head_top",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
PELVIS, THORAX, UPPER_NECK, HEAD_TOP = 6, 7, 8, 9

# (child, parent), as Sun et al. (2018) have them.
BODY_BONES = (
    (0, 1), (1, 2), (2, 6), (5, 4), (4, 3), (3, 6), (7, 6), (8, 7), (9, 8),
    (10, 11), (11, 12), (12, 7), (15, 14), (14, 13), (13, 7),
)  # fmt: skip

# For each keypoint the one that it becomes in a mirror.
MIRRORED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)

# Human3.6M's 17 joints as its preprocessed forms order them; the names are its users', not its own.
HUMAN36M_NAMES = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "torso", "neck", "nose", "head",
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
# For each keypoint Human3.6M's joint. It has no thorax: that is midway between the shoulders. Its
# torso and nose are in nothing of MPII's. As in Sun et al.'s code (integral-human-pose, hm36.py).
HUMAN36M_JOINT = (3, 2, 1, 4, 5, 6, 0, None, 8, 10, 16, 15, 14, 11, 12, 13)
_SHOULDERS = 14, 11


def from_human36m(joints):
    """The 16 keypoints of Human3.6M's 17 joints.

    Parameters
    ----------
    joints : array, (..., 17, n)
        Any frame, any unit.

    Returns
    -------
    array, (..., 16, n)

    Raises
    ------
    ValueError
        If there are not 17 joints.
    """
    joints = np.asarray(joints)
    if joints.ndim < 2 or joints.shape[-2] != 17:
        raise ValueError(f"joints have shape {joints.shape}, wanted (..., 17, n)")
    keypoints = joints[..., [joint or 0 for joint in HUMAN36M_JOINT], :].astype(float)
    keypoints[..., THORAX, :] = joints[..., _SHOULDERS, :].mean(axis=-2)
    return keypoints
