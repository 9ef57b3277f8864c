"""A run's figure says what its log says."""

import numpy as np
import pytest

from senorita_lib.datasets.crops import CropSet
from senorita_lib.figures.style import png
from senorita_lib.figures.training import evenly, training_figure
from senorita_lib.hand import BONES


@pytest.fixture
def strip(crops, hand):
    return CropSet(
        names=list("abcd"),
        splits=["train"] * 4,
        images=crops.image[:, 0].numpy(),
        boxes=crops.box.numpy(),
        cube_centres=crops.cube_centre.numpy(),
        joints=hand,
        found=np.ones(4, bool),
    )


@pytest.fixture
def log(hand):
    """Three stages of 1000 images; a validation in the middle and at the end of each."""
    rows = []
    for stage in ("pose", "volume", "refine"):
        for images in range(100, 1001, 100):
            if images in (500, 1000):
                row = {"stage": stage, "images": images, "validation_initial_mm": 30.0}
                row |= {"validation_refined_mm": 25.0} if stage == "refine" else {}
                rows.append(row | {"strip_mm": (hand + len(rows)).tolist()})
            losses = {"L_jt": 5.0 - images / 1000}
            losses |= {"L_3dske": 700.0} if stage == "volume" else {}
            if stage == "refine":
                losses |= {"L_res_ori": 0.2, "L_jt_ref": 4.0}
                losses |= {"w_jt": 1.0, "w_res_ori": 60.95, "w_jt_ref": 1.0}
            rows.append({"stage": stage, "images": images} | losses)
    return rows


def test_curves_are_the_logs(log):
    poses, volumes, orientations, weights, errors = training_figure(log).axes
    np.testing.assert_allclose(poses.lines[0].get_xdata(), np.arange(100, 3001, 100))
    np.testing.assert_allclose(poses.lines[0].get_ydata()[:2], [4.9, 4.8])
    np.testing.assert_allclose(poses.lines[1].get_xdata(), np.arange(2100, 3001, 100))
    np.testing.assert_allclose(volumes.lines[0].get_xdata(), np.arange(1100, 2001, 100))
    np.testing.assert_allclose(orientations.lines[0].get_ydata(), 0.2)
    assert [text.get_text() for text in weights.texts] == ["1", "61"]
    np.testing.assert_allclose(errors.lines[0].get_xdata(), [500, 1000, 1500, 2000, 2500, 3000])
    np.testing.assert_allclose(errors.lines[1].get_xydata(), [[2500, 25], [3000, 25]])
    assert [text.get_text() for text in errors.texts] == ["Step 1: eq. 3", "+ eq. 4", "Step 2"]


def test_axes_reach_to_the_end_of_the_plan(log):
    figure = training_figure(log[:3], images=3000)
    assert all(axes.get_xlim()[1] > 3000 for axes in figure.axes)


def test_strip_ends_with_the_truth(log, strip, crops, hand):
    *_, axes = training_figure(log, strip).axes
    (bones,) = axes.collections
    segments = np.array(bones.get_segments()).reshape(7, 4, 20, 2, 2)  # columns, frames
    true = crops.to_uvd(hand)[:, list(BONES), :2]
    drawn = segments[-1]
    for frame in range(4):  # the same up to a place and a size
        a, b = (p[frame].reshape(-1, 2) - p[frame, 0, 0] for p in (drawn, true))
        size = np.abs(a).max() / np.abs(b).max()
        np.testing.assert_allclose(a, b * size, atol=1e-3)
    labels = [text.get_text() for text in axes.texts]
    assert labels[-2:] == ["truth", "4 of the\nvalidation frames"]
    assert "0.5k images\n30.0 mm" in labels and "3k images\n25.0 mm" in labels


def test_a_long_run_has_seven_columns_and_light_curves(log, strip, hand):
    more = [log[-2] | {"images": 1000 * i, "strip_mm": hand.tolist()} for i in range(2, 900)]
    figure = training_figure([*log, *more], strip)
    (bones,) = figure.axes[-1].collections
    assert len(bones.get_segments()) == 8 * 4 * 20
    assert max(len(line.get_xdata()) for axes in figure.axes for line in axes.lines) <= 250


@pytest.mark.parametrize("length", [0, 1, 6, 40])
def test_it_is_drawn_from_the_first_row_on(log, strip, length):
    assert png(training_figure(log[:length], strip, 3000), colours=None).startswith(b"\x89PNG")


def test_a_run_that_diverges_is_drawn(log):
    for value in (np.nan, np.inf, 0.0):
        png(training_figure([*log, log[-1] | {"L_jt": value, "L_jt_ref": value}]))


def test_adaptive_squares_have_no_weights(log):
    bare = [{k: v for k, v in row.items() if not k.startswith("w_")} for row in log]
    (text,) = training_figure(bare).axes[3].texts
    assert "adaptive" in text.get_text()


def test_evenly_keeps_the_first_and_the_last():
    assert evenly(range(3), 7) == [0, 1, 2]
    assert evenly(range(8), 7) == [0, 1, 2, 4, 5, 6, 7]
    assert evenly(range(100), 3) == [0, 50, 99]
    assert evenly([], 7) == []
