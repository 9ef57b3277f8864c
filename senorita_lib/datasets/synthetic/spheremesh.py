"""Depth images of a sphere-mesh, on one CPU core, without a loop over pixels.

A sphere-mesh (Tkach, Pauly, Tagliasacchi, "Sphere-Meshes for Real-Time Hand Modeling and Tracking",
2016) is a union of convex hulls of two spheres (*pills*) or three (*wedges*). Their surfaces are
parts of spheres, of cones that touch two and of triangles that touch three, each intersected with
the viewing rays in closed form, within the rectangle that it can cover; the nearest wins.

A ray is ``z * d`` with ``d = ((u - cx) / fx, (v - cy) / fy, 1)``: its parameter is the depth, and a
product ``a . d`` is a row plus a column.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera

Depth = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
TRIANGLE_SLACK = 1e-4  # widens a triangle by this share of itself: no cracks along its cones


def render_depth(
    centres: npt.ArrayLike, radii: npt.ArrayLike, pills: npt.ArrayLike, wedges: npt.ArrayLike,
    camera: Camera,
) -> Depth:  # fmt: skip
    """Depth (height, width), mm, of the first surface along each ray; ``inf`` without one.

    The spheres have centres (n, 3), camera frame, mm, and radii (n,), mm, and must lie wholly in
    front of the camera. ``pills`` (p, 2) and ``wedges`` (w, 3) are the numbers of spheres that a
    convex hull joins.
    """
    centres, radii = np.asarray(centres, float).reshape(-1, 3), np.asarray(radii, float)
    pills, wedges = (np.asarray(h, int).reshape(-1, n) for h, n in ((pills, 2), (wedges, 3)))
    nearest = (centres[:, 2] - radii).min(initial=np.inf)
    if not nearest > 0:
        raise ValueError(f"a sphere reaches to z = {nearest:.1f} mm, wanted z > 0 for all of it")
    canvas = _Canvas(camera)
    boxes = _sphere_boxes(centres, radii, camera)
    pairs = np.concatenate([pills, wedges[:, :2], wedges[:, 1:], wedges[:, ::2]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # sqrt of a miss is NaN; fmin skips it
        _draw_spheres(canvas, centres, radii, boxes)
        _draw_cones(canvas, centres, radii, pairs, boxes)
        _draw_triangles(canvas, centres, radii, wedges)
    return canvas.depth


@lru_cache(maxsize=8)
def _rays(camera: Camera) -> tuple[Depth, Depth, Depth]:
    x = ((np.arange(camera.width) - camera.cx) / camera.fx).astype(np.float32)
    y = ((np.arange(camera.height) - camera.cy) / camera.fy).astype(np.float32)[:, None]
    return x, y, x * x + y * y + np.float32(1)


class _Canvas:
    """The z-buffer and the rays of its pixels."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.depth = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
        self.x, self.y, self.square = _rays(camera)

    def windows(self, boxes: Indices) -> Iterator[tuple[int, Depth, Depth, Depth, Depth]]:
        """Number of each box (u0, v0, u1, v1, ends excluded), views of depth, x, y, |d|^2 in it."""
        for i, (u0, v0, u1, v1) in enumerate(boxes.tolist()):
            if u1 > u0 and v1 > v0:
                at = slice(v0, v1), slice(u0, u1)
                yield i, self.depth[at], self.x[u0:u1], self.y[v0:v1], self.square[at]


def _dot(a: Depth, x: Depth, y: Depth) -> Depth:
    """``a . d`` for the pixels of a window."""
    return np.asarray(a[0] * x + (a[1] * y + a[2]))


def _sphere_boxes(centres: np.ndarray, radii: np.ndarray, camera: Camera) -> Indices:
    """Pixel rectangles (n, 4) that hold the spheres' projections, ends excluded."""
    p, z, r = centres[:, :2], centres[:, 2:], radii[:, None]
    focal, middle = [camera.fx, camera.fy], [camera.cx, camera.cy]
    spread, scale = r * np.sqrt(np.maximum(p * p + z * z - r * r, 0)), z * z - r * r
    low = np.ceil(focal * (p * z - spread) / scale + middle)
    high = np.floor(focal * (p * z + spread) / scale + middle) + 1
    bounds = np.concatenate([low, high], axis=1)
    return np.clip(bounds, 0, 2 * [camera.width, camera.height]).astype(np.int64)


def _draw_spheres(canvas: _Canvas, centres: np.ndarray, radii: np.ndarray, boxes: Indices) -> None:
    power = ((centres * centres).sum(1) - radii * radii).astype(np.float32)
    centres = centres.astype(np.float32)
    for i, depth, x, y, square in canvas.windows(boxes):
        q = _dot(centres[i], x, y)
        np.fmin(depth, (q - np.sqrt(q * q - power[i] * square)) / square, out=depth)


