"""Frames with predicted and true hands: over the crop, and to be turned."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from senorita_lib.cropping import HandCrop
from senorita_lib.figures import style
from senorita_lib.figures.scenes import hand_line, trace3d, upright_scene
from senorita_lib.figures.style import FAINT, INK, Plot, draw_hand

_REACH, _POINTS = 150, 2000  # of a view: mm from its middle, and how many at most


def ranked_frames(errors: ArrayLike, each: int = 4) -> dict[str, int]:
    """Names ("best 1", "median 1", "worst 1" ...) and indices of frames, by their errors (N,)."""
    order = np.argsort(errors, kind="stable")
    start = (len(order) - each) // 2
    kinds = {"best": order, "median": order[start:], "worst": order[::-1]}
    return {f"{kind} {i + 1}": int(o[i]) for kind, o in kinds.items() for i in range(each)}


def gallery_figure(images: Sequence[np.ndarray], predicted_uv: Sequence[ArrayLike],
                   true_uv: Sequence[ArrayLike], titles: Sequence[str] = (),
                   columns: int = 5, row_names: Sequence[str] = ()) -> Figure:  # fmt: skip
    """Crops (S, S) with predicted hands (solid) and true ones (dotted), (21, 2 or more), uvd."""
    figure = style.grid_figure(images, titles, columns, colours=style.GREY_MAP, row_names=row_names)
    drawn = zip(figure.axes, images, predicted_uv, true_uv, strict=False)
    for axes, image, predicted, true in drawn:
        draw_hand(axes, np.asarray(true) * len(image) - 0.5, width=1.2, dots=0, style=":")
        draw_hand(axes, np.asarray(predicted) * len(image) - 0.5, dots=5)
    return figure


class HandView(NamedTuple):
    """A frame to be seen from any side: the camera's directions, mm from the cube's centre."""

    title: str
    points: np.ndarray  # (P, 3), int8: the depth image, thinned out
    predicted: np.ndarray  # joints (21, 3)
    true: np.ndarray


def hand_view(crop: HandCrop, predicted: ArrayLike, true: ArrayLike, title: str) -> HandView:
    """A crop and joints (21, 3), camera frame, mm, as a view."""
    centres = (np.arange(len(crop.image)) + 0.5) / len(crop.image)
    cloud = np.stack(crop.lift(centres, centres[:, None], (crop.image + 1) / 2), axis=-1)
    cloud = np.rint(cloud[crop.image > -1] - crop.cube_centre)
    cloud = cloud[(np.abs(cloud) <= 127).all(axis=1)]
    if len(cloud) > _POINTS:
        cloud = cloud[np.random.default_rng(0).choice(len(cloud), _POINTS, replace=False)]
    found, truth = (np.asarray(joints) - crop.cube_centre for joints in (predicted, true))
    return HandView(title, cloud.astype(np.int8), found, truth)


def hand_plot(name: str, view: HandView) -> Plot:
    """A hand to be turned, among the depth image's points: predicted, and true (thin, black)."""
    scene = upright_scene([(-_REACH, _REACH)] * 3, unit="mm")
    for axis in ("xaxis", "yaxis", "zaxis"):
        scene[axis] |= {"dtick": 100, "tick0": 0}
    # Squares of this size look like dots, and are redrawn much faster.
    dots = {"size": 1.2, "color": FAINT, "symbol": "square"}
    cloud = trace3d(view.points, "markers", marker=dots, name="depth image")
    true = hand_line(view.true, colours=INK, width=3, name="truth", mode="lines", showlegend=True)
    predicted = hand_line(view.predicted, name="predicted", showlegend=True)
    legend = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0, "itemsizing": "constant"}
    layout = {
        "template": "none", "width": 580, "height": 560, "scene": scene, "legend": legend,
        "margin": {"l": 0, "r": 0, "t": 40, "b": 30}, "uirevision": "kept",
        "title": {"text": f"{name}: {view.title}", "x": 0.02, "font": {"size": 14}},
    }  # fmt: skip
    return {"data": [cloud, true, predicted], "layout": layout}
