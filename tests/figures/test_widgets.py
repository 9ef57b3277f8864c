"""The sliders: every one changes what is drawn, and what is drawn is what they say."""

import itertools
from dataclasses import replace

import IPython.display
import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic.posedhand import APART, GESTURES, OPEN
from senorita_lib.datasets.synthetic.posing import turned
from senorita_lib.figures.crop import STEPS, crop_step_plot, crop_steps, uncropped
from senorita_lib.figures.gallery import hand_plot, hand_view
from senorita_lib.figures.heatmaps import image_heatmap, voxel_heatmap
from senorita_lib.figures.inputs import channel_title, pose_input
from senorita_lib.figures.volumes import colour_meshes
from senorita_lib.figures.widgets import (
    crop_explorer,
    gallery_explorer,
    input_explorer,
    posed_volumes,
    show_widget,
    skeleton_explorer,
)
from senorita_lib.hand import FINGERS

HANDS = SyntheticHand(seed=0)


@pytest.fixture
def explorer():
    return skeleton_explorer()


def controls(explorer, kind):
    """All of a kind, in the order in which Tab goes through them."""
    if isinstance(explorer, kind):
        return [explorer]
    return [c for child in getattr(explorer, "children", ()) for c in controls(child, kind)]


def named(explorer, label):
    """The control behind a label."""
    cells = controls(explorer, ipywidgets.ValueWidget)
    (found,) = (after for cell, after in itertools.pairwise(cells) if cell.value == label)
    return found


