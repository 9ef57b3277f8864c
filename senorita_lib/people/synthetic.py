"""Synthetic people: the default for pretraining without MPII and Human3.6M.

They use the sphere-mesh and the renderer of the synthetic hand. Every other person has only 2D
labels, as in MPII, the others depths too, as in Human3.6M.
"""

import hashlib
import os
from contextlib import suppress

import cv2
import joblib
import numpy as np
from tqdm.auto import tqdm

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic.frames import want_whole
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.files import PathLike, folder_lock, read_toml, user_path, whole_file
from senorita_lib.people.crops import BodySet
from senorita_lib.people.keypoints import PELVIS

GENERATOR = 1  # raise it when the same seed no longer gives the same people
_MARGIN, _ROOM = 1.25, 1.3  # the box's side around the keypoints, the image's around the box

_BODY = read_toml(__file__, "body.toml")
_RADII, _COLOURS = _BODY["radii"], _BODY["colours"]
_NUMBER = {name: number for number, name in enumerate(_RADII)}
PARTS = {
    part: [[_NUMBER[name] for name in piece] for piece in pieces]
    for part, pieces in _BODY["parts"].items()
}
_BONY = [_NUMBER[name] for name in ("upper_neck", "head_top", "chin", "skull")]
_HALF_HIPS, _HALF_SHOULDERS = 125.0, 170.0  # mm
_THIGH, _SHIN, _FOOT, _UPPER_ARM, _FOREARM, _HAND = 440.0, 425.0, 150.0, 285.0, 255.0, 95.0
_SPINE, _NECK, _HEAD = 485.0, 85.0, 225.0
_DOWN, _UP, _LEFT, _BACK = np.array([[0, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, 1]], float)


