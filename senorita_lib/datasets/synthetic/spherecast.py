"""Depth images of many sphere-meshes at once, as tensors, on any device.

The surfaces and their closed forms are those of :mod:`.spheremesh`, where
they are derived. There each piece is drawn within the rectangle that it covers; here every ray
meets every piece and the nearest wins, which is a reduction over a broadcast dimension:
``torch.compile`` makes kernels of it that keep one number a pixel, and no shape depends on data.
"""

from typing import NamedTuple

import numpy as np
import torch

from senorita_lib.datasets.synthetic.spheremesh import TRIANGLE_SLACK
from senorita_lib.renderer.compiled import Compiled

_CACHED, _LARGE = 1 << 16, 1 << 26  # numbers in a piece of work, on a CPU and on other devices


class Surfaces(NamedTuple):
    """What rays are cast at: coefficients of spheres (B, n, 4), cones (B, p, 9) and triangles
    (B, t, 13), float32. Pieces that no ray can meet are kept, such that no ray does.
    """

    spheres: torch.Tensor
    cones: torch.Tensor
    triangles: torch.Tensor


class Hulls:
    """Which spheres of a sphere-mesh are joined by their convex hulls.

    Parameters
    ----------
    pills : array of int, (p, 2)
    wedges : array of int, (w, 3)
    device : str or torch.device
    """

    def __init__(self, pills, wedges, device="cpu"):
        pills = np.asarray(pills, dtype=np.int64).reshape(-1, 2)
        wedges = np.asarray(wedges, dtype=np.int64).reshape(-1, 3)
        pairs = np.concatenate([pills, wedges[:, :2], wedges[:, 1:], wedges[:, ::2]])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        self.pairs = torch.from_numpy(pairs).to(device)
        self.wedges = torch.from_numpy(wedges).to(device)

    def surfaces(self, centres, radii):
        """Spheres, cones and triangles of posed meshes.

        Parameters
        ----------
        centres : tensor, (B, n, 3)
            Sphere centres, camera frame, mm.
        radii : tensor, (B, n)
            mm; every sphere must lie wholly in front of the camera, z > radius (that is not
            checked: it would have to wait for the device).

        Returns
        -------
        Surfaces

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        if centres.ndim != 3 or centres.shape[-1] != 3 or radii.shape != centres.shape[:2]:
            raise ValueError(
                f"centres and radii have shapes {tuple(centres.shape)} and {tuple(radii.shape)}, "
                "wanted (B, n, 3) and (B, n)"
            )
        # Differences of squares: in float64, or a finger would get a skin of 0.1 mm steps.
        centres, radii = centres.double(), radii.double()
        power = (centres * centres).sum(-1) - radii * radii
        return Surfaces(
            torch.cat([centres, power[..., None]], dim=-1).float(),
            _cones(centres[:, self.pairs], radii[:, self.pairs]),
            _triangles(centres[:, self.wedges], radii[:, self.wedges]),
        )


def _cones(centres, radii):
    a, ra = centres[:, :, 0], radii[:, :, 0]
    axis, taper = centres[:, :, 1] - a, ra - radii[:, :, 1]
    length2 = (axis * axis).sum(-1)
    side2 = length2 - taper * taper
    whole = side2 > 1e-6 * length2.clamp_min(1e-6)  # else one sphere holds the other
    side2 = torch.where(whole, side2, 1)
    m1 = -(axis * a).sum(-1)
    shift = taper * ra - m1
    k0 = (a * a).sum(-1) - (m1 * m1 - 2 * m1 * taper * ra + length2 * ra * ra) / side2
    k1 = (shift / side2)[..., None] * axis - a
    unit = axis / side2.sqrt()[..., None]
    scalars = torch.stack([k0, shift / side2 + 0.5, side2.rsqrt()], dim=-1)
    never = torch.zeros(9, dtype=a.dtype, device=a.device)
    never[6] = 1  # every ray misses such a cone: b² - k0 |d|² < 0
    cones = torch.cat([unit, k1, scalars], dim=-1)
    return torch.where(whole[..., None], cones, never).float()


def _triangles(c, r):
    u, v = c[:, :, 1] - c[:, :, 0], c[:, :, 2] - c[:, :, 0]
    uu, vv, uv = (u * u).sum(-1), (v * v).sum(-1), (u * v).sum(-1)
    area2 = uu * vv - uv * uv
    solid = area2 > 1e-9 * (uu * vv).clamp_min(1e-9)
    area2 = torch.where(solid, area2, 1)
    su, sv = r[:, :, 0] - r[:, :, 1], r[:, :, 0] - r[:, :, 2]
    flat = ((su * vv - sv * uv) / area2)[..., None] * u + ((sv * uu - su * uv) / area2)[
        ..., None
    ] * v
    rise2 = 1 - (flat * flat).sum(-1)
    touch = solid & (rise2 > 0)
    up = torch.linalg.cross(u, v) * (rise2.clamp_min(0) / area2).sqrt()[..., None]
    normals = torch.cat([flat + up, flat - up], dim=1)
    c, r, touch = (torch.cat([w, w], dim=1) for w in (c, r, touch))
    corners = c + r[..., None] * normals[:, :, None]
    offset = (normals * corners[:, :, 0]).sum(-1)
    edges = torch.linalg.cross(corners, corners.roll(-1, dims=2))
    volume = (edges[:, :, 0] * corners[:, :, 2]).sum(-1)
    facing = touch & (offset < -1e-6) & (volume != 0)
    slack = torch.where(facing, -TRIANGLE_SLACK / corners[:, :, 0, 2], torch.inf)  # inf: no hit
    normals = normals / torch.where(facing, offset, 1)[..., None]
    edges = edges / torch.where(facing, volume, 1)[..., None, None]
    return torch.cat([normals, edges.flatten(2), slack[..., None]], dim=-1).float()


def cast_depth(surfaces, x, y, compiled=None):
    """Depth of the first surface along each ray ``z * (x, y, 1)``.

    Parameters
    ----------
    surfaces : Surfaces
        Of B meshes.
    x : tensor, (B, W)
        Of the rays in each column, (u - cx) / fx.
    y : tensor, (B, H)
        Of the rays in each row, (v - cy) / fy.
    compiled : bool, optional
        Whether ``torch.compile`` makes kernels of it, once for each shape, which takes seconds;
        by default on a graphics card only. Where it cannot, that is said once.

    Returns
    -------
    tensor, (B, H, W), float32
        z in mm, ``inf`` where the ray meets nothing.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    count = len(surfaces.spheres)
    if x.ndim != 2 or y.ndim != 2 or len(x) != count or len(y) != count:
        raise ValueError(
            f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}, "
            f"wanted ({count}, W) and ({count}, H)"
        )
    cast = _fused_cast if (x.is_cuda if compiled is None else compiled) else _cast
    return cast(surfaces, x, y)


