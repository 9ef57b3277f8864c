"""Synthetic people: the default for pretraining without MPII and Human3.6M.

They use the sphere-mesh and the renderer of the synthetic hand, with their own skeleton, light and
colours. Every other person has only 2D labels, as in MPII, the others depths too, as in Human3.6M.
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
from senorita_lib.files import folder_lock, user_path, whole_file
from senorita_lib.people.bodymodel import PARTS, BodyPose, pose_body, rotation
from senorita_lib.people.crops import BodySet
from senorita_lib.people.keypoints import PELVIS

GENERATOR = 1  # raise it when the same seed no longer gives the same people
_MARGIN, _ROOM = 1.25, 1.3  # the box's side around the keypoints, the image's around the box
_COLOURS = {  # red, green, blue; one of these is varied a little
    "skin": [(236, 196, 168), (205, 150, 115), (150, 100, 70), (95, 62, 45)],
    "hair": [(35, 28, 25), (90, 60, 40), (190, 150, 90), (130, 130, 130)],
    "shoes": [(30, 30, 30), (220, 220, 220), (120, 60, 40)],
}


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
            _, pose, camera = draw_person(seed, index, side)
            pelvis = pose.keypoints[PELVIS, 2]
            self.keypoints[index] = camera.project(pose.keypoints)
            self.keypoints[index, :, 2] -= pelvis
            self.cameras[index] = camera.fx, camera.fy, camera.cx, camera.cy, pelvis
        self.keypoints[::2, :, 2] = self.cameras[::2] = np.nan
        self.identity = hashlib.sha256(f"{GENERATOR} {count} {seed} {side}".encode()).hexdigest()

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (side, side, 3), uint8; red, green, blue."""
        if len(self._images):
            return self._images[index]
        return draw_image(self.seed, index, self.side)

    def keep(
        self, folder: str | os.PathLike[str], workers: int | None = None, progress: bool = True
    ) -> "SyntheticBody":
        """Draw all images into a file, or open the file of an earlier call; returns itself.

        The images do not depend on the number of workers, by default one per core.
        """
        name = f"people_{len(self)}_{self.side}px_seed_{self.seed}_v{GENERATOR}.npy"
        path, shape = user_path(folder) / name, (len(self), self.side, self.side, 3)
        with folder_lock(folder):
            if not path.exists():
                drawn = joblib.Parallel(workers or os.cpu_count() or 1, return_as="generator")(
                    joblib.delayed(draw_image)(self.seed, k, self.side) for k in range(len(self))
                )
                bar = tqdm(drawn, "people", len(self), disable=not progress, mininterval=1.0)
                head = {"descr": "|u1", "fortran_order": False, "shape": shape}
                with whole_file(path) as file:  # up to gigabytes: one by one
                    np.lib.format.write_array_header_1_0(file, head)
                    for image in bar:
                        file.write(image.tobytes())
        with suppress(ValueError, EOFError):
            self._images = np.load(path, mmap_mode="r", allow_pickle=False)
        if self._images.shape != shape:
            raise ValueError(f"{path} is damaged, wanted images {shape}: remove it")
        return self


def draw_person(seed: int, index: int, side: int) -> tuple[np.random.Generator, BodyPose, Camera]:
    """A person, a camera that sees all of it, and the generator of all that follows."""
    rng = np.random.default_rng([seed, 16, index])
    pose = draw_body(rng)
    uv = pose.keypoints[:, :2] / pose.keypoints[:, 2:]
    low, high = uv.min(axis=0), uv.max(axis=0)
    extent = _ROOM * _MARGIN * max((high - low).max(), 0.1)
    scale = side / extent
    cx, cy = (side - 1) / 2 - scale * (low + high) / 2
    return rng, pose, Camera(scale, scale, cx, cy, side, side)


