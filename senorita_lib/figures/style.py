"""Figures: one palette by finger, one for models and splits, one depth colour map, one style.

``show`` puts a figure into a notebook so that it is interactive in Jupyter and still there
on a static page.
"""

import base64
import io
import textwrap

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from senorita_lib.hand import BONE_FINGER, BONES, JOINT_FINGER
from senorita_lib.representations import CHANNELS, MODELS

FINGER_COLOURS = ("#d1495b", "#e0a025", "#4f9d69", "#2e86ab", "#8d5a97")
WRIST_COLOUR = "#555555"
AXIS_COLOURS = ("#d62728", "#2ca02c", "#1f77b4")  # x, y, z: red, green, blue, as in Fig. 3
# Models and splits: apart from the fingers', and from each other with any kind of colour vision.
MUTED_COLOURS = ("#4461b0", "#b08a35", "#5fb4c0", "#96386e", "#9cc47b")
BONE_COLOURS = tuple(FINGER_COLOURS[finger] for finger in BONE_FINGER)
JOINT_COLOURS = tuple(WRIST_COLOUR if f < 0 else FINGER_COLOURS[f] for f in JOINT_FINGER)
NOTHING = "#20242b"  # where no depth is
# Lines and points that are no finger's, from strong to weak.
INK, GREY, FAINT, RULE = "#20242b", "#7a808c", "#b4b8c0", "#d9dce2"
BETTER, WORSE = "#2f8f57", "#c0453f"
# One depth map: near is bright, as in the image frame. What is there but has no depth, an occupied
# voxel, is drawn white: any value above 1.
IMAGE_MAP = matplotlib.colormaps["viridis"].with_extremes(
    bad=NOTHING, under=NOTHING, over="#e9ecf0"
)
DEPTH_MAP = matplotlib.colormaps["viridis_r"].with_extremes(bad=NOTHING)
NEARER = "nearer than the cube's centre (mm)"
# Light and of few tones, for coloured hands over it; where there is no hand, nothing.
GREY_MAP = LinearSegmentedColormap.from_list("grey", ["#8f96a3", "#e4e7ec"], 12).with_extremes(
    bad="#ffffff00", under="#ffffff00"
)

STYLE = {
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.prop_cycle": matplotlib.cycler(color=MUTED_COLOURS),
}


def new_figure(rows=1, columns=1, width=None, height=None, **kwargs):
    """A figure and its axes, (rows, columns), of about 3 inches each, in this kit's style."""
    figure = Figure(
        figsize=(width or 3.0 * columns, height or 3.0 * rows), layout="constrained", dpi=80
    )
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(STYLE):
        axes = figure.subplots(rows, columns, squeeze=False, **kwargs)
    for cell in axes.ravel():
        cell.tick_params(labelsize=8)
    return figure, axes


def png(figure, colours=256, caption=""):
    """The figure as the bytes of a PNG of few colours, a third of the size of a full one.

    With ``colours`` None it is a full one, which takes less time. A caption goes below it.
    """
    picture = _pixels(figure)
    if caption:
        picture = np.concatenate([picture, _pixels(_caption(caption, figure.get_figwidth()))])
    picture = Image.fromarray(picture).convert("RGB")
    if colours:
        options = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
        picture = picture.quantize(colours, kmeans=1, **options)  # else greys take on colours
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=bool(colours))
    return buffer.getvalue()


def _pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def _caption(text, width):
    """Text in lines of a figure's width, as a figure of its own."""
    lines = textwrap.wrap(text, int(12 * width))  # letters to an inch at 9 points
    figure = Figure(figsize=(width, 0.2 * len(lines) + 0.1), dpi=80)
    FigureCanvasAgg(figure)
    figure.text(0.05 / width, 0.95, "\n".join(lines), size=9, color="#555b66", va="top")
    return figure


def show(figure, interactive=None, caption="", colours=256):
    """Display a matplotlib figure, with an interactive twin where Jupyter can show it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What a static page shows.
    interactive : plotly figure, optional
        What a live notebook shows.
    caption : str
        One sentence that says what to see. It stands below the picture, and for it where there
        is none.
    colours : int
        Of the static picture; 64 do for lines and flat faces, and are a fifth lighter.
    """
    from IPython.display import display

    bundle = mime_bundle(figure, interactive, caption, colours)
    display(bundle, raw=True, metadata=alt_text(caption))


def alt_text(caption):
    """The metadata of a bundle in which static pages look for the picture's words."""
    return {"image/png": {"alt": caption}}


def mime_bundle(figure, interactive=None, caption="", colours=256):
    """What :func:`show` displays: a picture, its caption and its twin, by type."""
    picture = base64.b64encode(png(figure, colours, caption)).decode()
    bundle = {"image/png": picture, "text/plain": caption}
    if interactive is not None:
        bundle["application/vnd.plotly.v1+json"] = _titled(interactive, caption).to_plotly_json()
    return bundle


def _titled(interactive, caption):
    """A plotly figure with a caption over it, in room of its own, px."""
    margin, height, room = interactive.layout.margin.t, interactive.layout.height, 30
    style = {"font": {"size": 12}, "x": 0.01, "xanchor": "left", "y": 1, "yanchor": "top"}
    interactive.update_layout(
        title={"text": caption, "pad": {"t": 10}} | style,
        margin_t=room + (100 if margin is None else margin),  # plotly's own is 100
        height=room + (height or 450),
    )
    return interactive


