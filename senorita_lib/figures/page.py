"""Parts of figures that are drawn freely over a page: pictures, captions, boxes and arrows.

Places and sizes on a page are in inches, from its lower left corner.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from senorita_lib.figures.style import GREY, IMAGE_MAP, INK

ORANGE, GREEN = "#e67e22", "#5aa02c"  # as in the paper's Fig. 1 and Fig. 4


def new_page(width, height):
    """Bare axes over a whole figure, in inches."""
    figure = Figure(figsize=(width, height), dpi=80)
    FigureCanvasAgg(figure)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, width), ylim=(0, height))
    page.set_axis_off()
    return page


def thumbnail(page, x, y, width=1.2, height=1.2, **options):
    """Axes of their own around a point of the page."""
    page_size = page.figure.get_size_inches()
    corner, size = np.array([x - width / 2, y - height / 2]), np.array([width, height])
    axes = page.figure.add_axes((*corner / page_size, *size / page_size), **options)
    if "projection" in options:
        axes.patch.set_alpha(0)
        return axes
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=GREY, linewidth=0.8)
    return axes


def write(page, x, y, text, size=8, colour=INK, ha="center", **options):
    """Text around a point, or from it with ``ha``."""
    page.text(x, y, text, fontsize=size, color=colour, ha=ha, va="center", **options)


def caption(page, x, y, name, *details):
    """What is above, and its shape."""
    write(page, x, y - 0.13, name, size=9)
    for i, detail in enumerate(details):
        write(page, x, y - 0.3 - 0.16 * i, detail, colour=GREY)


def draw_round_box(page, x, y, width, height, colour, round=0.1):
    """A rounded rectangle, lightly filled."""
    corner = x - width / 2 + round, y - height / 2 + round
    style = {"boxstyle": f"round,pad={round},rounding_size={round}", "fc": colour + "20"}
    inner = width - 2 * round, height - 2 * round
    page.add_patch(FancyBboxPatch(corner, *inner, ec=colour, lw=1, **style))


def draw_arrow(page, *points, colour=GREY):
    """A thin line along points, with a head at its end."""
    page.plot(*zip(*points, strict=True), color=colour, lw=1)
    head = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "color": colour, "lw": 1}
    page.annotate("", points[-1], points[-2], arrowprops=head | {"shrinkA": 0, "shrinkB": 0})


def draw_maps(page, x, y, maps, side):
    """Maps (n, h, w) side by side around a point, in one range of values."""
    low, high = maps.min(), maps.max()
    for i, values in enumerate(maps.cpu().numpy()):
        axes = thumbnail(page, x + (i - (len(maps) - 1) / 2) * (side + 0.05), y, side, side)
        axes.imshow(values, cmap=IMAGE_MAP, vmin=low, vmax=high, interpolation="nearest")
