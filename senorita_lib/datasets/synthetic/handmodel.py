"""The synthetic hand: shapes, joint angles to joints, and the flesh around them.

A right hand in its own frame, mm: x towards the thumb's side, y towards the fingertips, z out
of the palm (right-handed), the wrist joint at the origin. Angles are radians.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from senorita_lib.files import read_toml
from senorita_lib.hand import FINGERS

TABLES = read_toml(__file__)
MEDIAN_BONES, _BASES, _RADII = (np.array(TABLES[k]) for k in ("median_bones", "bases", "radii"))
_REST_SPREAD, _REST_ROLL = np.radians([TABLES["rest_spread"], TABLES["rest_roll"]])


@dataclass(frozen=True)
class HandShape:
    """How one person's hand differs from another's."""

    bones: np.ndarray  # (5, 4), lengths, mm, thumb to little finger, wrist to tip
    width: float  # of the palm, relative to the median hand
    thickness: float  # of the flesh around the bones, relative to the median hand
    swell: float | np.ndarray = 1.0  # of each sphere, (N_SPHERES,), on top of the thickness


def _hand_shapes() -> tuple[HandShape, ...]:
    """Ten hand shapes; bone lengths, thickness and palm width vary independently."""
    size, reach, width, thickness = (np.array(v)[:, None, None] for v in TABLES["shapes"].values())
    bones = np.random.default_rng(2019).normal(1, 0.02, (10, 5, 4)) * size
    bones[..., 1:] *= reach
    flesh = (thickness * size).ravel().tolist()
    return tuple(map(HandShape, MEDIAN_BONES * bones, width.ravel().tolist(), flesh))


SHAPES = _hand_shapes()


class HandAngles(NamedTuple):
    """Joint angles, radians."""

    # (..., 4, 4), index to little finger: MCP flexion, MCP abduction (positive: towards the
    # thumb), PIP flexion, DIP flexion.
    fingers: np.ndarray
    # (..., 5): metacarpal away from the index within the palm's plane, and out of it; how far
    # the thumb's flexion is turned out of the palm's plane; MCP and IP flexion.
    thumb: np.ndarray
    wrist: np.ndarray  # (..., 2): flexion against the forearm, deviation towards the thumb

    def one(self, index: int) -> "HandAngles":
        """One of a batch."""
        return HandAngles(*(part[index] for part in self))


def _stack(*parts: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def bone_frames(angles: HandAngles) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the free bones and, square to them, of their palm side.

    Unit vectors (..., 5, 3, 3), hand frame: thumb to little finger, MCP to tip.
    """
    bend, spread = angles.fingers[..., 0], angles.fingers[..., 1] + _REST_SPREAD
    roll = _REST_ROLL[:, None]
    along = _stack(np.sin(spread), np.cos(spread), np.zeros(1))
    side = _stack(np.cos(spread), -np.sin(spread), np.zeros(1))
    palmar = np.sin(roll) * side + np.cos(roll) * [0.0, 0.0, 1.0]
    out, rise, turn = (angles.thumb[..., i, None] for i in range(3))
    thumb_along = _stack(np.sin(out) * np.cos(rise), np.cos(out) * np.cos(rise), np.sin(rise))
    inward = _stack(-np.cos(out), np.sin(out), np.zeros(1))
    upward = _stack(-np.sin(out) * np.sin(rise), -np.cos(out) * np.sin(rise), np.cos(rise))
    thumb_palmar = np.cos(turn)[..., None] * inward + np.sin(turn)[..., None] * upward
    along = np.concatenate([thumb_along, along], axis=-2)[..., None, :]
    palmar = np.concatenate([thumb_palmar, palmar], axis=-2)[..., None, :]
    # Flexion at the three joints, summed along the finger; the thumb's first bone has none.
    thumb_bends = _stack(np.zeros(1), angles.thumb[..., 3, None], angles.thumb[..., 4, None])
    finger_bends = _stack(bend, angles.fingers[..., 2], angles.fingers[..., 3])
    bends = np.concatenate([thumb_bends, finger_bends], axis=-2).cumsum(axis=-1)[..., None]
    cos, sin = np.cos(bends), np.sin(bends)
    return cos * along + sin * palmar, cos * palmar - sin * along


def hand_joints(shape: HandShape, angles: HandAngles, bases: np.ndarray = _BASES) -> np.ndarray:
    """Joints (..., 21, 3) of a posed hand, hand frame, mm, HANDS19 order.

    The first joint of each finger lies in the direction of ``bases`` (5, 3), hand frame.
    """
    bases = bases * [shape.width, 1, 1]
    bases *= (shape.bones[:, 0] / np.linalg.norm(bases, axis=1))[:, None]
    bones, _ = bone_frames(angles)
    chain = (bones * shape.bones[:, 1:, None]).cumsum(axis=-2) + bases[:, None]
    joints = np.zeros((*chain.shape[:-3], 21, 3))
    joints[..., 1:6, :] = bases
    joints[..., 6:, :] = chain.reshape(*chain.shape[:-3], 15, 3)
    return joints


