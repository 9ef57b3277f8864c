"""Figures of results: errors by split, joint and threshold, and what they say of claims.

Poses are in the camera frame, mm.
"""

import textwrap

import numpy as np
import plotly.graph_objects as go
from matplotlib.transforms import blended_transform_factory
from plotly.subplots import make_subplots

from senorita_lib.evaluation import POSES, SPLITS, joint_errors, success_curve
from senorita_lib.figures.style import (
    BETTER,
    FINGER_COLOURS,
    GREY,
    INK,
    JOINT_COLOURS,
    MUTED_COLOURS,
    RULE,
    WORSE,
    new_figure,
    tidy,
)
from senorita_lib.hand import FINGERS, JOINT_FINGER, JOINT_NAMES

_THRESHOLDS = np.arange(81)  # mm
_PANELS = {
    "frame_max": "error of the frame's worst joint (mm)",
    "frame_mean": "mean error of the frame's joints (mm)",
    "joint": "error of the joint (mm)",
}


def _model_colours(names):
    """A colour for each name: black for the ensemble, and one that a model's poses share."""
    models = list(dict.fromkeys(n.split(",")[0] for n in names if not n.startswith("ensemble")))
    own = dict(zip(models, MUTED_COLOURS, strict=False))
    return {name: own.get(name.split(",")[0], INK) for name in names}


def table_figure(rows):
    """Table 1 as dots: the mean error of each model on each split, with its interval.

    Parameters
    ----------
    rows : dict
        As :func:`.tables` gives them: name to {split: Estimate}. A name that
        ends in "initial" is drawn hollow, one that begins with "ensemble" as a diamond, the best
        constant pose as a line. The paper's rows, of another data set, are left out.
    """
    figure, axes = new_figure(1, 1, width=9, height=3.5)
    axes = axes[0, 0]
    dots = {
        name: {split: row[split] for split in SPLITS if split in row}
        for name, row in rows.items()
        if all(hasattr(cell, "interval") for cell in row.values())
    }
    colours = _model_colours(dots)
    step = 0.76 / max(len(dots) - 1, 1)
    for i, (name, row) in enumerate(dots.items()):
        places = [SPLITS.index(split) - 0.38 + i * step for split in row]
        means, low, high = np.array([(cell.mean, *cell.interval()) for cell in row.values()]).T
        style = {"color": colours[name], "marker": "D" if name.startswith("ensemble") else "o"}
        style |= {"mfc": "white"} if name.endswith("initial") else {}
        axes.errorbar(places, means, [means - low, high - means], fmt="none", lw=1.2,
                      ecolor=colours[name])  # fmt: skip
        axes.plot(places, means, ls="none", ms=5.5, mew=1.3, label=name, **style)
    constant = rows.get(POSES["constant"], {})
    for split, mean in constant.items():
        ends = np.array([-0.45, 0.45]) + SPLITS.index(split)
        label = POSES["constant"] if split == next(iter(constant)) else None
        axes.plot(ends, [mean] * 2, color=GREY, lw=2, label=label)
    axes.set_xticks(range(len(SPLITS)), SPLITS)
    axes.set(ylabel="mean joint error (mm)", xlim=(-0.55, len(SPLITS) - 0.45))
    tidy(axes)
    axes.tick_params(axis="x", length=0, labelsize=9)
    for edge in range(1, len(SPLITS)):
        axes.axvline(edge - 0.5, color=RULE, lw=0.6)
    figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    return figure


def curves_figure(curves_of, true):
    """Success curves by the frame's worst joint, by its mean error, and by joint.

    Parameters
    ----------
    curves_of : dict
        Name to predicted joints (N, 21, 3), mm; the ensemble is drawn in black.
    true : array, (N, 21, 3)
    """
    figure, axes = new_figure(1, 3, width=10, height=3.1, sharey=True)
    colours = _model_colours(curves_of)
    for cell, (by, label) in zip(axes[0], _PANELS.items(), strict=True):
        for name, predicted in curves_of.items():
            curve = 100 * success_curve(predicted, true, _THRESHOLDS, by)
            cell.plot(_THRESHOLDS, curve, label=name, color=colours[name], lw=1.5)
        cell.set(xlim=(0, 80), ylim=(0, 100))
        cell.set_xlabel(label, fontsize=9)
        tidy(cell, "both")
    axes[0, 0].set_ylabel("frames within (%)", fontsize=9)
    axes[0, 2].set_ylabel("joints within (%)", fontsize=9)
    axes[0, 2].legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def curves_plot(curves_of, true):
    """Interactive twin of :func:`curves_figure`, with the same parameters."""
    figure = make_subplots(1, 3, shared_yaxes=True, horizontal_spacing=0.04)
    colours = _model_colours(curves_of)
    for column, (by, label) in enumerate(_PANELS.items(), 1):
        for name, predicted in curves_of.items():
            curve = 100 * success_curve(predicted, true, _THRESHOLDS, by)
            line = go.Scatter(
                x0=0, dx=1, y=curve.astype(np.float32), mode="lines", name=name, legendgroup=name,
                line={"color": colours[name], "width": 2}, showlegend=column == 1,
                hovertemplate=f"{name}: %{{y:.1f}} % within %{{x}} mm<extra></extra>",
            )  # fmt: skip
            figure.add_trace(line, row=1, col=column)
        figure.update_xaxes(title_text=label, col=column)
    figure.update_xaxes(range=[0, 80], title_font_size=12)
    figure.update_yaxes(range=[0, 100])
    figure.update_yaxes(title_text="frames, or joints, within (%)", col=1)
    margin = {"l": 60, "r": 10, "t": 40, "b": 50}
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(template="none", height=340, margin=margin, legend=legend)
    return figure


