"""Synthetic people: the default for pretraining where MPII and Human3.6M are not at hand.

The sphere-mesh and the renderer of the synthetic hand, with another skeleton, light and colours.
Every other person has 2D labels alone, as in MPII, the others depths too, as in Human3.6M.
"""

import fcntl
import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm.auto import tqdm

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.datasets.workers import gather
from senorita_lib.people.bodymodel import PARTS, BodyAngles, body_spheres, pose_body, rotation
from senorita_lib.people.crops import BodySet
from senorita_lib.people.keypoints import PELVIS

GENERATOR = 1  # raise it when the same seed no longer gives the same people
_MARGIN, _ROOM = 1.25, 1.3  # the box's side around the keypoints, the image's around the box
_COLOURS = {  # red, green, blue: one of these, a little changed
    "skin": [(236, 196, 168), (205, 150, 115), (150, 100, 70), (95, 62, 45)],
    "hair": [(35, 28, 25), (90, 60, 40), (190, 150, 90), (130, 130, 130)],
    "shoes": [(30, 30, 30), (220, 220, 220), (120, 60, 40)],
}


@dataclass(frozen=True)
class BodyPose:
    """One posed person.

    Attributes
    ----------
    keypoints, more : arrays, (16, 3) and (9, 3)
        Of :func:`~senorita_lib.people.bodymodel.pose_body`, camera frame, mm.
    girth, size : float
        As of :func:`~senorita_lib.people.bodymodel.body_spheres`.
    """

    keypoints: np.ndarray
    more: np.ndarray
    girth: float
    size: float


class SyntheticBody(BodySet):
    """People, each a function of seed and index alone.

    Parameters
    ----------
    count : int
        How many.
    seed : int
    side : int
        Of the square images, px; the person's box is 1/1.3 of it.

    Raises
    ------
    ValueError
        If a number makes no sense.
    """

    def __init__(self, count=4000, seed=0, side=128):
        for name, value, least in (("count", count, 1), ("seed", seed, 0), ("side", side, 16)):
            if int(value) != value or value < least:
                raise ValueError(f"{name} is {value}, wanted a whole number from {least}")
        count, self.seed, self.side, self._images = int(count), int(seed), int(side), None
        self.names = [f"body_{index:06d}" for index in range(count)]
        self.keypoints = np.full((count, 16, 3), np.nan, np.float32)
        self.cameras = np.full((count, 5), np.nan, np.float32)
        border = (1 - 1 / _ROOM) / 2 * self.side - 0.5
        box = np.array([border, border, self.side - 1 - border, self.side - 1 - border])
        self.boxes = np.tile(box.astype(np.float32), (count, 1))
        for index in range(count):
            _, pose, camera = self._draw(index)
            self.keypoints[index] = camera.project(pose.keypoints)
            pelvis = pose.keypoints[PELVIS, 2]
            self.keypoints[index, :, 2] -= pelvis
            self.cameras[index] = camera.fx, camera.fy, camera.cx, camera.cy, pelvis
        self.keypoints[::2, :, 2] = self.cameras[::2] = np.nan
        what = f"{GENERATOR} {count} {self.seed} {self.side}"
        self.identity = hashlib.sha256(what.encode()).hexdigest()

    def _draw(self, index):
        rng = np.random.default_rng([self.seed, 16, index])
        pose = draw_body(rng)
        uv = pose.keypoints[:, :2] / pose.keypoints[:, 2:]
        low, high = uv.min(axis=0), uv.max(axis=0)
        extent = _ROOM * _MARGIN * max((high - low).max(), 0.1)
        scale = self.side / extent
        cx, cy = (self.side - 1) / 2 - scale * (low + high) / 2
        return rng, pose, Camera(scale, scale, cx, cy, self.side, self.side)

    def image(self, index):
        """The image of a person, (side, side, 3), uint8, red, green, blue."""
        if self._images is not None:
            return self._images[index]
        rng, pose, camera = self._draw(index)
        return draw_image(rng, pose, camera)

    def keep(self, folder, workers=None, progress=True):
        """Draw all images now and keep them in a file, or open what an earlier call has drawn.

        Parameters
        ----------
        folder : path
        workers : int, optional
            Processes; as many as there are cores. The images do not depend on it.
        progress : bool

        Returns
        -------
        SyntheticBody
            This one.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If it is damaged.
        """
        folder = Path(folder)
        path = folder / f"people_{len(self)}_{self.side}px_seed_{self.seed}_v{GENERATOR}.npy"
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be drawing: wait for it
            if not path.exists():
                self._write(path, workers or os.cpu_count() or 1, progress)
        finally:
            os.close(lock)
        shape = (len(self), self.side, self.side, 3)
        try:
            self._images = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError):
            self._images = np.zeros(0)
        if self._images.shape != shape:
            raise ValueError(f"{path} is damaged, wanted images {shape}: remove it")
        return self

    def _write(self, path, workers, progress):
        aside = path.with_suffix(".part.npy")
        shape = (len(self), self.side, self.side, 3)
        np.lib.format.open_memmap(aside, "w+", np.uint8, shape).flush()
        tasks = [(str(aside), len(self), self.seed, self.side, w, workers) for w in range(workers)]
        bar = tqdm(total=len(self), desc="people", disable=not progress, mininterval=1.0)
        with bar:
            for records in gather(_make, tasks, _RECORD):
                bar.update(len(records))
        with open(aside, "rb") as file:  # what the workers wrote, before the name is there
            os.fsync(file.fileno())
        os.replace(aside, path)


