"""Poses over frames of any camera: what is drawn is what was predicted, and follows the box."""

from datetime import UTC, datetime
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from senorita_lib.camera import SR300
from senorita_lib.datasets.files import encode_depth
from senorita_lib.datasets.synthetic.clip import moving_hand
from senorita_lib.figures import ownframes
from senorita_lib.predictor import Predictor

CLIP = moving_hand(4)


@pytest.fixture(scope="module")
def poses(predictor: Predictor) -> list[Any]:
    return [predictor.predict(frame.depth, SR300, frame.box, "right") for frame in CLIP]


def figure_of(widget: ipywidgets.VBox) -> go.FigureWidget:
    (figure,) = (child for child in widget.children if isinstance(child, go.FigureWidget))
    return figure


def drawn(figure: go.FigureWidget) -> np.ndarray:
    """The hand's joints in pixels, as its line in the image goes through them."""
    lines = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines"]
    return np.stack([lines[2].x, lines[2].y], axis=1)


def middle(frame: Any) -> np.ndarray:
    return SR300.project(np.asarray(frame.joints).mean(axis=0))[:2]


def test_panel_and_plot_show_joints_and_their_expected_errors(poses: list[Any]) -> None:
    depth, pose = CLIP[0].depth, poses[0]
    figure = ownframes.pose_panel(depth, pose)
    image, front, _, bars = figure.axes
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], pose.confidence_mm)
    assert image.get_title() == "right hand" and len(front.lines) == 20
    left, right = image.get_xlim()
    assert left < pose.pixels[:, 0].min() and pose.pixels[:, 0].max() < right
    plot = go.Figure(ownframes.pose_plot(depth, pose, "a name"))
    assert plot.layout.title.text.endswith("a name") and "expected error" in plot.layout.title.text
    sizes = np.array(plot.data[-1].marker.size)
    assert (np.argsort(sizes) == np.argsort(pose.confidence_mm)).all()
    nothing = go.Figure(ownframes.pose_plot(0 * depth, None, "a name"))
    assert nothing.layout.title.text == "no hand found · a name"
    assert np.isnan(nothing.data[-1].x).all()
    holes = np.where(depth > 0, depth, np.nan).astype(np.float32)
    holes[0, 0] = np.inf
    plot = go.Figure(ownframes.pose_plot(holes, None, "a name"))
    np.testing.assert_array_equal(np.asarray(plot.data[0].z) > 0, depth[::2, ::2] > 0)


def test_the_clips_slider_chooses_the_frame(poses: list[Any]) -> None:
    player = ownframes.clip_player([frame.depth for frame in CLIP], poses)
    _, number, figure = player.children
    assert not isinstance(figure.data[0].z, dict | np.ndarray)  # or the page sends megabytes back
    for index in (2, 0, 3):
        number.value = index
        assert figure.layout.title.text.endswith(f"frame {index}")
        assert np.nanmin(np.abs(drawn(figure) - poses[index].pixels[12]).sum(axis=1)) < 1e-3


def test_a_dragged_box_moves_the_pose(predictor: Predictor) -> None:
    figure = figure_of(ownframes.box_explorer(CLIP[0].depth, predictor, SR300))
    first, (box,), (u, v) = drawn(figure), figure.layout.shapes, middle(CLIP[0])
    assert box.x0 < u < box.x1 and box.y0 < v < box.y1
    # As the browser tells it: a key a corner.
    shifted = {"shapes[0].x0": box.x0 + 25, "shapes[0].x1": box.x1 + 25}
    figure.plotly_relayout(shifted)
    assert f"box {box.x0:.0f} " in figure.layout.title.text
    assert 0 < np.nanmax(np.abs(drawn(figure) - first)) < 30
    corners = {"x0": 2, "x1": 60, "y0": 2, "y1": 60}
    figure.plotly_relayout({f"shapes[0].{name}": value for name, value in corners.items()})
    assert "holds no" in figure.layout.title.text and not len(drawn(figure))


def test_a_file_takes_the_frames_place_or_says_why_not(predictor: Predictor) -> None:
    explorer = ownframes.box_explorer(CLIP[0].depth, predictor, SR300)
    upload, figure = explorer.children[0], figure_of(explorer)
    before = figure.layout.shapes[0].to_plotly_json()

    def drop(name: str, content: bytes) -> None:
        known = {"type": "image/png", "size": len(content), "last_modified": datetime.now(UTC)}
        upload.value = ({"name": name, "content": memoryview(content), **known},)

    drop("own.png", encode_depth(CLIP[3].depth))
    assert figure.layout.shapes[0].to_plotly_json() != before
    assert np.linalg.norm(np.nanmean(drawn(figure), axis=0) - middle(CLIP[3])) < 40
    drop("small.png", encode_depth(CLIP[3].depth[::2, ::2].copy()))
    assert "shape (240, 320)" in figure.layout.title.text
    drop("own.png", encode_depth(CLIP[3].depth))
    drop("note.png", b"no picture")
    assert "note.png is truncated or no PNG" in figure.layout.title.text
    figure.plotly_relayout({"shapes[0].x0": figure.layout.shapes[0].x0 + 3})  # on the last good one
    assert len(drawn(figure)) and "box" in figure.layout.title.text


def test_a_live_view_follows_the_frames_and_tells_its_rate(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    rate = ownframes.live_view(predictor, ((frame.depth, SR300) for frame in CLIP))
    assert rate > 0 and shown[0].layout.title.text.endswith(f"frame {len(CLIP) - 1}")
