"""Figures of results show the values that they are given."""

import numpy as np

from senorita_lib.evaluation import POSES, SPLITS, joint_errors
from senorita_lib.experiments.uncertainty import Estimate
from senorita_lib.figures import results as plots
from senorita_lib.hand import FINGER_CHAINS, JOINT_FINGER

RNG = np.random.default_rng(0)
ERRORS = RNG.uniform(5, 60, 400)
FRAMES = np.resize(np.char.lower(SPLITS), 400)  # as the data set writes them


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
    (axes,) = plots.table_figure(rows).axes
    assert "  paper's Model 1" not in [line.get_label() for line in axes.lines]
    lines = {line.get_label(): line for line in axes.lines}
    for i, name in enumerate([*names, "ensemble of 2"]):
        np.testing.assert_allclose(lines[name].get_ydata(), 20 + i + np.arange(5) / 8)
        bars = np.array(axes.containers[i].lines[2][0].get_segments())
        np.testing.assert_allclose(bars[:, :, 1], [[19 + i, 22 + i]] * 5)
        assert (lines[name].get_markerfacecolor() == "white") == name.endswith("initial")
        assert (np.abs(lines[name].get_xdata() - range(5)) < 0.5).all()
    assert set(lines[POSES["constant"]].get_ydata()) == {49}
    # A split without frames leaves its place empty.
    (axes,) = plots.table_figure({"Model 1, refined": {"SHAPE": estimate(20, 19, 21)}}).axes
    assert [round(x) for x in axes.lines[0].get_xdata()] == [2]


def test_joint_bars_go_from_the_palm_outwards_finger_by_finger():
    true = RNG.uniform(-80, 80, (50, 21, 3)) + [0, 0, 500]
    initial = true + np.arange(1, 22)[:, None] * RNG.normal(size=true.shape)
    refined = true + RNG.normal(0, 9, true.shape)
    left, right = plots.joint_bars_figure(initial, refined, true).axes
    order = [0, *(joint for chain in FINGER_CHAINS for joint in chain[1:])]
    before, after = (joint_errors(p, true).mean(axis=0) for p in (initial, refined))
    np.testing.assert_allclose([bar.get_height() for bar in left.patches], after[order])
    np.testing.assert_allclose(left.lines[0].get_ydata(), before[order])
    fingers = np.array(JOINT_FINGER)
    means = [after[fingers == finger].mean() for finger in range(5)]
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], means)
    assert [t.get_text() for t in left.get_xticklabels()][:3] == ["wrist", "MCP", "PIP"]


def comparison(label, difference, low, high, split="all", decides=True):
    row = {"one": "a", "other": label, "split": split, "decides": decides, "label": label}
    return row | {"difference": difference, "low": low, "high": high}


PAIRS = [
    comparison("Model 2", -2.0, -3.0, -1.0), comparison("Model 3", -12.0, -13.0, -11.0, "VIEWP"),
    comparison("Model 3", -9.0, -13.0, -11.0, decides=False),
]  # fmt: skip
CLAIMS = [
    {"claim": "long " * 20, "verdict": "supported", "comparisons": PAIRS},
    {"claim": "A short one", "verdict": "inconclusive",
     "comparisons": [comparison("others", 0.5, -1.0, 2.0)]},
    {"claim": "Not measured", "verdict": "not measured", "comparisons": []},
]  # fmt: skip


def test_the_ledger_has_a_line_for_each_pair_that_decides():
    (axes,) = plots.ledger_figure(CLAIMS).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    intervals = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.4]
    assert [line.get_xdata()[0] for line in dots] == [-2, -12, 0.5]
    assert intervals == [[-3, -1], [-13, -11], [-1, 2]]
    assert dots[0].get_markerfacecolor() == dots[0].get_color()
    assert dots[-1].get_markerfacecolor() == "white"  # zero is in its interval
    # A claim of several splits has the line of their mean.
    splits = [
        comparison("Model 1", mm, mm - 1, mm + 1, split, split != "all")
        for mm, split in enumerate([*SPLITS, "all"])
    ]
    (axes,) = plots.ledger_figure([CLAIMS[1] | {"comparisons": splits}]).axes
    (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert dot.get_xdata()[0] == 5
