"""Depth maps for plotly: mm under the pointer, near bright, and dark where there is nothing."""

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from senorita_lib.figures.style import IMAGE_MAP, NOTHING

MOST_PIXELS = 120_000  # of a map; a larger one is thinned out


def depth_heatmap(depth_mm, low, high):
    """What plotly's ``Heatmap`` needs to draw depth, mm, 0 where nothing returned.

    Parameters
    ----------
    depth_mm : array, (H, W)
    low, high : int
        Ends of the colours, mm.

    Returns
    -------
    dict
    """
    return _heatmap(np.rint(depth_mm).astype(np.uint16), low, high, IMAGE_MAP.reversed())


def voxel_heatmap(cells):
    """What plotly's ``Heatmap`` needs to draw cells (S, S): white where one is occupied, +1."""
    white = to_hex(IMAGE_MAP(2.0))
    return {
        **_heatmap(np.uint8(np.asarray(cells) > 0), 0, 1, IMAGE_MAP),
        **{"zmin": 0, "zmax": 1, "colorscale": [(0, NOTHING), (1, white)], "showscale": False},
        "hovertemplate": "column %{x}, row %{y}: cell %{z}<extra>1 is occupied</extra>",
    }


def image_heatmap(image):
    """What plotly's ``Heatmap`` needs to draw a map (S, S), image frame, as mm nearer.

    Nearer than the middle of the cube, that is: from 100 for +1 to -99 for all but -1.
    """
    values = np.asarray(image)
    nearer = np.clip(np.rint(100 * values), -99, 100).astype(np.int16)
    nearer[values <= -1] = -100
    return _heatmap(nearer, -99, 100, IMAGE_MAP)


def _heatmap(values, low, high, colours):
    """Whole numbers, so that they travel light to the browser; below ``low`` is nothing."""
    every = 1 + (values.size > MOST_PIXELS)
    levels = np.linspace(0, 1, 17)
    least = 0.5 / (high - low + 1)
    stops = [(0, NOTHING), (least, NOTHING)]
    stops += [(least + (1 - least) * level, to_hex(colours(level))) for level in levels]
    place = (every - 1) / 2
    return {
        "z": values[::every, ::every],
        "zmin": low - 1,
        "zmax": high,
        "colorscale": stops,
        "showscale": True,
        "hovertemplate": "column %{x}, row %{y}: %{z} mm<extra></extra>",
        **{"x0": place, "dx": every, "y0": place, "dy": every},
    }


def map_figure(heatmap, unit):
    """An empty-margined figure of one map, pixels square, with its scale.

    Parameters
    ----------
    heatmap : dict
        From :func:`depth_heatmap`, :func:`image_heatmap` or :func:`voxel_heatmap`.
    unit : str
        Written beside the scale.
    """
    bar = {"title": {"text": unit, "side": "right"}, "thickness": 12, "len": 0.8, "x": 1.0}
    figure = go.Figure(go.Heatmap(**heatmap, colorbar=bar))
    figure.update_layout(
        template="none", width=560, height=480, showlegend=False,
        title={"font": {"size": 14}, "x": 0.02},
        margin={"l": 10, "r": 60, "t": 40, "b": 10}, **map_axes(heatmap),
    )  # fmt: skip
    return figure


def map_axes(heatmap):
    """Plotly layout in which a map fills the figure, row 0 on top."""
    rows, columns = (n * heatmap["dx"] for n in heatmap["z"].shape)
    bare = {"visible": False, "constrain": "domain"}
    return {
        "xaxis": bare | {"range": [-0.5, columns - 0.5]},
        "yaxis": bare | {"range": [rows - 0.5, -0.5], "scaleanchor": "x"},
    }