# The wrist, then each finger from the palm outwards, a gap before each.
_ORDER = sorted(range(21), key=lambda joint: (JOINT_FINGER[joint], joint))
_PLACES = np.arange(21) + 0.7 * (np.array(JOINT_FINGER)[_ORDER] + 1)


def joint_bars_figure(initial, refined, true):
    """Mean error of each joint and each finger: refined poses as bars, initial ones hollow.

    Parameters
    ----------
    initial, refined, true : array, (N, 21, 3)
        Camera frame, mm.
    """
    before, after = (joint_errors(pose, true).mean(axis=0) for pose in (initial, refined))
    figure, axes = new_figure(1, 2, width=10, height=3, sharey=True, width_ratios=(3.6, 1))
    left, right = axes[0]
    names = [JOINT_NAMES[j].split("_")[-1] for j in _ORDER]
    colours = [JOINT_COLOURS[j] for j in _ORDER]
    _draw_bars(left, _PLACES, before[_ORDER], after[_ORDER], colours)
    left.set_xticks(_PLACES, [n.upper() if n != "wrist" else n for n in names], rotation=90)
    left.axhline(after.mean(), color=INK, lw=0.8, ls="--", label="refined, mean of all joints")
    left.set_ylabel("mean error (mm)", fontsize=9)
    of_finger = [np.flatnonzero(np.array(JOINT_FINGER) == finger) for finger in range(5)]
    means = [[errors[joints].mean() for joints in of_finger] for errors in (before, after)]
    _draw_bars(right, np.arange(5), *means, FINGER_COLOURS)
    right.set_xticks(range(5), FINGERS, rotation=90)
    right.set_title("mean of the finger's joints", fontsize=9)
    for axes in (left, right):
        tidy(axes)
    top = 1.05 * max(before.max(), after.max())
    for name, joints in zip(FINGERS, of_finger, strict=True):
        place = np.mean([_PLACES[_ORDER.index(j)] for j in joints])
        colour = FINGER_COLOURS[FINGERS.index(name)]
        left.text(place, top, name, ha="center", va="bottom", fontsize=9, color=colour)
    left.set(xlim=(-0.8, _PLACES[-1] + 0.8), ylim=(0, 1.1 * top))
    named = left.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
    return figure


def _draw_bars(axes, places, before, after, colours):
    axes.bar(places, after, 0.8, color=colours, label="refined")
    axes.plot(places, before, "o", mfc="white", mec=INK, ms=4.5, mew=1, label="initial")


_VERDICTS = {"supported": BETTER, "not supported": WORSE, "cannot be told": GREY}
_LINE = 0.19  # of the ledger, inches


def ledger_figure(rows):
    """Claims, a line for each comparison that speaks for or against one.

    A dot is hollow where the interval has zero in it.

    Parameters
    ----------
    rows : list of dict
        "claim", "verdict" ("supported", "not supported" or "cannot be told") and "comparisons",
        a list of dicts: "name", "difference", "low" and "high", mm; below zero speaks for it.
    """
    texts = [textwrap.wrap(row["claim"], 50) for row in rows]
    lines = [max(len(t), len(row["comparisons"])) for t, row in zip(texts, rows, strict=True)]
    edges = np.append(0, np.cumsum(np.array(lines) + 0.9))
    height = _LINE * edges[-1] + 0.75
    figure, axes = new_figure(1, 1, width=10, height=height)
    figure.set_layout_engine("none")
    axes = axes[0, 0]
    compared = [comparison for row in rows for comparison in row["comparisons"]]
    left = 0.355 + 0.0062 * max(len(comparison["name"]) for comparison in compared)
    axes.set_position((left, 0.5 / height, 0.875 - left, _LINE * edges[-1] / height))
    axes.set(xlim=_limits(compared), ylim=(edges[-1], 0))
    axes.set_xlabel("for the claim  ←  difference of mean joint errors (mm)  →  against it",
                    fontsize=9)  # fmt: skip
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    tidy(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    for row, text, top, bottom in zip(rows, texts, edges[:-1], edges[1:], strict=True):
        _draw_claim(axes, row, "\n".join(text), top, bottom)
    return figure


def _limits(compared):
    """Of an axis that shows all intervals, and zero."""
    ends = [0.0, *(comparison[end] for comparison in compared for end in ("low", "high"))]
    room = 0.04 * np.ptp(ends)
    return min(ends) - room, max(ends) + room


def _draw_claim(axes, row, text, top, bottom):
    across = blended_transform_factory(axes.figure.transFigure, axes.transData)
    style = {"transform": across, "va": "center"}
    colour, middle = _VERDICTS[row["verdict"]], (top + bottom) / 2
    axes.text(0.01, middle, text, fontsize=9, **style)
    axes.text(0.885, middle, row["verdict"], fontsize=9, color=colour, weight="bold", **style)
    for edge in (top, bottom):
        axes.plot([0.01, 0.995], [edge] * 2, color=RULE, lw=0.8, transform=across, clip_on=False)
    left = axes.get_position().x0 - 0.006
    first = middle - (len(row["comparisons"]) - 1) / 2
    for i, comparison in enumerate(row["comparisons"]):
        name = comparison["name"]
        axes.text(left, first + i, name, fontsize=8, color=GREY, ha="right", **style)
        _draw_comparison(axes, first + i, comparison, colour)


def _draw_comparison(axes, place, comparison, colour):
    difference, low, high = (comparison[key] for key in ("difference", "low", "high"))
    axes.plot([low, high], [place] * 2, color=colour, lw=1.4)
    fill = "white" if low <= 0 <= high else colour
    axes.plot(difference, place, "o", color=colour, mfc=fill, ms=5, mew=1.3)
