"""Colours, axes and images that all figures share, and how a notebook shows a figure."""

import base64
import io
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import withStroke
from matplotlib.rcsetup import cycler
from numpy.typing import ArrayLike
from PIL import Image

from senorita_lib.hand import BONE_FINGER, BONES, JOINT_FINGER

Plot = dict[str, Any]  # a plotly figure's data and layout, as ``go.Figure`` takes them

FINGER_COLOURS = ("#d1495b", "#e0a025", "#4f9d69", "#2e86ab", "#8d5a97")
WRIST_COLOUR = "#555555"
AXIS_COLOURS = ("#d62728", "#2ca02c", "#1f77b4")  # x, y, z: red, green, blue, as in Fig. 3
# Models and splits: distinct from the fingers, and from each other with any colour vision.
MUTED_COLOURS = ("#4461b0", "#b08a35", "#5fb4c0", "#96386e", "#9cc47b")
BONE_COLOURS = tuple(FINGER_COLOURS[finger] for finger in BONE_FINGER)
JOINT_COLOURS = tuple(WRIST_COLOUR if f < 0 else FINGER_COLOURS[f] for f in JOINT_FINGER)
NOTHING = "#20242b"  # where there is no depth
# Lines and points that belong to no finger, from strong to weak.
INK, GREY, FAINT, RULE = "#20242b", "#7a808c", "#b4b8c0", "#d9dce2"
BETTER, WORSE = "#2f8f57", "#c0453f"
# Near is bright, as in the image frame. An occupied voxel is drawn white: any value above 1.
IMAGE_MAP = matplotlib.colormaps["viridis"].with_extremes(
    bad=NOTHING, under=NOTHING, over="#e9ecf0"
)
DEPTH_MAP = matplotlib.colormaps["viridis_r"].with_extremes(bad=NOTHING)
NEARER = "nearer than the cube's centre (mm)"
# Light and of few tones, for coloured hands on top; transparent where there is no hand.
GREY_MAP = LinearSegmentedColormap.from_list("grey", ["#8f96a3", "#e4e7ec"], 12).with_extremes(
    bad="#ffffff00", under="#ffffff00"
)


