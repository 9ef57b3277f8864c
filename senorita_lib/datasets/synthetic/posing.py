"""How synthetic hands are posed: articulation, viewpoint and place, and their bins.

A pose is drawn for an articulation pattern and a set of viewpoint bins, so that a data set can
hold some back; :func:`bent_fingers` and :func:`view_bin` read both bins back from joints alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic import handmodel
from senorita_lib.datasets.synthetic.handmodel import SHAPES, HandAngles, HandShape, palm_frame

# Seen in training, and held back: hand shapes, bent-finger patterns, viewpoint bins.
SEEN_SHAPES, UNSEEN_SHAPES = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
N_PATTERNS = 32  # bit f is set where finger f, thumb first, is bent
UNSEEN_PATTERNS = (3, 6, 11, 13, 17, 20, 22, 26)
SEEN_PATTERNS = tuple(i for i in range(N_PATTERNS) if i not in UNSEEN_PATTERNS)
N_AZIMUTHS, N_ELEVATIONS, N_VIEWS = 8, 3, 24
ELEVATION_EDGES = (-20.0, 20.0)  # degrees
UNSEEN_VIEWS = (3, 4, 15, 16, 17, 20)
SEEN_VIEWS = tuple(i for i in range(N_VIEWS) if i not in UNSEEN_VIEWS)
_THUMB_BENT, _FINGER_BENT = 55.0, 40.0  # degrees; draws keep some degrees away from these


def bent_fingers(joints: np.ndarray) -> npt.NDArray[np.int64]:
    """Articulation pattern (...), 0..31, with bit f set where finger f (thumb first) is bent.

    The angle of its PIP joint decides; for the thumb that of its last bone against its first.
    Joints are (..., 21, 3), in any frame and unit.
    """
    free = joints[..., 6:, :].reshape(*joints.shape[:-2], 5, 3, 3)
    bones = handmodel.unit(np.diff(np.concatenate([joints[..., 1:6, None, :], free], -2), axis=-2))
    later = np.concatenate([bones[..., :1, 2, :], bones[..., 1:, 1, :]], axis=-2)
    angle = np.degrees(np.arccos(np.clip((bones[..., 0, :] * later).sum(-1), -1, 1)))
    bent = angle > np.array([_THUMB_BENT] + 4 * [_FINGER_BENT])
    return np.asarray((bent * 2 ** np.arange(5)).sum(-1))


def view_angles(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation (...), degrees, of the direction that the palm faces.

    Azimuth 0: the palm faces the camera, 90: the image's right, 180: away; elevation 90: up.
    Joints are those of a right hand, (..., 21, 3), camera frame.
    """
    x, y, z = np.moveaxis(palm_frame(joints)[..., 2], -1, 0)
    return np.degrees(np.arctan2(x, -z)), np.degrees(np.arcsin(np.clip(-y, -1, 1)))


def _bin(azimuth: np.ndarray, elevation: np.ndarray) -> npt.NDArray[np.int64]:
    column = np.floor((azimuth + 180) / (360 / N_AZIMUTHS)).astype(int) % N_AZIMUTHS
    return np.asarray(column * N_ELEVATIONS + np.searchsorted(ELEVATION_EDGES, elevation))


def view_bin(joints: np.ndarray) -> npt.NDArray[np.int64]:
    """Viewpoint bin, 0..23: eighths of azimuth times elevation below, near or above level."""
    return _bin(*view_angles(joints))


# How often patterns are drawn, against 1. Open hand and fist are the most frequent, none is rare;
# then thumb in, fist with thumb out, three, victory, pointing and the like.
_WEIGHTS = {0: 3.0, 31: 4.0} | dict.fromkeys((1, 14, 15, 25, 28, 29, 30), 1.5)


