"""The synthetic hand as an endless stream of crops, made where they are used.

A pool of poses bounds how many articulations there are, not how many images: each batch picks
from it and gives each pose a fresh place, a small fresh turn and fresh noise. Nothing waits for
the device; random numbers come from the CPU, so that all devices give the same batches.
"""

from itertools import count

import numpy as np
import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import CUBE_MM
from senorita_lib.datasets.synthetic import posing
from senorita_lib.datasets.synthetic.castcrop import crop_depth, pixels_of, rays_of, rough_box
from senorita_lib.datasets.synthetic.castsensor import Sensor
from senorita_lib.datasets.synthetic.frames import SPLITS
from senorita_lib.datasets.synthetic.handmodel import PILLS, WEDGES
from senorita_lib.datasets.synthetic.posepool import draw_pool
from senorita_lib.datasets.synthetic.spherecast import Hulls, cast_depth

_TURN = np.radians(5.0)  # about each axis, one standard deviation
_WALLS = 0.02  # of the crops have one
# How many random numbers a crop takes for what: uniform ones and normal ones.
_UNIFORM = {"pick": 1, "cut": 1, "spot": 2, "wall": 2, "noise": 2, "limit": 1}
_NORMAL = {"turn": 3, "distance": 1, "aside": 2, "slope": 2}


class SyntheticStream:
    """Batches of synthetic crops, each a function of seed, split, batch, size, pool and its number.

    Iterating gives batches 0, 1, 2, ... without end.

    Parameters
    ----------
    seed : int
    split : str
        ``train``, ``interp``, ``shape``, ``artic``, ``viewp`` or ``extrap``, which bounds hand
        shapes, viewpoints and articulations.
    batch : int
        Crops in a batch.
    size : int
        Side of an image, px.
    device : str or torch.device
    pool : int
        Poses, drawn at the start by all cores, each at about 300 a second.
    compiled : bool, optional
        As in :func:`~senorita_lib.datasets.synthetic.spherecast.cast_depth`.
    progress : bool
        Show a progress bar while the pool is drawn.

    Raises
    ------
    ValueError
        If there is no such split, or a number makes no sense.
    """

    def __init__(
        self, seed=0, *, split="train", batch=64, size=256, device="cpu", pool=20_000,
        compiled=None, progress=True,
    ):  # fmt: skip
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        for name, value, least in (
            ("seed", seed, 0), ("batch", batch, 1), ("size", size, 2), ("pool", pool, 1),
        ):  # fmt: skip
            _want_whole(name, value, least)
        self.seed, self.split, self.size, self.device = seed, split, size, torch.device(device)
        self.batch_size, self.compiled, self.camera = batch, compiled, SR300
        poses = draw_pool(pool, split, seed, progress=progress)
        self.pool = {
            name: torch.from_numpy(np.ascontiguousarray(poses[name])).to(self.device)
            for name in ("view", "joints", "centres", "reach", "radii")
        }
        self.hulls, self.sensor = Hulls(PILLS, WEDGES, self.device), Sensor(self.device)

    def __iter__(self):
        return map(self.batch, count())

    @torch.no_grad()
    def batch(self, index, size=None, part=slice(None)):
        """Batch number ``index``, whatever was drawn before.

        Parameters
        ----------
        index : int
            From 0, without end.
        size : int, optional
            Crops in this batch, if not as many as in the others.
        part : slice
            Which of them are made.

        Returns
        -------
        crops : CropBatch
        joints_mm : tensor, (B, 21, 3)
            Camera frame, mm.
        """
        _want_whole("index", index, 0)
        draws = self._draws(index, size, part)
        centres, radii, joints = self._posed(draws)
        surfaces = self.hulls.surfaces(centres, radii)
        box, coarse_z = rough_box(surfaces, joints, self.camera, self.compiled)
        u, v = pixels_of(box, self.size)
        rays = rays_of(u, v, self.camera)
        depth = cast_depth(surfaces, *rays, self.compiled)
        depth = torch.minimum(depth, _walls(draws, depth, coarse_z, *rays))
        window = (self.sensor.width * draws["noise"]).floor() - box[:, :2]
        limit = 930 + 150 * draws["limit"][:, 0]
        depth = self.sensor.sense(depth, u + window[:, :1], v + window[:, 1:], limit)
        return crop_depth(depth, box, coarse_z, self.camera), joints

    def _draws(self, index, size=None, part=slice(None)):
        """The random numbers of a part of a batch by name, each (B, n)."""
        parts = [int(self.seed), SPLITS.index(self.split), int(index)]
        seed = int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(seed)
        size = size or self.batch_size
        uniform = torch.rand(size, sum(_UNIFORM.values()), generator=generator)
        normal = torch.randn(size, sum(_NORMAL.values()), generator=generator)
        draws = torch.cat([uniform, normal], dim=1)[part]
        if self.device.type == "cuda":
            draws = draws.pin_memory()  # else the copy would wait for the device
        sizes = _UNIFORM | _NORMAL
        parts = draws.to(self.device, non_blocking=True).split(list(sizes.values()), dim=1)
        return dict(zip(sizes, parts, strict=True))

    def _posed(self, draws):
        """Spheres (B, n, 3) and (B, n), joints (B, 21, 3), camera frame, mm."""
        size = len(self.pool["view"])
        rows = (draws["pick"][:, 0] * size).long().clamp_max(size - 1)
        pose = {name: values[rows] for name, values in self.pool.items()}
        turn = _rotations(_TURN * draws["turn"])
        kept = _view_bins(_turned(pose["joints"], turn)) == pose["view"]
        turn = torch.where(kept[:, None, None], turn, torch.eye(3, device=turn.device))
        joints, centres, reach = (
            _turned(pose[name], turn) for name in ("joints", "centres", "reach")
        )
        place = _places(draws, joints, self.camera)[:, None]
        joints = joints + place
        # As posing.draw_pose: the elbow must not come too near to the camera.
        back, room = reach[:, -1, 2], joints[:, 0, 2] - 230
        forearm = torch.where(back * 250 > -room, 250, (room / -back).clamp(40, 250))
        return centres + place + forearm[:, None, None] * reach, pose["radii"], joints


