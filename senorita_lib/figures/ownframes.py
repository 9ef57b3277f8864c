"""Poses over depth frames of any camera: a picture, a plot to turn, a box to drag."""

import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from senorita_lib import recordings
from senorita_lib.camera import Camera
from senorita_lib.cropping import Box, HandNotFoundError
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.figures import style
from senorita_lib.figures.crop import CropStep, crop_step_plot, depth_limits
from senorita_lib.figures.scenes import hand_line, trace3d, upright_scene
from senorita_lib.figures.style import JOINT_COLOURS, Plot
from senorita_lib.figures.widgets import Live, column, slider
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.predictor import HandPose, Predictor

_PACE = 120  # ms a frame: a drawing takes about as long
_NEARER, _FARTHER, _REACH = 150, 350, 130  # mm from the hand's middle: colours, and the scene


def overlay_figure(depth_mm: np.ndarray, pose: HandPose, box: ArrayLike | None = None) -> Figure:
    """A depth frame, mm, with its pose, the outline of what the network saw, and a given box."""
    depth = np.nan_to_num(depth_mm, posinf=0, neginf=0).clip(0, 65535)
    height, width = depth.shape
    figure, ((axes,),) = style.new_figure(1, 1, 8.0, 8.0 * height / width)
    style.draw_depth(axes, depth, colourbar=False)
    if box is not None:
        style.draw_box(axes, box)
    corners = np.array([[0, 0, 0.5], [1, 0, 0.5], [1, 1, 0.5], [0, 1, 0.5], [0, 0, 0.5]])
    lens = pose.crop.camera  # of a resized frame, where pixels are not square
    seen = lens.project(pose.crop.to_camera(corners))[:, :2]
    seen = (seen + 0.5) * [width / lens.width, height / lens.height] - 0.5
    axes.plot(seen[:, 0], seen[:, 1], "--", color="#ffffff", lw=1)
    style.draw_hand(axes, pose.pixels, halo=True)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return figure


def pose_panel(depth: np.ndarray, pose: HandPose) -> Figure:
    """A pose over its depth frame, from the front and the side, and each joint's expected error."""
    wide = [1.1, 1, 1, 0.8]
    figure, (axes,) = style.new_figure(1, 4, width=11, height=3.2, width_ratios=wide)
    image, front, side, bars = axes
    draw_frame(image, depth, pose, "left hand" if pose.left else "right hand")
    around = pose.joints_mm - pose.joints_mm.mean(axis=0)
    for cell, (x, y), title in ((front, (0, 1), "from the front"), (side, (2, 1), "from the side")):
        style.draw_hand(cell, around[:, [x, y]], dots=6)
        cell.set(xlim=(-_REACH, _REACH), ylim=(_REACH, -_REACH), aspect="equal")
        cell.set_title(f"{title} (mm)", fontsize=9)
    bars.barh(range(21), np.nan_to_num(pose.confidence_mm), color=JOINT_COLOURS)
    bars.set_yticks(range(21), JOINT_NAMES, fontsize=6)
    bars.set(ylim=(20.6, -0.6))
    bars.set_title("expected error (mm)", fontsize=9)
    style.tidy(bars, "x")
    return figure


def draw_frame(axes: Axes, depth: np.ndarray, pose: HandPose | None, title: str = "") -> None:
    """A frame about the hand, and its pose; all of it where there is none."""
    shown, limits = _shown(depth, pose)
    style.draw_depth(axes, shown, title, False, limits)
    if pose is not None:
        style.draw_hand(axes, pose.pixels, width=1.4, dots=4, halo=True)
        u, v = pose.pixels.mean(axis=0)
        half = 1.1 * np.ptp(pose.pixels, axis=0).max()
        axes.set(xlim=(u - half, u + half), ylim=(v + half, v - half))


def _shown(depth: np.ndarray, pose: HandPose | None) -> tuple[np.ndarray, tuple[int, int]]:
    """A frame without holes of any kind, and the ends of its colours, mm."""
    seen = np.nan_to_num(depth, posinf=0, neginf=0).clip(0, 65535)
    if pose is None:
        low, high = depth_limits(seen)
        return seen, (low, high + 1)
    middle = int(pose.joints_mm[:, 2].mean())
    return np.minimum(seen, middle + _FARTHER), (max(1, middle - _NEARER), middle + _FARTHER)


