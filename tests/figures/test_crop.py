"""The steps of a crop: what they hold, and that both ways of drawing draw it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures.crop import (
    STEPS,
    crop_step_plot,
    crop_steps,
    crop_steps_figure,
    uncropped,
)
from senorita_lib.figures.style import NOTHING, png
from senorita_lib.hand import FINGER_CHAINS

FRAME = SyntheticHand(seed=0).frame(32)
CROP = crop_hand(FRAME.depth, FRAME.box)


@pytest.fixture
def steps():
    return crop_steps(FRAME, CROP)


def test_titles_have_the_numbers_of_the_steps(steps):
    assert [step.title[0] for step in steps] == [name[0] for name in STEPS] == list("123456")
    assert f"{CROP.steps['threshold']} mm" in steps[2].title
    assert f"500 / {CROP.steps['coarse_z']:.0f}" in steps[3].title


def test_the_image_is_drawn_in_the_mm_that_it_stands_for(steps):
    last = steps[-1]
    seen = CROP.image > -1
    assert not last.depth[~seen].any()
    np.testing.assert_allclose(
        (CROP.cube_centre[2] - last.depth[seen]) / 100, CROP.image[seen], atol=1e-4
    )
    assert last.limits[1] - last.limits[0] == 200
    assert abs(sum(last.limits) / 2 - CROP.cube_centre[2]) <= 0.5


def test_steps_share_a_scale_as_the_figure_says(steps):
    assert len({step.limits for step in steps[:4]}) == len({step.limits for step in steps[4:]}) == 1


def test_the_figure_draws_each_step_with_its_outlines_and_joints(steps):
    figure = crop_steps_figure(steps)
    for axes, step in zip(figure.axes, steps, strict=False):
        assert axes.get_title() == step.title
        np.testing.assert_array_equal(axes.images[0].get_array().filled(0), step.depth)
    given, square = figure.axes[0].lines
    np.testing.assert_array_equal(given.get_xydata()[[0, 2]].ravel(), FRAME.box)
    assert square.get_linestyle() == "-"
    assert len(figure.axes[5].lines) == 20
    labels = [axes.get_ylabel() for axes in figure.axes[6:]]
    assert labels == ["depth (mm), steps 1 to 4", "depth (mm), steps 5 and 6"]
    assert png(figure).startswith(b"\x89PNG")


def test_a_plot_has_depth_in_whole_mm_and_a_line_for_each_finger(steps):
    for step in steps:
        heatmap, *lines, centre = crop_step_plot(step).data
        every = heatmap.dx
        np.testing.assert_array_equal(heatmap.z, np.rint(step.depth)[::every, ::every])
        assert (heatmap.zmin, heatmap.zmax) == (step.limits[0] - 1, step.limits[1])
        assert len(centre.x) == (step.centre is not None)
        for chain, line in zip(FINGER_CHAINS, lines[3:], strict=True):
            drawn = np.stack([line.x, line.y], axis=1)
            wanted = step.joints[list(chain)] if step.joints is not None else np.zeros((0, 2))
            np.testing.assert_array_equal(drawn, wanted)


def colour_at(plot, value):
    """Of a heatmap, red, green and blue at a value, mm."""
    trace = plot.data[0]
    share = (value - trace.zmin) / (trace.zmax - trace.zmin)
    stops, colours = zip(*trace.colorscale, strict=True)
    channels = np.array([to_rgb(colour) for colour in colours]).T
    return np.array([np.interp(share, stops, channel) for channel in channels])


@pytest.mark.parametrize("which", [0, 5])
def test_both_ways_of_drawing_have_the_same_colours(steps, which):
    """Near is bright; nothing is dark in both."""
    step = steps[which]
    plot, axes = crop_step_plot(step), crop_steps_figure(steps).axes[which]
    shown = axes.images[0]
    for value in (*step.limits, sum(step.limits) / 2):
        np.testing.assert_allclose(colour_at(plot, value), shown.to_rgba(value)[:3], atol=0.03)
    assert colour_at(plot, step.limits[0]).sum() > colour_at(plot, step.limits[1]).sum()
    np.testing.assert_allclose(colour_at(plot, plot.data[0].zmin), to_rgb(NOTHING), atol=0.01)
    low, high = plot.layout.yaxis.range
    assert low > high  # row 0 on top


def test_where_nothing_returned_is_dark_in_a_frame_without_a_hand(steps):
    plot = crop_step_plot(uncropped(FRAME, "no hand"))
    assert plot.data[0].zmin > 0 and plot.layout.title.text == "no hand"
    empty = replace(FRAME, depth=np.zeros_like(FRAME.depth))
    assert crop_step_plot(uncropped(empty, "no hand")).data[0].zmin == 0


def test_a_large_map_is_thinned_out_but_stays_in_its_place(steps):
    heatmap = crop_step_plot(steps[0]).data[0]
    assert heatmap.z.size * 2 == FRAME.depth.size / 2
    assert (heatmap.x0, heatmap.dx) == (0.5, 2)  # the middle of each pair of pixels


def test_frames_without_labels_have_no_joints():
    unlabelled = replace(FRAME, joints=None)
    assert all(step.joints is None for step in crop_steps(unlabelled, CROP))