def _want_whole(name, value, least):
    if int(value) != value or value < least:
        raise ValueError(f"{name} is {value}, wanted a whole number from {least}")


# --------------------------------------------------------------------------------------- poses
def _rotations(vectors):
    """Rotation matrices (B, 3, 3) of rotation vectors (B, 3), radians."""
    angle = vectors.norm(dim=1).clamp_min(1e-12)[:, None, None]
    x, y, z = vectors.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3) / angle
    unit = torch.eye(3, device=vectors.device)
    return unit + angle.sin() * cross + (1 - angle.cos()) * _turned(cross, cross)


def _turned(points, rotation):
    """Points (B, n, 3) as rows times (B, 3, 3); a matrix product may be rounded to TF32 or less."""
    return (points[..., None] * rotation[:, None]).sum(2)


def _view_bins(joints):
    """As :func:`posing.view_bin`, for tensors."""
    wrist, index, pinky = joints[:, 0], joints[:, 2], joints[:, 5]
    normal = torch.linalg.cross(index - wrist, pinky - wrist)
    x, y, z = (normal / normal.norm(dim=1, keepdim=True)).unbind(1)
    azimuth = torch.rad2deg(torch.atan2(x, -z)) + 180
    column = (azimuth * (posing.N_AZIMUTHS / 360)).floor().long() % posing.N_AZIMUTHS
    elevation = torch.rad2deg(torch.asin((-y).clamp(-1, 1)))
    low, high = posing.ELEVATION_EDGES
    return column * posing.N_ELEVATIONS + (elevation > low).long() + (elevation > high).long()


def _places(draws, joints, camera):
    """Where the joints' middles go (B, 3), camera frame, mm: as posing.draw_pose has it."""
    z = (510 + 105 * draws["distance"][:, 0]).clamp(350, 800)
    cut = draws["cut"][:, 0] < 0.08  # let the middle come near the border, on some side
    spot = []
    for axis, focal, size in ((0, camera.fx, camera.width), (1, camera.fy, camera.height)):
        half = joints[..., axis].abs().amax(1) * focal / z + 12
        margin = torch.where(cut, (0.35 * half).clamp_max(60), half)
        at = size * (0.5 + 0.17 * draws["aside"][:, axis])
        at = torch.where(cut, margin + draws["spot"][:, axis] * (size - 2 * margin), at)
        at = torch.minimum(torch.maximum(at, margin), size - margin)
        spot.append(torch.where(2 * margin < size, at, size / 2))
    return camera.unproject(torch.stack([*spot, z], dim=1))


def _walls(draws, depth, coarse_z, x, y):
    """Depth (B, H, W) of slanted walls, behind all of the hand that the cube can hold.

    The arm may pierce one, as that of a hand in front of a body ends behind its clothes.
    """
    there, gap = draws["wall"][:, :, None, None].unbind(1)
    slope = draws["slope"] * 0.35
    across, down = slope[:, :1] * x, slope[:, 1:] * y
    wall = 1 / (1 - across[:, None, :] - down[:, :, None]).clamp_min(0.05)
    hand = (depth - coarse_z[:, None, None]).abs() <= CUBE_MM / 2
    behind = torch.where(hand, (depth + 15 + 135 * gap) / wall, 0).amax((1, 2), keepdim=True)
    return torch.where((there < _WALLS) & (behind > 0), wall * behind, torch.inf)