def draw_angles(rng: np.random.Generator, pattern: int, count: int) -> HandAngles:
    """Joint angles, a batch of ``count``, with the bent fingers of a pattern.

    Ranges of motion after Kapandji, "The Physiology of the Joints", vol. 1. The DIP follows the PIP
    (Rijpkema and Girard, "Computer animation of knowledge-based human grasping", 1991, by two
    thirds; here by a share that differs between draws), and a finger beside a bent one is never
    quite straight (Lang and Schieber, "Human finger independence", J. Neurophysiology 92, 2004).
    """
    bent = (pattern >> np.arange(5)) & 1 > 0
    # What fingers of the same state have in common, and what each has for itself.
    noise, shared = rng.standard_normal((count, 4, 4)), rng.uniform(size=(count, 4, 1))
    straight_mcp = np.clip(-14 + 84 * shared[:, 0] ** 2 + 9 * noise[..., 0], -20, 80)
    closed = 0.5 if bent[1:].all() else 0.75  # four bent fingers are mostly a fist
    bent_mcp = np.clip(-10 + 106 * shared[:, 1] ** closed + 10 * noise[..., 0], -15, 98)
    mcp = np.where(bent[1:], bent_mcp, straight_mcp)
    # Tendons join the fingers: a straight one beside a bent one cannot be quite straight.
    beside = np.convolve(bent[1:], [1.0, 0.0, 1.0], mode="same")
    straight_pip = np.clip(np.abs(16 * shared[:, 2] + 6 * noise[..., 1]) + 5 * beside, 0, 34)
    bent_pip = np.clip(48 + 56 * shared[:, 3] + 9 * noise[..., 1], 46, 110)
    pip = np.where(bent[1:], bent_pip, straight_pip)
    follow = rng.uniform(0.25, 0.8, size=(count, 1))
    dip = np.clip(follow * pip + 6 * noise[..., 2], -8, 80)
    spread = rng.beta(1.4, 1.8, size=(count, 1))
    abduction = spread * [18.0, 4.0, -11.0, -34.0] + [-4.0, -2.0, 0.0, 11.0] + 4.5 * noise[..., 3]
    abduction *= np.clip(1 - mcp / 90, 0.15, 1)
    fingers = np.stack([mcp, abduction, pip, dip], axis=-1)
    # The more the thumb bends, the nearer it lies to the fingers.
    u, n = rng.uniform(size=(count, 3)), rng.standard_normal((count, 4))
    bend = 60 + 75 * u[:, 0] if bent[0] else 52 * u[:, 0] ** 0.8 - 4
    first = np.clip(bend * np.clip(0.62 + 0.13 * n[:, 0], 0.3, 0.9), -10, 82)
    out = np.clip(38 - 0.36 * bend + 11 * n[:, 1], -16, 58)
    # Over bent fingers it has to pass in front of them.
    crossed = bent[0] * bent[1:].sum()
    rise = np.clip(-6 + (50 + 4 * crossed) * u[:, 1] + 0.06 * bend, -6, 62)
    turn = np.clip(18 * n[:, 2] - 12 + 6 * crossed * u[:, 2], -60, 40)
    thumb = np.stack([out, rise, turn, first, bend - first], axis=-1)
    wrist = np.clip([-8, 4] + [22, 9] * rng.standard_normal((count, 2)), [-60, -22], [60, 28])
    return HandAngles(np.radians(fingers), np.radians(thumb), np.radians(wrist))


_STEPS = np.array([1 / 3, 2 / 3, 1.0])
_POINT_RADII = np.array(handmodel.TABLES["points"])
_FINGER_OF = np.repeat(np.arange(5), 9)
_APART = _FINGER_OF[:, None] < _FINGER_OF  # each pair of points of different fingers once
for _first in range(1, 4):  # neighbours touch at their roots
    _APART[9 * _first : 9 * _first + 2, 9 * _first + 9 : 9 * _first + 11] = False
# Fingers press against each other in a fist: flesh gives way by as much, mm.
_SOFT = np.where(_FINGER_OF[:, None] + 1 == _FINGER_OF, 4.0, 3.0)
_FREE = np.tile(np.arange(9) > 1, 5)  # points that may not enter the palm
_FREE[:4] = False  # of the thumb two more may


def overlap(shape: HandShape, joints: np.ndarray) -> np.ndarray:
    """How deep flesh passes through other flesh, (...), mm, at least 0, for joints (..., 21, 3)."""
    batch = joints.shape[:-2]
    roots, free = joints[..., 1:6, None, None, :], joints[..., 6:, :].reshape(*batch, 5, 3, 1, 3)
    starts = np.concatenate([roots, free[..., :-1, :, :]], axis=-3)
    points = (starts + _STEPS[:, None] * (free - starts)).reshape(*batch, 45, 3)
    radii = _POINT_RADII * shape.thickness
    palm = joints[..., None, 2:6, :] * np.array([0.3, 0.55, 0.8])[:, None, None]

    def gap(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(((p[..., :, None, :] - q[..., None, :, :]) ** 2).sum(-1)))

    fingers = (radii[:, None] + radii) - gap(points, points) - _SOFT
    to_palm = gap(points[..., _FREE, :], palm.reshape(*batch, 12, 3))
    into_palm = (radii[_FREE, None] + 12.0 * shape.thickness - to_palm).max((-2, -1))
    return np.maximum(np.maximum(np.where(_APART, fingers, 0).max((-2, -1)), into_palm), 0)


