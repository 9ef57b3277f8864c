"""Figures of results show the values that they are given."""

import json

import numpy as np
import pytest
from matplotlib.colors import same_color

from senorita_lib.evaluation import POSES, SPLITS, joint_errors, success_curve
from senorita_lib.experiments.uncertainty import Estimate
from senorita_lib.figures import results as plots
from senorita_lib.figures.style import FINGER_COLOURS, MUTED_COLOURS, WRIST_COLOUR, png
from senorita_lib.hand import JOINT_FINGER, JOINT_NAMES


@pytest.fixture
def poses():
    """Initial, refined and true poses of 50 frames, (50, 21, 3) mm."""
    rng = np.random.default_rng(0)
    true = rng.uniform(-80, 80, (50, 21, 3)) + [0, 0, 500]
    size = np.arange(1, 22)[:, None]
    return true + size * rng.normal(size=true.shape), true + rng.normal(0, 9, true.shape), true


def estimate(mean, low, high):
    """Whose interval of 95 % has these ends."""
    reach = (high - low) / 2 / 0.95
    return Estimate(mean, np.linspace((low + high) / 2 - reach, (low + high) / 2 + reach, 1001))


def test_the_table_is_dots_with_intervals():
    names = [f"Model {m}, {pose}" for m in (1, 2) for pose in ("initial", "refined")]
    rows = {
        name: {s: estimate(20 + i + j / 8, 19 + i, 22 + i) for j, s in enumerate(SPLITS)}
        for i, name in enumerate([*names, "ensemble of 2"])
    }
    rows["Model 1, initial"]["all"] = estimate(0, 0, 0)
    rows[POSES["constant"]] = dict.fromkeys(SPLITS, 49)
    rows["  paper's Model 1"] = dict.fromkeys(SPLITS, 9)
    figure = plots.table_figure(rows)
    assert "  paper's Model 1" not in [line.get_label() for line in figure.axes[0].lines]
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    for i, name in enumerate([*names, "ensemble of 2"]):
        np.testing.assert_allclose(lines[name].get_ydata(), 20 + i + np.arange(5) / 8)
        bars = np.array(axes.containers[i].lines[2][0].get_segments())
        np.testing.assert_allclose(bars[:, :, 1], [[19 + i, 22 + i]] * 5)
        assert (lines[name].get_markerfacecolor() == "white") == name.endswith("initial")
        assert (np.abs(lines[name].get_xdata() - range(5)) < 0.5).all()
    assert lines["Model 2, initial"].get_color() == lines["Model 2, refined"].get_color()
    assert lines["Model 2, initial"].get_color() != lines["Model 1, initial"].get_color()
    assert lines["ensemble of 2"].get_marker() == "D"
    assert set(lines[POSES["constant"]].get_ydata()) == {49}
    assert png(figure).startswith(b"\x89PNG")


def test_a_split_without_frames_leaves_its_place_empty():
    (axes,) = plots.table_figure({"Model 1, refined": {"SHAPE": estimate(20, 19, 21)}}).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(SPLITS)
    (dot,) = [line for line in axes.lines if line.get_label() == "Model 1, refined"]
    assert len(dot.get_xdata()) == 1 and abs(dot.get_xdata()[0] - 2) < 0.5


def test_curves_are_the_success_curves(poses):
    initial, refined, true = poses
    curves_of = {"Model 1": initial, "ensemble": refined}
    figure, plot = plots.curves_figure(curves_of, true), plots.curves_plot(curves_of, true)
    thresholds = np.arange(81)
    wanted = [
        100 * success_curve(pose, true, thresholds, by)
        for by in ("frame_max", "frame_mean", "joint")
        for pose in (initial, refined)
    ]
    drawn = [line for axes in figure.axes for line in axes.lines]
    for line, trace, curve in zip(drawn, plot.data, wanted, strict=True):
        np.testing.assert_allclose(line.get_ydata(), curve)
        np.testing.assert_allclose(trace.y, curve, rtol=1e-6)
        assert (trace.x0, trace.dx) == (0, 1) and trace.line.color == line.get_color()
        assert trace.name in trace.hovertemplate
    assert [t.name for t in plot.data if t.showlegend] == list(curves_of)
    assert drawn[0].get_color() == MUTED_COLOURS[0] != drawn[1].get_color()
    assert len(json.dumps(plot.to_plotly_json(), indent=1)) < 15_000
    assert png(figure).startswith(b"\x89PNG")


def test_joint_bars_go_from_the_palm_outwards_finger_by_finger(poses):
    initial, refined, true = poses
    figure = plots.joint_bars_figure(initial, refined, true)
    left, right = figure.axes
    order = [JOINT_NAMES.index("wrist")] + [
        JOINT_NAMES.index(f"{finger}_{part}")
        for finger in ("thumb", "index", "middle", "ring", "pinky")
        for part in ("mcp", "pip", "dip", "tip")
    ]
    before, after = (joint_errors(p, true).mean(axis=0) for p in (initial, refined))
    np.testing.assert_allclose([bar.get_height() for bar in left.patches], after[order])
    np.testing.assert_allclose(left.lines[0].get_ydata(), before[order])
    colours = [WRIST_COLOUR, *np.repeat(FINGER_COLOURS, 4)]
    assert all(same_color(b.get_facecolor(), c) for b, c in zip(left.patches, colours, strict=True))
    fingers = np.array(JOINT_FINGER)
    means = [after[fingers == finger].mean() for finger in range(5)]
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], means)
    assert [t.get_text() for t in left.get_xticklabels()][:3] == ["wrist", "MCP", "PIP"]
    assert png(figure).startswith(b"\x89PNG")


CLAIMS = [
    {
        "claim": "A claim that is so long that it does not fit into one line of the figure",
        "verdict": "supported",
        "comparisons": [
            {"name": "EXTRAP", "difference": -2.0, "low": -3.0, "high": -1.0},
            {"name": "VIEWP", "difference": -12.0, "low": -13.0, "high": -11.0},
        ],
    },
    {
        "claim": "A short one",
        "verdict": "cannot be told",
        "comparisons": [{"name": "all", "difference": 0.5, "low": -1.0, "high": 2.0}],
    },
]


def test_the_ledger_has_a_line_for_each_comparison():
    figure = plots.ledger_figure(CLAIMS)
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    intervals = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.4]
    texts = [text.get_text() for text in axes.texts]
    words = ("supported", "EXTRAP", "VIEWP", "cannot be told", "all")
    assert [text for text in texts if text in words] == list(words)
    assert any("\n" in text for text in texts)
    assert axes.get_xlim()[0] < -13
    assert [line.get_xdata()[0] for line in dots] == [-2, -12, 0.5]
    assert intervals == [[-3, -1], [-13, -11], [-1, 2]]
    assert dots[0].get_markerfacecolor() == dots[0].get_color()
    assert dots[-1].get_markerfacecolor() == "white"  # zero is in its interval
    assert png(figure).startswith(b"\x89PNG")


def test_the_ledger_overlaps_and_clips_nothing():
    figure = plots.ledger_figure(CLAIMS * 3)
    figure.canvas.draw()
    (axes,) = figure.axes
    page = figure.bbox
    boxes = [text.get_window_extent() for text in axes.texts]
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0 < box.x1 <= page.x1 and page.y0 <= box.y0 < box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:i])