def assert_same_plot(figure, wanted):
    """Data, title and axes; a FigureWidget has a uid for each trace besides."""
    for trace, other in zip(figure.data, wanted.data, strict=True):
        drawn, asked = ({k: v for k, v in t.to_plotly_json().items() if k != "uid"}
                        for t in (trace, other))  # fmt: skip
        np.testing.assert_equal(drawn, asked)
    assert figure.layout.title.text == wanted.layout.title.text
    assert figure.layout.xaxis == wanted.layout.xaxis
    assert figure.layout.yaxis == wanted.layout.yaxis


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
        if i < 10:  # its neighbours may touch it, and then their surface changes, too
            assert changed[i // 2]
            assert not any(changed[f] for f in range(5) if abs(f - i // 2) > 1)
        else:
            assert all(changed)
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
        "senorita_lib.figures.widgets.colour_meshes",
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


@pytest.mark.parametrize("size", [4, 200])
def test_a_size_that_cannot_be_drawn_is_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}, wanted 8 to 100 cells"):
        skeleton_explorer(size=size)


def test_nothing_to_draw_is_no_error(explorer):
    controls(explorer, ipywidgets.FloatLogSlider)[0].max = 8
    controls(explorer, ipywidgets.FloatLogSlider)[0].value = 1e7
    assert_drawn_as_said(explorer)


@pytest.fixture
def frames():
    return [HANDS.frame(i) for i in range(3)]


def crop_state(explorer):
    """The step that the controls ask for."""
    names = ("frame", "step", "foreground", "centre")
    number, step, foreground, centre = (named(explorer, name).value for name in names)
    return number, step, {"foreground": foreground, "centre": centre}


def test_each_control_of_the_crop_changes_what_is_drawn(frames, capsys):
    frames[2] = HANDS.frame(7)  # on it all four ways differ
    explorer = crop_explorer(frames)
    (figure,) = controls(explorer, go.FigureWidget)
    named(explorer, "step").value = 3
    for name, value in (("frame", 2), ("step", 5), ("foreground", "valley"), ("centre", "box")):
        before = figure.data[0].z
        named(explorer, name).value = value
        number, step, options = crop_state(explorer)
        crop = crop_hand(frames[number].depth, frames[number].box, **options)
        assert_same_plot(figure, crop_step_plot(crop_steps(frames[number], crop)[step]))
        assert not np.array_equal(before, figure.data[0].z)
    assert capsys.readouterr() == ("", "")


def test_every_step_of_the_crop_is_drawn(frames):
    explorer = crop_explorer(frames)
    (figure,) = controls(explorer, go.FigureWidget)
    steps = crop_steps(frames[0], crop_hand(frames[0].depth, frames[0].box))
    assert len(steps) == len(STEPS)
    for i in (*range(6), 0):  # and nothing of the last is left in the first
        named(explorer, "step").value = i
        assert_same_plot(figure, crop_step_plot(steps[i]))


def test_a_frame_without_a_hand_says_so_and_the_next_is_drawn(frames):
    empty = replace(frames[0], depth=np.zeros_like(frames[0].depth))
    explorer = crop_explorer([frames[1], empty])
    (figure,) = controls(explorer, go.FigureWidget)
    named(explorer, "frame").value = 1
    with pytest.raises(ValueError, match="no depth") as caught:
        crop_hand(empty.depth, empty.box)
    assert_same_plot(figure, crop_step_plot(uncropped(empty, str(caught.value))))
    named(explorer, "frame").value = 0
    crop = crop_hand(frames[1].depth, frames[1].box)
    assert_same_plot(figure, crop_step_plot(crop_steps(frames[1], crop)[0]))


@pytest.mark.parametrize(
    ("name", "channels"), [("depth", 3), ("projection", 3), ("layers", 16), ("voxels", 32)]
)
def test_each_channel_of_each_input_is_drawn(name, channels, capsys):
    pose = HANDS.pose(11)
    explorer = input_explorer(HANDS, pose, layers=16)
    (figure,) = controls(explorer, go.FigureWidget)
    named(explorer, "input").value = name
    assert named(explorer, "channel").max == channels - 1
    named(explorer, "turn (°)").value = 30
    wanted = pose_input(HANDS, turned(pose, 30), name, layers=16)
    for channel in (0, channels - 1):
        named(explorer, "channel").value = channel
        draw = voxel_heatmap if name == "voxels" else image_heatmap
        heatmap = draw(wanted[channel])
        np.testing.assert_array_equal(figure.data[0].z, heatmap["z"])
        assert figure.data[0].hovertemplate == heatmap["hovertemplate"]
        assert figure.data[0].showscale == (name != "voxels")
        assert figure.layout.title.text == channel_title(name, channel, layers=16)
    assert capsys.readouterr() == ("", "")


def test_another_input_has_its_own_channels_and_is_drawn_once(monkeypatch):
    explorer = input_explorer(HANDS, HANDS.pose(11))
    drawings = []
    draw = channel_title
    monkeypatch.setattr(
        "senorita_lib.figures.widgets.channel_title", lambda *a: drawings.append(1) or draw(*a)
    )
    channel = named(explorer, "channel")
    for name, middle in (("layers", 32), ("projection", 0), ("voxels", 16), ("depth", 0)):
        named(explorer, "input").value = name
        assert channel.value == middle
    assert len(drawings) == 4


def test_a_map_of_an_input_has_mm_and_a_map_of_voxels_has_cells():
    image = np.array([[1.0, 0, -0.99, -1]])
    assert image_heatmap(image)["z"].tolist() == [[100, 0, -99, -100]]
    assert image_heatmap(image)["colorscale"][-1][1] == "#fde725"  # near is bright
    assert voxel_heatmap(np.array([[1.0, -1]]))["z"].tolist() == [[1, 0]]


@pytest.mark.parametrize("end", ["min", "max"])
def test_hands_can_be_turned_to_the_ends_of_the_slider(end):
    for index in (25, 40, 54, 62, 123):  # near the camera
        explorer = input_explorer(HANDS, HANDS.pose(index))
        turn = named(explorer, "turn (°)")
        turn.value = getattr(turn, end)
        (figure,) = controls(explorer, go.FigureWidget)
        wanted = pose_input(HANDS, turned(HANDS.pose(index), turn.value), "depth")[0]
        np.testing.assert_array_equal(figure.data[0].z, image_heatmap(wanted)["z"])


@pytest.mark.parametrize(
    ("name", "channel", "says"),
    [
        ("depth", 1, "equal"),
        ("projection", 2, "above"),
        ("layers", 0, "layer 0 of 64: all"),
        ("layers", 16, "layer 16 of 64: what lies behind +50 mm"),
        ("voxels", 0, "slice 0 of 32: from −100 to −94 mm"),
    ],
)
def test_a_channels_title_says_what_it_holds(name, channel, says):
    assert says in channel_title(name, channel)


def test_a_layer_holds_what_its_title_says():
    shown = pose_input(HANDS, HANDS.pose(11), "layers")[16]
    assert shown.max() <= 0.5 and (shown > -1).any()


def test_the_gallery_shows_each_hand_from_where_it_was_seen(frames, capsys):
    crops = [crop_hand(f.depth, f.box) for f in frames]
    views = {
        name: hand_view(crop, f.joints + 5, f.joints, "INTERP, 5 mm")
        for name, crop, f in zip(("best 1", "median 1", "worst 1"), crops, frames, strict=True)
    }
    explorer = gallery_explorer(views)
    (figure,) = controls(explorer, go.FigureWidget)
    figure.layout.scene.camera.eye.x = 2
    for name in ("worst 1", "best 1"):
        named(explorer, "hand").value = name
        assert_same_plot(figure, hand_plot(name, views[name]))
    assert figure.layout.scene.camera.eye.x == 2 and figure.layout.uirevision
    assert capsys.readouterr() == ("", "")


def test_without_a_kernel_a_sentence_stands_for_a_widget(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append(bundle))
    slider = ipywidgets.IntSlider()
    show_widget(slider, "a slider")
    assert shown[0]["text/plain"] == "a slider"
    view = shown[0]["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == slider.model_id
