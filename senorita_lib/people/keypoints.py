"""The 16 keypoints of a person that MPII and Human3.6M share, in MPII's order."""

KEYPOINT_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "pelvis", "thorax", "upper_neck", "head_top",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
PELVIS, THORAX = 6, 7
# (child, parent), as in Sun et al. (2018).
BODY_BONES = (
    (0, 1), (1, 2), (2, 6), (5, 4), (4, 3), (3, 6), (7, 6), (8, 7), (9, 8),
    (10, 11), (11, 12), (12, 7), (15, 14), (14, 13), (13, 7),
)  # fmt: skip
MIRRORED = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)
# Which of Human3.6M's 17 joints each keypoint is. There is no thorax: that is midway between the
# shoulders. MPII has neither torso (7) nor nose (9). As in Sun et al.'s code (hm36.py).
HUMAN36M_JOINT = (3, 2, 1, 4, 5, 6, 0, None, 8, 10, 16, 15, 14, 11, 12, 13)
