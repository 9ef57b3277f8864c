"""The synthetic hand: shapes, joint angles to joints, and the flesh around them.

A right hand in its own frame, mm: x towards the thumb's side, y towards the fingertips, z out
of the palm (right-handed), the wrist joint at the origin. Angles are radians.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from senorita_lib.hand import FINGERS

# Bone lengths, mm: medians of HANDS19's own labels, thumb to little finger, wrist to tip.
MEDIAN_BONES = np.array([
    [13.7, 51.5, 38.8, 29.0], [74.0, 43.4, 29.8, 22.0], [67.0, 48.9, 34.3, 21.0],
    [65.0, 46.2, 35.2, 21.0], [60.0, 38.7, 29.1, 21.0],
])  # fmt: skip
# Where the first joint of each finger lies, seen from the wrist; only directions count.
_BASES = np.array(
    [[9.5, 2.0, 9.5], [25.5, 69.5, -1.0], [4.0, 67.0, -2.5], [-17.0, 62.5, 0.0], [-35, 49.0, 5.0]]
)
# Radii at the four joints of a finger, mm, thumb to little finger, MCP to tip.
_RADII = np.array([
    [14.5, 12.6, 10.8, 8.6], [12.0, 9.9, 8.6, 7.3], [12.4, 10.1, 8.8, 7.5], [11.8, 9.6, 8.3, 7.1],
    [11.0, 8.5, 7.3, 6.3],
])  # fmt: skip
# Straight fingers, positive towards the thumb: the wrist joint lies to the little finger's side
# of the middle finger's axis, so that they lean away from the line to it.
_REST_SPREAD = np.radians([-4.0, -8.0, -13.0, -19.0])
_REST_ROLL = np.radians([-8.0, -3.0, 2.0, 8.0])  # bent fingers point to the scaphoid


@dataclass(frozen=True)
class HandShape:
    """How one person's hand differs from another's."""

    bones: np.ndarray  # (5, 4), lengths, mm, thumb to little finger, wrist to tip
    width: float  # of the palm, relative to the median hand
    thickness: float  # of the flesh around the bones, relative to the median hand
    swell: float | np.ndarray = 1.0  # of each sphere, (N_SPHERES,), on top of the thickness


def _hand_shapes() -> tuple[HandShape, ...]:
    """Ten hand shapes; bone lengths, thickness and palm width vary independently."""
    size = [1.00, 0.91, 1.09, 1.03, 0.96, 0.94, 1.12, 0.88, 1.05, 1.00]
    reach = [1.00, 1.05, 0.97, 1.02, 0.96, 1.00, 0.95, 1.06, 0.98, 1.03]  # fingers against palm
    width = [1.00, 1.07, 0.94, 0.97, 1.05, 0.92, 1.03, 0.99, 1.10, 0.96]
    thickness = [1.00, 0.95, 1.06, 0.91, 1.12, 1.04, 0.98, 0.93, 1.09, 1.15]
    bones = np.random.default_rng(2019).normal(1, 0.02, (10, 5, 4)) * np.reshape(size, (10, 1, 1))
    bones[..., 1:] *= np.reshape(reach, (10, 1, 1))
    flesh = np.multiply(thickness, size).tolist()
    return tuple(map(HandShape, MEDIAN_BONES * bones, width, flesh))


SHAPES = _hand_shapes()


@dataclass(frozen=True)
class HandAngles:
    """Joint angles, radians."""

    # (..., 4, 4), index to little finger: MCP flexion, MCP abduction (positive: towards the
    # thumb), PIP flexion, DIP flexion.
    fingers: np.ndarray
    # (..., 5): metacarpal away from the index within the palm's plane, and out of it; how far
    # the thumb's flexion is turned out of the palm's plane; MCP and IP flexion.
    thumb: np.ndarray
    wrist: np.ndarray  # (..., 2): flexion against the forearm, deviation towards the thumb


def _stack(*parts: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def bone_frames(angles: HandAngles) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the free bones and, square to them, of their palm side.

    Unit vectors (..., 5, 3, 3), hand frame: thumb to little finger, MCP to tip.
    """
    # Directions "along" and "towards the palm" of each finger's first free bone.
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


_NAMES = [f"{finger}_{part}" for finger in FINGERS for part in ("mcp", "pip", "dip", "tip")] + [
    "web_im", "web_mr", "web_rp", "carpus_r", "carpus_u", "hypothenar", "heel", "thenar",
    "thenar_base", "thumb_web", "index_web", "wrist_r", "wrist_u", "arm_r", "arm_u", "elbow_r",
    "elbow_u", "shoulder",
]  # fmt: skip
_SPHERES = {name: number for number, name in enumerate(_NAMES)}
N_SPHERES = len(_NAMES)


def _numbers(*groups: str) -> npt.NDArray[np.int64]:
    return np.array([[_SPHERES[name] for name in group.split()] for group in groups])


