"""Skeleton volumes and point clouds in three dimensions, for matplotlib and plotly.

Both draw x to the right, y down the page and z into it, as the camera sees them. Of a
volume the faces between a voxel above the threshold and one below are drawn: they are
all that can be seen.
"""

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex, to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from senorita_lib.hand import BONES, FINGER_CHAINS
from senorita_lib.plotting import BONE_COLOURS, FINGER_COLOURS, JOINT_COLOURS

AXIS_COLOURS = ("#d62728", "#2ca02c", "#1f77b4")  # x, y, z: red, green, blue, as in Fig. 3


def exposed_faces(mask, merge=False):
    """Quads between the set cells of a mask and the others.

    Parameters
    ----------
    mask : array, (D, H, W), bool
    merge : bool
        One quad for faces in a row: about half as many.

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
        across = [a for a in range(3) if a != axis]
        corner = np.argwhere(step[inner])
        length = np.ones(len(corner))
        if merge and len(corner):
            corner, length = _rows(corner, across[1])
        offsets = np.zeros((len(corner), 4, 3), np.float32)
        offsets[:, [1, 2], across[0]] = 1
        offsets[:, [2, 3], across[1]] = length[:, None]
        quads.append(corner[:, None] - np.float32(0.5) + offsets)
    return np.concatenate(quads)[..., ::-1]


def _rows(places, along):
    """First places, and lengths, of the rows along a dimension that places (n, 3) form."""
    others = [a for a in range(3) if a != along]
    places = places[np.lexsort(places[:, [along, *others]].T)]
    step = np.diff(places, axis=0)
    follows = (step[:, along] == 1) & (step[:, others] == 0).all(axis=1)
    starts = np.flatnonzero(np.append(True, ~follows))
    return places[starts], np.diff(np.append(starts, len(places)))


def colour_masks(volumes, threshold=0.5, colours=BONE_COLOURS):
    """Of each colour that volumes (bones, D, H, W) have, where it is above a threshold.

    Where bones overlap, a voxel is the highest one's alone: of two faces in one place one
    would see a bit of each.
    """
    highest, colours = np.argmax(volumes, axis=0), np.asarray(colours)
    above = np.max(volumes, axis=0) > threshold
    return {str(colour): above & (colours == colour)[highest] for colour in dict.fromkeys(colours)}


def draw_volumes(axes, volumes, threshold=0.5, colours=BONE_COLOURS):
    """Draw volumes (bones, D, H, W) on 3D matplotlib axes, each in its colour."""
    masks = colour_masks(volumes, threshold, colours)
    faces = [exposed_faces(mask) for mask in masks.values()]
    quads = np.concatenate(faces)
    if len(quads):
        light = np.take(_LIGHT, _normal_axis(quads))
        shade = np.repeat([to_rgb(colour) for colour in masks], [len(f) for f in faces], axis=0)
        axes.add_collection3d(
            Poly3DCollection(
                quads[..., _PAGE], facecolor=shade * light[:, None], edgecolor="#00000030", lw=0.2
            )
        )
    draw_cube(axes, volumes.shape[-1])


def draw_cube(axes, size):
    """Set 3D matplotlib axes to a volume of ``size`` cells, and draw where x, y, z point."""
    axes.set(xlim=(0, size), ylim=(size, 0), zlim=(size, 0))
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    for axis, colour, direction in zip("xyz", AXIS_COLOURS, np.eye(3), strict=True):
        end = (direction * size)[_PAGE]
        axes.plot(*zip(np.zeros(3), end, strict=True), color=colour, lw=2)
        axes.text(*(end * 1.07), axis, color=colour, ha="center", va="center")
    axes.view_init(elev=14, azim=-74)
    axes.set_axis_off()


_LIGHT = (0.8, 0.6, 1.0)  # on faces to x, y and z: no lamp, so that it looks alike everywhere


def _normal_axis(quads):
    return np.ptp(quads, axis=1).argmin(axis=1)


_PAGE = [0, 2, 1]  # x right, z (towards the viewer) as matplotlib's depth, y down


def draw_hand_3d(axes, joints, *, width=1.6, dots=5, alpha=1.0):
    """Bones and joints (21, 3), voxel frame, on 3D matplotlib axes, coloured by finger."""
    joints = np.asarray(joints)[:, _PAGE]
    for (child, parent), colour in zip(BONES, BONE_COLOURS, strict=True):
        axes.plot(*joints[[child, parent]].T, color=colour, lw=width, alpha=alpha)
    if dots:
        axes.scatter(*joints.T, s=dots, c=JOINT_COLOURS, alpha=alpha, depthshade=False)


def mask_mesh(mask):
    """What plotly's ``Mesh3d`` needs to draw a mask (D, H, W): corners, triangles, brightness.

    Arrays of small integers, as they travel lighter to the browser than lists.
    """
    quads = exposed_faces(mask, merge=True)
    kind = np.uint8 if max(mask.shape) < 256 else np.uint16
    corners, place = np.unique(
        np.rint(quads.reshape(-1, 3) + 0.5).astype(kind), axis=0, return_inverse=True
    )
    place = place.reshape(-1, 4).astype(np.uint16 if len(corners) < 2**16 else np.int32)
    triangles = np.concatenate([place[:, [0, 1, 2]], place[:, [0, 2, 3]]])
    mesh = dict(zip(("x", "y", "z", "i", "j", "k"), (*corners.T, *triangles.T), strict=True))
    return mesh | {"intensity": np.tile(_normal_axis(quads).astype(np.uint8), 2)}


def colour_meshes(volumes, threshold=0.5, colours=BONE_COLOURS):
    """The meshes of :func:`colour_masks`."""
    masks = colour_masks(volumes, threshold, colours)
    return {colour: mask_mesh(mask) for colour, mask in masks.items()}


def volume_plot(volumes, threshold=0.5, colours=BONE_COLOURS, names=None):
    """Interactive view of volumes (bones, D, H, W), a trace for each colour.

    Parameters
    ----------
    volumes : array, (bones, D, H, W)
    threshold : float
        Voxels above it are drawn.
    colours : sequence of str
        One per volume.
    names : sequence of str, optional
        For a legend, in which a click hides a colour.
    """
    meshes = colour_meshes(volumes, threshold, colours)
    names = names or [None] * len(meshes)
    traces = [
        go.Mesh3d(
            **mesh,
            name=name,
            color=colour,
            colorscale=_shades(colour),
            cmin=0,
            cmax=2,
            intensitymode="cell",
            lighting={"ambient": 1, "diffuse": 0, "specular": 0},
            showlegend=bool(name),
            showscale=False,
            flatshading=True,
            hoverinfo="skip",
        )
        for (colour, mesh), name in zip(meshes.items(), names, strict=True)
    ]
    n = volumes.shape[-1]
    figure = go.Figure([*traces, *axis_traces(n)])
    figure.update_layout(**cube_layout(n))
    return figure


def _shades(colour):
    dyed = [to_hex(np.multiply(to_rgb(colour), light)) for light in _LIGHT]
    return list(zip([0, 0.5, 1], dyed, strict=True))


def axis_traces(size, scene="scene"):
    """Plotly traces of the axes x, y, z of a volume of ``size`` cells: red, green, blue."""
    return [
        go.Scatter3d(
            **{a: [0, size * (a == axis)] for a in "xyz"},
            mode="lines",
            scene=scene,
            line={"color": colour, "width": 6},
            hoverinfo="skip",
            showlegend=False,
        )
        for axis, colour in zip("xyz", AXIS_COLOURS, strict=True)
    ]


def cube_layout(size, scenes=1):
    """Plotly layout for volumes of ``size`` cells in scenes side by side.

    The cube is seen as the camera sees it. It has no frame: :func:`axis_traces` stand for it.
    """
    reach = [-0.02 * size, 1.12 * size]
    bare = {f"{axis}axis": {"visible": False, "range": reach} for axis in "xyz"}
    bare["zaxis"] = {"visible": False, "range": reach[::-1]}  # else a right hand seems a left one
    eye, centre = {"x": 0.5, "y": -0.5, "z": -1.6}, {"x": 0.02, "y": 0.02, "z": 0}
    camera = {"eye": eye, "center": centre, "up": {"x": 0, "y": -1, "z": 0}}
    layout = {"template": "none", "height": 480, "uirevision": "kept"}
    layout |= {
        "margin": dict.fromkeys("lrtb", 0),
        "legend": {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 0},
    }
    letters = [
        {a: 1.06 * size * (a == axis) for a in "xyz"}
        | {"text": axis, "showarrow": False, "font": {"color": colour, "size": 14}}
        for axis, colour in zip("xyz", AXIS_COLOURS, strict=True)
    ]
    for i in range(scenes):
        domain = {"x": [i / scenes, (i + 1) / scenes]}
        scene = bare | {"aspectmode": "cube", "camera": camera, "domain": domain}
        scene |= {"annotations": letters, "dragmode": "turntable"}
        layout[f"scene{i + 1 if i else ''}"] = scene
    return layout


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


# Along each finger, and -1 where the line is lifted.
_WALK = [joint for chain in FINGER_CHAINS for joint in (*chain, -1)]


def hand_line(joints, scene="scene", colours=FINGER_COLOURS, width=9, **options):
    """Plotly trace of a hand (21, 3), all fingers as one line: light as a frame."""
    if not isinstance(colours, str):
        colours = np.repeat(colours, 6).tolist()
    lifted = np.append(np.asarray(joints, np.float32), np.full((1, 3), np.nan, np.float32), axis=0)
    options = {"mode": "lines+markers", "hoverinfo": "skip", "showlegend": False} | options
    return go.Scatter3d(
        **dict(zip("xyz", lifted[_WALK].T, strict=True)), scene=scene, **options,
        line={"color": colours, "width": width}, marker={"color": colours, "size": width / 2},
    )  # fmt: skip


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
