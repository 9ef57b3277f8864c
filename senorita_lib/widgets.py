"""Sliders for the notebooks. What each draws can be had without them, for a static twin."""

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.posedhand import APART, GESTURES, OPEN, posed_hand
from senorita_lib.datasets.posing import turned
from senorita_lib.hand import FINGERS
from senorita_lib.plotting import FINGER_COLOURS
from senorita_lib.plotting3d import colour_meshes, volume_plot
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import layer_depth, project_points, voxelize


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
    bends = [_angle(value, -15, 90, "bend") for value in OPEN]
    spreads = [_angle(APART[0], 0, 60, "away from the palm")]
    spreads += [_angle(value, -25, 25, "towards the thumb") for value in APART[1:]]
    views = [_angle(turn[0], -180, 180, "right"), _angle(turn[1], -80, 80, "up")]
    views += [_angle(turn[2], -90, 90, "anticlockwise")]
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
    figure.update_layout(width=500, height=500)

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

    fingers = [_head("Fingers"), _head("bend (°)"), _head("spread (°)")]
    for name, colour, *sliders in zip(FINGERS, FINGER_COLOURS, bends, spreads, strict=True):
        fingers += [_head(name, colour), *sliders]
    view = [_head("View"), _head("palm turned (°)")]
    for name, slider in zip(("left, right", "down, up", "in plane"), views, strict=True):
        view += [ipywidgets.Label(name), slider]
    renderer = [_head("Renderer"), _head(f"voxels above {threshold:g}"), unit, fall_off]
    renderer += [ipywidgets.Label("distance"), distance, ipywidgets.Label("ends"), ends]
    controls = [
        _grid(fingers, "54px 1fr 1fr"),
        _grid(buttons, "repeat(4, 1fr)"),
        _grid(view, "90px 1fr"),
        _grid(renderer, "90px 1fr"),
    ]
    column = ipywidgets.VBox(controls, layout={"width": "420px", "flex": "0 0 auto"})
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


_AUTO = {"width": "auto"}


def _angle(value, low, high, tooltip):
    return ipywidgets.IntSlider(value=value, min=low, max=high, tooltip=tooltip, layout=_AUTO)


def _choice(*options):
    return ipywidgets.ToggleButtons(options=options, style={"button_width": "100px"})


def _head(text, colour="inherit"):
    return ipywidgets.HTML(f"<b style='color:{colour}'>{text}</b>")


def _grid(children, columns):
    layout = {"grid_template_columns": columns, "grid_gap": "0 4px", "align_items": "center"}
    return ipywidgets.GridBox(children, layout=layout)


def input_explorer(hands, pose, *, layers=64):
    """The inputs of a synthetic hand, with sliders that turn it and choose the depth layer.

    Parameters
    ----------
    hands : SyntheticHand
    pose : senorita_lib.datasets.posing.HandPose
    layers : int

    Returns
    -------
    ipywidgets.VBox
    """
    turn = ipywidgets.IntSlider(
        value=0, min=-60, max=60, step=10, description="turn (°)", continuous_update=False
    )
    layer = ipywidgets.IntSlider(
        value=layers // 2, max=layers - 1, description="layer", continuous_update=False
    )

    def pictures():
        shown = input_pictures(hands, turned(pose, turn.value), layers, layer.value)
        return {name: np.uint8(127.5 * (p[::2, ::2] + 1)) for name, p in shown.items()}

    first = pictures()
    figure = go.FigureWidget(make_subplots(2, 3, subplot_titles=list(first)))
    for i, picture in enumerate(first.values()):
        heat = go.Heatmap(z=picture, zmin=0, zmax=255, colorscale="Viridis", showscale=False)
        figure.add_trace(heat, row=i // 3 + 1, col=i % 3 + 1)
    figure.update_xaxes(showticklabels=False)
    figure.update_yaxes(showticklabels=False, autorange="reversed")
    figure.update_layout(template="none", width=720, height=520, margin={"t": 30, "b": 10})

    def redraw(_):
        with figure.batch_update():
            for trace, picture in zip(figure.data, pictures().values(), strict=True):
                trace.z = picture

    turn.observe(redraw, "value")
    layer.observe(redraw, "value")
    return ipywidgets.VBox([ipywidgets.HBox([turn, layer]), figure])


def input_pictures(hands, pose, layers=64, layer=32):
    """One picture (S, S), image frame, of each input of a pose: what :func:`input_explorer` draws.

    Parameters
    ----------
    hands : SyntheticHand
    pose : senorita_lib.datasets.posing.HandPose
    layers, layer : int
        How many depth layers, and which of them.

    Returns
    -------
    dict of str to array, (256, 256)
        The voxels are seen from the side, as the z-y projection is.
    """
    frame = hands.alone(pose)
    crops = CropBatch.stack([crop_hand(frame.depth, frame.box, hands.camera)])
    front, side, above = project_points(crops)[0].numpy()
    voxels = voxelize(crops)[0].amax(dim=-1).T.flip(-1)
    return {
        "depth": crops.image[0, 0].numpy(),
        "projection x-y": front,
        "projection z-y": side,
        "projection z-x": above,
        "depth layer": layer_depth(crops, layers)[0, layer].numpy(),
        "voxels, from the side": voxels.repeat_interleave(256 // voxels.shape[1], dim=1).numpy(),
    }
