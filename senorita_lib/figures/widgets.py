"""Sliders for the notebooks. What each draws can be had without them, for a static twin.

A function takes what is to be shown and returns a widget. All can be moved by the keyboard: Tab
goes from one to the next, the arrows move it.
"""

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import crop_hand
from senorita_lib.datasets.synthetic.posedhand import APART, GESTURES, OPEN, posed_hand
from senorita_lib.datasets.synthetic.posing import turned
from senorita_lib.figures.crop import (
    STEPS,
    crop_step_plot,
    crop_steps,
    redraw_crop_step,
    uncropped,
)
from senorita_lib.figures.gallery import hand_plot, redraw_hand_plot
from senorita_lib.figures.heatmaps import image_heatmap, map_figure, voxel_heatmap
from senorita_lib.figures.inputs import channel_title, pose_input
from senorita_lib.figures.style import FINGER_COLOURS, NEARER
from senorita_lib.figures.volumes import colour_meshes, volume_plot
from senorita_lib.hand import FINGERS
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import CHANNELS, LAYERS


def show_widget(widget, sentence):
    """Display a widget; where no kernel runs, a sentence stands for it.

    Parameters
    ----------
    widget : ipywidgets.Widget
    sentence : str
        What the widget would do.
    """
    from IPython.display import display

    display(widget._repr_mimebundle_() | {"text/plain": sentence}, raw=True)


def crop_explorer(frames, camera=SR300):
    """The crop of each frame, step by step, by the paper's way and the release's.

    Parameters
    ----------
    frames : sequence of Frame
        A list, or a :class:`~senorita_lib.datasets.Hands19`.
    camera : Camera
        That took them.

    Returns
    -------
    ipywidgets.VBox
    """
    number = _slider(0, 0, len(frames) - 1)
    names = [(name, i) for i, name in enumerate(STEPS)]
    step = ipywidgets.SelectionSlider(options=names, layout=_AUTO, readout=False)
    foreground = _choice("otsu", "valley")
    centre = _choice("mass", "box")

    def chosen():
        frame = frames[number.value]
        options = {"foreground": foreground.value, "centre": centre.value}
        try:
            crop = crop_hand(frame.depth, frame.box, camera, **options)
        except ValueError as error:  # no hand there: an answer, too
            return uncropped(frame, str(error))
        return crop_steps(frame, crop)[step.value]

    figure = go.FigureWidget(crop_step_plot(chosen()))

    def redraw(_):
        with figure.batch_update():
            redraw_crop_step(figure, chosen())

    for control in (number, step, foreground, centre):
        control.observe(redraw, "value")
    rows = {"frame": number, "step": step, "foreground": foreground, "centre": centre}
    return ipywidgets.VBox([_table(rows), figure])


def skeleton_explorer(*, gamma=0.1, size=32, threshold=0.5, turn=(25, 5, 0)):
    """The volumes of all 20 bones, with sliders for the fingers, the view and the renderer.

    Parameters
    ----------
    gamma : float
        Eq. 1's at first, per squared cell. With the Euclidean distance it is that per 1/200 of
        the cube, as in the authors' release.
    size : int
        Cells along each side.
    threshold : float
        Voxels above it are drawn.
    turn : (azimuth, elevation, roll)
        Where the palm faces at first, whole degrees, as in :func:`posed_hand`.

    Returns
    -------
    ipywidgets.HBox
    """
    if not 8 <= size <= 100:
        raise ValueError(f"size is {size}, wanted 8 to 100 cells")
    bends = [_slider(value, -15, 90) for value in OPEN]
    spreads = [_slider(APART[0], 0, 60)]  # away from the palm, the others towards the thumb
    spreads += [_slider(value, -25, 25) for value in APART[1:]]
    views = [_slider(turn[0], -180, 180), _slider(turn[1], -80, 80), _slider(turn[2], -90, 90)]
    # Steps of the exponent that meet both gammas; between steps the browser would show another.
    gammas = {"squared": gamma, "euclidean": 200 / size * gamma}
    low = np.log10(gamma)
    step = np.log10(gammas["euclidean"] / gammas["squared"]) / 40
    fall_off = ipywidgets.FloatLogSlider(
        value=gammas["squared"], min=low - 50 * step, max=low + 65 * step, step=step,
        readout_format=".3f", layout=_AUTO,
    )  # fmt: skip
    distance = _choice("squared", "euclidean")
    ends = _choice("clamp", "gate")
    unit = ipywidgets.Label("γ (1/cell²)")

    def volumes():
        degrees = [[slider.value for slider in sliders] for sliders in (bends, spreads, views)]
        options = {"gamma": fall_off.value, "distance": distance.value, "ends": ends.value}
        return posed_volumes(*degrees, size=size, **options)

    figure = go.FigureWidget(volume_plot(volumes(), threshold, names=FINGERS))
    figure.update_layout(width=440, height=470)

    def redraw(_=None):
        drawn = colour_meshes(volumes(), threshold).values()
        with figure.batch_update():
            for trace, mesh in zip(figure.data, drawn, strict=False):
                trace.update(mesh)

    def choose(sliders, values):
        for slider, value in zip(sliders, values, strict=True):
            slider.unobserve(redraw, "value")
            slider.value = value
            slider.observe(redraw, "value")
        redraw()

    def change_distance(change):
        unit.value = {"squared": "γ (1/cell²)", "euclidean": "γ (1/cell)"}[change["new"]]
        choose([fall_off], [gammas[change["new"]]])

    for control in (*bends, *spreads, *views, fall_off, ends):
        control.observe(redraw, "value")
    distance.observe(change_distance, "value")
    buttons = [ipywidgets.Button(description=name, layout=_AUTO) for name in GESTURES]
    for button, gesture in zip(buttons, GESTURES.values(), strict=True):
        button.on_click(lambda _, gesture=gesture: choose(bends, gesture))

    fingers = [_head("finger"), _head("bend (°)"), _head("spread (°)")]
    for name, colour, *sliders in zip(FINGERS, FINGER_COLOURS, bends, spreads, strict=True):
        fingers += [_head(name, colour), *sliders]
    view = [_head("palm"), _head("turned (°)")]
    for name, slider in zip(("left, right", "down, up", "in plane"), views, strict=True):
        view += [ipywidgets.Label(name), slider]
    renderer = [unit, fall_off, ipywidgets.Label("distance"), distance]
    renderer += [ipywidgets.Label("ends"), ends]
    renderer += [ipywidgets.Label("drawn"), ipywidgets.Label(f"voxels above {threshold:g}")]
    controls = [
        _grid(renderer, "80px 1fr"),
        _grid(fingers, "54px 1fr 1fr"),
        _grid(buttons, "repeat(4, 1fr)"),
        _grid(view, "80px 1fr"),
    ]
    # Controls and figure fit side by side beside JupyterLab's list of files.
    column = ipywidgets.VBox(controls, layout={"width": "380px", "flex": "0 0 auto"})
    return ipywidgets.HBox([column, figure], layout={"flex_flow": "row wrap"})


