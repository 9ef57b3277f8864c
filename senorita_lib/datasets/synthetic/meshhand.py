"""Another flesh for the synthetic hand: MakeHuman's mesh of hand and arm, posed by our angles.

``meshhand.md`` beside this file says where ``meshhand.npz`` comes from, and its licence. Hand frame
and angles are those of :mod:`.handmodel`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic import handmodel
from senorita_lib.datasets.synthetic.handmodel import HandAngles, HandShape, unit
from senorita_lib.hand import FINGER_CHAINS

BAKED = Path(__file__).with_name("meshhand.npz")
STEP = 0.02  # mm; the vertices are stored in whole steps
WRIST, ELBOW, SHOULDER = 21, 22, 23  # where the arm bends: joints after HANDS19's 21
# (head, tail) of the bones that move the flesh: fifteen phalanges, thumb to little finger, four
# metacarpals, the carpus, forearm and upper arm.
_PHALANGES = [(chain[i], chain[i + 1]) for chain in FINGER_CHAINS for i in (1, 2, 3)]
_ARM = [(WRIST, 0), (WRIST, ELBOW), (ELBOW, SHOULDER)]
BONES = np.array(_PHALANGES + [(0, f) for f in range(2, 6)] + _ARM)
# What hands are mixed with, but for some of the test set "third".
TARGETS = "male", "old", "fat", "thin", "strong", "weak", "slim_fingers", "strong_arm"
_FINGERS, _PALM, _FOREARM = slice(0, 15), slice(15, 20), slice(20, 22)


@lru_cache(maxsize=1)
def _baked() -> dict[str, np.ndarray]:
    with np.load(BAKED) as file:
        return dict(file)


def faces() -> npt.NDArray[np.uint16]:
    """Triangles (m, 3) of the mesh, numbers of vertices, anticlockwise from outside."""
    return _baked()["faces"]


def rest_hand(targets: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n, 3) and joints (24, 3), hand frame, mm, of the hand as MakeHuman has it.

    ``targets`` are shares, 0 to 1, of what the flesh is mixed with, such as ``old`` or ``fat``.
    """
    baked, names = _baked(), _baked()["targets"].tolist()
    if unknown := sorted(set(targets) - set(names)):
        raise ValueError(f"targets has {', '.join(unknown)}, wanted some of {', '.join(names)}")
    shares = np.array([targets.get(name, 0.0) for name in names])
    vertices = baked["vertices"] + np.tensordot(shares, baked["vertex_shifts"], 1)
    return vertices * STEP, baked["joints"] + np.tensordot(shares, baked["joint_shifts"], 1)


def draw_targets(rng: np.random.Generator, names: Sequence[str] = TARGETS) -> dict[str, float]:
    """Shares of targets for :func:`rest_hand`."""
    shares = rng.uniform(size=len(names)) * rng.dirichlet(np.ones(len(names)))
    return dict(zip(names, shares.tolist(), strict=True))


def _frames(along: np.ndarray, palmar: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) whose columns are along, nearest to the palm's side, and across."""
    along = unit(along)
    palmar = unit(palmar - (palmar * along).sum(-1, keepdims=True) * along)
    return np.stack([along, palmar, np.cross(along, palmar)], axis=-1)


