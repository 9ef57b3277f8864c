"""The synthetic body: joint angles to 16 keypoints, with flesh and clothes around them.

Body frame, mm: x to the person's left, y down, z to the back, origin at the pelvis. Angles are in
radians.
"""

from dataclasses import dataclass

import numpy as np

# mm
_HALF_HIPS, _HALF_SHOULDERS = 125.0, 170.0
_THIGH, _SHIN, _FOOT = 440.0, 425.0, 150.0
_SPINE, _NECK, _HEAD = 485.0, 85.0, 225.0
_UPPER_ARM, _FOREARM, _HAND = 285.0, 255.0, 95.0
_DOWN, _UP, _LEFT, _BACK = np.array([[0, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, 1]], float)


@dataclass(frozen=True)
class BodyPose:
    """One posed person."""

    keypoints: np.ndarray  # (16, 3) and
    more: np.ndarray  # (9, 3) of :func:`pose_body`, camera frame, mm
    girth: float  # factor on the flesh except the head's, 1: a slim adult
    size: float  # 1: a person of 1.75 m

    def spheres(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres (27, 3) and radii (27,), mm, of spheres whose hulls (``PARTS``) are the body."""
        keypoints, more = self.keypoints, self.more
        across = 0.45 * ((keypoints[13] - keypoints[12]) / 2)
        middle = keypoints[7] + 0.28 * (more[8] - keypoints[7])
        centres = np.concatenate([keypoints, more, [middle - across, middle + across]])
        # The top of the head lies on the skin, so its sphere lies below it.
        top = keypoints[8] - keypoints[9]
        centres[9] = keypoints[9] + _RADII[9] * top / np.linalg.norm(top)
        radii = _RADII * self.size * self.girth
        radii[[8, 9, _CHIN, _SKULL]] /= self.girth  # bony
        return centres, radii


def rotation(axis: int, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about x, y or z (axis 0, 1, 2)."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i] = np.sin(angle)
    matrix[i, j] = -matrix[j, i]
    return matrix


def pose_body(
    trunk: np.ndarray, head: np.ndarray, hips: np.ndarray, knees: np.ndarray,
    shoulders: np.ndarray, elbows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The 16 keypoints and 9 other points that carry flesh, (16, 3) and (9, 3), body frame, mm.

    The others are toes, heels, hands, right and left of each; chin, back of the head, waist.
    ``trunk`` and ``head`` (3,) bend forward, lean left and turn right; right and left ``hips``
    (2, 2) have flexion and abduction, ``shoulders`` (2, 3) also a twist of the upper arm, ``knees``
    and ``elbows`` (2,) flexion.
    """
    bend, lean, turn = trunk
    chest = rotation(0, bend) @ rotation(2, lean) @ rotation(1, turn)
    bend, lean, turn = head
    skull = chest @ rotation(0, bend) @ rotation(2, lean) @ rotation(1, turn)
    keypoints, more = np.zeros((16, 3)), np.zeros((9, 3))
    keypoints[7] = _SPINE * chest @ _UP
    keypoints[8] = keypoints[7] + _NECK * (chest @ _UP + skull @ _UP) / 2
    keypoints[9] = keypoints[8] + _HEAD * skull @ _UP
    legs, arms = ((2, 1, 0), (3, 4, 5)), ((12, 11, 10), (13, 14, 15))
    for side, sign in enumerate((-1, 1)):
        (hip, knee, ankle), (shoulder, elbow, wrist) = legs[side], arms[side]
        flexion, abduction = hips[side]
        thigh = rotation(0, -flexion) @ rotation(2, -sign * abduction)
        shin = thigh @ rotation(0, knees[side])
        keypoints[hip] = sign * _HALF_HIPS * _LEFT
        keypoints[knee] = keypoints[hip] + _THIGH * thigh @ _DOWN
        keypoints[ankle] = keypoints[knee] + _SHIN * shin @ _DOWN
        more[side] = keypoints[ankle] + shin @ (45 * _DOWN - _FOOT * _BACK)
        more[2 + side] = keypoints[ankle] + shin @ (45 * _DOWN + 35 * _BACK)
        flexion, abduction, twist = shoulders[side]
        upper = chest @ rotation(0, -flexion) @ rotation(2, -sign * abduction)
        upper = upper @ rotation(1, -sign * twist)
        fore = upper @ rotation(0, -elbows[side])
        keypoints[shoulder] = keypoints[7] + chest @ (sign * _HALF_SHOULDERS * _LEFT + 25 * _DOWN)
        keypoints[elbow] = keypoints[shoulder] + _UPPER_ARM * upper @ _DOWN
        keypoints[wrist] = keypoints[elbow] + _FOREARM * fore @ _DOWN
        more[4 + side] = keypoints[wrist] + _HAND * fore @ _DOWN
    keypoints[7] = (keypoints[12] + keypoints[13]) / 2  # midway, as with Human3.6M
    more[6] = keypoints[8] + skull @ (45 * _UP - 55 * _BACK)
    more[7] = keypoints[8] + skull @ (150 * _UP + 15 * _BACK)
    more[8] = 0.45 * _SPINE * chest @ _UP
    return keypoints, more


# Sphere numbers: the 16 keypoints, the 9 of `more`, then 25 and 26 in the chest.
_R_TOE, _L_TOE, _R_HEEL, _L_HEEL, _R_HAND, _L_HAND, _CHIN, _SKULL, _WAIST = range(16, 25)
_RADII = np.array(
    [48, 60, 92, 92, 60, 48, 105, 60, 58, 40, 31, 40, 58, 58, 40, 31]
    + [36, 36, 40, 40, 36, 36, 52, 92, 108, 88, 88],
    float,
)
# Parts of one colour: two spheres are joined by a pill, three by a wedge.
PARTS: dict[str, list[tuple[int, ...]]] = {
    "trousers": [(2, 1), (1, 0), (3, 4), (4, 5), (2, 3, 6), (2, 6, _WAIST), (3, 6, _WAIST)],
    "shirt": [(12, 11), (13, 14), (25, 26, _WAIST), (12, 25, 7), (13, 26, 7)],
    "skin": [(11, 10), (10, _R_HAND), (14, 15), (15, _L_HAND), (8, _CHIN), (_CHIN, _SKULL), (7, 8)],
    "hair": [(9, _SKULL)],
    "shoes": [(_R_HEEL, _R_TOE), (_L_HEEL, _L_TOE)],
}
