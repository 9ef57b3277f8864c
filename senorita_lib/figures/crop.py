"""Depth maps whose values the pointer reads, and the coarse-to-fine crop step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike

from senorita_lib.cropping import CUBE_MM, HandCrop
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.figures.scenes import WALK
from senorita_lib.figures.style import FINGER_COLOURS, IMAGE_MAP, NEARER, NOTHING, Plot
from senorita_lib.hand import FINGER_CHAINS


def image_map(image: ArrayLike, cells: bool = False) -> Plot:
    """An image (S, S), image frame, in mm nearer than the cube's centre; or cells, white for +1."""
    values = np.asarray(image)
    if cells:
        plot = _map((values > 0).astype(np.uint8), 1, 1, lambda _: IMAGE_MAP(2.0), "")
        hover = "column %{x}, row %{y}: cell %{z}<extra>1 is occupied</extra>"
        plot["data"][0] |= {"showscale": False, "hovertemplate": hover}
        return plot
    nearer = np.clip(np.rint(100 * values), -99, 100).astype(np.int16)
    nearer[values <= -1] = -100  # background
    return _map(nearer, -99, 100, IMAGE_MAP, NEARER)


def _map(
    values: np.ndarray, low: int, high: int, colours: Callable[[float], Any], unit: str
) -> Plot:
    """A plotly map of whole numbers; below ``low`` it is dark."""
    every = 1 + (values.size > 120_000)  # of a large map, every second row and column
    rows, columns = values.shape
    least = 0.5 / (high - low + 1)
    stops = [(0, NOTHING), (least, NOTHING)]
    stops += [(least + (1 - least) * s, to_hex(colours(s))) for s in np.linspace(0, 1, 17)]
    bar = {"title": {"text": unit, "side": "right"}, "thickness": 12, "len": 0.8, "x": 1.0}
    heatmap = {
        "type": "heatmap", "z": values[::every, ::every], "zmin": low - 1, "zmax": high,
        "colorscale": stops, "colorbar": bar, "showscale": True,
        "hovertemplate": "column %{x}, row %{y}: %{z} mm<extra></extra>",
        "x0": (every - 1) / 2, "dx": every, "y0": (every - 1) / 2, "dy": every,
    }  # fmt: skip
    bare = {"visible": False, "constrain": "domain"}
    layout = {
        "template": "none", "width": 560, "height": 480, "showlegend": False,
        "title": {"font": {"size": 14}, "x": 0.02}, "margin": {"l": 10, "r": 60, "t": 40, "b": 10},
        "xaxis": bare | {"range": [-0.5, columns - 0.5]},
        "yaxis": bare | {"range": [rows - 0.5, -0.5], "scaleanchor": "x"},
    }  # fmt: skip
    return {"data": [heatmap], "layout": layout}


class CropStep(NamedTuple):
    """One step of a crop; places are pixels of its depth."""

    title: str
    depth: np.ndarray  # (H, W), mm, 0 where there is nothing
    limits: tuple[int, int]  # ends of the colours, mm
    given: np.ndarray | None = None  # an outline (5, 2), drawn dashed
    box: np.ndarray | None = None  # one drawn solid
    centre: np.ndarray | None = None  # (2,), drawn as a cross
    joints: np.ndarray | None = None  # (21, 2)


def crop_steps(frame: Frame, crop: HandCrop) -> list[CropStep]:
    """The six steps of a frame's crop: 1 to 4 in the frame's range of mm, 5 and 6 in the cube's."""
    scene, steps, size = depth_limits(frame.depth), crop.steps, len(crop.image)
    centre = float(crop.cube_centre[2])
    cube = round(centre - CUBE_MM / 2), round(centre + CUBE_MM / 2)
    x, y, side = steps["square"]
    image_mm = np.where(crop.image > -1, centre - crop.image * CUBE_MM / 2, 0)
    joints = None if frame.joints is None else crop.to_uvd(frame.joints)[:, :2] * size - 0.5
    width = crop.box[2] - crop.box[0]
    return [
        CropStep("1  frame, given box (dashed), its square", frame.depth, scene,
                 given=_outline(*frame.box), box=_outline(x, y, x + side, y + side)),
        CropStep("2  the square", steps["square_depth"], scene),
        CropStep(f"3  nearer than {steps['threshold'] or '–'} mm; rough centre",
                 steps["foreground"], scene, centre=steps["rough_centre"][:2] - [x, y]),
        CropStep(f"4  box of 500 / {steps['coarse_z']:.0f} × 210 = {width:.0f} px",
                 steps["box_depth"], scene),
        CropStep("5  within ±100 mm", steps["hand_depth"], cube),
        CropStep(f"6  image, {size} × {size}", image_mm, cube, joints=joints),
    ]  # fmt: skip


def uncropped(frame: Frame, title: str) -> CropStep:
    """A frame in which no hand was found, as a step."""
    return CropStep(title, frame.depth, depth_limits(frame.depth), given=_outline(*frame.box))


def depth_limits(depth: np.ndarray) -> tuple[int, int]:
    """The least and the greatest depth that was measured, mm."""
    seen = depth[depth > 0]
    return (int(seen.min()), int(seen.max())) if len(seen) else (1, 2)


def _outline(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]], float)


def crop_step_plot(step: CropStep, name: str) -> Plot:
    """One step of the frame of this name, to read values off; what it lacks is an empty trace."""
    depth = np.rint(step.depth).astype(np.uint16)
    plot = _map(depth, *step.limits, IMAGE_MAP.reversed(), "depth (mm)")
    plot["layout"]["title"]["text"] = f"{step.title} · {name}"

    def add(points: np.ndarray | None, mode: str, **look: Any) -> None:
        x, y = np.zeros((2, 0)) if points is None else points.reshape(-1, 2).T
        look |= {"type": "scatter", "mode": mode, "hoverinfo": "skip", "x": x, "y": y}
        plot["data"].append(look)

    for outline, dash in ((step.given, "dash"), (step.box, "solid")):
        add(outline, "lines", line={"color": "white", "width": 2, "dash": dash})
    for walk, colour, width in zip(
        (WALK, *FINGER_CHAINS), ("white", *FINGER_COLOURS), (5, *[3] * 5), strict=True
    ):
        hand = step.joints
        if hand is not None:  # with a last one, where a line is lifted
            hand = np.pad(hand, [(0, 1), (0, 0)], constant_values=np.nan)[[*walk]]
        add(hand, "lines", line={"color": colour, "width": width, "dash": "solid"})
    cross = {"symbol": "cross-thin", "size": 16, "line": {"color": "white", "width": 3}}
    add(step.centre, "markers", marker=cross)
    return plot
