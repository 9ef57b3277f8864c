"""The coarse-to-fine crop, step by step: as one figure, and as a map to point at.

Both draw what :func:`crop_steps` says, so that they cannot differ.
"""

from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from senorita_lib.cropping import CUBE_MM
from senorita_lib.figures.heatmaps import depth_heatmap, map_axes, map_figure
from senorita_lib.figures.style import FINGER_COLOURS, depth_bar, draw_depth, draw_hand, new_figure
from senorita_lib.hand import FINGER_CHAINS

STEPS = ("1 frame", "2 square", "3 foreground", "4 box", "5 hand", "6 image")


class CropStep(NamedTuple):
    """One step of a crop.

    Attributes
    ----------
    title : str
    depth : array, (H, W)
        mm, 0 where there is nothing.
    limits : (int, int)
        Ends of the colours, mm.
    given, box : array, (P, 2), or None
        Outlines to be drawn dashed, and solid; pixels of ``depth``.
    centre : array, (2,), or None
    joints : array, (21, 2), or None
    """

    title: str
    depth: np.ndarray
    limits: tuple
    given: np.ndarray | None = None
    box: np.ndarray | None = None
    centre: np.ndarray | None = None
    joints: np.ndarray | None = None


def crop_steps(frame, crop):
    """The six steps of a frame's crop, a list of :class:`CropStep`.

    Parameters
    ----------
    frame : Frame
        With or without joints.
    crop : HandCrop
        Of that frame.

    Notes
    -----
    Steps 1 to 4 have one scale, of all that is in the frame, 5 and 6 that of the cube.
    The image of step 6 is drawn in the mm that it stands for.
    """
    scene, steps = _limits(frame.depth), crop.steps
    centre = crop.cube_centre[2]
    cube = round(float(centre - CUBE_MM / 2)), round(float(centre + CUBE_MM / 2))
    x, y, side = steps["square"]
    nearer, size = crop.image * CUBE_MM / 2, len(crop.image)
    joints = None if frame.joints is None else crop.to_uvd(frame.joints)[:, :2] * size - 0.5
    return [
        CropStep(
            "1  frame, given box (dashed), its square", frame.depth, scene,
            given=_outline(*frame.box), box=_outline(x, y, x + side, y + side),
        ),
        CropStep("2  the square", steps["square_depth"], scene),
        CropStep(
            f"3  nearer than {steps['threshold'] or '–'} mm; rough centre", steps["foreground"],
            scene, centre=steps["rough_centre"][:2] - [x, y],
        ),
        CropStep(
            f"4  box of 500 / {steps['coarse_z']:.0f} × 210 = {crop.box[2] - crop.box[0]:.0f} px",
            steps["box_depth"], scene,
        ),
        CropStep("5  within ±100 mm", steps["hand_depth"], cube),
        CropStep(
            f"6  image, {size} × {size}", np.where(crop.image > -1, centre - nearer, 0), cube,
            joints=joints,
        ),
    ]  # fmt: skip


def uncropped(frame, title):
    """A frame whose crop failed, as a step."""
    return CropStep(title, frame.depth, _limits(frame.depth), given=_outline(*frame.box))


def _limits(depth):
    """Least and greatest depth that returned, mm."""
    seen = depth[depth > 0]
    return (int(seen.min()), int(seen.max())) if len(seen) else (1, 2)


def _outline(x1, y1, x2, y2):
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]], float)


def crop_steps_figure(steps):
    """All steps side by side: those of the scene's depths have one scale, the hand's another."""
    figure, axes = new_figure(2, 3, width=10.4, height=6.4)
    for cell, step in zip(axes.flat, steps, strict=True):
        shown = draw_depth(cell, step.depth, step.title, False, step.limits)
        for line, style in ((step.given, "--"), (step.box, "-")):
            if line is not None:
                cell.plot(*line.T, style, color="white", lw=1.3)
        if step.centre is not None:
            cell.plot(*step.centre, "+", color="white", ms=14, mew=2)
        if step.joints is not None:
            draw_hand(cell, step.joints, halo=True)
    depth_bar(axes[0, 1].images[0], axes[0], "depth (mm), steps 1 to 4")
    depth_bar(shown, axes[1], "depth (mm), steps 5 and 6")
    return figure


def crop_step_plot(step):
    """One step as a plotly figure: the depth under the pointer, mm, and what lies over it."""
    figure = map_figure(depth_heatmap(step.depth, *step.limits), "depth (mm)")
    outlines = [{"dash": "dash", "width": 2}, {"width": 2}, {"width": 5}]
    lines = [{"color": "white"} | outline for outline in outlines]
    lines += [{"color": colour, "width": 3} for colour in FINGER_COLOURS]
    for line, points in zip(lines, _lines(step), strict=True):
        figure.add_trace(go.Scatter(**points, mode="lines", hoverinfo="skip", line=line))
    cross = {"symbol": "cross-thin", "size": 16, "line": {"color": "white", "width": 3}}
    figure.add_trace(
        go.Scatter(**_points(step.centre), mode="markers", hoverinfo="skip", marker=cross)
    )
    figure.update_layout(title_text=step.title)
    return figure


def redraw_crop_step(figure, step):
    """Let a figure of :func:`crop_step_plot` show another step."""
    heatmap = depth_heatmap(step.depth, *step.limits)
    figure.data[0].update(heatmap)
    for trace, points in zip(figure.data[1:], [*_lines(step), _points(step.centre)], strict=True):
        trace.update(points)
    figure.update_layout(title_text=step.title, **map_axes(heatmap))


def _lines(step):
    """The outlines, a line for each finger, and before them a halo for all."""
    if step.joints is None:
        fingers, halo = [None] * 5, None
    else:
        fingers = [step.joints[list(chain)] for chain in FINGER_CHAINS]
        halo = np.concatenate([[*finger, (np.nan, np.nan)] for finger in fingers])
    return [_points(line) for line in (step.given, step.box, halo, *fingers)]


def _points(places):
    x, y = np.zeros((2, 0)) if places is None else np.reshape(places, (-1, 2)).T
    return {"x": x, "y": y}
