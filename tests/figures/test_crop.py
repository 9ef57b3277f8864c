"""The steps of a crop, and the maps whose values the pointer reads."""

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures.crop import crop_step_plot, crop_steps, image_map, uncropped
from senorita_lib.hand import FINGER_CHAINS

FRAME = SyntheticHand(seed=0).frame(32)
CROP = crop_hand(FRAME.depth, FRAME.box)
STEPS = crop_steps(FRAME, CROP)


drawn = go.Figure  # which also refuses what plotly does not know


def test_steps_hold_what_they_say_and_the_image_is_in_its_mm() -> None:
    assert [step.title[0] for step in STEPS] == list("123456")
    assert f"{CROP.steps['threshold']} mm" in STEPS[2].title
    assert f"500 / {CROP.steps['coarse_z']:.0f}" in STEPS[3].title
    np.testing.assert_array_equal(STEPS[0].given[[0, 2]].ravel(), FRAME.box)
    assert all(step.joints is None for step in crop_steps(replace(FRAME, joints=None), CROP))
    last, seen = STEPS[-1], CROP.image > -1
    assert not last.depth[~seen].any()
    nearness = (CROP.cube_centre[2] - last.depth[seen]) / 100
    np.testing.assert_allclose(nearness, CROP.image[seen], atol=1e-4)
    assert last.limits[1] - last.limits[0] == 200
    assert abs(sum(last.limits) / 2 - CROP.cube_centre[2]) <= 0.5


def test_a_plot_has_depth_in_whole_mm_and_a_line_for_each_finger() -> None:
    for step in STEPS:
        heatmap, *lines, centre = drawn(crop_step_plot(step, "")).data
        every = heatmap.dx
        np.testing.assert_array_equal(heatmap.z, np.rint(step.depth)[::every, ::every])
        assert (heatmap.x0, every) in ((0, 1), (0.5, 2))  # the middle of each pair of pixels
        assert (heatmap.zmin, heatmap.zmax) == (step.limits[0] - 1, step.limits[1])
        assert len(centre.x) == (step.centre is not None)
        for chain, line in zip(FINGER_CHAINS, lines[3:], strict=True):
            points = np.stack([line.x, line.y], axis=1)
            wanted = step.joints[list(chain)] if step.joints is not None else np.zeros((0, 2))
            np.testing.assert_array_equal(points, wanted)
    plot = drawn(crop_step_plot(uncropped(FRAME, "no hand"), FRAME.name))
    assert plot.data[0].zmin > 0 and plot.layout.title.text == f"no hand · {FRAME.name}"
    empty = replace(FRAME, depth=np.zeros_like(FRAME.depth))
    assert drawn(crop_step_plot(uncropped(empty, "no hand"), "")).data[0].zmin == 0


def test_a_map_of_an_input_has_mm_and_a_map_of_voxels_has_cells() -> None:
    (trace,) = drawn(image_map([[1.0, 0, -0.99, -1]])).data
    assert np.array(trace.z).tolist() == [[100, 0, -99, -100]]
    assert trace.colorscale[-1][1] == "#fde725"  # near is bright
    assert np.array(drawn(image_map([[1.0, -1]], cells=True)).data[0].z).tolist() == [[1, 0]]
