"""Sliders for the notebooks. Each has a static twin in :mod:`senorita_lib.plotting`."""

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.posing import turned
from senorita_lib.plotting3d import volume_mesh, volume_plot
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import layer_depth, project_points, voxelize


def gamma_explorer(joints_voxel, *, size=(32, 32, 32), threshold=0.5):
    """All 20 bones' volumes at a threshold, with a slider for eq. 1's gamma and the distance.

    Parameters
    ----------
    joints_voxel : array or tensor, (21, 3)
        Voxel frame, cells.
    size : (D, H, W)
    threshold : float
        Voxels above it are drawn.

    Returns
    -------
    ipywidgets.VBox
    """
    joints = torch.as_tensor(joints_voxel, dtype=torch.float32)[None]
    gamma = ipywidgets.FloatLogSlider(
        value=0.1, min=-2, max=0, step=0.05, description="γ (1/cell²)", continuous_update=False
    )
    distance = ipywidgets.ToggleButtons(
        options=["squared", "euclidean"], description="distance", style={"button_width": "90px"}
    )

    def volumes():
        return render_skeleton(joints, size=size, gamma=gamma.value, distance=distance.value)[0]

    figure = go.FigureWidget(volume_plot(volumes().numpy(), threshold))

    def redraw(_):
        with figure.batch_update():
            figure.data[0].update(**volume_mesh(volumes().numpy(), threshold))

    gamma.observe(redraw, "value")
    distance.observe(redraw, "value")
    return ipywidgets.VBox([ipywidgets.HBox([gamma, distance]), figure])


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
