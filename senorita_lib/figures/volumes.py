"""Skeleton volumes and hands in three dimensions, for matplotlib and plotly.

Both draw x to the right, y down the page and z into it, as the camera sees them. Of a
volume the faces between a voxel above the threshold and one below are drawn: they are
all that can be seen.
"""

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex, to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from senorita_lib.figures.scenes import axis_traces, cube_layout, placed
from senorita_lib.figures.style import AXIS_COLOURS, BONE_COLOURS, JOINT_COLOURS
from senorita_lib.hand import BONES


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
                quads[..., _PAGE],
                facecolor=shade * light[:, None],
                edgecolor="#00000030",
                lw=0.2,
                zorder=4,
            )
        )
    draw_cube(axes, volumes.shape[-1])
    axes.computed_zorder = False  # it would draw the axes, at the far edges, over the voxels


def draw_cube(axes, size):
    """Set 3D matplotlib axes to a volume of ``size`` cells, and draw where x, y, z point.

    The axes are the voxel frame: the cube reaches from -½ to ``size`` - ½.
    """
    low, high = -0.5, size - 0.5
    axes.set(xlim=(low, high), ylim=(high, low), zlim=(high, low))
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    for axis, colour, direction in zip("xyz", AXIS_COLOURS, np.eye(3), strict=True):
        end, letter = ((low + direction * size * reach)[_PAGE] for reach in (1, 1.07))
        axes.plot(*zip(np.full(3, low), end, strict=True), color=colour, lw=2)
        axes.text(*letter, axis, color=colour, ha="center", va="center")
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

    Corners are cells from the cube's corner, the voxel frame and ½. Arrays of small integers,
    as they travel lighter to the browser than lists.
    """
    quads = exposed_faces(mask, merge=True)
    kind = np.uint8 if max(mask.shape) < 256 else np.uint16
    corners, place = np.unique(
        np.rint(quads.reshape(-1, 3) + 0.5).astype(kind), axis=0, return_inverse=True
    )
    place = place.reshape(-1, 4).astype(np.uint16 if len(corners) < 2**16 else np.int32)
    triangles = np.concatenate([place[:, [0, 1, 2]], place[:, [0, 2, 3]]])
    mesh = placed(corners) | dict(zip("ijk", triangles.T, strict=True))
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
