"""Figures of errors frame by frame show the values that they are given."""

import numpy as np
import pytest

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.difficulty import rank_correlation, remaining_error
from senorita_lib.figures import frames as plots
from senorita_lib.figures.style import png

RNG = np.random.default_rng(0)
ANGLES, ERRORS = RNG.uniform(0, 180, 400), RNG.uniform(5, 60, 400)
FRAMES = np.resize(np.char.lower(SPLITS), 400)  # as the data set writes them


def test_an_interval_is_1_96_standard_errors():
    mean, low, high = plots.mean_interval([1, 2, 3, 4])
    error = np.std([1, 2, 3, 4], ddof=1) / 2
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - 1.96 * error, 2.5 + 1.96 * error))
    assert np.isnan(plots.mean_interval([3])[1])


def test_bins_have_their_means_intervals_and_counts():
    figure = plots.error_against_figure({"angle (°)": ANGLES, "its half (°)": ANGLES / 2}, ERRORS)
    left, right = figure.axes
    points, *lines = left.lines
    np.testing.assert_allclose(points.get_xydata(), np.stack([ANGLES, ERRORS], axis=1))
    assert list(left.get_xticks()) == [0, 30, 60, 90, 120, 150, 180]
    assert len(lines) == 2 * 6
    for i, (mean, interval) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
        inside = ERRORS[np.floor_divide(ANGLES, 30) == i]
        assert list(mean.get_xdata()) == [30 * i, 30 * i + 30]
        assert mean.get_ydata() == pytest.approx([inside.mean()] * 2)
        assert interval.get_ydata() == pytest.approx(plots.mean_interval(inside)[1:])
        assert left.texts[i].get_text() == str(len(inside))
    assert right.get_xlabel() == "its half (°)"
    assert png(figure).startswith(b"\x89PNG")


def test_every_frame_is_in_a_bin_and_a_bin_of_few_has_no_mean():
    values = np.array([0.0] * 20 + [180.0] * 14)
    (axes,) = plots.error_against_figure({"angle (°)": values}, np.arange(34.0)).axes
    assert sum(int(text.get_text()) for text in axes.texts) == 34
    assert len(axes.lines) == 1 + 2


def test_spread_and_error_of_each_split():
    spread = ERRORS / 4 + RNG.normal(size=400)
    figure = plots.spread_figure(spread, ERRORS, FRAMES)
    left, right = figure.axes
    for split, dots in zip(SPLITS, left.lines, strict=True):
        inside = np.isin(FRAMES, split.lower())
        np.testing.assert_allclose(dots.get_xdata(), spread[inside])
        np.testing.assert_allclose(dots.get_ydata(), ERRORS[inside])
        assert dots.get_label() == split
    assert left.get_title() == f"rank correlation {rank_correlation(spread, ERRORS):.2f}"
    random, ours, oracle = (line.get_ydata() for line in right.lines)
    assert set(random) == {ERRORS.mean()}
    np.testing.assert_allclose(ours, remaining_error(ERRORS, spread))
    np.testing.assert_allclose(oracle, remaining_error(ERRORS, ERRORS))
    assert png(figure).startswith(b"\x89PNG")


def test_refinement_counts_changes_by_split():
    change = RNG.normal(-1, 3, 400)
    figure = plots.refinement_figure(ERRORS, ERRORS + change, FRAMES)
    assert len(figure.axes) == 5
    for split, axes in zip(SPLITS, figure.axes, strict=True):
        inside = change[np.isin(FRAMES, split.lower())]
        assert sum(bar.get_width() for bar in axes.patches[:-1]) == len(inside)
        for bar in axes.patches[:-1]:
            low = bar.get_y() + bar.get_height() / 2 - 0.5
            count = ((inside >= low - 1e-9) & (inside < low + 1 - 1e-9)).sum()
            assert bar.get_width() == count
        zero, mean = axes.lines
        assert set(zero.get_ydata()) == {0}
        assert mean.get_ydata()[0] == pytest.approx(inside.mean())
        band = axes.patches[-1]
        ends = band.get_y(), band.get_y() + band.get_height()
        assert ends == pytest.approx(plots.mean_interval(inside)[1:])
        assert axes.get_title().startswith(split)
        assert axes.texts[1].get_text() == f"{100 * (inside < 0).mean():.0f} % better"
    assert png(figure).startswith(b"\x89PNG")


def test_a_split_that_is_not_there_has_no_panel():
    some = FRAMES != "shape"
    figure = plots.refinement_figure(ERRORS[some], ERRORS[some] + 1, FRAMES[some])
    assert len(figure.axes) == 4
    assert png(plots.spread_figure(ERRORS[some], ERRORS[some], FRAMES[some]))


def test_a_refinement_that_changes_nothing_is_drawn():
    figure = plots.refinement_figure(ERRORS, ERRORS, FRAMES)
    assert [t.get_text() for t in figure.axes[0].texts] == ["0 % worse", "0 % better"]
    assert png(figure).startswith(b"\x89PNG")
