"""Skeleton volumes, for matplotlib and plotly: x to the right, y down the page and z out of it.

Only faces between a voxel above the threshold and one below are drawn: the rest cannot be seen.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.ndimage import maximum_filter

from senorita_lib.figures.scenes import cube_layout, cube_line, placed
from senorita_lib.figures.style import AXIS_COLOURS, BONE_COLOURS, Plot

_LIGHT = (0.8, 0.6, 1.0)  # on faces across x, y and z: no lamp, so alike from everywhere
_SEAM = 0.6  # times as bright is a cell at another colour
_PAGE = [0, 2, 1]  # our x, y, z as matplotlib's: its third axis is upright


def exposed_faces(mask: np.ndarray) -> np.ndarray:
    """Corners (F, 4, 3), voxel frame, of faces between a mask's set cells (D, H, W) and others."""
    quads, padded = [], np.pad(mask, 1).astype(np.int8)
    for axis in range(3):
        # A face lies between cells i - 1 and i of its axis; the other axes lose their padding.
        inner = tuple(slice(None) if a == axis else slice(1, -1) for a in range(3))
        corner = np.argwhere(np.diff(padded, axis=axis)[inner])
        one, other = np.delete(np.eye(3, dtype=np.float32), axis, axis=0)
        walk = np.stack([0 * one, one, one + other, other])
        quads.append(corner[:, None] - np.float32(0.5) + walk)
    return np.concatenate(quads)[..., ::-1]


def colour_masks(
    volumes: np.ndarray, threshold: float = 0.5, colours: Sequence[str] = BONE_COLOURS
) -> dict[str, np.ndarray]:
    """For each colour the voxels of (bones, D, H, W) above a threshold, by their highest bone."""
    highest, of_bone = np.argmax(volumes, axis=0), np.asarray(colours)
    above = np.max(volumes, axis=0) > threshold
    return {colour: above & (of_bone == colour)[highest] for colour in dict.fromkeys(colours)}


def draw_volumes(
    axes: Axes3D, volumes: np.ndarray, threshold: float = 0.5, colours: Sequence[str] = BONE_COLOURS
) -> None:
    """Draw volumes (bones, D, H, W) on 3D matplotlib axes, each in its colour."""
    masks = colour_masks(volumes, threshold, colours)
    faces = [exposed_faces(mask) for mask in masks.values()]
    if len(quads := np.concatenate(faces)):
        light = np.take(_LIGHT, np.ptp(quads, axis=1).argmin(axis=1))
        shade = np.repeat([to_rgb(colour) for colour in masks], [len(f) for f in faces], axis=0)
        look = {"edgecolor": "#00000030", "lw": 0.2, "zorder": 4}
        shade = shade * light[:, None]
        axes.add_collection3d(Poly3DCollection(quads[..., _PAGE], facecolor=shade, **look))
    draw_cube(axes, volumes.shape[-1])
    axes.computed_zorder = False  # it would draw the axes, at the far edges, over the voxels


def draw_cube(axes: Axes3D, size: int) -> None:
    """Set 3D matplotlib axes to a volume of ``size`` cells, voxel frame, and draw x, y, z."""
    low, high = -0.5, size - 0.5
    axes.set(xlim=(low, high), ylim=(high, low), zlim=(high, low))
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    for axis, colour, direction in zip("xyz", AXIS_COLOURS, np.eye(3), strict=True):
        end, letter = ((low + direction * size * reach)[_PAGE] for reach in (1, 1.07))
        axes.plot(*zip(np.full(3, low), end, strict=True), color=colour, lw=2)
        axes.text(*letter, axis, color=colour, ha="center", va="center")
    axes.view_init(elev=14, azim=-74)
    axes.set_axis_off()


def volume_plot(volumes: np.ndarray, threshold: float = 0.5, colours: Sequence[str] = BONE_COLOURS,
                names: Sequence[str] = ()) -> Plot:  # fmt: skip
    """Interactive volumes (bones, D, H, W), a trace and, with names, a legend for each colour.

    Where two colours touch, the cells of one of them are darker.
    """
    masks, traces, size = colour_masks(volumes, threshold, colours), [], volumes.shape[-1]
    colour_of = np.sum([i * mask for i, mask in enumerate(masks.values(), 1)], axis=0)
    seam = (colour_of > 0) & (maximum_filter(colour_of, size=3) > colour_of)
    for i, (colour, mask) in enumerate(masks.items()):
        r, g, b = to_rgb(colour)
        lights = [*_LIGHT, *(_SEAM * light for light in _LIGHT)]
        shades = [to_hex((light * r, light * g, light * b)) for light in lights]
        traces.append({
            "type": "mesh3d", **mask_mesh(mask, seam & mask), "color": colour,
            "colorscale": [*zip(np.linspace(0, 1, 6).tolist(), shades, strict=True)],
            "cmin": 0, "cmax": 5, "intensitymode": "cell", "flatshading": True,
            "lighting": {"ambient": 1, "diffuse": 0, "specular": 0}, "hoverinfo": "skip",
            "name": names[i] if names else None, "showlegend": bool(names), "showscale": False,
        })  # fmt: skip
    return {"data": [*traces, cube_line(size)], "layout": cube_layout(size)}


def mask_mesh(mask: np.ndarray, dark: np.ndarray) -> dict[str, np.ndarray]:
    """Corners, triangles and shades for ``Mesh3d`` of a mask (D, H, W), in small whole numbers.

    Corners count cells from the cube's corner: the voxel frame and ½. Shades are the axis that a
    face lies across, and 3 more on the cells that are ``dark``.
    """
    quads = exposed_faces(mask)
    kind = np.uint8 if max(mask.shape) < 256 else np.uint16
    corners = np.rint(quads.reshape(-1, 3) + 0.5).astype(kind)
    first = 4 * np.arange(len(quads), dtype=np.uint16 if len(corners) < 2**16 else np.int32)
    triangles = np.concatenate([[first, first + 1, first + 2], [first, first + 2, first + 3]], 1)
    middles = quads.mean(axis=1)[:, ::-1] + 1  # of the padded mask; halfway between two cells
    beside = (round_(middles).astype(int) for round_ in (np.floor, np.ceil))
    darker = np.any([np.pad(dark, 1)[tuple(cells.T)] for cells in beside], axis=0)
    shades = np.tile((np.ptp(quads, axis=1).argmin(axis=1) + 3 * darker).astype(np.uint8), 2)
    return placed(corners) | dict(zip("ijk", triangles, strict=True)) | {"intensity": shades}
