"""The figure of what the networks cost, part by part (:mod:`senorita_lib.experiments.sizing`)."""

from itertools import chain, zip_longest

from matplotlib.patches import Patch

from senorita_lib.experiments.sizing import by_part
from senorita_lib.figures.style import INK, new_figure

# Parts and their colours: blues for the estimator's trunk, green and ochre for its head.
_ESTIMATOR = {
    "stem": "#c3dbe6",
    "level 1": "#97c1d4",
    "level 2": "#69a5c0",
    "level 3": "#3f87a8",
    "level 4": "#27688a",
    "deconvolutions": "#7db08f",
    "heat maps": "#e3b85e",
}
_REFINER = {
    "patch stream": "#eda9a3",
    "patch FC": "#c4625a",
    "pose stream": "#a3697f",
    "last FC": "#6b5060",
}
_WITH_WHITE = {"level 3", "level 4", "patch FC", "pose stream", "last FC"}
_PANELS = {
    "parameters": ("parameters, million", 1e6, 1),
    "macs": ("multiply-adds of one image, forward, billion", 1e9, 2),
    "kept": ("memory that autograd keeps of one image, MB", 1e6, 1),
}


def sizing_figure(rows_of):
    """Parameters, MACs and kept memory, each as one bar of parts a network.

    A part that is narrower than a twentieth of its panel has no number.

    Parameters
    ----------
    rows_of : dict
        Name to rows of :mod:`senorita_lib.experiments.sizing`, from the input to the refined pose.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = new_figure(3, 1, width=10, height=2.1 + 1.15 * len(rows_of))
    figure.get_layout_engine().set(h_pad=0.1)
    for panel, (field, (title, unit, decimals)) in zip(axes[:, 0], _PANELS.items(), strict=True):
        bars = [
            {part: getattr(sums, field) / unit for part, sums in by_part(rows).items()}
            for rows in rows_of.values()
        ]
        longest = max(sum(bar.values()) for bar in bars)
        for place, bar in enumerate(bars):
            _draw_bar(panel, place, bar, longest / 20, decimals)
        panel.set_title(title, loc="left", fontsize=10)
        panel.set(xlim=(0, 1.09 * longest), ylim=(len(bars) - 0.55, -0.45), xticks=[])
        panel.set_yticks(range(len(bars)), list(rows_of), fontsize=10)
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    _legend(figure)
    return figure


def _draw_bar(axes, place, bar, least, decimals):
    """One bar, its parts' numbers from ``least`` on, and its total behind it."""
    start = 0
    for part, value in bar.items():
        colour = (_ESTIMATOR | _REFINER)[part]
        axes.barh(place, value, 0.76, start, color=colour, edgecolor="white", lw=0.8)
        if value >= least:
            letters = "white" if part in _WITH_WHITE else INK
            middle, text = start + value / 2, f"{value:.{decimals}f}"
            axes.text(middle, place, text, color=letters, fontsize=9, ha="center", va="center")
        start += value
    text = f"  {start:.{decimals}f}"
    axes.text(start, place, text, fontsize=10, weight="bold", va="center")


def _legend(figure):
    """A line of the estimator's parts and one of the refiner's; legends fill column by column."""
    blank = Patch(alpha=0)
    lines = [
        [(blank, name), *((Patch(color=colour), part) for part, colour in parts.items())]
        for name, parts in (("estimator:", _ESTIMATOR), ("refiner:", _REFINER))
    ]
    handles, labels = zip(*chain(*zip_longest(*lines, fillvalue=(blank, ""))), strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=1 + len(_ESTIMATOR), fontsize=9,
        frameon=False, handlelength=1, handleheight=1, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