def posed_volumes(bends, spreads, turn, *, size=32, **options):
    """The volumes of a posed hand: what :func:`skeleton_explorer` draws.

    Parameters
    ----------
    bends, spreads, turn, size
        As in :func:`posed_hand`.
    **options
        As in :func:`render_skeleton`.

    Returns
    -------
    array, (20, size, size, size)
    """
    joints = torch.tensor(posed_hand(bends, spreads, turn, size=size), dtype=torch.float32)
    # Compiled it would take seconds at the first slider's first move.
    return render_skeleton(joints[None], size=(size,) * 3, compiled=False, **options)[0].numpy()


def input_explorer(hands, pose, *, layers=LAYERS):
    """The inputs of a synthetic hand, with sliders that choose the channel and turn the hand.

    Parameters
    ----------
    hands : SyntheticHand
    pose : senorita_lib.datasets.synthetic.posing.HandPose
    layers : int
        Of the multi-layer depth.

    Returns
    -------
    ipywidgets.VBox
    """
    name = _choice(*CHANNELS)
    channel = _slider(0, 0, CHANNELS["depth"] - 1)
    turn = _slider(0, -60, 60)  # farther, a hand near the camera would reach behind it

    def heatmap():
        values = pose_input(hands, turned(pose, turn.value), name.value, layers)[channel.value]
        return voxel_heatmap(values) if name.value == "voxels" else image_heatmap(values)

    def title():
        return channel_title(name.value, channel.value, layers)

    figure = go.FigureWidget(map_figure(heatmap(), NEARER))
    figure.update_layout(title_text=title())

    def redraw(_=None):
        with figure.batch_update():
            figure.data[0].update(heatmap())
            figure.update_layout(title_text=title())

    def change_input(change):
        channels = (CHANNELS | {"layers": layers})[change["new"]]
        channel.unobserve(redraw, "value")
        channel.max = channels - 1
        channel.value = channels // 2 if channels > 3 else 0  # a middle slice has most in it
        channel.observe(redraw, "value")
        redraw()

    name.observe(change_input, "value")
    channel.observe(redraw, "value")
    turn.observe(redraw, "value")
    rows = {"input": name, "channel": channel, "turn (°)": turn}
    return ipywidgets.VBox([_table(rows), figure])


def gallery_explorer(views):
    """Predicted and true hands to be turned, with a slider that chooses the frame.

    Parameters
    ----------
    views : dict of str to HandView
        By the name that the slider gives it.

    Returns
    -------
    ipywidgets.VBox
    """
    # The figure's title says which; a readout could be overwritten by hand.
    hand = ipywidgets.SelectionSlider(options=list(views), layout=_AUTO, readout=False)
    figure = go.FigureWidget(hand_plot(hand.value, views[hand.value]))

    def redraw(change):
        with figure.batch_update():
            redraw_hand_plot(figure, change["new"], views[change["new"]])

    hand.observe(redraw, "value")
    return ipywidgets.VBox([_table({"hand": hand}), figure])


_AUTO = {"width": "auto"}


def _slider(value, low, high):
    return ipywidgets.IntSlider(value, min=low, max=high, layout=_AUTO)


def _choice(*options):
    return ipywidgets.ToggleButtons(options=options, style={"button_width": "90px"})


def _head(text, colour="inherit"):
    return ipywidgets.HTML(f"<b style='color:{colour}'>{text}</b>")


def _table(rows):
    """Controls below each other, labelled."""
    cells = [cell for label, control in rows.items() for cell in (ipywidgets.Label(label), control)]
    table = _grid(cells, "80px 1fr")
    table.layout.width = "560px"
    return table


def _grid(children, columns):
    layout = {"grid_template_columns": columns, "grid_gap": "0 4px", "align_items": "center"}
    return ipywidgets.GridBox(children, layout=layout)
