"""Plotly scenes that stay upright when they are turned: cubes, hands and point clouds.

Plotly's z axis is upright: our x, y, z are its x, z, y, and go through :func:`placed`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from senorita_lib.figures.style import AXIS_COLOURS, FAINT, FINGER_COLOURS, GREY, INK
from senorita_lib.hand import FINGER_CHAINS

_PLOTLYS = dict(zip("xyz", "xzy", strict=True))


def placed(points: ArrayLike) -> dict[str, np.ndarray]:
    """Points (N, 3), any frame, as what a plotly trace calls x, y and z."""
    return dict(zip(_PLOTLYS.values(), np.asarray(points).T, strict=True))


def upright_scene(
    limits: Sequence[Sequence[float]], unit: str = "", *, near: Literal["low", "high"] = "low",
    eye: Sequence[float] = (0.35, -2.0, 0.4), centre: Sequence[float] = (0, 0, -0.12),
) -> dict[str, Any]:  # fmt: skip
    """A scene in which x goes right, y down and z along the view, with axes if there is a unit.

    Limits are the low and high end of x, y and z; ``near`` is low in the camera frame, high in the
    voxel frame. The camera is at ``eye`` and looks at ``centre``: right, away, up, in scene sides.
    """
    x, y, z = ([float(end) for end in pair] for pair in limits)
    ranges = {"x": x, "y": y[::-1], "z": z if near == "low" else z[::-1]}
    axes = {
        f"{_PLOTLYS[name]}axis": {"range": ends, "visible": bool(unit)}
        | {"title": {"text": f"{name} ({unit})" if unit else ""}}
        for name, ends in ranges.items()
    }
    camera = {"eye": dict(zip("xyz", eye, strict=True))}
    camera |= {"center": dict(zip("xyz", centre, strict=True)), "up": {"x": 0, "y": 0, "z": 1}}
    return {**axes, "aspectmode": "cube", "camera": camera, "dragmode": "turntable"}


def axis_traces(size: int, scene: str = "scene") -> list[go.Scatter3d]:
    """The axes x, y, z of a volume of ``size`` cells: red, green, blue."""
    options = {"mode": "lines", "scene": scene, "hoverinfo": "skip", "showlegend": False}
    return [
        go.Scatter3d(**placed([np.zeros(3), end]), line={"color": colour, "width": 6}, **options)
        for end, colour in zip(size * np.eye(3), AXIS_COLOURS, strict=True)
    ]


def cube_layout(size: int, scenes: int = 1) -> dict[str, Any]:
    """Layout for volumes of ``size`` cells in scenes side by side, without a frame around each."""
    layout: dict[str, Any] = {
        "template": "none", "height": 480, "uirevision": "kept",
        "margin": dict.fromkeys("lrtb", 0),
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0},
    }  # fmt: skip
    ends = (-0.02 * size, 1.12 * size)
    scene = upright_scene([ends] * 3, near="high", eye=(0.5, -1.7, 0.5), centre=(-0.06, 0, 0.02))
    scene["annotations"] = [
        {name: place[0] for name, place in placed([1.06 * size * direction]).items()}
        | {"text": axis, "showarrow": False, "font": {"color": colour, "size": 14}}
        for axis, direction, colour in zip("xyz", np.eye(3), AXIS_COLOURS, strict=True)
    ]
    for i in range(scenes):
        domain = {"x": [i / scenes, (i + 1) / scenes]}
        layout[f"scene{i + 1 if i else ''}"] = scene | {"domain": domain}
    return layout


# Along each finger, and -1 where the line is lifted.
WALK = [joint for chain in FINGER_CHAINS for joint in (*chain, -1)]


def hand_line(joints: ArrayLike, scene: str = "scene", colours: Sequence[str] = FINGER_COLOURS,
              width: float = 9, **options: Any) -> go.Scatter3d:  # fmt: skip
    """A hand (21, 3) as one trace, light to redraw, of one colour or five; options are plotly's."""
    drawn = colours if isinstance(colours, str) else np.repeat(colours, 6).tolist()
    lifted = np.append(np.asarray(joints, np.float32), np.full((1, 3), np.nan, np.float32), axis=0)
    options = {"mode": "lines+markers", "hoverinfo": "skip", "showlegend": False} | options
    options |= {"line": {"color": drawn, "width": width}, "scene": scene}
    options["marker"] = {"color": drawn, "size": width / 2}
    return go.Scatter3d(**placed(lifted[WALK]), **options)


