"""Where the hand is in a depth frame, when nobody says so: at one of the ends of what is near.

The frame is thinned out, walls and tables are taken away, and what is left is a graph of
neighbouring points. Its ends, by the way along the surface, are where hands may be (Plagemann et
al., ICRA 2010); the likeliest one is near, short, and does not leave the image.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from senorita_lib.camera import Camera
from senorita_lib.cropping import HandNotFoundError, checked_depth, side_px

_CELLS = 160  # across the image, at most twice as many
_LEAST_MM2 = 1500.0  # of surface; a fist seen from its end shows more
_JUMP_MM = 25.0  # between neighbouring cells of two surfaces
_FLAT_MM = 12.0  # how far a cell may lie off a wall or table
_WIDE_MM = 80.0  # a wall's standard deviation in its narrower direction; of hand and arm 40
_WALL_CELLS = 0.2  # least share of the image; arms bent in a plane have less
_HAND_MM = 150.0  # from the end along the surface: most of a hand, or a fist and its wrist
_ENDS, _PARTS = 5, 6  # most ends of a surface, most surfaces
_BEHIND_MM = 600.0  # farther than the nearest surface by this: background
_SAME_MM = 45.0  # ends closer than this are one


def find_hand_box(depth_mm: np.ndarray, camera: Camera) -> np.ndarray:
    """A box x1, y1, x2, y2, pixel frame, around the first of :func:`hand_candidates`."""
    point = hand_candidates(checked_depth(depth_mm, camera), camera)[0]
    centre, side = camera.project(point)[:2], side_px(point[2], camera)
    return np.concatenate([centre - side / 2, centre + side / 2])


def hand_candidates(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Points (n, 3), camera frame, mm, about which the hand may be, the likeliest first.

    Of a checked frame, uint16 mm; raises :class:`.HandNotFoundError` without a surface as large.
    """
    step = max(1, min(camera.width // _CELLS, camera.height))
    first = step // 2
    # The median takes stray pixels away.
    z = cv2.medianBlur(np.ascontiguousarray(depth[first::step, first::step]), 3).astype(float)
    if not z.any():
        has = "no depth"
        if depth.any():
            has = f"only stray pixels nearest, at {depth[depth > 0].min()} mm"
        raise HandNotFoundError(f"depth_mm has {has}, wanted a hand")
    v, u = (np.arange(n)[:, None] * step + first for n in z.shape)
    xyz = np.stack(np.broadcast_arrays(*camera.lift(u.T, v, z)), axis=-1)
    cells = _without_walls(xyz, z > 0)
    points, number = xyz[cells], np.full(z.shape, -1)
    number[cells] = np.arange(len(points))
    graph = _graph(points, number)
    places = np.argwhere(cells)
    at_border = ((places == 0) | (places == np.array(z.shape) - 1)).any(axis=1)
    cell_mm = points[:, 2] * step / np.sqrt(camera.fx * camera.fy)
    found, costs = [], []
    for part in _surfaces(graph, points[:, 2], cell_mm**2):
        for hand in _ends(graph[part][:, part], points[part]):
            end = part[hand]
            found.append(points[end].mean(axis=0))
            length = np.sqrt(np.linalg.eigvalsh(np.cov(points[end].T, bias=True))[-1])
            leaving = cell_mm[end][at_border[end]].sum()
            small = max(4500 - (cell_mm[end] ** 2).sum(), 0)  # mm2: furniture in pieces
            # Weights of a logistic regression on generated frames; the last on 19 real ones.
            near = points[end, 2].min()
            costs.append(near / 75 + leaving / 21 + max(length, 26) / 6 + small / 1000)
    if not found:
        largest = f"no surface as large as a hand, nearest at {z[z > 0].min():.0f} mm"
        raise HandNotFoundError(f"depth_mm has {largest}, wanted a hand")
    kept: list[np.ndarray] = []
    for index in np.argsort(costs):
        if all(np.linalg.norm(found[index] - other) > _SAME_MM for other in kept):
            kept.append(found[index])
    return np.stack(kept)


def _without_walls(xyz: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The cells without large planes and what is behind them: 1 / z is linear in u and v."""
    rng = np.random.default_rng(0)
    for _ in range(2):
        rows, columns = np.nonzero(cells)
        if len(rows) < _WALL_CELLS * cells.size:
            break
        points = xyz[rows, columns]
        grid = np.stack([columns, rows, np.ones_like(rows)], axis=1).astype(float)
        inverse = 1 / points[:, 2]
        triples = rng.integers(len(rows), size=(150, 3))
        triples = triples[np.abs(np.linalg.det(grid[triples])) > 1]
        if not len(triples):
            break
        planes = np.linalg.solve(grid[triples], inverse[triples][..., None])[..., 0]
        some = rng.integers(len(rows), size=1500)
        off = (inverse[some] - planes @ grid[some].T) * points[some, 2] ** 2
        best = planes[(np.abs(off) < _FLAT_MM).sum(axis=1).argmax()]
        off = (inverse - grid @ best) * points[:, 2] ** 2  # mm before the plane
        on = np.abs(off) < _FLAT_MM
        small = on.sum() < _WALL_CELLS * cells.size
        if small or np.linalg.eigvalsh(np.cov(points[on].T))[1] < _WIDE_MM**2:
            break
        cells = cells.copy()
        cells[rows[off < _FLAT_MM], columns[off < _FLAT_MM]] = False
    return cells


def _graph(points: np.ndarray, number: np.ndarray) -> csr_array:
    """Distances of neighbouring points (n, 3), mm; ``number`` has their places in the image."""
    pairs = []
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]), (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):  # fmt: skip
        pair = np.stack([number[here].ravel(), number[there].ravel()])
        pairs.append(pair[:, (pair >= 0).all(axis=0)])
    a, b = np.concatenate(pairs, axis=1)
    apart = points[a] - points[b]
    close = np.abs(apart[:, 2]) < _JUMP_MM
    lengths = np.linalg.norm(apart[close], axis=1)
    return coo_array((lengths, (a[close], b[close])), shape=(len(points),) * 2).tocsr()


def _surfaces(graph: csr_array, z: np.ndarray, mm2: np.ndarray) -> Iterator[np.ndarray]:
    """The points of each connected surface that is large and near enough."""
    count, label = connected_components(graph, directed=False)
    area = np.bincount(label, mm2, count)
    large = [i for i in np.argsort(-area)[:_PARTS] if area[i] > _LEAST_MM2]
    parts = [np.flatnonzero(label == i) for i in large]
    fronts = [np.quantile(z[part], 0.05) for part in parts]
    for part, front in zip(parts, fronts, strict=True):
        if front < min(fronts) + _BEHIND_MM:
            yield part


def _ends(graph: csr_array, points: np.ndarray) -> Iterator[np.ndarray]:
    """Which points of a surface are at each of its ends: the one farthest from all before it."""
    middle = np.linalg.norm(points - points.mean(axis=0), axis=1).argmin()
    end = dijkstra(graph, directed=False, indices=middle).argmax()
    nearest = np.full(len(points), np.inf)
    for _ in range(_ENDS):
        away = dijkstra(graph, directed=False, indices=end)
        yield away < _HAND_MM
        nearest = np.minimum(nearest, away)
        end = nearest.argmax()
        if nearest[end] < 0.9 * _HAND_MM:
            break