PILLS = np.array([(4 * f + i, 4 * f + i + 1) for f in range(5) for i in range(3)])
WEDGES = _numbers(
    "index_mcp middle_mcp web_im", "middle_mcp ring_mcp web_mr", "ring_mcp pinky_mcp web_rp",
    "carpus_r index_mcp middle_mcp", "carpus_r carpus_u middle_mcp",
    "carpus_u middle_mcp ring_mcp", "carpus_u ring_mcp pinky_mcp", "heel hypothenar pinky_mcp",
    "heel hypothenar carpus_u", "thenar_base thenar thumb_pip", "thenar_base thenar heel",
    "thenar_base thenar carpus_r", "thenar_base thumb_mcp thumb_pip",
    "thumb_web index_web thenar", "index_web thenar carpus_r", "index_web thenar middle_mcp",
    "carpus_r carpus_u wrist_r", "carpus_u wrist_r wrist_u", "thenar_base heel wrist_u",
    "thenar_base wrist_r wrist_u",
    "wrist_r wrist_u arm_r", "wrist_u arm_r arm_u", "arm_r arm_u elbow_r", "arm_u elbow_r elbow_u",
    "elbow_r elbow_u shoulder",
)  # fmt: skip
N_HAND_SPHERES = _SPHERES["wrist_r"]  # from there on it is the arm
HAND_WEDGES = WEDGES[(WEDGES < N_HAND_SPHERES).all(axis=1)]
FOREARM_PIVOT = np.array([3.0, -27.0, 0.0])  # mm, hand frame: where the hand turns on the arm


def hand_spheres(
    shape: HandShape, joints: np.ndarray, wrist: np.ndarray, forearm: float,
    upper_arm: np.ndarray, sleeve: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The flesh: spheres whose hulls (``PILLS``, ``WEDGES``) are the hand and its arm.

    Centres (..., n, 3) and radii (n,), mm, for joints (..., 21, 3), all in the hand frame; the
    other arguments are as in :class:`~.posing.HandPose`, but ``upper_arm`` is in the hand frame.
    """
    thick, wide = shape.thickness, shape.width
    size = shape.bones[2, 0] / MEDIAN_BONES[2, 0]
    centres, radii = np.empty((*joints.shape[:-2], len(_SPHERES), 3)), np.empty(len(_SPHERES))
    centres[..., :20:4, :] = joints[..., 1:6, :]
    for part in range(3):
        centres[..., part + 1 : 20 : 4, :] = joints[..., 6 + part :: 3, :]
    radii[:20] = (_RADII * thick).ravel()

    def put(name: str, centre: np.ndarray, radius: float) -> None:
        centres[..., _SPHERES[name], :] = centre
        radii[_SPHERES[name]] = radius * thick

    mcp, pip = joints[..., 1:6, :], joints[..., 6::3, :]
    webs = mcp + 0.5 * (pip - mcp)
    for i, name in enumerate(("web_im", "web_mr", "web_rp"), start=1):
        put(name, (webs[..., i, :] + webs[..., i + 1, :]) / 2, 7.5)
    scale = np.array([wide, size, thick])
    for name, place, radius in (
        ("carpus_r", (21, -5, -1), 14.5), ("carpus_u", (-18, -6, -1), 14.5),
        ("hypothenar", (-33, 24, 6), 14.5), ("heel", (-22, -3, 7), 15.5),
        ("thenar_base", (17, -1, 8), 15.5),
    ):  # fmt: skip
        put(name, np.multiply(place, scale), radius)
    base, end = mcp[..., 0, :], pip[..., 0, :]
    inward = _unit(joints[..., 3, :] - end)
    put("thenar", base + 0.5 * (end - base) + 4 * inward + [0.0, 0.0, 2.0], 17.0)
    put("thumb_web", base + 0.9 * (end - base), 9.5)
    put("index_web", mcp[..., 1, :] * 0.86, 11.0)
    deviate, down = wrist[..., 1], forearm_direction(wrist)
    right = _stack(np.cos(deviate), np.sin(deviate), np.zeros(()))
    right = _unit(right - (right * down).sum(-1, keepdims=True) * down)
    pivot = FOREARM_PIVOT * scale
    for name, at, half, radius in (
        ("wrist", 0.0, 13.0, 15.5), ("arm", 0.45, 16.0, 21.0 * (1 + sleeve) / 2),
        ("elbow", 1.0, 17.0, 31.0 * sleeve),
    ):  # fmt: skip
        middle = pivot + at * forearm * down
        put(f"{name}_r", middle + half * wide * right, radius)
        put(f"{name}_u", middle - half * wide * right, radius)
    put("shoulder", middle + upper_arm, 42.0 * sleeve)
    return centres, radii * shape.swell


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
    normal = _unit(np.cross(index - wrist, pinky - wrist))
    along = middle - wrist
    along = _unit(along - (along * normal).sum(-1, keepdims=True) * normal)
    return np.stack([np.cross(along, normal), along, normal], axis=-1)
