"""Sliders for the notebooks. Each has a static twin in :mod:`senorita_lib.plotting`."""

import ipywidgets
import plotly.graph_objects as go
import torch

from senorita_lib.plotting3d import volume_mesh, volume_plot
from senorita_lib.renderer import render_skeleton


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