# A walk along all edges of a cube: which end of x, y and z.
_CUBE_PATH = [
    (0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 0, 0),
    (1, 0, 1), (1, 1, 1), (1, 1, 0), (1, 1, 1), (0, 1, 1), (0, 1, 0), (0, 1, 1), (0, 0, 1),
]  # fmt: skip


def cloud_plot(
    points: ArrayLike, colour: ArrayLike, box: ArrayLike, joints: ArrayLike | None = None
) -> go.Figure:
    """Interactive point cloud, with a hand (21, 3), in its cube; camera frame, mm.

    Points (N, 3), bright where ``colour`` (N,) is high; ``box`` (2, 3) is two opposite corners.
    """
    ends = np.asarray(box)
    corners = ends[_CUBE_PATH, range(3)]
    marker = {"size": 1.6, "color": np.asarray(colour, np.float32), "colorscale": "Viridis"}
    dots = {"mode": "markers", "marker": marker, "name": "depth pixels"}
    lines = {"mode": "lines", "line": {"color": GREY, "width": 3}, "name": "200 mm cube"}
    traces = [go.Scatter3d(**placed(np.asarray(points, np.float32)), **dots)]
    traces.append(go.Scatter3d(**placed(corners), **lines, hoverinfo="skip"))
    if joints is not None:
        traces.append(hand_line(np.round(np.asarray(joints), 1), width=6))
    layout = {
        "template": "none",  # plotly's own is larger than most figures
        "scene": upright_scene(ends.T.tolist(), unit="mm"),
        "margin": {"l": 0, "r": 0, "t": 30, "b": 0}, "height": 480, "showlegend": False,
    }  # fmt: skip
    return go.Figure(traces, layout)


def moving_plot(
    paths_of: dict[str, ArrayLike], truth: ArrayLike, labels: Sequence[str],
    arrows: ArrayLike | None = None, *, prefix: str = "", size: int = 32,
) -> go.Figure:  # fmt: skip
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
    if arrows is not None:
        for traces, joints, pulls in zip(moving, paths[0], np.asarray(arrows), strict=True):
            traces.append(_arrow_line(joints, pulls))
    still: list[go.Scatter3d] = []
    for scene in names:
        still += [hand_line(np.asarray(truth) + 0.5, scene, FAINT, 3), *axis_traces(size, scene)]
    figure = go.Figure([*moving[0], *still], cube_layout(size, len(paths)))
    places = [[go.Scatter3d(x=line.x, y=line.y, z=line.z) for line in row] for row in moving]
    moved = list(range(len(moving[0])))
    figure.frames = [
        go.Frame(data=data, name=n, traces=moved) for data, n in zip(places, labels, strict=True)
    ]
    style = {"y": 0.94, "yanchor": "top", "showarrow": False}
    titles = [{"text": t, "x": (i + 0.5) / len(paths)} | style for i, t in enumerate(paths_of)]
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, _frames(250)]},
        {"label": "❚❚", "method": "animate", "args": [[None], _frames(0)]},
    ]
    player = {
        "type": "buttons", "direction": "right", "buttons": buttons, "pad": {"t": 20},
        "x": 0, "xanchor": "left", "y": 0, "yanchor": "top",
    }  # fmt: skip
    slider = {
        "steps": [{"label": n, "method": "animate", "args": [[n], _frames(0)]} for n in labels],
        "currentvalue": {"xanchor": "right", "prefix": prefix}, "x": 0.12, "len": 0.88, "y": 0,
    }  # fmt: skip
    figure.update_layout(annotations=titles, updatemenus=[player], sliders=[slider])
    return figure.update_layout(showlegend=False, margin_b=100, height=450)


def _arrow_line(joints: np.ndarray, arrows: np.ndarray) -> go.Scatter3d:
    """Arrows (21, 3) as one line, lifted after each; their heads are dots."""
    ends = joints + np.asarray(arrows, np.float32)
    points = np.stack([joints, ends, np.full_like(joints, np.nan)], axis=1).reshape(-1, 3)
    heads = {"color": INK, "size": np.tile(np.array([0, 5, 0], np.uint8), len(joints))}
    options = {"mode": "lines+markers", "line": {"color": INK, "width": 4}, "marker": heads}
    return go.Scatter3d(**placed(points), **options, hoverinfo="skip", showlegend=False)


def _frames(milliseconds: int) -> dict[str, Any]:
    frame, still = {"duration": milliseconds, "redraw": True}, {"duration": 0}
    return {"frame": frame, "transition": still, "fromcurrent": True, "mode": "immediate"}