def pose_plot(depth: np.ndarray, pose: HandPose | None, name: str) -> Plot:
    """A frame with a pose in pixels, and the pose in 3D beside it, to be turned.

    The halo of each joint is its expected error; the pointer reads joint and error.
    """
    title, around = "no hand found", np.full((21, 3), np.nan, np.float32)
    sizes, words = np.zeros(21), list(JOINT_NAMES)
    if pose is not None:
        around = pose.joints_mm - pose.joints_mm.mean(axis=0)
        sizes = np.nan_to_num(pose.confidence_mm)
        words = [f"{n}: ±{mm:.0f} mm" for n, mm in zip(JOINT_NAMES, sizes, strict=True)]
        title = "left hand" if pose.left else "right hand"
        if pose.left_probability is not None:
            title += f" (P(left) = {pose.left_probability:.2f})"
        if not np.isnan(expected := float(np.mean(pose.confidence_mm))):
            title += f", expected error {expected:.0f} mm"
    joints = None if pose is None else pose.pixels
    plot = crop_step_plot(CropStep(title, *_shown(depth, pose), joints=joints), name)
    marker = {"size": (1.2 * sizes + 4).tolist(), "color": list(JOINT_COLOURS), "opacity": 0.25}
    told = {"text": words, "hoverinfo": "text", "showlegend": False}
    plot["data"] += [hand_line(around), trace3d(around, "markers", marker=marker, **told)]
    scene = upright_scene([(-_REACH, _REACH)] * 3, unit="mm", zoom=1.2)
    plot["layout"]["xaxis"] |= {"domain": [0, 0.55]}
    plot["data"][0]["showscale"] = False
    plot["layout"] |= {"width": 960, "height": 440, "uirevision": "kept"}
    plot["layout"]["scene"] = scene | {"domain": {"x": [0.58, 1]}}
    return plot


def clip_player(depths: Sequence[np.ndarray], poses: Sequence[HandPose | None]) -> ipywidgets.VBox:
    """A clip with a slider and a play button; the hand in 3D moves beside it."""
    number = slider(0, 0, len(depths) - 1, "frame")
    player = ipywidgets.Play(min=0, max=len(depths) - 1, interval=_PACE)
    ipywidgets.jslink((player, "value"), (number, "value"))

    def draw() -> Plot:
        return pose_plot(depths[number.value], poses[number.value], f"frame {number.value}")

    return column(player, number, Live(draw, [number]).figure, width=980)


def box_explorer(
    depth: np.ndarray, predictor: Predictor, camera: Camera, left: bool | str = "auto",
    scale: float = 1.0,
) -> ipywidgets.VBox:  # fmt: skip
    """A frame with a box to drag and to stretch at its corners: the pose follows.

    A file that is dropped on the button takes the frame's place, its unit ``scale`` mm.
    """
    frame, words = depth, ""  # why there is no pose
    middle, half = np.array([camera.width, camera.height]) / 2, camera.height / 4
    places = np.concatenate([middle - half, middle + half]).tolist()
    corners = dict(zip(("x0", "y0", "x1", "y1"), places, strict=True))

    def predict(box: Box | None) -> HandPose | None:
        nonlocal words
        try:
            return predictor.predict(frame, camera, box, left)
        except ValueError as error:  # an answer, too
            words = str(error)
            return None

    def find_box() -> None:
        if (pose := predict(None)) is not None:
            found = hand_box(pose.joints_mm, camera)
            corners.update(zip(corners, map(float, found), strict=True))

    def draw() -> Plot:
        x1, x2 = sorted((corners["x0"], corners["x1"]))
        y1, y2 = sorted((corners["y0"], corners["y1"]))
        pose = None if words else predict((x1, y1, x2, y2))
        name = words or f"box {x1:.0f} {y1:.0f} {x2:.0f} {y2:.0f}"
        return pose_plot(frame, pose, "<br>".join(textwrap.wrap(name, 110)))

    find_box()
    live = Live(draw, [])
    live.figure._config = live.figure._config | {"edits": {"shapePosition": True}}
    line = {"color": "white", "width": 2}

    def place_box() -> None:
        live.figure.layout.shapes = [{"type": "rect", **corners, "line": line, "editable": True}]

    def moved(_: object, shapes: Any) -> None:
        nonlocal words
        new = {name: float(shapes[0][name]) for name in corners}
        if new != corners:
            words = ""
            corners.update(new)
            live.redraw()

    def read(change: dict[str, Any]) -> None:
        nonlocal frame, words
        (file,) = change["new"]
        words = ""
        with TemporaryDirectory() as folder:
            path = Path(folder) / Path(file["name"]).name
            path.write_bytes(file["content"])
            try:
                frame = recordings.read_depth(path, scale)
            except (ValueError, OSError) as error:
                words = str(error).replace(f"{folder}/", "")
            else:
                find_box()
        live.redraw()
        place_box()

    place_box()
    live.figure.layout.on_change(moved, "shapes")
    kinds = ",".join(recordings.KINDS)
    upload = ipywidgets.FileUpload(description="frame", accept=kinds, multiple=False)
    upload.observe(read, "value")
    return column(upload, live.figure, width=980)


def live_view(
    predictor: Predictor, frames: Iterable[tuple[np.ndarray, Camera]], left: bool | str = "auto"
) -> float:
    """Show the pose in each frame as it comes, the hand followed; return frames a second.

    Camera, prediction and drawing take turns. The clock starts after the first drawing.
    """
    from IPython.display import display

    last: HandPose | None = None
    shown: list[Any] = []
    count, start = 0, time.monotonic()
    for count, (depth, camera) in enumerate(frames):
        try:
            last = predictor.predict(depth, camera, left=left, last=last)
        except HandNotFoundError:
            last = None
        shown[:] = [depth, last, f"frame {count}"]
        if not count:
            live = Live(lambda: pose_plot(*shown), [])
            display(live.figure)
            start = time.monotonic()
        else:
            live.redraw()
    return count / max(time.monotonic() - start, 1e-6)
