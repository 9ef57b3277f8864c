"""The sliders: every one changes what is drawn, and what is drawn is what they say."""

import ipywidgets
import numpy as np
import pytest

from senorita_lib.datasets.posedhand import APART, GESTURES, OPEN
from senorita_lib.hand import FINGERS
from senorita_lib.plotting3d import colour_meshes
from senorita_lib.widgets import posed_volumes, skeleton_explorer


@pytest.fixture
def explorer():
    return skeleton_explorer()


def controls(explorer, kind):
    groups = explorer.children[0].children
    return [child for group in groups for child in group.children if isinstance(child, kind)]


def drawn(explorer):
    return [np.concatenate([t.x, t.y, t.z, t.i]).tobytes() for t in explorer.children[1].data[:5]]


def state(explorer):
    """What the controls say: arguments of posed_volumes."""
    *angles, right, up, plane = (s.value for s in controls(explorer, ipywidgets.IntSlider))
    (gamma,) = controls(explorer, ipywidgets.FloatLogSlider)
    distance, ends = controls(explorer, ipywidgets.ToggleButtons)
    options = {"gamma": gamma.value, "distance": distance.value, "ends": ends.value}
    return (angles[::2], angles[1::2], (right, up, plane)), options


def assert_drawn_as_said(explorer):
    degrees, options = state(explorer)
    wanted = colour_meshes(posed_volumes(*degrees, **options), 0.5).values()
    for trace, mesh in zip(explorer.children[1].data[:5], wanted, strict=True):
        for name, values in mesh.items():
            np.testing.assert_array_equal(trace[name], values)


def test_it_opens_as_the_open_hand(explorer):
    assert [t.name for t in explorer.children[1].data[:5]] == list(FINGERS)
    assert state(explorer)[0] == (list(OPEN), list(APART), (25, 5, 0))
    assert_drawn_as_said(explorer)


def test_every_slider_and_toggle_changes_what_is_drawn(explorer):
    sliders = controls(explorer, ipywidgets.IntSlider)
    assert len(sliders) == 13
    for i, slider in enumerate(sliders):
        before = drawn(explorer)
        slider.value += 12
        changed = [a != b for a, b in zip(before, drawn(explorer), strict=True)]
        assert changed == [f == i // 2 for f in range(5)] if i < 10 else all(changed)
    for control, value in [
        *((c, 0.3) for c in controls(explorer, ipywidgets.FloatLogSlider)),
        *zip(controls(explorer, ipywidgets.ToggleButtons), ("euclidean", "gate"), strict=True),
    ]:
        before = drawn(explorer)
        control.value = value
        assert before != drawn(explorer)
        assert_drawn_as_said(explorer)


def test_a_distance_brings_its_own_gamma_and_unit(explorer):
    (gamma,) = controls(explorer, ipywidgets.FloatLogSlider)
    distance, _ = controls(explorer, ipywidgets.ToggleButtons)
    for kind, unit in (("euclidean", "γ (1/cell)"), ("squared", "γ (1/cell²)")):
        distance.value = kind
        assert gamma.value == pytest.approx({"squared": 0.1, "euclidean": 0.625}[kind])
        assert unit in [label.value for label in controls(explorer, ipywidgets.Label)]
        assert_drawn_as_said(explorer)
        # The browser shows the nearest step, so that a gamma must be one.
        exponent = (np.log10(gamma.value) - gamma.min) / gamma.step
        assert abs(exponent - round(exponent)) < 1e-6


@pytest.mark.parametrize("name", GESTURES)
def test_a_gesture_sets_all_bends_at_once(explorer, name, monkeypatch):
    drawings = []
    monkeypatch.setattr(
        "senorita_lib.widgets.colour_meshes",
        lambda *args: drawings.append(1) or colour_meshes(*args),
    )
    (button,) = (b for b in controls(explorer, ipywidgets.Button) if b.description == name)
    button.click()
    assert len(drawings) == 1
    assert tuple(state(explorer)[0][0]) == GESTURES[name]
    assert_drawn_as_said(explorer)


def test_the_view_and_hidden_fingers_stay(explorer, capsys):
    figure = explorer.children[1]
    figure.layout.scene.camera.eye.x = 2
    figure.data[1].visible = "legendonly"
    controls(explorer, ipywidgets.IntSlider)[0].value += 20
    assert figure.layout.scene.camera.eye.x == 2
    assert figure.data[1].visible == "legendonly"
    assert figure.layout.uirevision
    assert capsys.readouterr() == ("", "")


def test_nothing_to_draw_is_no_error(explorer):
    controls(explorer, ipywidgets.FloatLogSlider)[0].max = 8
    controls(explorer, ipywidgets.FloatLogSlider)[0].value = 1e7
    assert_drawn_as_said(explorer)
