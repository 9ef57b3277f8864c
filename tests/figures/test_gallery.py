"""Galleries show the hands where they are, flat and to be turned alike."""

import numpy as np

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures import gallery, style
from senorita_lib.hand import FINGER_CHAINS

FRAME = SyntheticHand(seed=0).frame(3)
CROP = crop_hand(FRAME.depth, FRAME.box)


def test_frames_are_ranked() -> None:
    errors = np.array([5.0, 1, 9, 3, 7, 2, 8])
    chosen = gallery.ranked_frames(errors, each=2)
    assert list(chosen) == ["best 1", "best 2", "median 1", "median 2", "worst 1", "worst 2"]
    assert list(errors[list(chosen.values())]) == [1, 2, 3, 5, 9, 8]


def test_a_view_is_in_mm_from_the_cubes_centre_and_is_drawn_so() -> None:
    view = gallery.hand_view(CROP, FRAME.joints + 2, FRAME.joints, "SHAPE, 2 mm")
    np.testing.assert_allclose(view.true + CROP.cube_centre, FRAME.joints, atol=1e-3)
    np.testing.assert_allclose(view.predicted - view.true, 2, atol=1e-3)
    assert view.points.shape == (2000, 3) and view.points.dtype == np.int8
    # Each point is a pixel of the frame that returned that depth, up to rounding.
    u, v, z = CROP.camera.project(view.points + CROP.cube_centre.astype(np.float64)).T
    depth = FRAME.depth[np.rint(v).astype(int), np.rint(u).astype(int)]
    assert np.median(np.abs(depth - z)) < 1.5
    plot = gallery.hand_plot("best 1", view)
    assert plot["layout"]["title"]["text"] == "best 1: SHAPE, 2 mm"
    cloud, *hands = (np.stack([t["x"], t["z"], t["y"]], axis=1) for t in plot["data"])
    np.testing.assert_array_equal(cloud, view.points)
    for drawn, joints in zip(hands, (view.true, view.predicted), strict=True):
        seen = ~np.isnan(drawn).any(axis=1)
        wanted = joints[np.ravel(FINGER_CHAINS)].astype(np.float32)
        np.testing.assert_array_equal(drawn[seen], wanted)


def test_a_gallery_draws_over_the_crop_and_names_its_rows() -> None:
    hand, rows = CROP.to_uvd(FRAME.joints), ["best", "median", "worst"]
    figure = gallery.gallery_figure([CROP.image] * 6, [hand] * 6, [hand] * 6, "abcdef", 2, rows)
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == rows
    dots = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(dots, hand[:, :2] * len(CROP.image) - 0.5, rtol=1e-5)


def test_images_have_one_scale_in_mm_and_grey_ones_none() -> None:
    image = np.linspace(-1, 0.9, 256).reshape(16, 16)
    *cells, bar = style.grid_figure([image] * 5, list("ab"), columns=2).axes
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−100", "−50", "0", "50", "100"]
    np.testing.assert_array_equal(cells[0].images[0].get_array(), image)
    assert cells[0].images[0].get_clim() == (-0.999, 1)  # below is background
    assert len(style.grid_figure([image], colours=style.GREY_MAP, columns=1).axes) == 1