class SyntheticBody(BodySet):
    """People, each a function of seed and index alone, in square images of ``side`` px."""

    def __init__(self, count: int = 4000, seed: int = 0, side: int = 128) -> None:
        want_whole(count=count, seed=seed, side=side)
        count, seed, side = int(count), int(seed), int(side)
        self.seed, self.side, self._images = seed, side, np.empty(0, np.uint8)
        self.names = [f"body_{index:06d}" for index in range(count)]
        self.keypoints = np.full((count, 16, 3), np.nan, np.float32)
        self.cameras = np.full((count, 5), np.nan, np.float32)
        border = (1 - 1 / _ROOM) / 2 * side - 0.5
        box = np.repeat(np.array([border, side - 1 - border], np.float32), 2)
        self.boxes = np.tile(box, (count, 1))
        for index in range(count):
            _, keypoints, _, camera = draw_person(seed, index, side)
            pelvis = keypoints[PELVIS, 2]
            self.keypoints[index] = camera.project(keypoints)
            self.keypoints[index, :, 2] -= pelvis
            self.cameras[index] = camera.fx, camera.fy, camera.cx, camera.cy, pelvis
        self.keypoints[::2, :, 2] = self.cameras[::2] = np.nan
        self.identity = hashlib.sha256(f"{GENERATOR} {count} {seed} {side}".encode()).hexdigest()

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (side, side, 3), uint8; red, green, blue."""
        kept = len(self._images)
        return self._images[index] if kept else draw_image(self.seed, index, self.side)

    def keep(
        self, folder: PathLike, workers: int | None = None, progress: bool = True
    ) -> "SyntheticBody":
        """Draw all images into a file, or open the file of an earlier call; returns itself."""
        name = f"people_{len(self)}_{self.side}px_seed_{self.seed}_v{GENERATOR}.npy"
        path, shape = user_path(folder) / name, (len(self), self.side, self.side, 3)
        with folder_lock(folder):
            if not path.exists():
                drawn = joblib.Parallel(workers or os.cpu_count() or 1, return_as="generator")(
                    joblib.delayed(draw_image)(self.seed, k, self.side) for k in range(len(self))
                )
                head = {"descr": "|u1", "fortran_order": False, "shape": shape}
                bar = tqdm(drawn, "people", len(self), disable=not progress, mininterval=1.0)
                with whole_file(path) as file:  # up to gigabytes: one by one
                    np.lib.format.write_array_header_1_0(file, head)
                    for image in bar:
                        file.write(image.tobytes())
        with suppress(ValueError, EOFError):
            self._images = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._images.shape != shape:
            raise ValueError(f"{path} is damaged, wanted images {shape}: remove it")
        return self


def rotation(axis: int, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about x, y or z (axis 0, 1, 2), in radians."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(angle)
    matrix[j, i] = np.sin(angle)
    matrix[i, j] = -matrix[j, i]
    return matrix


def _bent(part: np.ndarray, bend: float, lean: float, turn: float = 0.0) -> np.ndarray:
    return part @ rotation(0, bend) @ rotation(2, lean) @ rotation(1, turn)


def pose_body(
    trunk: np.ndarray, head: np.ndarray, hips: np.ndarray, knees: np.ndarray,
    shoulders: np.ndarray, elbows: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """The 16 keypoints and nine other points that carry flesh, (25, 3), mm, in radians.

    Body frame: x to the person's left, y down, z to the back, origin at the pelvis. ``trunk`` and
    ``head`` (3,) bend forward, lean left and turn right; right and left ``hips`` (2, 2) have
    flexion and abduction, ``shoulders`` (2, 3) also a twist of the upper arm, ``knees`` and
    ``elbows`` (2,) flexion.
    """
    chest = _bent(np.eye(3), *trunk)
    skull = _bent(chest, *head)
    base = _SPINE * chest @ _UP
    neck = base + _NECK * (chest @ _UP + skull @ _UP) / 2
    at = {"pelvis": np.zeros(3), "upper_neck": neck, "head_top": neck + _HEAD * skull @ _UP}
    for i, (side, sign) in enumerate((("right", -1), ("left", 1))):
        thigh = _bent(np.eye(3), *([-1, -sign] * hips[i]))
        shin = thigh @ rotation(0, knees[i])
        hip = at[f"{side}_hip"] = sign * _HALF_HIPS * _LEFT
        knee = at[f"{side}_knee"] = hip + _THIGH * thigh @ _DOWN
        ankle = at[f"{side}_ankle"] = knee + _SHIN * shin @ _DOWN
        at[f"{side}_toe"] = ankle + shin @ (45 * _DOWN - _FOOT * _BACK)
        at[f"{side}_heel"] = ankle + shin @ (45 * _DOWN + 35 * _BACK)
        upper = _bent(chest, *([-1, -sign, -sign] * shoulders[i]))
        fore = upper @ rotation(0, -elbows[i])
        shoulder = base + chest @ (sign * _HALF_SHOULDERS * _LEFT + 25 * _DOWN)
        at[f"{side}_shoulder"] = shoulder
        elbow = at[f"{side}_elbow"] = shoulder + _UPPER_ARM * upper @ _DOWN
        wrist = at[f"{side}_wrist"] = elbow + _FOREARM * fore @ _DOWN
        at[f"{side}_hand"] = wrist + _HAND * fore @ _DOWN
    at["thorax"] = (at["right_shoulder"] + at["left_shoulder"]) / 2  # as with Human3.6M
    at["chin"] = neck + skull @ (45 * _UP - 55 * _BACK)
    at["skull"] = neck + skull @ (150 * _UP + 15 * _BACK)
    at["waist"] = 0.45 * _SPINE * chest @ _UP
    return np.array([at[name] for name in [*_RADII][:25]])


def draw_person(
    seed: int, index: int, side: int
) -> tuple[np.random.Generator, np.ndarray, tuple[np.ndarray, np.ndarray], Camera]:
    """A person and a camera that sees all of it; first, the generator of all that follows.

    The keypoints (16, 3) and the spheres, centres (27, 3) and radii (27,), whose hulls (``PARTS``)
    are the body; camera frame, mm.
    """
    rng = np.random.default_rng([seed, 16, index])
    keypoints, *spheres = draw_body(rng)
    uv = keypoints[:, :2] / keypoints[:, 2:]
    low, high = uv.min(axis=0), uv.max(axis=0)
    scale = side / (_ROOM * _MARGIN * max((high - low).max(), 0.1))
    cx, cy = (side - 1) / 2 - scale * (low + high) / 2
    return rng, keypoints, (spheres[0], spheres[1]), Camera(scale, scale, cx, cy, side, side)


def draw_body(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints, and centres and radii as in :func:`draw_person`: pose, view, place and build."""
    size, girth = rng.normal(1, 0.05), np.exp(rng.normal(0.03, 0.12))
    points = size * pose_body(*_draw_angles(rng))
    kind = rng.uniform()
    tilt, roll = np.radians(rng.normal(0, 8, 2))
    if kind < 0.08:  # lying, upside down
        tilt, roll = rng.uniform(-np.pi, np.pi, 2) * [1, 0.5]
    view = rotation(0, np.radians(rng.normal(8, 10)))  # the camera looks down a little
    # Cameras mostly see people from the front.
    yaw = rng.normal(0, 0.7) if rng.uniform() < 0.65 else rng.uniform(-np.pi, np.pi)
    turn = view @ rotation(2, roll) @ rotation(0, tilt) @ rotation(1, yaw)
    place = rng.uniform(2800, 6000) * np.array([rng.normal(0, 0.12), rng.normal(0, 0.05), 1])
    points = points @ turn.T + place
    keypoints, neck, top = points[:16], points[8], points[9]
    across = 0.45 * ((keypoints[13] - keypoints[12]) / 2)
    middle = keypoints[7] + 0.28 * (points[24] - keypoints[7])
    centres = np.concatenate([points, [middle - across, middle + across]])
    radii = np.array([*_RADII.values()], float)
    # The top of the head lies on the skin, so its sphere lies below it.
    centres[9] = top + radii[9] * (neck - top) / np.linalg.norm(neck - top)
    radii = radii * size * girth
    radii[_BONY] /= girth
    return keypoints, centres, radii


