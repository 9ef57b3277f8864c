"""Plotly scenes that stay upright when they are turned: cubes, hands and point clouds.

Plotly's z axis is upright: our x, y, z are its x, z, y, and go through :func:`placed`.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from senorita_lib.figures.style import AXIS_COLOURS, FAINT, FINGER_COLOURS, GREY, INK, RULE, Plot
from senorita_lib.hand import FINGER_CHAINS

_STEPS = [0, 0.25, 0.5, 0.75, 1, np.nan]  # along an edge, and there the line is lifted
_EDGES = np.concatenate([  # of a cube, (72, 3): four along x, four along y, four along z
    np.insert(np.tile(np.array(corner, float), (6, 1)), axis, _STEPS, axis=1)
    for axis in range(3) for corner in product((0, 1), repeat=2)
])  # fmt: skip
_PLOTLYS = dict(zip("xyz", "xzy", strict=True))


def placed(points: ArrayLike) -> dict[str, np.ndarray]:
    """Points (N, 3), any frame, as what a plotly trace calls x, y and z."""
    return dict(zip(_PLOTLYS.values(), np.asarray(points).T, strict=True))


def trace3d(points: ArrayLike, mode: str = "lines+markers", **options: Any) -> Plot:
    """A plotly trace of points (N, 3), any frame, that no pointer reads; options are plotly's."""
    return {"type": "scatter3d", **placed(points), "mode": mode, "hoverinfo": "skip"} | options


def upright_scene(
    limits: Sequence[Sequence[float]], unit: str = "", zoom: float = 1.45
) -> dict[str, Any]:
    """A scene in which x goes right, y down and z along the view, or out of it if z falls.

    Limits are the ends of x, y and z. There are axes if there is a unit. A length looks the same
    near and far; ``zoom`` enlarges all.
    """
    x, y, z = ([float(end) for end in pair] for pair in limits)
    axes = {
        f"{_PLOTLYS[name]}axis": {"range": ends, "visible": bool(unit)}
        | {"title": {"text": f"{name} ({unit})" if unit else ""}}
        for name, ends in zip("xyz", (x, y[::-1], z), strict=True)
    }
    camera = {
        "eye": {"x": 0.35, "y": -1.5, "z": 0.3}, "center": dict.fromkeys("xyz", 0),
        "up": {"x": 0, "y": 0, "z": 1}, "projection": {"type": "orthographic"},
    }  # fmt: skip
    size = {"aspectmode": "manual", "aspectratio": dict.fromkeys("xyz", zoom)}
    return {**axes, **size, "camera": camera, "dragmode": "turntable"}


def cube_line(size: int, scene: str = "scene") -> Plot:
    """The edges of a volume of ``size`` cells: x red, y green, z blue, with a dot every 50 mm."""
    first = np.arange(12) % 4 == 0  # of four edges along an axis, the one from the origin
    colours = np.where(first, np.repeat(AXIS_COLOURS, 4), RULE).repeat(6).tolist()
    marker = {"color": colours, "size": (5 * first).repeat(6).tolist()}
    line = {"color": colours, "width": 3}
    return trace3d(size * _EDGES, line=line, marker=marker, scene=scene, showlegend=False)


def cube_layout(size: int, scenes: int = 1) -> dict[str, Any]:
    """Layout for volumes of ``size`` cells in scenes side by side, without a frame around each."""
    layout: dict[str, Any] = {
        "template": "none", "height": 480, "uirevision": "kept",
        "margin": dict.fromkeys("lrtb", 0),
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0},
    }  # fmt: skip
    low, high = -0.1 * size, 1.1 * size
    scene = upright_scene(
        [(low, high), (low, high), (high, low)], zoom=1.65 if scenes == 1 else 1.2
    )
    labels = [*zip("xyz", 1.06 * np.eye(3), AXIS_COLOURS, strict=True)]
    labels.append(("200 mm, a dot every 50 mm", np.array([0.5, -0.07, 0.0]), GREY))
    scene["annotations"] = [
        {name: values[0] for name, values in placed([size * place]).items()}
        | {"text": text, "showarrow": False, "font": {"color": colour, "size": 12}}
        for text, place, colour in labels
    ]
    for i in range(scenes):
        domain = {"x": [i / scenes, (i + 1) / scenes]}
        layout[f"scene{i + 1 if i else ''}"] = scene | {"domain": domain}
    return layout


# Along each finger, and -1 where the line is lifted.
WALK = [joint for chain in FINGER_CHAINS for joint in (*chain, -1)]


def hand_line(joints: ArrayLike, scene: str = "scene", colours: Sequence[str] = FINGER_COLOURS,
              width: float = 9, **options: Any) -> Plot:  # fmt: skip
    """A hand (21, 3) as one trace, light to redraw, of one colour or five; options are plotly's."""
    drawn = colours if isinstance(colours, str) else np.repeat(colours, 6).tolist()
    lifted = np.append(np.asarray(joints, np.float32), np.full((1, 3), np.nan, np.float32), axis=0)
    look: Plot = {"line": {"color": drawn, "width": width}, "scene": scene, "showlegend": False}
    look["marker"] = {"color": drawn, "size": width / 2}
    return trace3d(lifted[WALK], **look | options)


