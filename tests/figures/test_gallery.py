"""Galleries show the hands where they are, flat and to be turned alike."""

import numpy as np

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures import gallery
from senorita_lib.hand import FINGER_CHAINS

FRAME = SyntheticHand(seed=0).frame(3)
CROP = crop_hand(FRAME.depth, FRAME.box)
VIEWS = {  # of one frame, each with another prediction
    name: gallery.hand_view(CROP, FRAME.joints + off, FRAME.joints, f"SHAPE, {off} mm")
    for name, off in (("best 1", 2), ("worst 1", 8))
}


def test_frames_are_ranked() -> None:
    errors = np.array([5.0, 1, 9, 3, 7, 2, 8])
    chosen = gallery.ranked_frames(errors, each=2)
    assert list(chosen) == ["best 1", "best 2", "median 1", "median 2", "worst 1", "worst 2"]
    assert list(errors[list(chosen.values())]) == [1, 2, 3, 5, 9, 8]


def test_a_view_is_in_mm_from_the_cubes_centre() -> None:
    view = VIEWS["best 1"]
    np.testing.assert_allclose(view.true + CROP.cube_centre, FRAME.joints, atol=1e-3)
    np.testing.assert_allclose(view.predicted - view.true, 2, atol=1e-3)
    assert view.points.shape == (2000, 3) and view.points.dtype == np.int8
    # Each point is a pixel of the frame that returned that depth, up to rounding.
    u, v, z = CROP.camera.project(view.points + CROP.cube_centre.astype(np.float64)).T
    depth = FRAME.depth[np.rint(v).astype(int), np.rint(u).astype(int)]
    assert np.median(np.abs(depth - z)) < 1.5


def test_a_gallery_draws_over_the_crop_and_names_its_rows() -> None:
    hand = CROP.to_uvd(FRAME.joints)
    figure = gallery.gallery_figure(
        [CROP.image] * 6, [hand] * 6, [hand] * 6, list("abcdef"), 2, ["best", "median", "worst"]
    )
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["best", "median", "worst"]
    dots = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(dots, hand[:, :2] * len(CROP.image) - 0.5, rtol=1e-5)


def test_a_hand_to_be_turned_is_the_views() -> None:
    walk = np.ravel(FINGER_CHAINS)
    for name, view in VIEWS.items():
        plot = gallery.hand_plot(name, view)
        assert plot["layout"]["title"]["text"] == f"{name}: {view.title}"
        lines = (np.stack([t["x"], t["z"], t["y"]], axis=1) for t in plot["data"])
        cloud, true, predicted = lines
        np.testing.assert_array_equal(cloud, view.points)
        for drawn, joints in ((true, view.true), (predicted, view.predicted)):
            seen = ~np.isnan(drawn).any(axis=1)
            np.testing.assert_array_equal(drawn[seen], joints[walk].astype(np.float32))
