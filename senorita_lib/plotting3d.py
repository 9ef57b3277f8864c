"""Skeleton volumes and point clouds in three dimensions, for matplotlib and plotly.

Both draw x to the right, y down the page and z into it, as the camera sees them. Of a
volume the faces between a voxel above the threshold and one below are drawn: they are
all that can be seen.
"""

import numpy as np
import plotly.graph_objects as go
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from senorita_lib.hand import BONES
from senorita_lib.plotting import BONE_COLOURS, JOINT_COLOURS

_AXIS_COLOURS = ("#d62728", "#2ca02c", "#1f77b4")  # x, y, z: red, green, blue, as in Fig. 3


def exposed_faces(mask):
    """Quads between the set cells of a mask and the others.

    Parameters
    ----------
    mask : array, (D, H, W), bool

    Returns
    -------
    array, (F, 4, 3)
        Corners x, y, z, voxel frame (cells; a cell reaches half a cell around its centre).
    """
    quads = []
    padded = np.pad(mask, 1)
    for axis in range(3):
        step = np.diff(padded.astype(np.int8), axis=axis)
        # A face lies between cell i - 1 and i along its axis, padding taken off the others.
        inner = tuple(slice(None) if a == axis else slice(1, -1) for a in range(3))
        corner = np.argwhere(step[inner]).astype(np.float32) - 0.5
        across = [a for a in range(3) if a != axis]
        offsets = np.zeros((4, 3), np.float32)
        offsets[[1, 2], across[0]] = 1
        offsets[[2, 3], across[1]] = 1
        quads.append(corner[:, None] + offsets)
    return np.concatenate(quads)[..., ::-1]


def draw_volumes(axes, volumes, threshold=0.5, colours=BONE_COLOURS, alpha=0.85):
    """Draw volumes (bones, D, H, W) on 3D matplotlib axes, each in its colour."""
    size = volumes.shape[-1]
    for volume, colour in zip(volumes, colours, strict=True):
        faces = exposed_faces(volume > threshold)
        if len(faces):
            # x right, z (towards the viewer) as matplotlib's depth, y down.
            corners = faces[..., [0, 2, 1]]
            axes.add_collection3d(
                Poly3DCollection(
                    corners, facecolor=colour, edgecolor="#00000018", alpha=alpha, lw=0.2
                )
            )
    axes.set(xlim=(0, size), ylim=(size, 0), zlim=(size, 0), box_aspect=(1, 1, 1))
    for axis, colour, direction in zip("xyz", _AXIS_COLOURS, np.eye(3)[[0, 2, 1]], strict=True):
        axes.plot(*zip(np.zeros(3), direction * size * 1.1, strict=True), color=colour, lw=2)
        axes.text(*(direction * size * 1.18), axis, color=colour)
    axes.view_init(elev=12, azim=-70)
    axes.set_axis_off()


def volume_mesh(volumes, threshold=0.5, colours=BONE_COLOURS):
    """What plotly's ``Mesh3d`` needs to draw volumes (bones, D, H, W), each in its colour.

    Arrays of small integers, as they travel lighter to the browser than lists.
    """
    faces = [exposed_faces(volume > threshold) for volume in volumes]
    quads = np.concatenate(faces)
    corners, place = np.unique(
        np.rint(quads.reshape(-1, 3) + 0.5).astype(np.uint8), axis=0, return_inverse=True
    )
    place = place.reshape(-1, 4).astype(np.uint16 if len(corners) < 2**16 else np.int32)
    x, y, z = corners.T
    i, j, k = np.concatenate([place[:, [0, 1, 2]], place[:, [0, 2, 3]]]).T
    palette = list(dict.fromkeys(colours))
    shade = [
        np.full(len(f), palette.index(c), np.uint8) for c, f in zip(colours, faces, strict=True)
    ]
    edges = np.repeat(np.linspace(0, 1, len(palette) + 1), 2)[1:-1]
    return {
        **{"x": x, "y": y, "z": z, "i": i, "j": j, "k": k},
        "intensity": np.tile(np.concatenate(shade), 2),
        "intensitymode": "cell",
        "colorscale": list(zip(edges, np.repeat(palette, 2).tolist(), strict=True)),
        "cmin": -0.5,
        "cmax": len(palette) - 0.5,
    }


def volume_plot(volumes, threshold=0.5, colours=BONE_COLOURS):
    """Interactive view of volumes (bones, D, H, W), each in its colour."""
    mesh = volume_mesh(volumes, threshold, colours)
    figure = go.Figure(go.Mesh3d(**mesh, flatshading=True, hoverinfo="skip", showscale=False))
    n = volumes.shape[-1]
    figure.update_layout(**_scene((0, n), (0, n), (0, n), "cells"))
    return figure


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
    x, y, z = np.asarray(points, np.float32).T
    marker = {"size": 1.6, "color": np.asarray(colour, np.float32), "colorscale": "Viridis"}
    traces = [go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name="depth pixels")]
    corners = np.array([[box[i][0], box[j][1], box[k][2]] for i, j, k in _CUBE_PATH])
    traces.append(
        go.Scatter3d(
            x=corners[:, 0],
            y=corners[:, 1],
            z=corners[:, 2],
            mode="lines",
            name="200 mm cube",
            line={"color": "#d1495b", "width": 3},
        )  # fmt: skip
    )
    if joints is not None:
        traces.extend(hand_traces(joints))
    figure = go.Figure(traces)
    (x1, y1, z1), (x2, y2, z2) = box
    figure.update_layout(**_scene((x1, x2), (y1, y2), (z1, z2), "mm"), showlegend=False)
    return figure


def hand_traces(joints, dash="solid", name="joints"):
    """Plotly traces of a hand's bones and joints (21, 3)."""
    joints = np.round(np.asarray(joints, np.float64), 1)
    lines = [
        go.Scatter3d(
            **dict(zip("xyz", joints[[child, parent]].T, strict=True)),
            mode="lines",
            hoverinfo="skip",
            line={"color": colour, "width": 6, "dash": dash},
            showlegend=False,
        )  # fmt: skip
        for (child, parent), colour in zip(BONES, BONE_COLOURS, strict=True)
    ]
    dots = go.Scatter3d(
        **dict(zip("xyz", joints.T, strict=True)), mode="markers", name=name,
        marker={"size": 3, "color": list(JOINT_COLOURS)},
    )  # fmt: skip
    return [*lines, dots]


# A walk along all edges of a cube.
_CUBE_PATH = [
    (0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 0, 0),
    (1, 0, 1), (1, 1, 1), (1, 1, 0), (1, 1, 1), (0, 1, 1), (0, 1, 0), (0, 1, 1), (0, 0, 1),
]  # fmt: skip


def _scene(x, y, z, unit):
    axes = {
        f"{name}axis": {"range": list(map(float, limits)), "title": {"text": f"{name} ({unit})"}}
        for name, limits in (("x", x), ("y", y), ("z", z))
    }
    camera = {"eye": {"x": 0.4, "y": -0.6, "z": -1.8}, "up": {"x": 0, "y": -1, "z": 0}}
    return {
        "template": "none",  # plotly's own is larger than most figures
        "scene": {**axes, "aspectmode": "cube", "camera": camera},
        "margin": {"l": 0, "r": 0, "t": 30, "b": 0},
        "height": 480,
    }
