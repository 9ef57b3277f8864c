"""Plotly scenes that stay upright when they are turned: cubes, hands and point clouds.

Plotly keeps its z axis upright, ours goes into the page. So our x, y, z are its x, z, y, and
every place goes through :func:`placed`.
"""

import numpy as np
import plotly.graph_objects as go

from senorita_lib.figures.style import AXIS_COLOURS, FINGER_COLOURS, GREY
from senorita_lib.hand import FINGER_CHAINS

_PLOTLYS = dict(zip("xyz", "xzy", strict=True))


def placed(points):
    """Points (N, 3), any frame, as what a plotly trace calls x, y and z."""
    return dict(zip(_PLOTLYS.values(), np.asarray(points).T, strict=True))


def upright_scene(limits, near="low", unit=None, *, eye=(0.35, -2.0, 0.4), centre=(0, 0, -0.12)):
    """A scene in which x goes right, y down and z along the view.

    Parameters
    ----------
    limits : three pairs
        Low and high end of x, y and z.
    near : {"low", "high"}
        Which end of z is near: the low one in the camera frame, the high one in the voxel frame.
    unit : str, optional
        For the axes' titles; without it they are not drawn.
    eye, centre : (right, away, up)
        Where from and where to one looks; 1 is the scene's side.
    """
    (x, y, z) = ([float(end) for end in pair] for pair in limits)
    ranges = {"x": x, "y": y[::-1], "z": z if near == "low" else z[::-1]}
    axes = {
        f"{_PLOTLYS[name]}axis": {
            "range": ends,
            "visible": bool(unit),
            "title": {"text": f"{name} ({unit})" if unit else ""},
        }
        for name, ends in ranges.items()
    }
    camera = {"eye": dict(zip("xyz", eye, strict=True))}
    camera |= {"center": dict(zip("xyz", centre, strict=True)), "up": {"x": 0, "y": 0, "z": 1}}
    return {**axes, "aspectmode": "cube", "camera": camera, "dragmode": "turntable"}


def axis_traces(size, scene="scene"):
    """Plotly traces of the axes x, y, z of a volume of ``size`` cells: red, green, blue."""
    return [
        go.Scatter3d(
            **placed([np.zeros(3), size * direction]), mode="lines", scene=scene,
            line={"color": colour, "width": 6}, hoverinfo="skip", showlegend=False,
        )
        for direction, colour in zip(np.eye(3), AXIS_COLOURS, strict=True)
    ]  # fmt: skip


def cube_layout(size, scenes=1):
    """Plotly layout for volumes of ``size`` cells in scenes side by side.

    The cube is seen as the camera sees it. It has no frame: :func:`axis_traces` stand for it.
    """
    layout = {"template": "none", "height": 480, "uirevision": "kept"}
    layout |= {
        "margin": dict.fromkeys("lrtb", 0),
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0},
    }
    look = {"near": "high", "eye": (0.5, -1.7, 0.5), "centre": (-0.06, 0, 0.02)}
    scene = upright_scene([(-0.02 * size, 1.12 * size)] * 3, **look)
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
_WALK = [joint for chain in FINGER_CHAINS for joint in (*chain, -1)]


def hand_line(joints, scene="scene", colours=FINGER_COLOURS, width=9, **options):
    """Plotly trace of a hand (21, 3), all fingers as one line: light as a frame."""
    if not isinstance(colours, str):
        colours = np.repeat(colours, 6).tolist()
    lifted = np.append(np.asarray(joints, np.float32), np.full((1, 3), np.nan, np.float32), axis=0)
    options = {"mode": "lines+markers", "hoverinfo": "skip", "showlegend": False} | options
    return go.Scatter3d(
        **placed(lifted[_WALK]), scene=scene, **options,
        line={"color": colours, "width": width}, marker={"color": colours, "size": width / 2},
    )  # fmt: skip


def cloud_plot(points, colour, box, joints=None):
    """Interactive point cloud in its cube.

    Parameters
    ----------
    points : array, (N, 3)
        Camera frame, mm.
    colour : array, (N,)
        Value of each point, near bright.
    box : array, (2, 3)
        Two opposite corners of the cube, camera frame, mm.
    joints : array, (21, 3), optional
        Camera frame, mm.
    """
    marker = {"size": 1.6, "color": np.asarray(colour, np.float32), "colorscale": "Viridis"}
    cloud = placed(np.asarray(points, np.float32))
    corners = np.array([[box[i][0], box[j][1], box[k][2]] for i, j, k in _CUBE_PATH])
    traces = [
        go.Scatter3d(**cloud, mode="markers", marker=marker, name="depth pixels"),
        go.Scatter3d(
            **placed(corners), mode="lines", hoverinfo="skip",
            line={"color": GREY, "width": 3}, name="200 mm cube",
        ),
    ]  # fmt: skip
    if joints is not None:
        traces.append(hand_line(np.round(joints, 1), width=6))
    figure = go.Figure(traces)
    margins = {"l": 0, "r": 0, "t": 30, "b": 0}
    figure.update_layout(
        template="none",  # plotly's own is larger than most figures
        scene=upright_scene(np.transpose(box), unit="mm"),
        margin=margins, height=480, showlegend=False,
    )  # fmt: skip
    return figure


# A walk along all edges of a cube.
_CUBE_PATH = [
    (0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 0, 0),
    (1, 0, 1), (1, 1, 1), (1, 1, 0), (1, 1, 1), (0, 1, 1), (0, 1, 0), (0, 1, 1), (0, 0, 1),
]  # fmt: skip