def pose_mesh(
    shape: HandShape, angles: HandAngles, forearm: float, upper_arm: np.ndarray,
    sleeve: float, targets: Mapping[str, float],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Joints (21, 3) and vertices (n, 3) of one posed hand and its arm, hand frame, mm.

    Linear blend skinning. Bones have the lengths of ``shape``, the flesh around them its
    thickness; ``targets`` are as in :func:`rest_hand`, the other arguments as in
    :class:`~.posing.HandPose`, but ``upper_arm`` (3,) is in the hand frame.
    """
    baked = _baked()
    vertices, rest = rest_hand(targets)
    joints = np.empty((24, 3))
    joints[:21] = handmodel.hand_joints(shape, angles, rest[1:6])
    lengths = np.linalg.norm(rest[BONES[_FINGERS, 1]] - rest[BONES[_FINGERS, 0]], axis=1)
    # Makes the rest as large as the median hand, whose flesh the shape's is relative to.
    size = handmodel.MEDIAN_BONES[:, 1:].sum() / lengths.sum()
    long = size * shape.bones[2, 0] / handmodel.MEDIAN_BONES[2, 0]
    thick, wide = size * shape.thickness, long * shape.width
    joints[WRIST] = rest[WRIST] * [wide, long, thick]
    joints[ELBOW] = joints[WRIST] + forearm * handmodel.forearm_direction(angles.wrist)
    joints[SHOULDER] = joints[ELBOW] + upper_arm
    palmar = np.empty((len(BONES), 3))
    palmar[_FINGERS] = handmodel.bone_frames(angles)[1].reshape(15, 3)
    palmar[_PALM] = baked["palmar"][_PALM]
    flex = angles.wrist[0]
    palmar[_FOREARM] = [0, np.sin(flex), np.cos(flex)], joints[ELBOW] - joints[WRIST]

    old, new = (j[BONES[:, 1]] - j[BONES[:, 0]] for j in (rest, joints))
    scale = np.full((len(BONES), 3), thick)
    scale[:, 0] = np.linalg.norm(new, axis=1) / np.linalg.norm(old, axis=1)
    scale[_PALM, 2] = wide
    scale[_FOREARM, 1:] *= sleeve
    turn = _frames(new, palmar) * scale[:, None] @ _frames(old, baked["palmar"]).swapaxes(1, 2)
    shift = joints[BONES[:, 0]] - (turn @ rest[BONES[:, 0], :, None])[..., 0]
    weights = baked["weights"] / 255.0
    turned = np.einsum("nb,bij,nj->ni", weights, turn, vertices, optimize=True)
    return joints[:21], turned + weights @ shift


def mesh_depth(
    vertices: np.ndarray, triangles: np.ndarray, camera: Camera
) -> npt.NDArray[np.float32]:
    """Depth (height, width), mm, of the first surface along each ray; ``inf`` without one.

    ``vertices`` (n, 3), camera frame, mm, in front of the camera; ``triangles`` (m, 3) are
    anticlockwise as seen from outside, and seen from there only.
    """
    if not (nearest := vertices[:, 2].min()) > 0:
        raise ValueError(f"a vertex has z = {nearest:.1f} mm, wanted z > 0 for all of them")
    corners = vertices[triangles]
    corners = corners[np.linalg.det(corners) < 0]  # those that face the camera
    pixels = camera.project(corners)[..., :2]
    size = np.array([camera.width, camera.height])
    low = np.clip(np.ceil(pixels.min(axis=1)), 0, size).astype(int)
    high = np.clip(np.floor(pixels.max(axis=1)) + 1, 0, size).astype(int)
    wide, tall = np.maximum(high - low, 0).T
    # Every pixel of every triangle's rectangle, in one row.
    which = np.repeat(np.arange(len(corners)), wide * tall)
    place = np.arange(len(which)) - np.repeat(np.cumsum(wide * tall) - wide * tall, wide * tall)
    u, v = low[which, 0] + place % wide[which], low[which, 1] + place // wide[which]
    rays = np.stack(camera.lift(u, v, np.ones(len(u))), axis=-1)
    # A ray z * d meets the plane where the corners' shares are z * inverse @ d, and 1 in all.
    shares = np.einsum("pij,pj->ip", np.linalg.inv(corners.swapaxes(1, 2))[which], rays)
    inside = (shares >= -1e-12).all(axis=0)
    inverse = np.zeros(camera.width * camera.height)
    np.maximum.at(inverse, (v * camera.width + u)[inside], shares.sum(axis=0)[inside])
    with np.errstate(divide="ignore"):
        return (1 / inverse).astype(np.float32).reshape(camera.height, camera.width)
