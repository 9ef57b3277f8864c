"""Figures: one palette by finger, one for models and splits, one depth colour map, one style.

``show`` puts a figure into a notebook so that it is interactive in Jupyter and still there
on a static page.
"""

import base64
import io

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from senorita_lib.hand import BONE_FINGER, BONES, JOINT_FINGER
from senorita_lib.representations import CHANNELS, MODELS

FINGER_COLOURS = ("#d1495b", "#e0a025", "#4f9d69", "#2e86ab", "#8d5a97")
WRIST_COLOUR = "#555555"
# Models and splits: apart from the fingers', and from each other with any kind of colour vision.
MUTED_COLOURS = ("#4461b0", "#b08a35", "#5fb4c0", "#96386e", "#9cc47b")
BONE_COLOURS = tuple(FINGER_COLOURS[finger] for finger in BONE_FINGER)
JOINT_COLOURS = tuple(WRIST_COLOUR if f < 0 else FINGER_COLOURS[f] for f in JOINT_FINGER)
DEPTH_MAP = matplotlib.colormaps["viridis_r"].with_extremes(bad="#20242b")
IMAGE_MAP = matplotlib.colormaps["viridis"].with_extremes(bad="#20242b", under="#20242b")
# Light and of few tones, for coloured hands over it; where there is no hand, nothing.
GREY_MAP = LinearSegmentedColormap.from_list("grey", ["#8f96a3", "#e4e7ec"], 12).with_extremes(
    bad="#ffffff00", under="#ffffff00"
)


def new_figure(rows=1, columns=1, width=None, height=None, **kwargs):
    """A figure and its axes, (rows, columns), of about 3 inches each."""
    figure = Figure(
        figsize=(width or 3.0 * columns, height or 3.0 * rows), layout="constrained", dpi=80
    )
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def png(figure, colours=256):
    """The figure as the bytes of a PNG of few colours, a third of the size of a full one.

    With ``colours`` None it is a full one, which takes less time.
    """
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    if colours:
        options = {"method": Image.Quantize.MAXCOVERAGE, "dither": Image.Dither.NONE}
        picture = picture.quantize(colours, kmeans=1, **options)  # else greys take on colours
    buffer = io.BytesIO()
    picture.save(buffer, "png", optimize=bool(colours))
    return buffer.getvalue()


def show(figure, interactive=None, caption="figure", colours=256):
    """Display a matplotlib figure, with an interactive twin where Jupyter can show it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What a static page shows.
    interactive : plotly figure, optional
        What a live notebook shows.
    caption : str
        The text for where there is neither.
    colours : int
        Of the static picture; 64 do for lines and flat faces, and are a fifth lighter.
    """
    from IPython.display import display

    display(mime_bundle(figure, interactive, caption, colours), raw=True)


def mime_bundle(figure, interactive=None, caption="figure", colours=256):
    """What :func:`show` displays: a picture, its caption and its twin, by type."""
    picture = base64.b64encode(png(figure, colours)).decode()
    bundle = {"image/png": picture, "text/plain": caption}
    if interactive is not None:
        bundle["application/vnd.plotly.v1+json"] = interactive.to_plotly_json()
    return bundle


def tidy(axes, grid="y"):
    """Light axes: two spines, small numbers, and a grid along "x", "y" or "both"."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#d9dce2", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def draw_depth(axes, depth_mm, title="", colourbar=True):
    """A raw depth image, mm, near bright, no return dark; returns what the axes show."""
    masked = np.ma.masked_equal(depth_mm, 0)
    shown = axes.imshow(masked, cmap=DEPTH_MAP, interpolation="nearest")
    if colourbar:
        axes.figure.colorbar(shown, ax=axes, label="depth (mm)", shrink=0.8)
    _bare(axes, title)
    return shown


def draw_crop(axes, image, title="", colours=IMAGE_MAP):
    """An image in the image frame: +1 near, -1 background."""
    axes.imshow(np.asarray(image), cmap=colours, vmin=-0.999, vmax=1, interpolation="nearest")
    _bare(axes, title)


def draw_hand(axes, points, *, width=1.6, dots=8, alpha=1.0, style="-"):
    """Bones and joints at 2D ``points`` (21, 2), coloured by finger."""
    points = np.asarray(points)
    for (child, parent), colour in zip(BONES, BONE_COLOURS, strict=True):
        axes.plot(
            *points[[child, parent], :2].T, style, color=colour, lw=width, alpha=alpha,
            solid_capstyle="round",
        )  # fmt: skip
    if dots:
        axes.scatter(*points[:, :2].T, s=dots, c=JOINT_COLOURS, alpha=alpha, zorder=3)


def draw_box(axes, box, colour="#d1495b", style="-"):
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
    axes.set_autoscale_on(False)  # what is drawn over an image does not enlarge it
    axes.set_title(title, fontsize=9)


def crop_steps_figure(depth, box, crop, joints=None):
    """The coarse-to-fine crop, step by step, of one frame."""
    figure, axes = new_figure(2, 3, width=10, height=6.4)
    steps, axes = crop.steps, axes.ravel()
    draw_depth(axes[0], depth, "1  frame, given box, its square")
    x, y, side = steps["square"]
    draw_box(axes[0], box, "#ffffff", style="--")
    draw_box(axes[0], (x, y, x + side, y + side))
    draw_depth(axes[1], steps["square_depth"], "2  the square", colourbar=False)
    draw_depth(
        axes[2],
        steps["foreground"],
        f"3  foreground (threshold {steps['threshold'] or 'none'}), rough centre",
        colourbar=False,
    )
    u, v, _ = steps["rough_centre"]
    axes[2].plot(u - x, v - y, "+", color="#d1495b", ms=14, mew=2)
    draw_depth(
        axes[3], steps["box_depth"], f"4  box of 500 / {steps['coarse_z']:.0f} × 210 px", False
    )
    draw_depth(axes[4], steps["hand_depth"], "5  within ±100 mm")
    draw_crop(
        axes[5], crop.image, "6  image, [−1, 1]" + (", with joints" if joints is not None else "")
    )
    if joints is not None:
        draw_hand(axes[5], crop.to_uvd(joints) * len(crop.image) - 0.5)
    return figure


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
                spine.set_color("#2e86ab" if name in used else "#aaaaaa")
        row[0].set_ylabel(f"Model {model}", fontsize=10)
    for cell, (name, channels) in zip(axes[0], CHANNELS.items(), strict=True):
        cell.set_title(f"{name} ({channels} channels)", fontsize=9)
    return figure


def grid_figure(images, titles, columns=4, size=2.4, colours=IMAGE_MAP):
    """Images in the image frame side by side."""
    rows = -(-len(images) // columns)
    figure, axes = new_figure(rows, columns, width=size * columns, height=size * rows + 0.2)
    for cell in axes.ravel():
        cell.axis("off")
    for cell, image, title in zip(axes.ravel(), images, titles, strict=False):
        cell.axis("on")
        draw_crop(cell, image, title, colours)
    return figure
