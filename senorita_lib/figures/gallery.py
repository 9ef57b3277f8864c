"""Frames with predicted and true hands: over the crop, from three sides, and to be turned.

The views are in the camera's directions, x right, y down, z forward, mm from the cube's centre.
"""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from senorita_lib.figures.scenes import hand_line, placed, upright_scene
from senorita_lib.figures.style import (
    FAINT,
    GREY_MAP,
    INK,
    draw_hand,
    grid_figure,
    new_figure,
    tidy,
)
from senorita_lib.hand import FINGER_CHAINS

_REACH = 150  # of the views, mm


def ranked_frames(errors, each=4):
    """The best, the median and the worst frames: a name for each, and its index.

    Parameters
    ----------
    errors : array, (N,)
    each : int
        How many of each kind.

    Returns
    -------
    dict of str to int
        "best 1" is the best of all, "worst 1" the worst.
    """
    order = np.argsort(errors, kind="stable")
    start = (len(order) - each) // 2
    kinds = {"best": order, "median": order[start:], "worst": order[::-1]}
    return {f"{kind} {i + 1}": int(o[i]) for kind, o in kinds.items() for i in range(each)}


def gallery_figure(images, predicted_uv, true_uv=None, titles=(), columns=5, row_names=()):
    """Crops with predicted hands (solid) and true ones (dotted).

    Parameters
    ----------
    images : list of arrays, (S, S)
        Image frame.
    predicted_uv, true_uv : lists of arrays, (21, 2 or more)
        uvd frame.
    titles : list of str
    columns : int
    row_names : list of str
        Written at the left of the rows.
    """
    figure = grid_figure(images, titles, columns, colours=GREY_MAP, row_names=row_names)
    for i, (axes, image) in enumerate(zip(figure.axes, images, strict=False)):
        size = len(image)
        if true_uv is not None:
            points = np.asarray(true_uv[i])[:, :2] * size - 0.5
            draw_hand(axes, points, width=1.2, dots=0, style=":")
        draw_hand(axes, np.asarray(predicted_uv[i])[:, :2] * size - 0.5, dots=5)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    return figure


class HandView(NamedTuple):
    """A frame for the views.

    Attributes
    ----------
    title : str
    points : array, (P, 3), int8
        The depth image's, in the camera's directions, mm from the cube's centre.
    predicted, true : array, (21, 3)
        As ``points``.
    """

    title: str
    points: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


def hand_view(crop, predicted, true, title, points=2000):
    """A frame for the views, of at most so many points.

    Parameters
    ----------
    crop : HandCrop
    predicted, true : array, (21, 3)
        Camera frame, mm.
    title : str
    points : int
    """
    centres = (np.arange(len(crop.image)) + 0.5) / len(crop.image)
    cloud = np.stack(crop.lift(centres, centres[:, None], (crop.image + 1) / 2), axis=-1)
    cloud = np.rint(cloud[crop.image > -1] - crop.cube_centre)
    cloud = cloud[(np.abs(cloud) <= 127).all(axis=1)]
    if len(cloud) > points:
        cloud = cloud[np.random.default_rng(0).choice(len(cloud), points, replace=False)]
    hands = (np.asarray(joints) - crop.cube_centre for joints in (predicted, true))
    return HandView(title, cloud.astype(np.int8), *hands)


# Of each view: its name, which coordinates go across and up the page, and their directions.
_SIDES = (
    ("from the camera", (0, 1), "x →, y ↓"),
    ("from the right", (2, 1), "z →, y ↓"),
    ("from above", (0, 2), "x →, z ↑"),
)


def views_figure(views):
    """Hands seen from the camera, from the side and from above: predicted, and true (thin).

    Parameters
    ----------
    views : dict of str to HandView
    """
    count = len(views)
    figure, axes = new_figure(3, count, width=1.62 * count + 0.6, height=5.3,
                              sharex=True, sharey="row")  # fmt: skip
    for row, (side, plane, directions) in zip(axes, _SIDES, strict=True):
        for cell, view in zip(row, views.values(), strict=True):
            cell.plot(*view.points[:, list(plane)].T, ".", color=FAINT, ms=1.8, mew=0)
            draw_hand(cell, view.predicted[:, list(plane)], width=1.5, dots=4)
            for line in _finger_lines(view.true[:, list(plane)]):
                cell.plot(*line.T, color=INK, lw=0.8, ls=(0, (2, 1)))
            cell.set(xlim=(-_REACH, _REACH), ylim=(-_REACH, _REACH), aspect="equal")
            cell.set(xticks=[-100, 0, 100], yticks=[-100, 0, 100])
            tidy(cell, "both")
            if "↓" in directions:
                cell.invert_yaxis()
        row[0].set_ylabel(f"{side}\n{directions} (mm)", fontsize=9)
    for cell, (name, view) in zip(axes[0], views.items(), strict=True):
        cell.set_title(f"{name}\n{view.title}", fontsize=9)
    return figure


def _finger_lines(points):
    return [points[list(chain)] for chain in FINGER_CHAINS]


def hand_plot(name, view):
    """A hand to be turned, in the depth image's points: predicted, and true (thin, black).

    Parameters
    ----------
    name : str
    view : HandView
    """
    scene = upright_scene([(-_REACH, _REACH)] * 3, unit="mm")
    for axis in ("xaxis", "yaxis", "zaxis"):
        scene[axis] |= {"dtick": 100, "tick0": 0}
    layout = {
        "template": "none",
        "width": 640,
        "height": 560,
        "margin": {"l": 0, "r": 0, "t": 40, "b": 30},
        "title": {"text": f"{name}: {view.title}", "x": 0.02, "font": {"size": 14}},
        "scene": scene,
        "legend": {
            "orientation": "h",
            "x": 0.5,
            "xanchor": "center",
            "y": 0,
            "itemsizing": "constant",
        },
        "uirevision": "kept",
    }
    return go.Figure(_view_traces(view), layout)


def redraw_hand_plot(figure, name, view):
    """Let a figure of :func:`hand_plot` show another hand, seen from where it was seen."""
    for trace, other in zip(figure.data, _view_traces(view), strict=True):
        trace.update(x=other.x, y=other.y, z=other.z)
    figure.update_layout(title_text=f"{name}: {view.title}")


def _view_traces(view):
    """The depth image's points, the true hand and the predicted one."""
    cloud = go.Scatter3d(
        **placed(view.points), mode="markers", hoverinfo="skip",
        marker={"size": 1.8, "color": FAINT}, name="depth image",
    )  # fmt: skip
    named = {"mode": "lines", "showlegend": True}
    return [
        cloud,
        hand_line(view.true, colours=INK, width=3, name="truth", **named),
        hand_line(view.predicted, width=9, name="predicted", showlegend=True),
    ]
