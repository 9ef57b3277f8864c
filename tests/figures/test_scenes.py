"""Where x, y and z point in three dimensions: right, down, and into the page or out of it."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from senorita_lib.datasets.synthetic.posedhand import posed_hand
from senorita_lib.figures.gallery import HandView, hand_plot
from senorita_lib.figures.scenes import cloud_plot, cube_layout, cube_line, moving_plot, placed
from senorita_lib.figures.style import new_figure
from senorita_lib.figures.volumes import draw_cube


def on_page(scene: Any, points: np.ndarray) -> np.ndarray:
    """Where points (N, 3), given as to :func:`placed`, appear: right, up and nearness."""
    ends = np.array([scene[f"{name}axis"]["range"] for name in "xyz"], float)
    data = np.array([placed(points)[name] for name in "xyz"], float)
    places = ((data - ends[:, :1]) / np.diff(ends) - 0.5).T
    eye, centre, up = (
        np.array([scene["camera"][key][name] for name in "xyz"]) for key in ("eye", "center", "up")
    )
    forward = (centre - eye) / np.linalg.norm(centre - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    return np.stack([places @ right, places @ np.cross(right, forward), -places @ forward], axis=1)


BOX, HANDS = np.array([[-100.0, -100, 400], [100, 100, 600]]), np.zeros((2, 21, 3))
CLOUD = cloud_plot(np.zeros((1, 3)), [0], BOX, HANDS[0])
HAND = hand_plot("", HandView("", np.zeros((1, 3), np.int8), *HANDS))


@pytest.mark.parametrize(
    ("scene", "origin", "near"),
    [  # voxel frame: the greater z, the nearer; camera frame: the farther
        (cube_layout(32)["scene"], [16.0, 16, 16], 1),
        (CLOUD["layout"]["scene"], [0, 0, 500.0], -1), (HAND["layout"]["scene"], [0, 0, 0], -1),
    ],
)  # fmt: skip
def test_x_goes_right_y_down_and_z_along_view(scene: Any, origin: list, near: int) -> None:
    middle, x, y, z = on_page(scene, origin + np.concatenate([np.zeros((1, 3)), 10 * np.eye(3)]))
    right, up, nearness = range(3)
    assert (x - middle)[right] > 3 * abs((x - middle)[up])
    assert (y - middle)[up] < -3 * abs((y - middle)[right])
    assert near * (z - middle)[nearness] > 2 * abs((z - middle)[right])
    assert scene["dragmode"] == "turntable" and len(set(scene["aspectratio"].values())) == 1
    # A length is drawn alike near and far, so that the cube's edges are a scale.
    assert scene["camera"]["projection"]["type"] == "orthographic"
    if near < 0:  # plotly's z is upright, so it is our y, which goes down
        assert [scene[f"{a}axis"]["title"]["text"][0] for a in "xyz"] == ["x", "z", "y"]


def test_the_static_cube_points_where_the_live_one_does() -> None:
    figure, ((axes,),) = new_figure(1, 1, subplot_kw={"projection": "3d"})
    draw_cube(axes, 32)
    figure.draw_without_rendering()
    points = 16 + np.concatenate([np.zeros((1, 3)), 5 * np.eye(3)])[:, [0, 2, 1]]  # matplotlib's
    homogeneous = np.append(points, np.ones((4, 1)), axis=1) @ axes.get_proj().T
    middle, x, y, z = homogeneous[:, :3] / homogeneous[:, 3:]
    assert (x - middle)[0] > 3 * abs((x - middle)[1])
    assert (y - middle)[1] < -3 * abs((y - middle)[0])
    # The larger z, the nearer: matplotlib's third coordinate falls towards the viewer.
    assert (z - middle)[2] < 0


def test_a_cube_has_all_edges_and_a_dot_every_50_mm_of_its_axes() -> None:
    line = cube_line(32)
    points = np.stack([line["x"], line["z"], line["y"]], axis=1).reshape(12, 6, 3)
    ends = {tuple(sorted(map(tuple, edge[[0, 4]]))) for edge in points}
    assert len(ends) == 12
    np.testing.assert_array_equal(np.ptp(points[:, :5], axis=1).sum(axis=1), 32)
    dots = points[np.reshape(line["marker"]["size"], (12, 6)) > 0]
    dots = dots[~np.isnan(dots).any(axis=1)]
    np.testing.assert_array_equal(dots[5:10], [[0, y, 0] for y in (0, 8, 16, 24, 32)])


def test_moving_hands_have_a_frame_for_each_step_and_stay_light() -> None:
    hand, labels = posed_hand(), [str(i) for i in range(10)]
    path = np.stack([hand + shift for shift in range(10)])
    plot = go.Figure(moving_plot({"a": path, "b": path}, hand, labels, arrows=path * 0 + 1))
    assert [frame.name for frame in plot.frames] == labels
    assert [step.label for step in plot.layout.sliders[0].steps] == labels
    for i, frame in enumerate(plot.frames):
        assert list(frame.traces) == [0, 1, 2]
        np.testing.assert_allclose(frame.data[0].x[0], path[i, 0, 0] + 0.5, rtol=1e-6)
        assert np.isnan(frame.data[0].x).sum() == 5  # one line, lifted between fingers
    assert len(json.dumps(plot.to_plotly_json(), default=str)) < 60_000