def _draw_cones(
    canvas: _Canvas, centres: np.ndarray, radii: np.ndarray, pairs: Indices, boxes: Indices
) -> None:
    # After I. Quilez's ray / round cone intersection, with the ray from the origin, and all
    # of it divided by the squared length of the cone's side to keep float32 accurate.
    a, ra, rb = centres[pairs[:, 0]], radii[pairs[:, 0]], radii[pairs[:, 1]]
    axis = centres[pairs[:, 1]] - a
    length2 = (axis * axis).sum(1)
    taper = ra - rb
    side2 = length2 - taper * taper
    whole = side2 > 1e-6 * np.maximum(length2, 1e-6)  # else one sphere holds the other
    a, axis, ra, taper, length2, side2, pairs = (
        v[whole] for v in (a, axis, ra, taper, length2, side2, pairs)
    )
    m1 = -(axis * a).sum(1)
    shift = taper * ra - m1
    k0 = (a * a).sum(1) - (m1 * m1 - 2 * m1 * taper * ra + length2 * ra * ra) / side2
    k1 = (shift / side2)[:, None] * axis - a
    unit = axis / np.sqrt(side2)[:, None]
    start = shift / side2 + 0.5  # where along the side: 0..1 becomes -1/2..1/2
    k0, start, k1, unit = (v.astype(np.float32) for v in (k0, start, k1, unit))
    side = np.sqrt(side2).astype(np.float32)
    first, second = boxes[pairs[:, 0]], boxes[pairs[:, 1]]
    low, high = np.minimum(first[:, :2], second[:, :2]), np.maximum(first[:, 2:], second[:, 2:])
    for i, depth, x, y, square in canvas.windows(np.concatenate([low, high], axis=1)):
        along, b = _dot(unit[i], x, y), _dot(k1[i], x, y)
        k2 = square - along * along
        h = -(np.sqrt(b * b - k0[i] * k2) + b) / k2
        hit = (np.abs(along * h * (1 / side[i]) - start[i]) <= 0.5) & (h > 0)
        np.fmin(depth, h, out=depth, where=hit)


def _draw_triangles(
    canvas: _Canvas, centres: np.ndarray, radii: np.ndarray, wedges: Indices
) -> None:
    corners, normals = _tangent_triangles(centres, radii, wedges)
    offset = (normals * corners[:, 0]).sum(1)
    corners, normals, offset = (v[offset < -1e-6] for v in (corners, normals, offset))  # facing us
    edges = np.cross(corners, np.roll(corners, -1, axis=1))
    volume = (edges[:, 0] * corners[:, 2]).sum(1)
    edges /= volume[:, None, None]  # edges . d is now a corner's share of the hit, over its z
    normals, edges = (normals / offset[:, None]).astype(np.float32), edges.astype(np.float32)
    pixels = canvas.camera.project(corners)[..., :2]
    bounds = np.concatenate([np.floor(pixels.min(axis=1)), np.ceil(pixels.max(axis=1)) + 1], 1)
    boxes = np.clip(bounds, 0, 2 * [canvas.camera.width, canvas.camera.height]).astype(np.int64)
    slack = (-TRIANGLE_SLACK / corners[:, 0, 2]).astype(np.float32)
    for i, depth, x, y, _ in canvas.windows(boxes):
        inside = np.minimum(_dot(edges[i, 0], x, y), _dot(edges[i, 1], x, y))
        inside = np.minimum(inside, _dot(edges[i, 2], x, y))
        z = 1 / _dot(normals[i], x, y)
        np.fmin(depth, z, out=depth, where=(inside >= slack[i]) & (z > 0))


def _tangent_triangles(
    centres: np.ndarray, radii: np.ndarray, wedges: Indices
) -> tuple[np.ndarray, np.ndarray]:
    """Corners (t, 3, 3) and outward unit normals (t, 3) of the triangles that touch three spheres.

    A plane touches them on the same side if n . (c_i - c_0) = r_0 - r_i; there are two such planes,
    or none where the third sphere hides in the pill of the others.
    """
    c, r = centres[wedges], radii[wedges]
    u, v = c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]
    uu, vv, uv = (u * u).sum(1), (v * v).sum(1), (u * v).sum(1)
    area2 = uu * vv - uv * uv
    solid = area2 > 1e-9 * np.maximum(uu * vv, 1e-9)
    c, r, u, v, uu, vv, uv, area2 = (w[solid] for w in (c, r, u, v, uu, vv, uv, area2))
    su, sv = r[:, 0] - r[:, 1], r[:, 0] - r[:, 2]
    flat = ((su * vv - sv * uv) / area2)[:, None] * u + ((sv * uu - su * uv) / area2)[:, None] * v
    rise2 = 1 - (flat * flat).sum(1)
    touch = rise2 > 0
    up = np.cross(u, v)[touch] * np.sqrt(rise2[touch] / area2[touch])[:, None]
    normals = np.concatenate([flat[touch] + up, flat[touch] - up])
    c, r = np.concatenate([c[touch]] * 2), np.concatenate([r[touch]] * 2)
    return c + r[..., None] * normals[:, None], normals
