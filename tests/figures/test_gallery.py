"""Galleries show the hands where they are, and each slider step its own frame."""

import numpy as np
import pytest

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures import gallery as plots
from senorita_lib.figures.style import png
from senorita_lib.hand import FINGERS, JOINT_NAMES

# From the wrist along each finger.
WALK = [
    [0, *(JOINT_NAMES.index(f"{finger}_{part}") for part in ("mcp", "pip", "dip", "tip"))]
    for finger in FINGERS
]


@pytest.fixture(scope="module")
def frame():
    return SyntheticHand(seed=0).frame(3)


@pytest.fixture(scope="module")
def crop(frame):
    return crop_hand(frame.depth, frame.box)


@pytest.fixture(scope="module")
def views(frame, crop):
    """Twelve views of one frame, each with another prediction."""
    names = [f"{kind} {i}" for kind in ("best", "median", "worst") for i in range(1, 5)]
    return {
        name: plots.hand_view(crop, frame.joints + i, frame.joints, f"SHAPE, {i} mm")
        for i, name in enumerate(names)
    }


def test_frames_are_ranked():
    errors = np.array([5.0, 1, 9, 3, 7, 2, 8])
    chosen = plots.ranked_frames(errors, each=2)
    assert list(chosen) == ["best 1", "best 2", "median 1", "median 2", "worst 1", "worst 2"]
    assert list(errors[list(chosen.values())]) == [1, 2, 3, 5, 9, 8]
    assert plots.ranked_frames(errors, each=1)["median 1"] == 0


def test_a_view_is_in_mm_from_the_cubes_centre(frame, crop, views):
    view = views["best 3"]
    np.testing.assert_allclose(view.true + crop.cube_centre, frame.joints, atol=1e-3)
    np.testing.assert_allclose(view.predicted - view.true, 2, atol=1e-3)
    assert view.points.shape == (2000, 3) and view.points.dtype == np.int8
    assert len(plots.hand_view(crop, frame.joints, frame.joints, "", points=50).points) == 50
    # Each point is a pixel of the frame that returned that depth, but for the rounding.
    u, v, z = crop.camera.project(view.points + crop.cube_centre.astype(np.float64)).T
    depth = frame.depth[np.rint(v).astype(int), np.rint(u).astype(int)]
    assert np.median(np.abs(depth - z)) < 1.5


def test_a_gallery_draws_over_the_crop_and_names_its_rows(frame, crop):
    hand = crop.to_uvd(frame.joints)
    figure = plots.gallery_figure(
        [crop.image] * 6, [hand] * 6, [hand] * 6, list("abcdef"), 2, ["best", "median", "worst"]
    )
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["best", "median", "worst"]
    assert [axes.get_title() for axes in figure.axes] == list("abcdef")
    dots = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(dots, hand[:, :2] * len(crop.image) - 0.5, rtol=1e-5)
    assert png(figure).startswith(b"\x89PNG")


def test_three_sides_show_three_pairs_of_axes(views):
    some = {name: views[name] for name in ("best 1", "worst 1")}
    figure = plots.views_figure(some)
    rows = np.array(figure.axes).reshape(3, 2)
    for row, plane, down in zip(rows, ([0, 1], [2, 1], [0, 2]), (1, 1, 0), strict=True):
        for axes, view in zip(row, some.values(), strict=True):
            cloud, *lines = axes.lines
            np.testing.assert_array_equal(cloud.get_xydata(), view.points[:, plane])
            np.testing.assert_allclose(axes.collections[0].get_offsets(), view.predicted[:, plane])
            for finger, line in zip(WALK, lines[-5:], strict=True):
                np.testing.assert_allclose(line.get_xydata(), view.true[finger][:, plane])
            assert axes.yaxis_inverted() == down and axes.get_aspect() == 1
    assert rows[0, 1].get_title() == "worst 1\nSHAPE, 8 mm"
    assert png(figure).startswith(b"\x89PNG")


def test_a_hand_to_be_turned_is_the_views(views):
    walk = np.array([joint for finger in WALK for joint in finger])
    for name, view in views.items():
        plot = plots.hand_plot(name, view)
        assert plot.layout.title.text == f"{name}: {view.title}"
        cloud, true, predicted = (np.stack([t.x, t.z, t.y], axis=1) for t in plot.data)
        np.testing.assert_array_equal(cloud, view.points)
        for drawn, joints in ((true, view.true), (predicted, view.predicted)):
            seen = ~np.isnan(drawn).any(axis=1)
            np.testing.assert_array_equal(drawn[seen], joints[walk].astype(np.float32))


def test_the_view_is_the_cameras_and_the_aspect_equal(views):
    scene = plots.hand_plot("best 1", views["best 1"]).layout.scene
    assert scene.camera.up.z == 1 and scene.camera.eye.y < -1
    assert scene.aspectmode == "cube"
    assert scene.xaxis.range == scene.yaxis.range == scene.zaxis.range[::-1] == (-150, 150)
    # Plotly's z stays upright, so it is our y, which goes down.
    assert [scene[a].title.text[0] for a in ("xaxis", "yaxis", "zaxis")] == ["x", "z", "y"]
