"""Galleries show the hands where they are, flat and to be turned alike."""

import numpy as np
import pytest

from senorita_lib.cropping import HandCrop, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.figures import gallery
from senorita_lib.hand import FINGER_CHAINS

Views = dict[str, gallery.HandView]


@pytest.fixture(scope="module")
def frame() -> Frame:
    return SyntheticHand(seed=0).frame(3)


@pytest.fixture(scope="module")
def crop(frame: Frame) -> HandCrop:
    return crop_hand(frame.depth, frame.box)


@pytest.fixture(scope="module")
def views(frame: Frame, crop: HandCrop) -> Views:
    """Views of one frame, each with another prediction."""
    return {
        name: gallery.hand_view(crop, frame.joints + off, frame.joints, f"SHAPE, {off} mm")
        for name, off in (("best 1", 2), ("worst 1", 8))
    }


def test_frames_are_ranked() -> None:
    errors = np.array([5.0, 1, 9, 3, 7, 2, 8])
    chosen = gallery.ranked_frames(errors, each=2)
    assert list(chosen) == ["best 1", "best 2", "median 1", "median 2", "worst 1", "worst 2"]
    assert list(errors[list(chosen.values())]) == [1, 2, 3, 5, 9, 8]
    assert gallery.ranked_frames(errors, each=1)["median 1"] == 0


def test_a_view_is_in_mm_from_the_cubes_centre(frame: Frame, crop: HandCrop, views: Views) -> None:
    view = views["best 1"]
    np.testing.assert_allclose(view.true + crop.cube_centre, frame.joints, atol=1e-3)
    np.testing.assert_allclose(view.predicted - view.true, 2, atol=1e-3)
    assert view.points.shape == (2000, 3) and view.points.dtype == np.int8
    # Each point is a pixel of the frame that returned that depth, up to rounding.
    u, v, z = crop.camera.project(view.points + crop.cube_centre.astype(np.float64)).T
    depth = frame.depth[np.rint(v).astype(int), np.rint(u).astype(int)]
    assert np.median(np.abs(depth - z)) < 1.5


def test_a_gallery_draws_over_the_crop_and_names_its_rows(frame: Frame, crop: HandCrop) -> None:
    hand = crop.to_uvd(frame.joints)
    figure = gallery.gallery_figure(
        [crop.image] * 6, [hand] * 6, [hand] * 6, list("abcdef"), 2, ["best", "median", "worst"]
    )
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["best", "median", "worst"]
    assert [axes.get_title() for axes in figure.axes] == list("abcdef")
    dots = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(dots, hand[:, :2] * len(crop.image) - 0.5, rtol=1e-5)


def test_three_sides_show_three_pairs_of_axes(views: Views) -> None:
    rows = np.array(gallery.views_figure(views).axes).reshape(3, 2)
    for row, plane, down in zip(rows, ([0, 1], [2, 1], [0, 2]), (1, 1, 0), strict=True):
        for axes, view in zip(row, views.values(), strict=True):
            cloud, *lines = axes.lines
            np.testing.assert_array_equal(cloud.get_xydata(), view.points[:, plane])
            np.testing.assert_allclose(axes.collections[0].get_offsets(), view.predicted[:, plane])
            for chain, line in zip(FINGER_CHAINS, lines[-5:], strict=True):
                np.testing.assert_allclose(line.get_xydata(), view.true[list(chain)][:, plane])
            assert axes.yaxis_inverted() == down and axes.get_aspect() == 1


def test_a_hand_to_be_turned_is_the_views(views: Views) -> None:
    walk = np.ravel(FINGER_CHAINS)
    for name, view in views.items():
        plot = gallery.hand_plot(name, view)
        assert plot.layout.title.text == f"{name}: {view.title}"
        cloud, true, predicted = (np.stack([t.x, t.z, t.y], axis=1) for t in plot.data)
        np.testing.assert_array_equal(cloud, view.points)
        for drawn, joints in ((true, view.true), (predicted, view.predicted)):
            seen = ~np.isnan(drawn).any(axis=1)
            np.testing.assert_array_equal(drawn[seen], joints[walk].astype(np.float32))
