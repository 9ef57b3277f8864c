"""Hands without held-back bins, for weights that people use.

Continuous shapes, every view and finger pattern, arms from all sides, and what stands close to real
hands: walls, a person, a second hand, held things, thin things in front.
"""

from collections.abc import Collection
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic import handmodel, meshhand, posing
from senorita_lib.datasets.synthetic.handmodel import MEDIAN_BONES, N_SPHERES, HandShape
from senorita_lib.datasets.synthetic.posing import HandPose, pose_spheres
from senorita_lib.datasets.synthetic.sensor import background, sense
from senorita_lib.datasets.synthetic.spheremesh import Depth, render_depth
from senorita_lib.hand import BONES

OPEN_SHAPE = -1  # the number of every shape here
_FLESH_MM = 9.0  # between bones and skin
# Centres, radii, pills and wedges, for render_depth.
Thing = tuple[np.ndarray, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike]
# Corners of a box, and two triangles for each of its sides.
_CORNERS = np.array([*product((-1, 1), repeat=3)])
_SIDES = np.array([
    [0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4],
    [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 3, 7], [1, 7, 5],
])  # fmt: skip


def draw_shape(rng: np.random.Generator) -> HandShape:
    """A hand of somebody: size, proportions, thickness by finger, swell of each sphere."""
    size = np.clip(rng.normal(1.0, 0.09), 0.78, 1.25)
    bones = MEDIAN_BONES * size * np.clip(rng.normal(1, 0.035, (5, 4)), 0.9, 1.1)
    bones[:, 1:] *= rng.normal(1, 0.04)
    bones[0] *= rng.normal(1, 0.04)
    width, thickness = np.clip(rng.normal([1.0, 1.0], [0.06, 0.09]), 0.78, 1.25)
    swell = np.exp(rng.normal(0, 0.05, N_SPHERES))
    swell[:20] *= np.exp(rng.normal(0, 0.05, 5)).repeat(4)
    if rng.uniform() < 0.15:  # a bracelet, or a tight cuff
        swell[-7:-5] *= rng.uniform(1.1, 1.3)
    return HandShape(bones, float(width), float(thickness * size), swell)


def draw_pose(rng: np.random.Generator, camera: Camera, without: Collection[str] = ()) -> HandPose:
    """A pose of any shape, pattern and view; the views of people in front of a camera prevail.

    ``without`` are ingredients of :class:`senorita_lib.recipes.Recipe`.
    """
    seen = "bins" in without
    patterns = posing.SEEN_PATTERNS if seen else range(posing.N_PATTERNS)
    weights = np.array([{0: 4.0, 31: 3.0}.get(p, 1.0) for p in patterns])
    pattern = int(rng.choice(patterns, p=weights / weights.sum()))
    shape = draw_shape(rng)
    if "shapes" in without:
        shape = handmodel.SHAPES[rng.choice(posing.SEEN_SHAPES)]
    if free := not seen and rng.uniform() < 0.45:
        target = posing.any_view(rng)
    else:
        target = posing.draw_view(rng, posing.SEEN_VIEWS if seen else range(posing.N_VIEWS))
    pose = posing.pose_hand(rng, camera, shape, OPEN_SHAPE, pattern, target, any_arm=free)
    if "mesh" in without or rng.uniform() > 0.5:
        return pose
    pose = replace(pose, mesh=meshhand.draw_targets(rng))
    return replace(pose, joints=_mesh(pose)[0])


