"""The sliders: every one changes what is drawn, and what is drawn is what they say."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic.posedhand import APART, GESTURES, OPEN
from senorita_lib.figures import widgets
from senorita_lib.figures.crop import crop_step_plot, crop_steps, image_map, uncropped
from senorita_lib.figures.gallery import hand_plot, hand_view
from senorita_lib.figures.style import Plot
from senorita_lib.figures.volumes import volume_plot
from senorita_lib.figures.widgets import channel_title, pose_input, posed_volumes
from senorita_lib.hand import FINGERS
from senorita_lib.representations import CHANNELS

HANDS = SyntheticHand(seed=0)
FRAMES = [HANDS.frame(i) for i in (0, 1, 7)]  # on the last all four ways to crop differ


@pytest.fixture(autouse=True)
def nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capsys.readouterr() == ("", "")


def controls(explorer: ipywidgets.Widget, kind: type) -> list[Any]:
    if isinstance(explorer, kind):
        return [explorer]
    return [c for child in getattr(explorer, "children", ()) for c in controls(child, kind)]


def named(explorer: ipywidgets.Widget, label: str) -> Any:
    kinds = ipywidgets.ValueWidget | ipywidgets.Button
    (found,) = (c for c in controls(explorer, kinds) if c.description == label)
    return found


def assert_drawn(explorer: ipywidgets.Widget, plot: Plot) -> None:
    """Data, title and axes are as wanted; a FigureWidget has a uid for each trace besides."""
    (figure,), wanted = controls(explorer, go.FigureWidget), go.Figure(plot)
    for trace, other in zip(figure.data, wanted.data, strict=True):
        drawn = {k: v for k, v in trace.to_plotly_json().items() if k not in ("uid", "visible")}
        np.testing.assert_equal(drawn, other.to_plotly_json())
    for part in ("title", "xaxis", "yaxis"):
        assert figure.layout[part] == wanted.layout[part]


def meshes(explorer: ipywidgets.Widget) -> list[bytes]:
    (figure,) = controls(explorer, go.FigureWidget)
    return [np.concatenate([t.x, t.y, t.z, t.i]).tobytes() for t in figure.data[:5]]


def assert_drawn_as_said(explorer: ipywidgets.Widget) -> None:
    *angles, right, up, plane = (s.value for s in controls(explorer, ipywidgets.IntSlider))
    (gamma,) = controls(explorer, ipywidgets.FloatLogSlider)
    options = {name: named(explorer, name).value for name in ("distance", "ends")}
    degrees = angles[::2], angles[1::2], (right, up, plane)
    drawn = posed_volumes(*degrees, gamma=gamma.value, **options)
    assert_drawn(explorer, volume_plot(drawn, names=FINGERS))


def test_every_slider_and_toggle_of_the_skeleton_changes_what_is_drawn() -> None:
    skeleton = widgets.skeleton_explorer()
    sliders = controls(skeleton, ipywidgets.IntSlider)
    values = [slider.value for slider in sliders]
    assert values == [*np.stack([OPEN, APART], axis=1).ravel(), 25, 5, 0]
    assert_drawn_as_said(skeleton)
    for i, slider in enumerate(sliders):
        before = meshes(skeleton)
        slider.value += 12
        changed = [a != b for a, b in zip(before, meshes(skeleton), strict=True)]
        if i < 10:  # neighbours may touch, and then their surfaces change, too
            assert changed[i // 2]
            assert not any(changed[f] for f in range(5) if abs(f - i // 2) > 1)
        else:
            assert all(changed)
    for label, value in (("γ (1/cell²)", 0.3), ("distance", "euclidean"), ("ends", "gate")):
        before = meshes(skeleton)
        named(skeleton, label).value = value
        assert before != meshes(skeleton)
        assert_drawn_as_said(skeleton)
    # A distance brings its own gamma and unit.
    wanted = ("euclidean", "γ (1/cell)", 0.625), ("squared", "γ (1/cell²)", 0.1)
    for kind, unit, value in wanted:
        named(skeleton, "distance").value = kind
        gamma = named(skeleton, unit)
        assert gamma.value == pytest.approx(value)
        # The browser shows the nearest step, so that a gamma must be one.
        exponent = (np.log10(gamma.value) - gamma.min) / gamma.step
        assert abs(exponent - round(exponent)) < 1e-6
    gamma.max = 8
    gamma.value = 1e7  # nothing is left to draw: no error
    assert_drawn_as_said(skeleton)


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    calls, function = [], getattr(widgets, name)
    monkeypatch.setattr(widgets, name, lambda *a, **k: calls.append(1) or function(*a, **k))
    return calls


def test_a_gesture_sets_all_bends_and_the_view_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    skeleton = widgets.skeleton_explorer()
    (figure,) = controls(skeleton, go.FigureWidget)
    figure.layout.scene.camera.eye.x = 2
    figure.data[1].visible = "legendonly"  # hidden in the legend
    drawings = count_calls(monkeypatch, "volume_plot")
    for name, bends in GESTURES.items():
        drawings.clear()
        named(skeleton, name).click()
        sliders = controls(skeleton, ipywidgets.IntSlider)
        assert tuple(slider.value for slider in sliders[:10:2]) == bends and len(drawings) == 1
        assert_drawn_as_said(skeleton)
    assert figure.layout.scene.camera.eye.x == 2 and figure.layout.uirevision
    assert figure.data[1].visible == "legendonly"


def test_each_control_of_the_crop_changes_what_is_drawn_or_says_that_there_is_no_hand() -> None:
    empty = replace(FRAMES[0], depth=np.zeros_like(FRAMES[0].depth))
    explorer = widgets.crop_explorer([*FRAMES, empty])
    (figure,) = controls(explorer, go.FigureWidget)
    state = {"frame": 0, "step": 0, "foreground": "otsu", "centre": "mass"}
    changes: list[tuple[str, Any]] = [("step", i) for i in (1, 2, 3, 4, 5, 0, 3)]
    changes += [("frame", 2), ("step", 5), ("foreground", "valley"), ("centre", "box")]
    for name, value in changes:
        before = figure.data[0].z
        named(explorer, name).value = state[name] = value
        frame, options = FRAMES[state["frame"]], {k: state[k] for k in ("foreground", "centre")}
        step = crop_steps(frame, crop_hand(frame.depth, frame.box, **options))[state["step"]]
        assert_drawn(explorer, crop_step_plot(step, frame.name))
        # On the first frame the foreground is all of the square.
        assert state["frame"] == 0 or before != figure.data[0].z
    named(explorer, "frame").value = 3
    with pytest.raises(ValueError, match="no depth") as caught:
        crop_hand(empty.depth, empty.box)
    assert_drawn(explorer, crop_step_plot(uncropped(empty, str(caught.value)), empty.name))
    named(explorer, "frame").value = 2
    assert_drawn(explorer, crop_step_plot(step, FRAMES[2].name))


def test_each_channel_of_each_input_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pose = HANDS.pose(11)
    explorer = widgets.input_explorer(HANDS, pose, layers=16)
    named(explorer, "turn (°)").value = 30
    channel, drawings = named(explorer, "channel"), count_calls(monkeypatch, "channel_title")
    for name, middle in (("layers", 8), ("projection", 0), ("voxels", 16), ("depth", 0)):
        drawings.clear()
        named(explorer, "input").value = name
        assert len(drawings) == 1 and channel.value == middle
        assert channel.max == (CHANNELS | {"layers": 16})[name] - 1
        planes = pose_input(HANDS, pose, name, layers=16, turn=30)
        for i in (0, channel.max):
            channel.value = i
            wanted = image_map(planes[i], cells=name == "voxels")
            wanted["layout"]["title"]["text"] = channel_title(name, i, layers=16)
            assert_drawn(explorer, wanted)
    for index in (25, 40, 54, 62, 123):  # near the camera: to the ends of the slider
        explorer = widgets.input_explorer(HANDS, HANDS.pose(index))
        turn = named(explorer, "turn (°)")
        for angle in (turn.min, turn.max):
            turn.value = angle
            wanted = image_map(pose_input(HANDS, HANDS.pose(index), "depth", turn=angle)[0])
            wanted["layout"]["title"]["text"] = channel_title("depth", 0)
            assert_drawn(explorer, wanted)


def test_the_gallery_shows_each_hand_from_where_it_was_seen() -> None:
    names, views = ("best 1", "median 1", "worst 1"), {}
    for name, frame in zip(names, FRAMES, strict=True):
        crop = crop_hand(frame.depth, frame.box)
        views[name] = hand_view(crop, frame.joints + 5, frame.joints, "INTERP, 5 mm")
    explorer = widgets.gallery_explorer(views)
    (figure,) = controls(explorer, go.FigureWidget)
    figure.layout.scene.camera.eye.x = 2
    for name in ("worst 1", "best 1"):
        named(explorer, "hand").value = name
        assert_drawn(explorer, hand_plot(name, views[name]))
    assert figure.layout.scene.camera.eye.x == 2 and figure.layout.uirevision