def first_free(shape: HandShape, angles: HandAngles) -> int:
    """The first of a batch of hands whose flesh hardly passes through itself, or the best one."""
    deep = overlap(shape, handmodel.hand_joints(shape, angles))
    return int((deep < 3).argmax() if (deep < 3).any() else deep.argmin())


def draw_view(rng: np.random.Generator, allowed: Sequence[int]) -> np.ndarray:
    """A rotation (3, 3) whose palm faces into one of the ``allowed`` bins.

    Views are dense where they are in real data: fingers point within 45 degrees of up (-y) in
    about 96 % of the draws. Columns: thumb's side, fingers, out of the palm; camera frame.
    """
    n = 48
    while True:
        kind = rng.uniform(size=n)
        azimuth = np.where(kind < 0.4, rng.normal(-25, 38, n), rng.normal(-158, 36, n))
        azimuth = np.where(kind > 0.68, rng.uniform(-180, 180, n), azimuth)
        azimuth = (azimuth + 180) % 360 - 180
        wide, worn, leaning = rng.uniform(size=(3, n)) < [[0.04], [0.025], [0.4]]
        elevation = np.clip(np.where(wide, 40, 16) * rng.standard_normal(n) - 3, -80, 80)
        roll = np.where(leaning, rng.normal(-16, 15, n), rng.normal(0, 13, n))
        roll = np.where(wide, rng.normal(0, 80, n), roll)
        # As a camera on the head sees it: the back of a hand that points away, its arm nearer.
        azimuth = np.where(worn, (rng.normal(180, 30, n) + 180) % 360 - 180, azimuth)
        elevation = np.where(worn, np.clip(rng.normal(-58, 12, n), -85, -30), elevation)
        ok = np.flatnonzero(np.isin(_bin(azimuth, elevation), allowed))
        if len(ok):
            return facing(*np.radians([azimuth[ok[0]], elevation[ok[0]], roll[ok[0]]]))


def any_view(rng: np.random.Generator, most: float = 1.0) -> np.ndarray:
    """A rotation as in :func:`draw_view`, of all; ``most`` bounds the sine of the elevation."""
    azimuth, roll = rng.uniform(-np.pi, np.pi, 2)
    return facing(azimuth, np.arcsin(rng.uniform(-most, most)), roll)


def facing(azimuth: float, elevation: float, roll: float) -> np.ndarray:
    """The rotation (3, 3), as in :func:`draw_view`, whose palm faces in a given direction.

    Angles are radians, azimuth and elevation as in :func:`view_angles`; roll is 0 where the
    fingers point up, and positive anticlockwise as seen from the front of the palm.
    """
    level, up = np.cos(elevation), np.array([0.0, -1.0, 0.0])
    normal = np.array([np.sin(azimuth) * level, -np.sin(elevation), -np.cos(azimuth) * level])
    along = up - (up @ normal) * normal
    along /= np.linalg.norm(along)
    along = np.cos(roll) * along + np.sin(roll) * np.cross(normal, along)
    return np.stack([np.cross(along, normal), along, normal], axis=-1)


@dataclass(frozen=True)
class HandPose:
    """One posed hand: camera = rotation @ hand + translation."""

    shape: int  # these three are its bins
    view: int
    pattern: int
    hand: HandShape
    joints: np.ndarray  # (21, 3), camera frame, mm
    local: np.ndarray  # (21, 3), hand frame, mm
    angles: HandAngles  # of this pose
    forearm: float  # length, mm; it keeps the elbow away from the camera
    upper_arm: np.ndarray  # (3,), from elbow to shoulder, camera frame, mm
    sleeve: float  # factor by which a sleeve thickens the arm
    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,), mm
    mesh: Mapping[str, float] | None = None  # targets of :mod:`.meshhand`; by default spheres

    @property
    def bins(self) -> tuple[int, int, int]:
        """Its shape, viewpoint and articulation."""
        return self.shape, self.view, self.pattern