def tidy(axes, grid="y"):
    """Light axes: two spines, small numbers, and a grid along "x", "y" or "both"."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(False)
    axes.grid(axis=grid, color=RULE, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def draw_depth(axes, depth_mm, title="", colourbar=True, limits=(None, None)):
    """A raw depth image, mm, near bright, no return dark; returns what the axes show.

    The colours go from end to end of ``limits``, mm, or of the image.
    """
    masked, (low, high) = np.ma.masked_equal(depth_mm, 0), limits
    shown = axes.imshow(masked, cmap=DEPTH_MAP, vmin=low, vmax=high, interpolation="nearest")
    if colourbar:
        depth_bar(shown, axes, "depth (mm)")
    _bare(axes, title)
    return shown


def draw_crop(axes, image, title="", colours=IMAGE_MAP):
    """An image in the image frame, +1 near, -1 background; returns what the axes show."""
    image = np.asarray(image)
    shown = axes.imshow(image, cmap=colours, vmin=-0.999, vmax=1, interpolation="nearest")
    _bare(axes, title)
    return shown


def depth_bar(shown, axes, label=NEARER):
    """The scale, in mm, of the depth or the images that axes, or an array of them, show."""
    figure, cells = shown.figure, np.atleast_1d(axes)
    rows = cells.flat[0].get_gridspec().nrows
    height = figure.get_figheight() * (len(cells) if cells.ndim > 1 else 1) / rows
    shrink = min(0.8, 2.4 / height)  # a longer one would be no clearer
    bar = figure.colorbar(shown, ax=axes, label=label, shrink=shrink, pad=0.02, aspect=22)
    bar.ax.tick_params(labelsize=8)
    bar.ax.yaxis.label.set_size(9)
    bar.outline.set_visible(False)
    if label == NEARER:  # the image frame: 1 is 100 mm
        bar.set_ticks([-0.999, -0.5, 0, 0.5, 1], labels=["−100", "−50", "0", "50", "100"])


def draw_hand(axes, points, *, width=1.6, dots=8, alpha=1.0, style="-", halo=False):
    """Bones and joints at 2D ``points`` (21, 2), coloured by finger.

    Over colours, a ``halo`` keeps the bones apart from what is below.
    """
    points = np.asarray(points)
    below = [withStroke(linewidth=width + 1.4, foreground="white")] if halo else None
    for (child, parent), colour in zip(BONES, BONE_COLOURS, strict=True):
        axes.plot(
            *points[[child, parent], :2].T, style, color=colour, lw=width, alpha=alpha,
            solid_capstyle="round", path_effects=below,
        )  # fmt: skip
    if dots:
        axes.scatter(*points[:, :2].T, s=dots, c=JOINT_COLOURS, alpha=alpha, zorder=3)


def draw_box(axes, box, colour="#ffffff", style="-"):
    """The outline of a box x1, y1, x2, y2."""
    x1, y1, x2, y2 = box
    axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], style, color=colour, lw=1.5)


def draw_patch_boxes(axes, boxes, size, opacity="ff"):
    """Outlines of the patches (20, 4), centre and size in uv, over an image of ``size`` px."""
    for (u, v, width, height), colour in zip(np.asarray(boxes), BONE_COLOURS, strict=True):
        corners = np.array([u - width / 2, v - height / 2, u + width / 2, v + height / 2])
        draw_box(axes, corners * size - 0.5, colour + opacity)


def _bare(axes, title):
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.set_autoscale_on(False)  # what is drawn over an image does not enlarge it
    axes.set_title(title, fontsize=9)


def models_figure(planes):
    """Fig. 2 of the paper: which inputs each model uses (solid) and which not (shaded).

    Parameters
    ----------
    planes : dict
        For each input name one image (S, S) that stands for it, image frame.
    """
    figure, axes = new_figure(4, 4, width=7.4, height=7.6)
    for row, (model, used) in zip(axes, MODELS.items(), strict=True):
        for cell, name in zip(row, CHANNELS, strict=True):
            draw_crop(cell, planes[name])
            cell.images[0].set_alpha(1.0 if name in used else 0.12)
            for spine in cell.spines.values():
                spine.set(linestyle="-" if name in used else (0, (4, 4)), linewidth=1.6)
                spine.set_color(INK if name in used else FAINT)
        row[0].set_ylabel(f"Model {model}", fontsize=10)
    for cell, (name, channels) in zip(axes[0], CHANNELS.items(), strict=True):
        cell.set_title(f"{name}\n{channels} channels", fontsize=9)
    return figure


def grid_figure(images, titles=(), columns=4, size=2.4, colours=IMAGE_MAP, row_names=()):
    """Images in the image frame side by side, with one scale for all.

    Parameters
    ----------
    images : list of arrays, (S, S)
    titles : list of str
        One an image, or one a column.
    columns : int
    size : float
        Of an image, inches.
    colours : colour map
        :data:`IMAGE_MAP`, or :data:`GREY_MAP`, which needs no scale.
    row_names : list of str
        Written at the left of the rows.
    """
    rows = -(-len(images) // columns)
    scale = colours is IMAGE_MAP
    figure, axes = new_figure(
        rows, columns, width=size * columns + scale * 0.9, height=size * rows + 0.2
    )
    for cell in axes.flat[len(images) :]:
        cell.axis("off")
    for i, (cell, image) in enumerate(zip(axes.flat, images, strict=False)):
        shown = draw_crop(cell, image, titles[i] if i < len(titles) else "", colours)
    for cell, name in zip(axes[:, 0], row_names, strict=False):
        cell.set_ylabel(name)
    if scale:
        depth_bar(shown, axes)
    return figure