_NAMES = [f"{finger}_{part}" for finger in FINGERS for part in ("mcp", "pip", "dip", "tip")]
_NAMES += [*TABLES["palm"], "wrist_r", "wrist_u", "arm_r", "arm_u", "elbow_r", "elbow_u"]
_NAMES += ["shoulder"]
N_SPHERES = len(_NAMES)
N_HAND_SPHERES = _NAMES.index("wrist_r")  # from there on it is the arm
PILLS = np.array([(4 * f + i, 4 * f + i + 1) for f in range(5) for i in range(3)])
HAND_WEDGES, _ARM_WEDGES = (
    np.array([[_NAMES.index(name) for name in wedge.split()] for wedge in TABLES["wedges"][part]])
    for part in ("hand", "arm")
)
WEDGES = np.concatenate([HAND_WEDGES, _ARM_WEDGES])
_IN_CHAINS = [j for f in range(5) for j in (1 + f, 6 + 3 * f, 7 + 3 * f, 8 + 3 * f)]


def hand_spheres(
    shape: HandShape, joints: np.ndarray, wrist: np.ndarray, forearm: float,
    upper_arm: np.ndarray, sleeve: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The flesh: spheres whose hulls (``PILLS``, ``WEDGES``) are the hand and its arm.

    Centres (n, 3) and radii (n,), mm, for joints (21, 3), all in the hand frame; the other
    arguments are as in :class:`~.posing.HandPose`, but ``upper_arm`` is in the hand frame.
    """
    scale = np.array([shape.width, shape.bones[2, 0] / MEDIAN_BONES[2, 0], shape.thickness])
    at = {name: np.multiply(place, scale) for name, place in TABLES["places"].items()}
    mcp, pip = joints[1:6], joints[6::3]
    webs = mcp + 0.5 * (pip - mcp)
    at |= zip(("web_im", "web_mr", "web_rp"), (webs[1:4] + webs[2:]) / 2, strict=True)
    base, end = mcp[0], pip[0]
    at["thenar"] = base + 0.5 * (end - base) + 4 * unit(joints[3] - end) + [0.0, 0.0, 2.0]
    at["thumb_web"] = base + 0.9 * (end - base)
    at["index_web"] = mcp[1] * 0.86
    down = forearm_direction(wrist)
    right = np.array([np.cos(wrist[1]), np.sin(wrist[1]), 0.0])
    right = unit(right - (right * down).sum(-1, keepdims=True) * down)
    middle = at["forearm_pivot"] + (np.array([0.0, 0.45, 1.0]) * forearm)[:, None] * down
    side = (np.array([13.0, 16.0, 17.0]) * shape.width)[:, None] * right
    arm = np.stack([middle + side, middle - side], axis=1).reshape(6, 3)
    palm = [at[name] for name in TABLES["palm"]]
    centres = np.concatenate([joints[_IN_CHAINS], palm, arm, [middle[2] + upper_arm]])
    over, elbow = 21.0 * (1 + sleeve) / 2, 31.0 * sleeve
    of_arm = [15.5, 15.5, over, over, elbow, elbow, 42.0 * sleeve]
    radii = np.concatenate([_RADII.ravel(), [*TABLES["palm"].values()], of_arm])
    return centres, radii * shape.thickness * shape.swell


def forearm_direction(wrist: np.ndarray) -> np.ndarray:
    """Unit vector (..., 3) from wrist to elbow, hand frame, for wrist angles (..., 2)."""
    # The hand flexes towards its palm, so seen from the hand the arm tips towards it too.
    flex, deviate = wrist[..., 0], wrist[..., 1]
    level = np.cos(flex)
    return _stack(np.sin(deviate) * level, -np.cos(deviate) * level, np.sin(flex))


def palm_frame(joints: np.ndarray) -> np.ndarray:
    """Axes of a right hand: towards the thumb, towards the fingers, out of the palm.

    Unit vectors, the columns of (..., 3, 3), for joints (..., 21, 3) in any right-handed frame.
    """
    wrist, index, middle, pinky = (joints[..., j, :] for j in (0, 2, 3, 5))
    normal = unit(np.cross(index - wrist, pinky - wrist))
    along = middle - wrist
    along = unit(along - (along * normal).sum(-1, keepdims=True) * normal)
    return np.stack([np.cross(along, normal), along, normal], axis=-1)
