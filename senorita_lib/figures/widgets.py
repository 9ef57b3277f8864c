"""Sliders for the notebooks; what each shows can be drawn without them, for a static twin."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import torch

from senorita_lib import representations
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.datasets.synthetic.posedhand import APART, GESTURES, OPEN, posed_hand
from senorita_lib.datasets.synthetic.posing import HandPose, turned
from senorita_lib.figures import crop
from senorita_lib.figures.gallery import HandView, hand_plot
from senorita_lib.figures.style import FINGER_COLOURS, Plot
from senorita_lib.figures.volumes import volume_plot
from senorita_lib.hand import FINGERS
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import CHANNELS, LAYERS


def show_widget(widget: ipywidgets.Widget, sentence: str) -> None:
    """Display a widget, or where no kernel runs, a sentence that says what it would do."""
    from IPython.display import display

    display(widget._repr_mimebundle_() | {"text/plain": sentence}, raw=True)


class Live:
    """A plotly figure that is drawn again whenever a control moves."""

    def __init__(self, draw: Callable[[], Plot], controls: Iterable[Any]) -> None:
        self.draw, self.held, self.drawn = draw, False, _listed(draw())
        self.figure = go.FigureWidget(self.drawn)
        # Not four pixels for each of the screen's: without a graphics card that takes a while.
        self.figure._config = self.figure._config | {"plotGlPixelRatio": 1}
        for control in controls:
            control.observe(self.redraw, "value")

    def redraw(self, _: object = None) -> None:
        """Update what differs of data, title and axes: the view and hidden traces stay."""
        if self.held:
            return
        old, self.drawn = self.drawn, _listed(self.draw())

        def changes(old: Plot, new: Plot) -> Plot:
            return {key: new[key] for key in new if not np.array_equal(old[key], new[key])}

        with self.figure.batch_update():  # plotly takes milliseconds to check what it is told
            for trace, *pair in zip(self.figure.data, old["data"], self.drawn["data"], strict=True):
                trace.update(changes(*pair))
            moving = ("title", "xaxis", "yaxis")
            layouts = ({k: plot["layout"].get(k) for k in moving} for plot in (old, self.drawn))
            self.figure.update_layout(changes(*layouts))

    @contextmanager
    def one_redraw(self) -> Iterator[None]:
        """Move several controls, and draw once."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
        self.redraw()


def _listed(plot: Plot) -> Plot:
    """The same with maps as lists: of a packed one, the page sends back all for every row."""
    for trace in plot["data"]:
        if np.ndim(trace.get("z", 0)) == 2:
            trace["z"] = trace["z"].tolist()
    return plot


_STEPS = ("1 frame", "2 square", "3 foreground", "4 box", "5 hand", "6 image")


def crop_explorer(frames: Sequence[Frame]) -> ipywidgets.VBox:
    """The crop of each frame step by step, in the paper's way and the release's."""
    number = slider(0, 0, len(frames) - 1, "frame")
    step = _picker([(name, i) for i, name in enumerate(_STEPS)], "step")
    foreground = _choice("foreground", "otsu", "valley")
    centre = _choice("centre", "mass", "box")

    def draw() -> Plot:
        frame = frames[number.value]
        options = {"foreground": foreground.value, "centre": centre.value}
        try:
            found = crop_hand(frame.depth, frame.box, frame.camera, **options)
            steps = crop.crop_steps(frame, found)
        except ValueError as error:  # no hand there: an answer, too
            return crop.crop_step_plot(crop.uncropped(frame, str(error)), frame.name)
        return crop.crop_step_plot(steps[step.value], frame.name)

    controls = number, step, foreground, centre
    return column(*controls, Live(draw, controls).figure)


def pose_input(
    hands: SyntheticHand, pose: HandPose, name: str, layers: int = LAYERS, turn: float = 0
) -> torch.Tensor:
    """An input of ``CHANNELS``, (channels, S, S), image frame, of a hand turned by degrees."""
    frame = hands.alone(turned(pose, turn))
    crops = CropBatch.stack([crop_hand(frame.depth, frame.box, hands.camera)])
    functions: dict[str, Callable[..., torch.Tensor]] = {
        "depth": representations.depth_image, "projection": representations.project_points,
        "layers": partial(representations.layer_depth, layers=layers),
        "voxels": representations.voxelize,
    }  # fmt: skip
    return functions[name](crops)[0]