def pose_spheres(pose: HandPose) -> tuple[np.ndarray, np.ndarray]:
    """Sphere centres (n, 3), camera frame, and radii (n,), mm, of a posed hand."""
    arm = pose.angles.wrist, pose.forearm, pose.upper_arm @ pose.rotation, pose.sleeve
    centres, radii = handmodel.hand_spheres(pose.hand, pose.local, *arm)
    return centres @ pose.rotation.T + pose.translation, radii


def turned(pose: HandPose, degrees: float) -> HandPose:
    """The pose, turned about the vertical line through the hand's middle, with its arm.

    Positive angles turn from the image's right towards the camera.
    """
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    middle = pose.joints.mean(axis=0)
    joints = (pose.joints - middle) @ turn.T + middle
    return replace(
        pose, joints=joints, view=int(view_bin(joints)), rotation=turn @ pose.rotation,
        translation=turn @ (pose.translation - middle) + middle, upper_arm=turn @ pose.upper_arm,
    )  # fmt: skip


def draw_pose(
    rng: np.random.Generator, camera: Camera,
    shapes: Sequence[int], views: Sequence[int], patterns: Sequence[int],
) -> HandPose:  # fmt: skip
    """Draw a pose out of the given bins."""
    number = int(rng.choice(shapes))
    weights = np.array([_WEIGHTS.get(p, 1.0) for p in patterns])
    pattern = int(rng.choice(patterns, p=weights / weights.sum()))
    return pose_hand(rng, camera, SHAPES[number], number, pattern, draw_view(rng, views))


def pose_hand(
    rng: np.random.Generator, camera: Camera, shape: HandShape, number: int, pattern: int,
    target: np.ndarray, any_arm: bool = False,
) -> HandPose:  # fmt: skip
    """Bend the fingers of a hand, turn its palm to ``target`` (3, 3) and put it somewhere.

    The arm comes from below or from behind where that can be, or from ``any_arm`` of all sides.
    """
    angles = draw_angles(rng, pattern, 24)
    drawn = angles.one(first_free(shape, angles))
    local = handmodel.hand_joints(shape, drawn)
    rotation = target @ palm_frame(local).T
    # Take the first of the drawn wrists whose arm comes from below or from behind.
    arms = handmodel.forearm_direction(angles.wrist) @ rotation.T
    score = np.minimum(arms[:, 1] - 0.25, 0) + np.minimum(arms[:, 2] + 0.25, 0)
    chosen = 0 if any_arm else int(score.argmax())
    arm, turned = arms[chosen], local @ rotation.T
    translation = place_hand(rng, camera, turned)
    room = translation[2] - 230.0
    forearm = 250.0 if arm[2] * 250.0 > -room else max(room / -arm[2], 40.0)
    upper_arm = np.array([0.35, 0.1, 0.75]) + rng.normal(size=3) * [0.4, 0.4, 0.15]
    joints = turned + translation
    sleeve = rng.uniform(1.0, 1.35) if rng.uniform() < 0.5 else 1.0
    drawn = drawn._replace(wrist=angles.wrist[chosen])
    return HandPose(
        number, int(view_bin(joints)), pattern, shape, joints, local, drawn, forearm,
        upper_arm * 300, sleeve, rotation, translation,
    )  # fmt: skip


def place_hand(rng: np.random.Generator, camera: Camera, turned: np.ndarray) -> np.ndarray:
    """Where the hand goes: mostly whole in the picture, sometimes cut by its border."""
    z = float(np.clip(rng.normal(510, 105), 350, 800))
    focal, size = np.array([camera.fx, camera.fy]), np.array([camera.width, camera.height])
    uniform = rng.uniform(size=2)
    spot = size / 2 + rng.normal(size=2) * size * 0.17
    middle = turned.mean(axis=0)
    half = np.abs(turned - middle)[:, :2].max(axis=0) * focal / z + 12
    low, high = half, size - half
    if rng.uniform() < 0.08:  # cut: let the middle come near the border, on some side
        low, high = np.minimum(0.35 * half, 60), size - np.minimum(0.35 * half, 60)
        spot = low + uniform * (high - low)
    spot = np.where(low < high, np.clip(spot, low, high), size / 2)
    centre = np.append((spot - [camera.cx, camera.cy]) / focal * z, z)
    return centre - middle