def new_figure(
    rows: int = 1, columns: int = 1, width: float = 0, height: float = 0, **kwargs: Any
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes (rows, columns), by default each about 3 inches wide and high."""
    size = width or 3.0 * columns, height or 3.0 * rows
    figure = Figure(figsize=size, layout="constrained", dpi=80)
    rules: Any = {
        "axes.labelsize": 9, "axes.grid": True, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False, "grid.linewidth": 0.6,
        "axes.prop_cycle": cycler(color=MUTED_COLOURS), "grid.color": RULE,
    }  # fmt: skip
    with matplotlib.rc_context(rules):
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for cell in axes.ravel():
        cell.tick_params(labelsize=8)
    return figure, axes


def png(figure: Figure, colours: int | None = 256, caption: str = "") -> bytes:
    """The figure as a PNG of so many colours, a caption below it; None: all colours, faster."""
    parts, pixels = [figure], []
    if caption:
        width = figure.get_figwidth()
        lines = textwrap.wrap(caption, int(12 * width))  # letters per inch at 9 points
        below = Figure(figsize=(width, 0.2 * len(lines) + 0.1), dpi=80)
        below.text(0.05 / width, 0.95, "\n".join(lines), size=9, color="#555b66", va="top")
        parts.append(below)
    for canvas in map(FigureCanvasAgg, parts):
        canvas.draw()
        pixels.append(np.asarray(canvas.buffer_rgba()))
    picture = Image.fromarray(np.concatenate(pixels)).convert("RGB")
    if colours:  # without kmeans, greys take on colours
        way = Image.Quantize.MAXCOVERAGE
        picture = picture.quantize(colours, way, kmeans=1, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=bool(colours))
    return buffer.getvalue()


def show(
    figure: Figure, interactive: Plot | None = None, caption: str = "", colours: int = 256
) -> None:
    """Display a figure in a notebook, with an interactive twin where Jupyter can show one.

    The caption is also the alt text; 64 colours are enough for lines and flat faces.
    """
    from IPython.display import display

    bundle, options = mime_bundle(figure, interactive, caption, colours)
    display(bundle, **options)


def mime_bundle(
    figure: Figure, twin: Plot | None, caption: str, colours: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What :func:`show` displays, by MIME type, and options of ``display``: the alt text."""
    picture = base64.b64encode(png(figure, colours, caption)).decode()
    bundle: dict[str, Any] = {"image/png": picture, "text/plain": caption}
    if twin is not None:
        title = {"text": caption, "font": {"size": 12}, "pad": {"t": 10}, "x": 0.01, "y": 1}
        title |= {"xanchor": "left", "yanchor": "top"}
        # 30 px more for it; all twins have a margin of their own, but not all a height.
        live = go.Figure(twin)
        top, height = 30 + live.layout.margin.t, 30 + (live.layout.height or 450)
        live.update_layout(title=title, margin_t=top, height=height)
        bundle["application/vnd.plotly.v1+json"] = live.to_plotly_json()
    return bundle, {"raw": True, "metadata": {"image/png": {"alt": caption}}}


def tidy(axes: Axes, grid: Literal["x", "y", "both"] = "y") -> None:
    """Axes of :func:`new_figure` with grid lines in one direction or both."""
    axes.grid(False)
    axes.grid(axis=grid, color=RULE, lw=0.6)


def draw_depth(axes: Axes, depth_mm: np.ndarray, title: str = "", colourbar: bool = True,
               limits: Sequence[float | None] = (None, None)) -> AxesImage:  # fmt: skip
    """A depth image, mm: near bright, 0 dark; colours between ``limits`` or its own extremes."""
    masked, (low, high) = np.ma.masked_equal(depth_mm, 0), limits
    shown = axes.imshow(masked, DEPTH_MAP, vmin=low, vmax=high, interpolation="nearest")
    if colourbar:
        depth_bar(shown, axes, "depth (mm)")
    return _bare(shown, title)


def draw_crop(
    axes: Axes, image: ArrayLike, title: str = "", colours: Colormap = IMAGE_MAP
) -> AxesImage:
    """An image (S, S), image frame: +1 near, -1 background."""
    image = np.asarray(image)
    return _bare(axes.imshow(image, colours, vmin=-0.999, vmax=1, interpolation="nearest"), title)


def depth_bar(shown: AxesImage, axes: Axes | np.ndarray, label: str = NEARER) -> None:
    """A colour scale in mm beside axes, or an array of them."""
    figure, cells = shown.get_figure(), np.atleast_1d(np.asarray(axes, object))
    assert isinstance(figure, Figure)
    rows = cells.flat[0].get_gridspec().nrows / (len(cells) if cells.ndim > 1 else 1)
    shrink = min(0.8, 2.4 * rows / figure.get_figheight())  # a longer one would be no clearer
    bar = figure.colorbar(shown, ax=axes, label=label, shrink=shrink, pad=0.02, aspect=22)
    bar.ax.tick_params(labelsize=8)
    bar.ax.yaxis.label.set_fontsize(9)
    bar.outline.set_visible(False)
    if label == NEARER:  # the image frame: 1 is 100 mm
        bar.set_ticks([-0.999, -0.5, 0, 0.5, 1], labels=["−100", "−50", "0", "50", "100"])


def draw_hand(axes: Axes, points: ArrayLike, *, width: float = 1.6, dots: float = 8,
              alpha: float = 1.0, style: str = "-", halo: bool = False) -> None:  # fmt: skip
    """Bones and joints at points (21, 2 or more), coloured by finger, with or without a halo."""
    points = np.asarray(points)
    below = [withStroke(linewidth=width + 1.4, foreground="white")] if halo else None
    for (child, parent), colour in zip(BONES, BONE_COLOURS, strict=True):
        axes.plot(*points[[child, parent], :2].T, style, color=colour, lw=width, alpha=alpha,
                  solid_capstyle="round", path_effects=below)  # fmt: skip
    if dots:
        axes.scatter(points[:, 0], points[:, 1], s=dots, c=JOINT_COLOURS, alpha=alpha, zorder=3)


def draw_box(axes: Axes, box: ArrayLike, colour: str = "#ffffff") -> None:
    """The outline of a box x1, y1, x2, y2."""
    x1, y1, x2, y2 = np.asarray(box)
    axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=colour, lw=1.5)


def draw_patch_boxes(
    axes: Axes, boxes: ArrayLike, size: int, colours: Sequence[str] = BONE_COLOURS
) -> None:
    """Outlines of patches (N, 4), centre and size in uv, over an image of ``size`` px."""
    for (u, v, width, height), colour in zip(np.asarray(boxes), colours, strict=True):
        corners = np.array([u - width / 2, v - height / 2, u + width / 2, v + height / 2])
        draw_box(axes, corners * size - 0.5, colour)


def _bare(shown: AxesImage, title: str) -> AxesImage:
    shown.axes.set(xticks=[], yticks=[], autoscale_on=False)  # so that no line enlarges the image
    shown.axes.spines[:].set_visible(True)
    shown.axes.set_title(title, fontsize=9)
    return shown


def grid_figure(
    images: Sequence[ArrayLike], titles: Sequence[str] = (), columns: int = 4, size: float = 2.4,
    colours: Colormap = IMAGE_MAP, row_names: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Images (S, S), image frame, of ``size`` inches, titled each or by column, with one scale."""
    rows, scale = -(-len(images) // columns), colours is IMAGE_MAP
    figure, axes = new_figure(rows, columns, size * columns + scale * 0.9, size * rows + 0.2)
    for cell in axes.flat[len(images) :]:
        cell.axis("off")
    for i, (cell, image) in enumerate(zip(axes.flat, images, strict=False)):
        shown = draw_crop(cell, image, titles[i] if i < len(titles) else "", colours)
    for cell, name in zip(axes[:, 0], row_names, strict=False):
        cell.set_ylabel(name)
    if scale:
        depth_bar(shown, axes)
    return figure
