"""Depth of pills and wedges against dense unions of spheres."""

import numpy as np
import pytest

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets.synthetic.spheremesh import render_depth

SMALL = Camera(119.0, 121.0, 78.4, 61.3, 160, 120)


def spheres_by_brute_force(centres, radii, camera):
    """Depth of a union of spheres, ray by ray, straight from the textbook, in float64."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = camera.unproject(np.stack([u, v, np.ones_like(u)], axis=-1).astype(float))
    depth = np.full(u.shape, np.inf)
    square = (rays * rays).sum(-1)
    for centre, radius in zip(centres, radii, strict=True):
        along = rays @ centre
        inside = along**2 - square * (centre @ centre - radius**2)
        with np.errstate(invalid="ignore"):
            z = (along - np.sqrt(inside)) / square
        depth = np.fmin(depth, z)
    return depth


def dense(centres, radii, steps=40):
    """Spheres all over the hull of two or three spheres."""
    if len(radii) == 2:
        t = np.linspace(0, 1, steps * 10)[:, None]
        weights = np.hstack([1 - t, t])
    else:
        grid = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
        weights = np.array(grid) / steps
    return weights @ centres, weights @ radii


def random_hull(rng, count):
    centres = [0, 0, 260] + rng.uniform(-50, 50, (count, 3))
    return centres, rng.uniform(4, 26, count)


def test_spheres_match_brute_force():
    rng = np.random.default_rng(0)
    centres, radii = random_hull(rng, 12)
    wanted = spheres_by_brute_force(centres, radii, SMALL)
    got = render_depth(centres, radii, [], [], SMALL)
    assert (got.shape, got.dtype) == ((120, 160), np.float32)
    hit, found = np.isfinite(wanted), np.isfinite(got)
    assert (found != hit).sum() <= 2
    assert np.abs(got[hit & found] - wanted[hit & found]).max() < 0.15


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_hull_matches_a_dense_union_of_spheres(count, seed):
    centres, radii = random_hull(np.random.default_rng(seed), count)
    hull = [list(range(count))]
    got = render_depth(centres, radii, *((hull, []) if count == 2 else ([], hull)), SMALL)
    wanted = render_depth(*dense(centres, radii), [], [], SMALL)
    hit = np.isfinite(wanted)
    assert hit.sum() > 100
    assert not (hit & ~np.isfinite(got)).any()  # the hull holds every sphere
    assert (np.isfinite(got) & ~hit).sum() <= 0.01 * hit.sum() + 4
    deeper = got[hit] - wanted[hit]
    assert deeper.max() < 0.1
    # What is missing between the dense spheres.
    assert np.percentile(deeper, 1) > -0.6 and np.median(deeper) > -0.05


def test_seen_along_the_axis():
    """A pill that points at the camera: the cone of the small end before the large one shows."""
    centres = np.array([[0, 0, 200], [0, 0, 260]])
    near_small = render_depth(centres, [8, 30], [[0, 1]], [], SMALL)
    wanted = render_depth(*dense(centres, np.array([8, 30])), [], [], SMALL)
    hit = np.isfinite(wanted)
    assert (np.isfinite(near_small) == hit).mean() > 0.999
    assert np.abs(near_small[hit] - wanted[hit]).max() < 1
    large_first = render_depth(centres, [30, 8], [[0, 1]], [], SMALL)
    alone = render_depth(centres[:1], [30], [], [], SMALL)
    np.testing.assert_allclose(large_first, alone, atol=1e-3)


def test_degenerate_hulls_are_their_largest_sphere_and_a_collinear_wedge_is_a_pill():
    centres, radii = np.array([[0, 0, 300], [3, 0, 300], [0, 2, 301.0]]), np.array([25, 5, 4.0])
    alone = render_depth(centres[:1], radii[:1], [], [], SMALL)
    np.testing.assert_array_equal(render_depth(centres, radii, [], [[0, 1, 2]], SMALL), alone)
    same = render_depth(centres[[0, 0, 0]], radii[[0, 0, 0]], [[0, 1]], [[0, 1, 2]], SMALL)
    np.testing.assert_array_equal(same, alone)
    centres, radii = np.array([[-40, 0, 300], [0, 0, 300], [40, 0, 300.0]]), np.array([10, 12, 14])
    got = render_depth(centres, radii, [], [[0, 1, 2]], SMALL)
    wanted = render_depth(centres[[0, 2]], radii[[0, 2]], [[0, 1]], [], SMALL)
    np.testing.assert_allclose(got, wanted, atol=0.02)


def test_flat_facing_wedge_has_the_exact_depth_and_no_holes():
    centres = np.array([[-60, -50, 400], [60, -50, 400], [0, 60, 400.0]])
    depth = render_depth(centres, np.full(3, 10.0), [], [[0, 1, 2]], SR300)
    u, v = SR300.project(np.array([0.0, -10.0, 390.0]))[:2]
    assert depth[round(v), round(u)] == pytest.approx(390, abs=0.01)
    for row in depth:  # convex: what a row hits is one run
        hit = np.flatnonzero(np.isfinite(row))
        assert len(hit) == 0 or hit[-1] - hit[0] + 1 == len(hit)


def test_outside_the_image_cut_by_its_border_and_behind_the_camera():
    away = render_depth([[900, 0, 300], [950, 0, 300]], [10, 10], [[0, 1]], [], SMALL)
    assert np.isinf(away).all()
    cut = render_depth([[-197, 0, 300], [-150, 0, 300]], [10, 10], [[0, 1]], [], SMALL)
    assert np.isfinite(cut[:, 0]).any()
    assert np.isinf(render_depth([], [], [], [], SMALL)).all()
    for z in (5.0, -300.0, np.nan):
        with pytest.raises(ValueError, match=r"a sphere reaches to z = .* mm, wanted z > 0"):
            render_depth([[0, 0, z]], [10], [], [], SMALL)