def _mesh(pose: HandPose) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) and vertices (n, 3), camera frame, of a pose whose flesh is the mesh."""
    arm = pose.forearm, pose.upper_arm @ pose.rotation, pose.sleeve, pose.mesh or {}
    joints, vertices = meshhand.pose_mesh(pose.hand, pose.angles, *arm)
    return tuple(points @ pose.rotation.T + pose.translation for points in (joints, vertices))


def surface(pose: HandPose, camera: Camera) -> Depth:
    """Depth of a hand and its arm alone; ``inf`` where nothing is."""
    if pose.mesh is not None:
        return meshhand.mesh_depth(_mesh(pose)[1], meshhand.faces(), camera)
    return render_depth(*pose_spheres(pose), handmodel.PILLS, handmodel.WEDGES, camera)


def clutter(rng: np.random.Generator, camera: Camera, pose: HandPose) -> Depth | None:
    """Depth of things beside, in or before the hand; None mostly. ``inf`` where nothing is."""
    kind = rng.uniform()
    if kind < 0.10:
        return _second_hand(rng, camera, pose)
    if kind < 0.30:
        thing = _held(rng, pose.joints)
    elif kind < 0.38:  # a pen, a strap, a cable in front
        way = rng.normal(size=3)
        way *= rng.uniform(50, 175) / np.linalg.norm(way)
        middle = pose.joints[rng.integers(21)] - [0, 0, rng.uniform(10, 70)]
        thing = middle + np.outer([-1, 1], way), np.full(2, rng.uniform(2, 6)), [[0, 1]], []
    else:
        return None
    if thing is None or (thing[0][:, 2] - thing[1]).min() < 100:
        return None
    return render_depth(*thing, camera)


class Block(NamedTuple):
    """A box with round edges; a ball or a bar, if they are as round as it is thick."""

    middle: np.ndarray  # (3,), camera frame, mm
    axes: np.ndarray  # (3, 3), orthogonal: the columns run along its sides
    half: np.ndarray  # (3,): half its sides, mm
    edge: float  # radius of its edges, mm

    def spheres(self) -> Thing:
        """The hull of spheres at its corners."""
        corners = self.middle + _CORNERS * (self.half - self.edge) @ self.axes.T
        return corners, np.full(8, self.edge), [], _SIDES

    def distance(self, points: np.ndarray) -> np.ndarray:
        """From points (n, 3) to its surface, mm, negative inside: (n,)."""
        out = np.abs((points - self.middle) @ self.axes) - self.half + self.edge
        beyond = np.linalg.norm(np.maximum(out, 0), axis=1)
        return beyond + np.minimum(out.max(axis=1), 0) - self.edge


def grip(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Where a hand (21, 3) holds things: a point (3,), the palm's axes (3, 3), and the room, mm.

    Axes are those of :func:`.palm_frame`. The room is half of what lies between palm and
    fingertips, without their flesh; it is 5 mm at least, for what lies on an open hand.
    """
    axes, knuckles = handmodel.palm_frame(joints), joints[2:6].mean(axis=0)
    apart = float((joints[11::3].mean(axis=0) - knuckles) @ axes[:, 2])
    palm = knuckles + 0.25 * (joints[0] - knuckles)
    return palm + max(apart / 2, _FLESH_MM + 5) * axes[:, 2], axes, max(apart / 2 - _FLESH_MM, 5.0)


def rests(block: Block, joints: np.ndarray) -> tuple[Block, bool]:
    """A held block, moved out of the palm, and whether hardly a bone goes through it.

    One in ten may: fingers here are not bent about what they hold, and a thumb is often in its way.
    """
    axes, knuckles = handmodel.palm_frame(joints), joints[2:6].mean(axis=0)
    below = np.abs(axes[:, 2] @ block.axes) @ (block.half - block.edge) + block.edge
    lift = _FLESH_MM + below - (block.middle - knuckles) @ axes[:, 2]
    block = block._replace(middle=block.middle + max(lift, 0) * axes[:, 2])
    child, parent = (joints[list(ends)] for ends in zip(*BONES, strict=True))
    within = block.distance(np.concatenate([joints, (child + parent) / 2])) < 0
    return block, bool(within.mean() < 0.1)