def draw_body(rng: np.random.Generator) -> BodyPose:
    """Draw a person: pose, view, distance and build."""
    size, girth = rng.normal(1, 0.05), np.exp(rng.normal(0.03, 0.12))
    keypoints, more = (size * points for points in pose_body(*_draw_angles(rng)))
    kind = rng.uniform()
    tilt, roll = np.radians(rng.normal(0, 8, 2))
    if kind < 0.08:  # lying, upside down
        tilt, roll = rng.uniform(-np.pi, np.pi, 2) * [1, 0.5]
    view = rotation(0, np.radians(rng.normal(8, 10)))  # the camera looks down a little
    # Cameras mostly see people from the front.
    yaw = rng.normal(0, 0.7) if rng.uniform() < 0.65 else rng.uniform(-np.pi, np.pi)
    turn = view @ rotation(2, roll) @ rotation(0, tilt) @ rotation(1, yaw)
    place = rng.uniform(2800, 6000) * np.array([rng.normal(0, 0.12), rng.normal(0, 0.05), 1])
    return BodyPose(keypoints @ turn.T + place, more @ turn.T + place, girth, size)


def _draw_angles(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw :func:`.pose_body`'s angles: standing, walking, sitting or moving freely.

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
    trunk = rng.normal([12, 0, 0], [14, 8, 14])
    head = rng.normal([5, 0, 0], [12, 8, 24])
    # A hanging arm is bent less.
    hang = rng.uniform(size=2) < 0.4
    flexion = np.where(hang, rng.normal(8, 18, 2), rng.uniform(-40, 165, 2))
    abduction = np.where(hang, np.abs(rng.normal(8, 8, 2)), rng.uniform(0, 120, 2))
    twist = rng.uniform(-70, 70, 2)
    elbows = np.where(hang, np.abs(rng.normal(18, 20, 2)), rng.uniform(0, 140, 2))
    shoulders = np.stack([flexion, abduction, twist], axis=1)
    angles = trunk, head, hips, knees.clip(0, 140), shoulders, elbows.clip(0, 145)
    return [np.radians(angle) for angle in angles]


def draw_image(seed: int, index: int, side: int) -> np.ndarray:
    """A lit person before a blurred background, (side, side, 3), uint8; red, green, blue."""
    rng, pose, camera = draw_person(seed, index, side)
    image = _background(rng, camera)
    colours = {}
    for part in PARTS:
        if part in _COLOURS:
            colours[part] = rng.choice(_COLOURS[part]) * rng.uniform(0.85, 1.15, 3)
        else:
            colours[part] = rng.uniform(20, 235, 3)
    depth, colour = _surface(pose, camera, colours)
    seen = depth < np.inf
    light = rng.normal([0, -0.6, -1], [0.7, 0.4, 0.3])
    shade = _shade(depth, camera, light / np.linalg.norm(light), rng.uniform(0.25, 0.55))
    image[seen] = (colour * shade[..., None])[seen]
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    grain = rng.normal(0, rng.uniform(1, 6), image.shape[:2]).astype(np.float32)
    return (image + grain[..., None]).clip(0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, camera: Camera) -> np.ndarray:
    """Blurred patches, brighter or darker towards the floor."""
    coarse = rng.uniform(0, 255, (rng.integers(2, 9), rng.integers(2, 9), 3)).astype(np.float32)
    size = camera.width, camera.height
    grey = coarse.mean(axis=2, keepdims=True)
    coarse = grey + rng.uniform(0.1, 0.7) * (coarse - grey)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    blocks = cv2.resize(coarse[::-1], size, interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(fine, 0.7, np.ascontiguousarray(blocks), 0.3, 0)


def _surface(
    pose: BodyPose, camera: Camera, colours: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W), mm, ``inf`` in the background, and colour (H, W, 3)."""
    centres, radii = pose.spheres()
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    colour = np.zeros((camera.height, camera.width, 3), np.float32)
    for part, pieces in PARTS.items():
        used = sorted({sphere for piece in pieces for sphere in piece})
        pieces = [tuple(used.index(sphere) for sphere in piece) for piece in pieces]
        pills, wedges = ([p for p in pieces if len(p) == size] for size in (2, 3))
        own = render_depth(centres[used], radii[used], pills, wedges, camera)
        nearer = own < depth
        depth[nearer] = own[nearer]
        colour[nearer] = colours[part]
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