def channel_title(name: str, channel: int, layers: int = LAYERS) -> str:
    """What a channel of an input holds; mm are nearer than the cube's centre."""
    if name == "depth":
        return "depth image (all three channels are equal)"
    if name == "projection":
        return ("x-y, from the front", "z-y, from the side", "z-x, from above")[channel]
    if name == "layers":
        behind = f"what lies behind {100 - 200 * channel / layers:+.0f} mm" if channel else "all"
        return f"layer {channel} of {layers}: {behind}".replace("-", "−")
    count = CHANNELS["voxels"]
    low, high = (200 * (channel + i) / count - 100 for i in (0, 1))
    return f"slice {channel} of {count}: from {low:+.0f} to {high:+.0f} mm".replace("-", "−")


def input_explorer(hands: SyntheticHand, pose: HandPose, layers: int = LAYERS) -> ipywidgets.VBox:
    """The inputs of a synthetic hand: choose one, go through its channels, turn the hand."""
    name = _choice("input", *CHANNELS)
    channel = slider(0, 0, CHANNELS["depth"] - 1, "channel")
    turn = slider(0, -60, 60, "turn (°)")  # farther, a hand near the camera would reach behind it

    @lru_cache(maxsize=1)  # other channels of the same input are at hand
    def channels(name: str, angle: float) -> torch.Tensor:
        return pose_input(hands, pose, name, layers, angle)

    def draw() -> Plot:
        plane = channels(name.value, turn.value)[channel.value]
        plot = crop.image_map(plane, name.value == "voxels")
        plot["layout"]["title"]["text"] = channel_title(name.value, channel.value, layers)
        return plot

    live = Live(draw, (channel, turn))

    def change_input(change: dict[str, Any]) -> None:
        count = (CHANNELS | {"layers": layers})[change["new"]]
        with live.one_redraw():
            channel.max = count - 1
            channel.value = count // 2 if count > 3 else 0  # a middle slice has most in it

    name.observe(change_input, "value")
    return column(name, channel, turn, live.figure)


def gallery_explorer(views: dict[str, HandView]) -> ipywidgets.VBox:
    """Predicted and true hands to be turned, with a slider that chooses one by its name."""
    hand = _picker(list(views), "hand")
    return column(hand, Live(lambda: hand_plot(hand.value, views[hand.value]), [hand]).figure)


def posed_volumes(*degrees: Sequence[float], size: int = 32, **options: Any) -> np.ndarray:
    """Volumes (20, size, size, size) of :func:`posed_hand` by :func:`render_skeleton`."""
    joints = torch.tensor(posed_hand(*degrees, size=size), dtype=torch.float32)
    # Compiled, the first move of the first slider would take seconds.
    return render_skeleton(joints[None], size=(size,) * 3, compiled=False, **options)[0].numpy()