_RECORD = np.dtype([("job", "<i4")])


def _make(path, count, seed, side, start, step):
    """Draw every ``step``-th image into the file."""
    people, images = SyntheticBody(count, seed, side), np.load(path, mmap_mode="r+")
    for job in range(start, count, step):
        images[job] = people.image(job)
        yield np.array([(job,)], _RECORD)


# ---------------------------------------------------------------------------------------- poses
def draw_body(rng):
    """Draw a person: pose, view, distance and build.

    Parameters
    ----------
    rng : numpy.random.Generator

    Returns
    -------
    BodyPose
    """
    size, girth = rng.normal(1, 0.05), np.exp(rng.normal(0.03, 0.12))
    keypoints, more = pose_body(_draw_angles(rng), size)
    kind = rng.uniform()
    tilt, roll = np.radians(rng.normal(0, 8, 2))
    if kind < 0.08:  # bowed, lying, upside down
        tilt, roll = rng.uniform(-np.pi, np.pi, 2) * [1, 0.5]
    view = rotation(0, np.radians(rng.normal(8, 10)))  # of a camera that looks down a little
    # Cameras mostly see people from the front.
    yaw = rng.normal(0, 0.7) if rng.uniform() < 0.65 else rng.uniform(-np.pi, np.pi)
    turn = view @ rotation(2, roll) @ rotation(0, tilt) @ rotation(1, yaw)
    z = rng.uniform(2800, 6000)
    place = z * np.array([rng.normal(0, 0.12), rng.normal(0, 0.05), 1])
    return BodyPose(keypoints @ turn.T + place, more @ turn.T + place, girth, size)


def _draw_angles(rng):
    """Joint angles of somebody who stands, walks, sits or moves about.

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
    # The further down the arm hangs the less it is bent.
    hang = rng.uniform(size=2) < 0.4
    flexion = np.where(hang, rng.normal(8, 18, 2), rng.uniform(-40, 165, 2))
    abduction = np.where(hang, np.abs(rng.normal(8, 8, 2)), rng.uniform(0, 120, 2))
    twist = rng.uniform(-70, 70, 2)
    elbows = np.where(hang, np.abs(rng.normal(18, 20, 2)), rng.uniform(0, 140, 2))
    shoulders = np.stack([flexion, abduction, twist], axis=1)
    angles = trunk, head, hips, knees.clip(0, 140), shoulders, elbows.clip(0, 145)
    return BodyAngles(*map(np.radians, angles))


# --------------------------------------------------------------------------------------- images
def draw_image(rng, pose, camera):
    """A person in light, in front of something blurred.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of light, clothes, background and noise.
    pose : BodyPose
    camera : Camera

    Returns
    -------
    array, (height, width, 3), uint8
        Red, green, blue.
    """
    image = _background(rng, camera)
    colours = {part: _colour(rng, part) for part in PARTS}
    depth, colour = _surface(pose, camera, colours)
    seen = depth < np.inf
    light = rng.normal([0, -0.6, -1], [0.7, 0.4, 0.3])
    shade = _shade(depth, camera, light / np.linalg.norm(light), rng.uniform(0.25, 0.55))
    image[seen] = (colour * shade[..., None])[seen]
    image = cv2.GaussianBlur(image, (0, 0), 0.5)
    grain = rng.normal(0, rng.uniform(1, 6), image.shape[:2]).astype(np.float32)
    return (image + grain[..., None]).clip(0, 255).astype(np.uint8)


def _colour(rng, part):
    if part in _COLOURS:
        return rng.choice(_COLOURS[part]) * rng.uniform(0.85, 1.15, 3)
    return rng.uniform(20, 235, 3)


def _background(rng, camera):
    """Blurred patches, brighter or darker towards the floor."""
    coarse = rng.uniform(0, 255, (rng.integers(2, 9), rng.integers(2, 9), 3)).astype(np.float32)
    size = camera.width, camera.height
    grey = coarse.mean(axis=2, keepdims=True)
    coarse = grey + rng.uniform(0.1, 0.7) * (coarse - grey)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    blocks = cv2.resize(coarse[::-1], size, interpolation=cv2.INTER_NEAREST)
    return cv2.addWeighted(fine, 0.7, np.ascontiguousarray(blocks), 0.3, 0)


def _surface(pose, camera, colours):
    """Depth (H, W), mm, ``inf`` where nobody is, and the colour (H, W, 3) of what is seen."""
    centres, radii = body_spheres(pose.keypoints, pose.more, pose.girth, pose.size)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    colour = np.zeros((camera.height, camera.width, 3), np.float32)
    for part, (used, pills, wedges) in _parts().items():
        own = render_depth(centres[used], radii[used], pills, wedges, camera)
        nearer = own < depth
        depth[nearer] = own[nearer]
        colour[nearer] = colours[part]
    return depth, colour


@lru_cache(maxsize=1)
def _parts():
    """Each part's spheres, and its pills and wedges in numbers of these."""
    parts = {}
    for part, (pills, wedges) in PARTS.items():
        used = sorted({sphere for piece in pills + wedges for sphere in piece})
        place = {sphere: number for number, sphere in enumerate(used)}
        renamed = [[[place[s] for s in piece] for piece in kind] for kind in (pills, wedges)]
        parts[part] = used, *renamed
    return parts


def _shade(depth, camera, light, ambient):
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
    # At an outline there is no slope: as if turned away.
    return ambient + (1 - ambient) * np.nan_to_num(lit).clip(0, 1)