def _held(rng: np.random.Generator, joints: np.ndarray) -> Thing | None:
    """What a hand holds: a ball, a bar, or a box; None if what was drawn does not fit."""
    middle, axes, room = grip(joints)
    for _ in range(20):
        # Its axes may come out reversed, of which nobody can tell.
        way = axes @ np.linalg.qr(np.eye(3) + rng.normal(0, 0.25, (3, 3)))[0]
        thick, kind = room * rng.uniform(0.6, 1.3), rng.uniform()
        half = np.full(3, thick)
        if kind > 0.2:  # a bar
            half[0] += rng.uniform(10, 80)
        if kind > 0.5:  # a box
            half[:2] = rng.uniform([15, 12], [75, 70])
        edge = half.min() * (1 if kind < 0.5 else rng.uniform(0.1, 0.6))
        block = Block(middle + axes @ rng.normal(0, [10, 12, 4]), way, half, edge)
        block, fits = rests(block, joints)
        if fits:
            return block.spheres()
    return None


def _second_hand(rng: np.random.Generator, camera: Camera, pose: HandPose) -> Depth | None:
    other = draw_pose(rng, camera)
    way = rng.normal(size=3) * [1, 1, 0.4]
    middle = pose.joints.mean(axis=0) + way / np.linalg.norm(way) * rng.uniform(80, 220)
    moved = other.translation + middle - other.joints.mean(axis=0)
    centres, radii = pose_spheres(replace(other, translation=moved))
    if rng.uniform() < 0.5:  # the other one of the pair
        centres[:, 0] = 2 * middle[0] - centres[:, 0]
    if (centres[:, 2] - radii).min() < 100:
        return None
    return render_depth(centres, radii, handmodel.PILLS, handmodel.WEDGES, camera)


def near_plane(rng: np.random.Generator, camera: Camera, pose: HandPose) -> Depth:
    """Depth of a table, a wall or a body close behind the hand's joints, slanted."""
    normal = np.append(rng.normal(0, 0.45, 2), -1.0)
    normal /= np.linalg.norm(normal)
    level = (pose.joints @ normal).min() - rng.uniform(12, 200)
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = ((np.arange(camera.height) - camera.cy) / camera.fy)[:, None]
    slope = normal[0] * x + normal[1] * y + normal[2]
    with np.errstate(divide="ignore"):
        depth = np.where(slope * level > 0, level / slope, np.inf)
    return depth.astype(np.float32)


def sensed(
    rng: np.random.Generator, camera: Camera, pose: HandPose, without: Collection[str] = ()
) -> npt.NDArray[np.uint16]:
    """What a sensor gives of a hand among other things, (height, width), mm.

    Half of the frames have the SR300's noise, the others none: :mod:`senorita_lib.sensing` adds
    that of any camera to windows of them.
    """
    hand = surface(pose, camera)
    things = None if "things" in without else clutter(rng, camera, pose)
    if things is not None:
        hand = np.minimum(hand, things)
    kind = rng.uniform()
    scene = near_plane(rng, camera, pose) if kind < 0.3 and "things" not in without else None
    if kind > 0.55:
        scene = background(rng, camera, pose.joints, hand)
    if rng.uniform() < 0.5:
        return sense(rng, hand, scene)
    depth = hand if scene is None else np.minimum(hand, scene)
    return np.where(depth < 4000, depth + np.float32(0.5), 0).astype(np.uint16)


def window(
    rng: np.random.Generator, camera: Camera, pose: HandPose, width_mm: float, size: int,
    without: Collection[str] = (),
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:  # fmt: skip
    """A square of :func:`sensed` about the hand, (size, size), and its box, pixel frame."""
    u, v, z = camera.project(pose.joints.mean(axis=0))
    side = width_mm * camera.fx / z
    scale, x, y = side / size, u - side / 2, v - side / 2
    cx, cy = (camera.cx - x) / scale - 0.5, (camera.cy - y) / scale - 0.5
    part = Camera(camera.fx / scale, camera.fy / scale, cx, cy, size, size)
    box = np.array([x, y, x + side, y + side], np.float32)
    depth = sensed(rng, part, pose, without)
    at = box[:2, None] + (box[2:] - box[:2])[:, None] * (np.arange(size) + 0.5) / size
    inside = (at > -0.5) & (at < np.array([[camera.width], [camera.height]]) - 0.5)
    return depth * (inside[1][:, None] & inside[0]), box