def skeleton_explorer(
    gamma: float = 0.1, size: int = 32, threshold: float = 0.5, turn: Sequence[int] = (25, 5, 0)
) -> ipywidgets.HBox:
    """The volumes of all 20 bones, with sliders for the fingers, the view and the renderer.

    ``gamma`` (per squared cell; with the Euclidean distance, per 1/200 of the cube) and ``turn``,
    degrees, are where the sliders start. Of ``size`` cells along each side, those above
    ``threshold`` are drawn.
    """
    bends = [slider(value, -15, 90) for value in OPEN]
    spreads = [slider(APART[0], 0, 60)]  # away from the palm, the others towards the thumb
    spreads += [slider(value, -25, 25) for value in APART[1:]]
    ranges = ((180, "left, right"), (80, "down, up"), (90, "in plane"))
    views = [slider(v, -most, most, name) for v, (most, name) in zip(turn, ranges, strict=True)]
    # The exponent's steps meet both gammas: the browser shows the nearest step.
    gammas = {"squared": gamma, "euclidean": 200 / size * gamma}
    units = {"squared": "γ (1/cell²)", "euclidean": "γ (1/cell)"}
    low, step = np.log10(gamma), np.log10(200 / size) / 40
    fall_off = ipywidgets.FloatLogSlider(
        value=gamma, min=low - 50 * step, max=low + 65 * step, step=step, readout_format=".3f",
        description=units["squared"], style=_LABEL, layout=_AUTO,
    )  # fmt: skip
    distance = _choice("distance", "squared", "euclidean")
    ends = _choice("ends", "clamp", "gate")

    def draw() -> Plot:
        bent, spread, facing = ([s.value for s in group] for group in (bends, spreads, views))
        options = {"gamma": fall_off.value, "distance": distance.value, "ends": ends.value}
        volumes = posed_volumes(bent, spread, facing, size=size, **options)
        plot = volume_plot(volumes, threshold, names=FINGERS)
        plot["layout"] |= {"width": 440, "height": 500}
        return plot

    live = Live(draw, (*bends, *spreads, *views, fall_off, ends))

    def change_distance(change: dict[str, Any]) -> None:
        with live.one_redraw():
            fall_off.description = units[change["new"]]
            fall_off.value = gammas[change["new"]]

    def bend(gesture: Sequence[float], _: object) -> None:
        with live.one_redraw():
            for slider, value in zip(bends, gesture, strict=True):
                slider.value = value

    buttons = [ipywidgets.Button(description=name, layout=_AUTO) for name in GESTURES]
    for button, gesture in zip(buttons, GESTURES.values(), strict=True):
        button.on_click(partial(bend, gesture))
    distance.observe(change_distance, "value")

    def head(text: str, colour: str = "inherit") -> ipywidgets.HTML:
        return ipywidgets.HTML(f"<b style='color:{colour}'>{text}</b>")

    def grid(children: Sequence[ipywidgets.Widget], columns: str) -> ipywidgets.GridBox:
        layout = {"grid_template_columns": columns, "grid_gap": "0 4px", "align_items": "center"}
        return ipywidgets.GridBox(children, layout=layout)

    fingers = [head("finger"), head("bend (°)"), head("spread (°)")]
    for name, colour, *sliders in zip(FINGERS, FINGER_COLOURS, bends, spreads, strict=True):
        fingers += [head(name, colour), *sliders]
    controls = [
        *(fall_off, distance, ends, ipywidgets.Label(f"drawn: voxels above {threshold:g}")),
        *(grid(fingers, "54px 1fr 1fr"), grid(buttons, "repeat(4, 1fr)")),
        *(head("palm turned (°)"), *views),
    ]
    # Controls and figure fit side by side next to JupyterLab's list of files.
    left = ipywidgets.VBox(controls, layout={"width": "380px", "flex": "0 0 auto"})
    return ipywidgets.HBox([left, live.figure], layout={"flex_flow": "row wrap"})


_AUTO, _LABEL = {"width": "auto"}, {"description_width": "80px"}


def slider(value: int, low: int, high: int, label: str = "") -> ipywidgets.IntSlider:
    """A slider of whole numbers, with its label and its value beside it."""
    look = {"description": label, "style": _LABEL if label else {}, "layout": _AUTO}
    return ipywidgets.IntSlider(value, min=low, max=high, **look)


def _picker(options: Sequence[object], label: str) -> ipywidgets.SelectionSlider:
    """Without a readout, which could be overwritten by hand: the figure's title says which."""
    look = {"description": label, "style": _LABEL, "layout": _AUTO, "readout": False}
    return ipywidgets.SelectionSlider(options=options, **look)


def _choice(label: str, *options: str) -> ipywidgets.ToggleButtons:
    style = _LABEL | {"button_width": "90px"}
    return ipywidgets.ToggleButtons(options=options, description=label, style=style)


def column(*widgets: ipywidgets.Widget, width: int = 580) -> ipywidgets.VBox:
    """Widgets below each other, of so many px."""
    return ipywidgets.VBox(widgets, layout={"width": f"{width}px"})
