"""Figures of results: errors by split and joint, and claims. Intervals are 95 %."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from senorita_lib.evaluation import POSES, SPLITS, joint_errors
from senorita_lib.experiments.ledger import grouped
from senorita_lib.experiments.regimes import PARTS
from senorita_lib.figures import style
from senorita_lib.figures.style import GREY, INK, new_figure, tidy
from senorita_lib.hand import FINGERS, JOINT_FINGER, JOINT_NAMES

_MARKERS = {"more images": "s", "long": "^"}  # by the words after a head's name


def model_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name: black for the ensemble, and one that a model's poses share."""
    models = list(dict.fromkeys(n.split(",")[0] for n in names if not n.startswith("ensemble")))
    own = dict(zip(models, style.MUTED_COLOURS, strict=False))
    return {name: own.get(name.split(",")[0], INK) for name in names}


def table_figure(rows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Table 1 (:func:`.tables.paper_tables`) as dots with intervals, without the paper's rows.

    Initial poses are hollow, ensembles diamonds, and the best constant pose is a line; of heads,
    squares saw more images, and triangles were trained long.
    """
    figure, ((axes,),) = new_figure(1, 1, width=9, height=3.5)
    dots = {
        name: {split: row[split] for split in SPLITS if split in row}
        for name, row in rows.items()
        if all(hasattr(cell, "interval") for cell in row.values())
    }
    colours = model_colours(list(dots))
    step = 0.76 / max(len(dots) - 1, 1)
    for i, (name, row) in enumerate(dots.items()):
        places = [SPLITS.index(split) - 0.38 + i * step for split in row]
        means, low, high = np.array([(cell.mean, *cell.interval()) for cell in row.values()]).T
        marker = _MARKERS.get(name.rpartition(", ")[2], "o")
        look = {"color": colours[name], "marker": "D" if name.startswith("ensemble") else marker}
        look |= {"mfc": "white"} if name.endswith("initial") else {}
        axes.errorbar(places, means, [means - low, high - means], fmt="none", lw=1.2,
                      ecolor=colours[name])  # fmt: skip
        axes.plot(places, means, ls="none", ms=5.5, mew=1.3, label=name, **look)
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
        axes.axvline(edge - 0.5, color=style.RULE, lw=0.6)
    figure.legend(loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    return figure


def joint_bars_figure(
    initial: npt.ArrayLike, refined: npt.ArrayLike, true: npt.ArrayLike
) -> Figure:
    """Mean error of each joint and finger, mm, refined as bars; poses are (N, 21, 3)."""
    before, after = (joint_errors(pose, true).mean(axis=0) for pose in (initial, refined))
    figure, ((left, right),) = new_figure(1, 2, 10, 3, sharey=True, width_ratios=(3.6, 1))
    # The wrist, then each finger from the palm outwards, with a gap before each.
    finger = np.array(JOINT_FINGER)
    order = np.argsort(finger, kind="stable")
    places, fingers = np.arange(21) + 0.7 * (finger[order] + 1), [finger == f for f in range(5)]
    panels = (
        (left, places, order[:, None], [style.JOINT_COLOURS[j] for j in order]),
        (right, np.arange(5), fingers, style.FINGER_COLOURS),
    )
    for cell, where, groups, colours in panels:
        one, other = ([errors[group].mean() for group in groups] for errors in (before, after))
        cell.bar(where, other, 0.8, color=colours, label="refined")
        cell.plot(where, one, "o", mfc="white", mec=INK, ms=4.5, mew=1, label="initial")
        tidy(cell)
    names = ["wrist", *(JOINT_NAMES[j].split("_")[-1].upper() for j in order[1:])]
    left.set_xticks(places, names, rotation=90)
    left.axhline(after.mean(), color=INK, lw=0.8, ls="--", label="refined, mean of all joints")
    left.set_ylabel("mean error (mm)", fontsize=9)
    right.set_xticks(range(5), FINGERS, rotation=90)
    right.set_title("mean of the finger's joints", fontsize=9)
    top = 1.05 * max(before.max(), after.max())
    for name, own, colour in zip(FINGERS, fingers, style.FINGER_COLOURS, strict=True):
        place = places[own[order]].mean()
        left.text(place, top, name, ha="center", va="bottom", fontsize=9, color=colour)
    left.set(xlim=(-0.8, places[-1] + 0.8), ylim=(0, 1.1 * top))
    named = left.get_legend_handles_labels()
    figure.legend(*named, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
    return figure


_VERDICTS = {"supported": style.BETTER, "not supported": style.WORSE, "inconclusive": GREY}
_LINE = 0.19  # of the ledger, inches


def ledger_figure(claims: Sequence[Mapping[str, Any]]) -> Figure:
    """Measured claims of :func:`.ledger.ledger`, with a line for each pair that decides.

    It is for the split that decides, or the mean if several do; hollow: 0 is in the interval.
    """
    rows = []
    for row in claims:
        lines: list[dict[str, Any]] = []
        for pair in grouped(row["comparisons"]).values():
            decides = [c for c in pair if c["decides"]]
            lines += decides if len(decides) < 2 else [c for c in pair if c["split"] == "all"]
        if lines:
            rows.append((row, lines))
    texts = [textwrap.wrap(row["claim"], 50) for row, _ in rows]
    counts = [max(len(text), len(lines)) for text, (_, lines) in zip(texts, rows, strict=True)]
    edges = np.append(0, np.cumsum(np.array(counts) + 0.9))
    height = _LINE * edges[-1] + 0.75
    figure, ((axes,),) = new_figure(1, 1, width=10, height=height)
    figure.set_layout_engine("none")
    compared = [comparison for _, lines in rows for comparison in lines]
    left = 0.355 + 0.0062 * max(len(comparison["label"]) for comparison in compared)
    axes.set_position((left, 0.5 / height, 0.875 - left, _LINE * edges[-1] / height))
    ends = [0.0, *(comparison[end] for comparison in compared for end in ("low", "high"))]
    room = 0.04 * np.ptp(ends)
    axes.set(xlim=(min(ends) - room, max(ends) + room), ylim=(edges[-1], 0))
    axes.set_xlabel("for the claim  ←  difference of mean joint errors (mm)  →  against it")
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    tidy(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    across = blended_transform_factory(figure.transFigure, axes.transData)
    look = {"transform": across, "va": "center"}
    rule = {"color": style.RULE, "lw": 0.8, "transform": across, "clip_on": False}
    for (row, lines), text, top, bottom in zip(rows, texts, edges[:-1], edges[1:], strict=True):
        colour, middle = _VERDICTS[row["verdict"]], (top + bottom) / 2
        axes.text(0.01, middle, "\n".join(text), fontsize=9, **look)
        axes.text(0.885, middle, row["verdict"], fontsize=9, color=colour, weight="bold", **look)
        axes.plot([0.01, 0.995], [[top, bottom]] * 2, **rule)
        for place, c in enumerate(lines):
            y = middle - (len(lines) - 1) / 2 + place
            axes.text(left - 0.006, y, c["label"], fontsize=8, color=GREY, ha="right", **look)
            axes.plot([c["low"], c["high"]], [y] * 2, color=colour, lw=1.4)
            fill = "white" if c["low"] <= 0 <= c["high"] else colour
            axes.plot(c["difference"], y, "o", color=colour, mfc=fill, ms=5, mew=1.3)
    return figure


def effects_figure(found: pd.DataFrame) -> Figure:
    """:func:`.regimes.effects`: each difference over the error of what it is compared with.

    The better the network, the further to the right; below 0 the paper's idea helps. Filled:
    significant by Holm's method. The points of a comparison stand a little apart.
    """
    parts = list(dict.fromkeys(PARTS.values()))
    figure, (row,) = new_figure(1, len(parts), width=10, height=4.3, sharey=True)
    right, left = found["error"].min(), found["error"].max()
    room = 0.12 * (left - right)
    for axes, part in zip(row, parts, strict=True):
        names = [name for name, own in PARTS.items() if own == part]
        for i, (name, colour) in enumerate(zip(names, style.MUTED_COLOURS, strict=False)):
            own = found[found["comparison"] == name].sort_values("error")
            x = own["error"] + room * (i - (len(names) - 1) / 2) / 5
            label = textwrap.fill(name, 36)
            axes.plot(x, own["difference"], color=colour, lw=0.8, label=label)
            for place, (_, point) in zip(x, own.iterrows(), strict=True):
                axes.plot([place] * 2, [point["low"], point["high"]], color=colour, lw=1.4)
                fill = colour if point["p"] < 0.05 else "white"
                axes.plot(place, point["difference"], "o", color=colour, mfc=fill, ms=5, mew=1.3)
        axes.axhline(0, color=INK, lw=0.8, zorder=1)
        axes.set_xlim(left + room, right - room)
        axes.set_xlabel("error of the control (mm)", fontsize=9)
        axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        tidy(axes)
    row[0].set_ylabel("difference of mean joint errors (mm)\nhelps  ←  →  harms", fontsize=9)
    return figure