def _draw_angles(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw :func:`pose_body`'s angles: standing, walking, sitting or moving freely.

    Ranges of motion after Kapandji, "The Physiology of the Joints": hip -20..120 and -10..45, knee
    0..140, shoulder -50..180 and 0..150, elbow 0..145, degrees.
    """
    kind = rng.uniform()
    hips = np.stack([rng.normal(5, 10, 2), np.abs(rng.normal(3, 7, 2))], axis=1)
    knees = np.abs(rng.normal(5, 10, 2))
    if kind < 0.3:  # a step
        stride = rng.uniform(10, 45) * rng.choice([-1, 1])
        hips[:, 0] = [stride, -0.5 * stride]
        knees = rng.uniform(5, 30, 2) + np.maximum([-stride, stride], 0)
    elif kind < 0.55:  # sitting, squatting
        hips = np.stack([rng.normal(85, 18, 2), np.abs(rng.normal(8, 12, 2))], axis=1)
        knees = rng.normal(88, 25, 2)
    elif kind < 0.75:  # anything
        hips = np.stack([rng.uniform(-20, 115, 2), rng.uniform(-5, 45, 2)], axis=1)
        knees = rng.uniform(0, 125, 2)
    hips = hips.clip([-20, -10], [120, 45])
    trunk, head = rng.normal([12, 0, 0], [14, 8, 14]), rng.normal([5, 0, 0], [12, 8, 24])
    hang = rng.uniform(size=2) < 0.4  # such an arm is bent less
    flexion = np.where(hang, rng.normal(8, 18, 2), rng.uniform(-40, 165, 2))
    abduction = np.where(hang, np.abs(rng.normal(8, 8, 2)), rng.uniform(0, 120, 2))
    shoulders = np.stack([flexion, abduction, rng.uniform(-70, 70, 2)], axis=1)
    elbows = np.where(hang, np.abs(rng.normal(18, 20, 2)), rng.uniform(0, 140, 2))
    angles = trunk, head, hips, knees.clip(0, 140), shoulders, elbows.clip(0, 145)
    return [np.radians(angle) for angle in angles]


def draw_image(seed: int, index: int, side: int) -> np.ndarray:
    """A lit person before a blurred background, (side, side, 3), uint8; red, green, blue."""
    rng, _, spheres, camera = draw_person(seed, index, side)
    # Blurred patches, brighter or darker towards the floor.
    coarse = rng.uniform(0, 255, (rng.integers(2, 9), rng.integers(2, 9), 3)).astype(np.float32)
    grey = coarse.mean(axis=2, keepdims=True)
    coarse = grey + rng.uniform(0.1, 0.7) * (coarse - grey)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    blocks = cv2.resize(coarse[::-1], (side, side), interpolation=cv2.INTER_NEAREST)
    image = cv2.addWeighted(image, 0.7, np.ascontiguousarray(blocks), 0.3, 0)
    colours = {}
    for part in PARTS:
        if part in _COLOURS:
            colours[part] = rng.choice(_COLOURS[part]) * rng.uniform(0.85, 1.15, 3)
        else:
            colours[part] = rng.uniform(20, 235, 3)
    depth, colour = _surface(spheres, camera, colours)
    seen = depth < np.inf
    light = rng.normal([0, -0.6, -1], [0.7, 0.4, 0.3])
    shade = _shade(depth, camera, light / np.linalg.norm(light), rng.uniform(0.25, 0.55))
    image[seen] = (colour * shade[..., None])[seen]
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    grain = rng.normal(0, rng.uniform(1, 6), image.shape[:2]).astype(np.float32)
    return (image + grain[..., None]).clip(0, 255).astype(np.uint8)


def _surface(
    spheres: tuple[np.ndarray, np.ndarray], camera: Camera, colours: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W), mm, ``inf`` in the background, and colour (H, W, 3)."""
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    colour = np.zeros((camera.height, camera.width, 3), np.float32)
    for part, pieces in PARTS.items():
        used = sorted({sphere for piece in pieces for sphere in piece})
        pieces = [[used.index(sphere) for sphere in piece] for piece in pieces]
        pills, wedges = ([p for p in pieces if len(p) == size] for size in (2, 3))
        own = render_depth(spheres[0][used], spheres[1][used], pills, wedges, camera)
        nearer = own < depth
        depth[nearer], colour[nearer] = own[nearer], colours[part]
    return depth, colour


def _shade(depth: np.ndarray, camera: Camera, light: np.ndarray, ambient: float) -> np.ndarray:
    """Brightness (H, W) of a matt surface, from the slope of its depth."""
    # n . (x, y, 1) z = 0 along the surface: n ~ (z_u fx, z_v fy, -z - x z_u fx - y z_v fy)
    z = np.where(depth < np.inf, depth, np.nan)
    down, across = np.gradient(z)
    a, b = camera.fx * across, camera.fy * down
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float32) - camera.cy)[:, None] / camera.fy
    normal = np.stack([a, b, -z - x * a - y * b])
    normal /= np.linalg.norm(normal, axis=0)
    lit = np.einsum("i,ihw->hw", light, normal)
    # Outlines have no slope: as if turned away from the light.
    return ambient + (1 - ambient) * np.nan_to_num(lit).clip(0, 1)
