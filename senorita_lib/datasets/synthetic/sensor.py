"""What depth cameras make of a scene: the SR300's noise, holes and ragged borders, and stereo's."""

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera
from senorita_lib.datasets.synthetic.spheremesh import Depth, render_depth

MOST_PIXELS = 1024  # of an image's side
_COARSE = 4  # the background is rendered at this fraction of the resolution


@lru_cache(maxsize=1)
def noise_bank() -> tuple[Depth, Depth, Depth]:
    """Noise to cut windows from: white normal, smooth normal, and uniform on blocks of 2 x 2 px.

    Fixed, and larger than an image, (MOST_PIXELS, MOST_PIXELS): far cheaper than drawing it.
    """
    n, rng = MOST_PIXELS, np.random.default_rng(300)
    white = rng.standard_normal((n, n), dtype=np.float32)
    smooth = cv2.GaussianBlur(rng.standard_normal((n, n), dtype=np.float32), (0, 0), 2.5)
    blocks = rng.random((n // 2, n // 2), dtype=np.float32).repeat(2, axis=0).repeat(2, axis=1)
    return white, smooth / smooth.std(), blocks


def _cut(field: Depth, rng: np.random.Generator, shape: tuple[int, ...]) -> Depth:
    top, left = (int(rng.integers(0, field.shape[i] - shape[i] + 1)) for i in range(2))
    return field[top : top + shape[0], left : left + shape[1]]


def background(
    rng: np.random.Generator, camera: Camera, joints: np.ndarray, depth: Depth
) -> Depth | None:
    """Depth of what stands behind the hand: a person's head and trunk, or a slanted wall.

    The person stands behind the joints (21, 3), camera frame, mm; the wall behind ``depth``
    (height, width), mm, of hand and arm. ``inf`` where nothing is; None without any background.
    """
    kind, c = rng.uniform(), _COARSE
    if kind < 0.35:
        return None
    if kind < 0.50:
        return _wall(rng, camera, depth)
    width, height = (-(-n // c) for n in (camera.width, camera.height))
    small = replace(camera, width=c * width, height=c * height).resized(width, height)
    depth = _person(rng, small, joints)
    hit, whole = np.isfinite(depth).astype(np.float32), (c * width, c * height)
    total = cv2.resize(np.where(hit > 0, depth, 0), whole, interpolation=cv2.INTER_LINEAR)
    share = cv2.resize(hit, whole, interpolation=cv2.INTER_LINEAR)
    with np.errstate(invalid="ignore", divide="ignore"):
        scene = np.where(share > 0.5, total / share, np.float32(np.inf))
    return np.asarray(scene[: camera.height, : camera.width])


def _wall(rng: np.random.Generator, camera: Camera, hand: Depth) -> Depth:
    z, gap = rng.uniform(600, 1100), rng.uniform(20, 300)
    slant = rng.normal(0, 0.35, 2)  # of the wall against the image plane
    x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float32) - camera.cy) / camera.fy
    inverse = (1 - slant[0] * x - slant[1] * y[:, None]).astype(np.float32) / np.float32(z)
    wall = 1 / np.maximum(inverse, np.float32(1e-4))
    hit = hand < np.inf
    behind = max(1, ((hand[hit] + np.float32(gap)) / wall[hit]).max(initial=0))
    return np.asarray(wall * behind)


def _person(rng: np.random.Generator, camera: Camera, joints: np.ndarray) -> Depth:
    z = max(joints[:, 2].max() + rng.uniform(60, 330), rng.uniform(580, 950))
    # The person faces the camera: the right hand's shoulder is on the image's left.
    right = np.array([joints[0, 0] + rng.uniform(-60, 200), rng.uniform(-60, 190), z])
    left = right + [rng.uniform(300, 380), rng.normal(0, 20), rng.uniform(-90, 90)]
    neck = (right + left) / 2 + [0, -70, 0]
    belly = (right + left) / 2 + [rng.normal(0, 25), 420, rng.uniform(-130, 60)]
    head = neck + [rng.normal(0, 25), -150, rng.uniform(-70, 20)]
    centres = np.array([right, left, belly - [110, 0, 0], belly + [110, 0, 0], neck, head,
                        head + [0, 55, -15]])  # fmt: skip
    radii = np.array([75.0, 75, 95, 95, 62, 82, 62]) * rng.uniform(0.9, 1.12)
    centres[:, 2] += radii  # z is where the surface begins
    pills, wedges = [[4, 5], [5, 6]], [[0, 1, 2], [1, 2, 3], [0, 1, 4]]
    return render_depth(centres, radii, pills, wedges, camera)


def sense(
    rng: np.random.Generator, depth: Depth, scene: Depth | None = None
) -> npt.NDArray[np.uint16]:
    """What the sensor gives, (height, width), mm, for the exact depth of hand and background.

    A ray that meets nothing is ``inf`` in the exact depth and 0 in the sensor's.
    """
    if scene is not None:
        depth = np.minimum(depth, scene)
    result = np.zeros(depth.shape, dtype=np.uint16)
    left, top, width, height = cv2.boundingRect((depth < np.inf).astype(np.uint8))
    if not width:
        return result
    window = slice(top, top + height), slice(left, left + width)
    z = np.minimum(depth[window], np.float32(4000))  # no further: inf - inf is no number
    white, smooth, blocks = (_cut(field, rng, z.shape) for field in noise_bank())
    # Behind a step in depth, and at grazing incidence, no pattern comes back. The projector
    # sits beside the camera, so that the shadow is wider on one side.
    near = cv2.erode(z, np.ones((3, 4), np.uint8), anchor=(2, 1))
    lost = z - near > 10 + 14 * blocks
    near = cv2.erode(near, np.ones((5, 7), np.uint8), anchor=(4, 2))
    lost |= z - near > 60 + 80 * blocks
    # The border's own pixels: lost here and there, which makes it ragged.
    far = cv2.dilate(z, np.ones((3, 3), np.uint8))
    lost |= (far - z > 60) & ((blocks > 0.72) | (smooth > 0.45))
    # Dark or shiny spots, more of them with distance; and nothing beyond about a metre.
    limit = rng.uniform(930, 1080)
    lost |= smooth > 4.1 - z * np.float32(1.1e-3)
    lost |= (z > limit + 25 * smooth) | (z < 180)
    sigma = 0.35 + 1.6e-6 * z * z
    noisy = z + sigma * (0.4 * white + smooth) + np.float32(0.5)
    result[window] = np.where(lost, 0, noisy).astype(np.uint16)
    return result


@dataclass(frozen=True)
class Stereo:
    """A stereo camera, whose noise law shares nothing with :func:`sense`.

    Each frame draws its own share of the strengths.
    """

    baseline: float = 50.0  # mm between its two eyes
    coarser: tuple[int, ...] = (1, 1, 2)  # its pixels are as many of the image's wide
    parts: float = 10.0  # steps of disparity in a pixel
    tear: float = 0.6  # px by which neighbours at an edge change places
    ripple: float = 0.1  # px, of smooth error in disparity
    window: int = 3  # px, side of the blocks that are compared: 1, 3 or 5
    speckle: float = 0.01  # share of pixels without a match
    reach: float = 1100.0  # mm

    def sense(
        self, rng: np.random.Generator, depth: npt.NDArray[np.float32], camera: Camera
    ) -> npt.NDArray[np.uint16]:
        """Depth (height, width), mm, 0 where nothing is found, of exact depth, ``inf`` allowed."""
        strength, c = rng.uniform(0.5, 1.5), int(rng.choice(self.coarser))
        focal = self.baseline * camera.fx / c
        disparity = np.float32(focal) / depth[c // 2 :: c, c // 2 :: c]
        height, width = disparity.shape
        # Edges tear: what is seen at a pixel comes from one nearby.
        v, u = np.indices(disparity.shape) + np.rint(
            self.tear * strength * rng.standard_normal((2, height, width))
        ).astype(int)
        disparity = disparity[v.clip(0, height - 1), u.clip(0, width - 1)]
        # Blocks are matched as a whole, which rounds off corners and mixes near and far.
        disparity = cv2.medianBlur(disparity, self.window)
        disparity = cv2.blur(disparity, (self.window, self.window))
        noise = rng.standard_normal((2, height, width)).astype(np.float32)
        smooth = [cv2.GaussianBlur(field, (0, 0), 2.0) * 7 for field in noise]  # of variance 1
        matched = disparity > 0
        disparity += np.float32(self.ripple * strength) * smooth[0]
        disparity = np.rint(disparity * self.parts) / np.float32(self.parts)
        # What one eye sees beside a nearer thing is hidden from the other.
        other = np.arange(width) - disparity
        nearest = np.minimum.accumulate(other[:, ::-1], axis=1)[:, ::-1]
        lost = ~matched | (nearest < other - 1.5) | (disparity < focal / self.reach)
        lost |= smooth[1] > np.quantile(smooth[1], 1 - self.speckle * strength)
        found = np.where(lost, 0, np.float32(focal) / np.where(lost, 1, disparity) + 0.5)
        whole = found.astype(np.uint16).repeat(c, axis=0).repeat(c, axis=1)
        return whole[: depth.shape[0], : depth.shape[1]]
