"""Figures of errors frame by frame: what they go with, and what the refinement changes.

The intervals that are drawn here are of 95 %, and of the mean over frames like these.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.difficulty import rank_correlation, remaining_error
from senorita_lib.figures.style import BETTER, GREY, INK, MUTED_COLOURS, WORSE, new_figure, tidy

_POINTS = "#b9c3da"
_LEAST = 15  # frames that make a mean


def mean_interval(values):
    """Mean of values (N,), and the ends of its interval of 95 %."""
    values = np.asarray(values, np.float64)
    reach = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return values.mean(), values.mean() - reach, values.mean() + reach


def error_against_figure(quantities, errors, bins=7):
    """Mean joint error against quantities of the frame, a panel each, with means by bin.

    Bins have round ends. Under each stands how many frames it has; one of few has no mean.

    Parameters
    ----------
    quantities : dict
        Label with its unit, such as "viewpoint (°)", to values (N,).
    errors : array, (N,)
        Mean joint error of each frame, mm.
    bins : int
        About how many.
    """
    figure, axes = new_figure(1, len(quantities), width=10, height=3.2, sharey=True)
    for cell, (label, values) in zip(axes[0], quantities.items(), strict=True):
        _draw_against(cell, np.asarray(values), np.asarray(errors), bins)
        cell.set_xlabel(label, fontsize=9)
    axes[0, 0].set_ylabel("mean joint error (mm)", fontsize=9)
    return figure


def _draw_against(axes, values, errors, bins):
    axes.plot(values, errors, "o", color=_POINTS, ms=2.5, mew=0)
    edges = _round_edges(values, bins)
    which = np.digitize(values, edges[1:-1])
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = errors[which == i]
        count = {"ha": "center", "va": "bottom", "fontsize": 8, "color": GREY}
        axes.text((low + high) / 2, 0.01, len(inside), transform=axes.get_xaxis_transform(),
                  **count)  # fmt: skip
        if len(inside) >= _LEAST:
            mean, below, above = mean_interval(inside)
            axes.plot([low, high], [mean, mean], color=INK, lw=1.8, solid_capstyle="butt")
            axes.plot([(low + high) / 2] * 2, [below, above], color=INK, lw=1.2)
    axes.set(xlim=edges[[0, -1]], xticks=edges, ylim=(0, 1.05 * errors.max()))
    tidy(axes)


def _round_edges(values, bins):
    """Ends of about so many equal bins over values, at round numbers, 30 among them for angles."""
    low, high = values.min(), values.max()
    edges = MaxNLocator(bins, steps=[1, 2, 2.5, 3, 5, 10]).tick_values(low, high)
    return edges[(np.append(edges[1:], np.inf) > low) & (np.append(-np.inf, edges[:-1]) < high)]


def spread_figure(spread, errors, splits):
    """Whether models differ most where they are wrong.

    Parameters
    ----------
    spread : array, (N,)
        How far the models' poses are from each other, mm.
    errors : array, (N,)
        Mean joint error of the ensemble, mm.
    splits : array of str, (N,)
    """
    spread, errors, splits = np.asarray(spread), np.asarray(errors), np.char.upper(splits)
    figure, axes = new_figure(1, 2, width=10, height=3.4)
    left, right = axes[0]
    for split, colour in zip(SPLITS, MUTED_COLOURS, strict=True):
        of_split = splits == split
        left.plot(spread[of_split], errors[of_split], "o", color=colour, ms=3, mew=0, label=split)
    left.set(xlim=(0, None), ylim=(0, None))
    left.set_xlabel("spread of the models (mm)", fontsize=9)
    left.set_ylabel("mean joint error of the ensemble (mm)", fontsize=9)
    left.set_title(f"rank correlation {rank_correlation(spread, errors):.2f}", fontsize=9)
    left.legend(fontsize=8, frameon=False, ncols=5, loc="upper center", columnspacing=0.8,
                handletextpad=0, bbox_to_anchor=(0.5, -0.16))  # fmt: skip
    share = 100 * np.arange(len(errors)) / len(errors)
    right.axhline(errors.mean(), color=GREY, lw=1.2, ls="--", label="frames at random")
    right.plot(share, remaining_error(errors, spread), color=INK, lw=1.6,
               label="frames of largest spread")  # fmt: skip
    right.plot(share, remaining_error(errors, errors), color=GREY, lw=1.2, ls=":",
               label="frames of largest error")  # fmt: skip
    right.set(xlim=(0, 95), ylim=(0, 1.1 * errors.mean()))
    right.set_xlabel("frames left out (%)", fontsize=9)
    right.set_ylabel("mean joint error of the others (mm)", fontsize=9)
    right.legend(title="left out first:", fontsize=8, title_fontsize=8, frameon=False,
                 loc="lower left", alignment="left")  # fmt: skip
    for cell in axes[0]:
        tidy(cell, "both")
    return figure


def refinement_figure(initial, refined, splits, width=1.0):
    """How much the refinement changes each frame's error, a panel for each split.

    Parameters
    ----------
    initial, refined : array, (N,)
        Mean joint error of each frame before and after, mm.
    splits : array of str, (N,)
    width : float
        Of a bar, mm.
    """
    change = np.asarray(refined, np.float64) - np.asarray(initial, np.float64)
    splits = np.char.upper(splits)
    edges = width * np.arange(np.floor(change.min() / width), np.ceil(change.max() / width) + 1.5)
    there = [split for split in SPLITS if (splits == split).any()]
    figure, axes = new_figure(1, len(there), width=10, height=3, sharex=True, sharey=True)
    for cell, split in zip(axes[0], there, strict=True):
        _draw_change(cell, change[splits == split], edges)
        cell.set_title(f"{split}\n{cell.get_title()}", fontsize=9)
    axes[0, 0].set_ylabel("change of the frame's error (mm)", fontsize=9)
    return figure


def _draw_change(axes, change, edges):
    """How many frames got better (green) and worse, and the mean with its interval (band)."""
    counts, _ = np.histogram(change, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    axes.barh(middles, counts, 0.9 * np.diff(edges), color=np.where(middles < 0, BETTER, WORSE))
    mean, low, high = mean_interval(change)
    axes.axhline(0, color=INK, lw=0.6)
    axes.axhspan(low, high, color=INK, alpha=0.2, lw=0)
    axes.axhline(mean, color=INK, lw=1.6)
    style = {"transform": axes.transAxes, "ha": "right", "fontsize": 9}
    worse, better = (100 * np.mean(which) for which in (change > 0, change < 0))
    axes.text(0.97, 0.97, f"{worse:.0f} % worse", va="top", color=WORSE, **style)
    axes.text(0.97, 0.03, f"{better:.0f} % better", va="bottom", color=BETTER, **style)
    axes.set_title(f"{mean:+.1f} mm ({low:+.1f} to {high:+.1f})".replace("-", "−"))
    axes.set_xlabel("frames", fontsize=9)
    tidy(axes)