def _cast(surfaces, x, y):
    """The definition, in one piece if compiled, else in pieces that bound memory."""
    meshes, pieces = len(x), max(kind.shape[1] for kind in surfaces)
    if not torch.compiler.is_compiling():
        budget, pixels = _CACHED if x.device.type == "cpu" else _LARGE, x.shape[1] * y.shape[1]
        meshes = max(1, min(meshes, budget // pixels))
        pieces = max(1, budget // (pixels * meshes))
    parts = []
    for i in range(0, len(x), meshes):
        rays = x[i : i + meshes, None, None, :], y[i : i + meshes, None, :, None]
        rays += (rays[0] ** 2 + rays[1] ** 2 + 1,)
        depth = x.new_full((len(rays[0]), y.shape[1], x.shape[1]), torch.inf)
        for meet, kind in zip((_spheres_met, _cones_met, _triangles_met), surfaces, strict=True):
            for piece in kind[i : i + meshes].split(pieces, dim=1) if kind.shape[1] else ():
                depth = torch.minimum(depth, meet(piece[..., None, None].unbind(2), *rays).amin(1))
        parts.append(depth)
    return torch.cat(parts)


_fused_cast = Compiled(_cast, dynamic=False)


def _spheres_met(spheres, x, y, square):
    cx, cy, cz, power = spheres
    q = cx * x + (cy * y + cz)
    h = q * q - power * square
    return torch.where(h >= 0, (q - h.sqrt()) / square, torch.inf)


def _cones_met(cones, x, y, square):
    ux, uy, uz, kx, ky, kz, k0, start, scale = cones
    along = ux * x + (uy * y + uz)
    b = kx * x + (ky * y + kz)
    k2 = square - along * along
    z = -(b + (b * b - k0 * k2).sqrt()) / k2  # not a number where the ray misses
    hit = ((along * z * scale - start).abs() <= 0.5) & (z > 0)
    return torch.where(hit, z, torch.inf)


def _triangles_met(triangles, x, y, _):
    nx, ny, nz, ax, ay, az, bx, by, bz, cx, cy, cz, slack = triangles
    inside = torch.minimum(ax * x + (ay * y + az), bx * x + (by * y + bz))
    inside = torch.minimum(inside, cx * x + (cy * y + cz))
    z = 1 / (nx * x + (ny * y + nz))
    return torch.where((inside >= slack) & (z > 0), z, torch.inf)