def cloud_plot(points: ArrayLike, colour: ArrayLike, box: ArrayLike, joints: ArrayLike) -> Plot:
    """Interactive point cloud, with a hand (21, 3), in its cube; camera frame, mm.

    Points (N, 3), bright where ``colour`` (N,) is high; ``box`` (2, 3) is two opposite corners.
    """
    low, high = np.asarray(box)
    marker = {"size": 1.6, "color": np.asarray(colour, np.float32), "colorscale": "Viridis"}
    cloud = {
        "type": "scatter3d", **placed(np.asarray(points, np.float32)), "mode": "markers",
        "marker": marker, "name": "depth pixels",
    }  # fmt: skip
    line = {"color": GREY, "width": 3}
    edges = trace3d(low + (high - low) * _EDGES, "lines", line=line, name="200 mm cube")
    hand = hand_line(np.round(np.asarray(joints), 1), width=6)
    layout = {
        "template": "none",  # plotly's own is larger than most figures
        "scene": upright_scene(np.transpose(box).tolist(), unit="mm"),
        "margin": {"l": 0, "r": 0, "t": 30, "b": 0}, "height": 480, "showlegend": False,
    }  # fmt: skip
    return {"data": [cloud, edges, hand], "layout": layout}


def moving_plot(
    paths_of: dict[str, ArrayLike], truth: ArrayLike, labels: Sequence[str],
    arrows: ArrayLike | None = None, *, prefix: str = "", size: int = 32,
) -> Plot:  # fmt: skip
    """Animated paths (S, 21, 3) by title, each in its own scene over the true hand; voxel frame.

    The slider shows labels (S,) behind ``prefix``; arrows (S, 21, 3) start at the first path.
    """
    # The scenes count from the cube's corner, the voxel frame from the middle of the first cell.
    paths = [np.asarray(path, np.float32) + 0.5 for path in paths_of.values()]
    names = [f"scene{i + 1 if i else ''}" for i in range(len(paths))]
    moving = [
        [hand_line(joints, scene) for scene, joints in zip(names, places, strict=True)]
        for places in zip(*paths, strict=True)
    ]
    if arrows is not None:  # each frame's as one line, lifted after each; their heads are dots
        look = {"color": INK, "size": np.tile(np.array([0, 5, 0], np.uint8), 21)}
        for traces, joints, pulls in zip(moving, paths[0], np.asarray(arrows), strict=True):
            ends = joints + np.asarray(pulls, np.float32)
            points = np.stack([joints, ends, np.full_like(joints, np.nan)], axis=1).reshape(-1, 3)
            line = {"color": INK, "width": 4}
            traces.append(trace3d(points, marker=look, line=line, showlegend=False))
    still: list[Plot] = []
    for scene in names:
        still += [hand_line(np.asarray(truth) + 0.5, scene, FAINT, 3), cube_line(size, scene)]
    moved = list(range(len(moving[0])))
    frames = [
        {"name": name, "traces": moved}
        | {"data": [{k: trace[k] for k in ("type", "x", "y", "z")} for trace in traces]}
        for traces, name in zip(moving, labels, strict=True)
    ]
    style = {"y": 0.94, "yanchor": "top", "showarrow": False}
    titles = [{"text": t, "x": (i + 0.5) / len(paths)} | style for i, t in enumerate(paths_of)]

    def animate(label: str, frames: list[str | None] | None, milliseconds: int = 0) -> Plot:
        pace: Plot = {
            "frame": {"duration": milliseconds, "redraw": True},
            "transition": {"duration": 0},
        }
        pace |= {"fromcurrent": True, "mode": "immediate"}
        return {"label": label, "method": "animate", "args": [frames, pace]}

    player = {
        "type": "buttons", "direction": "right", "pad": {"t": 20},
        "buttons": [animate("▶", None, 250), animate("❚❚", [None])],
        "x": 0, "xanchor": "left", "y": 0, "yanchor": "top",
    }  # fmt: skip
    slider = {
        "steps": [animate(name, [name]) for name in labels],
        "currentvalue": {"xanchor": "right", "prefix": prefix}, "x": 0.12, "len": 0.88, "y": 0,
    }  # fmt: skip
    layout = cube_layout(size, len(paths)) | {
        "annotations": titles, "updatemenus": [player], "sliders": [slider],
        "showlegend": False, "margin": {"l": 0, "r": 0, "t": 0, "b": 100}, "height": 450,
    }  # fmt: skip
    return {"data": [*moving[0], *still], "layout": layout, "frames": frames}
