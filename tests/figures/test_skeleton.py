"""Volumes as meshes, and the figures of notebook 03."""

import json

import numpy as np
import pytest
import torch

from senorita_lib.datasets.synthetic.posedhand import posed_hand
from senorita_lib.figures import skeleton as plots
from senorita_lib.figures.style import FINGER_COLOURS, png
from senorita_lib.figures.volumes import colour_masks, exposed_faces, mask_mesh, volume_plot
from senorita_lib.hand import FINGERS
from senorita_lib.renderer import render_skeleton


@pytest.fixture(scope="module")
def hand():
    return posed_hand().astype(np.float32)


@pytest.fixture(scope="module")
def volumes(hand):
    return render_skeleton(torch.from_numpy(hand)[None], compiled=False)[0].numpy()


def cells_of(quads):
    """Each unit face that quads cover, by twice its centre."""
    found = []
    for quad in np.asarray(quads, np.float64):
        low, high = quad.min(axis=0), quad.max(axis=0)
        steps = [np.arange(a, b) + 0.5 if b > a else np.array([a]) for a, b in zip(low, high)]  # noqa: B905
        found += [tuple(2 * centre) for centre in np.stack(np.meshgrid(*steps), -1).reshape(-1, 3)]
    return found


def test_merged_faces_cover_what_single_faces_do(volumes):
    mask = volumes[4:8].max(axis=0) > 0.5
    single, merged = exposed_faces(mask), exposed_faces(mask, merge=True)
    assert len(merged) < 0.7 * len(single)
    assert sorted(cells_of(merged)) == sorted(cells_of(single))


def test_a_voxel_has_one_colour_and_the_highest_bones(volumes):
    masks = colour_masks(volumes, 0.3)
    assert list(masks) == list(FINGER_COLOURS)
    together = np.sum(list(masks.values()), axis=0)
    np.testing.assert_array_equal(together, volumes.max(axis=0) > 0.3)
    for finger, mask in enumerate(masks.values()):
        own = volumes[4 * finger : 4 * finger + 4].max(axis=0)
        assert (own[mask] == volumes.max(axis=0)[mask]).all()


def test_one_cell_has_six_faces():
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 3] = True
    for merge in (False, True):
        quads = exposed_faces(mask, merge)
        assert quads.shape == (6, 4, 3)
        np.testing.assert_allclose(quads.mean(axis=(0, 1)), [3, 2, 1])


def test_an_empty_mask_gives_an_empty_mesh():
    assert all(len(values) == 0 for values in mask_mesh(np.zeros((4, 4, 4), bool)).values())


def test_a_volume_plot_has_a_named_trace_for_each_finger(volumes):
    plot = volume_plot(volumes, names=FINGERS)
    assert [t.name for t in plot.data if t.type == "mesh3d"] == list(FINGERS)
    for trace in plot.data[:5]:
        assert max(map(max, (trace.i, trace.j, trace.k))) == len(trace.x) - 1
        assert len(trace.intensity) == len(trace.i)


def test_static_figures_are_drawn(hand, volumes):
    places = np.linspace(0, 8, 9)
    figures = [
        plots.choices_figure(
            {"a": places, "b": places},
            {"c": volumes[0, 16], "d": volumes[4, 16]},
            hand[:3, :2],
            places,
        ),
        plots.slices_figure({"squared": volumes[9], "other": volumes[9]}, hand, 9),
        plots.pulls_figure({"moved": (hand + 2, hand * 0 - 1, -74)}, hand),
        plots.descent_figure({"a": [hand + 2, hand], "b": [hand, hand]}, hand, (0, 1)),
    ]
    for figure in figures:
        assert png(figure).startswith(b"\x89PNG")


def test_slices_go_through_the_bone_and_the_hand_lies_on_them(hand, volumes):
    figure = plots.slices_figure({"squared": volumes[9]}, hand, 9)  # the middle finger's second
    for axes in figure.axes[:3]:
        down, across = np.unravel_index(axes.images[0].get_array().argmax(), (32, 32))
        ends = axes.lines[9].get_xydata()  # the bone, drawn in the same plane
        along = ends[1] - ends[0]
        apart = [across, down] - ends[0]
        r = np.clip(apart @ along / (along @ along), 0, 1)
        assert np.linalg.norm(apart - r * along) < 1


def test_moving_hands_have_a_frame_for_each_step_and_stay_light(hand):
    path = np.stack([hand + shift for shift in range(10)])
    labels = [str(i) for i in range(10)]
    plot = plots.moving_plot({"a": path, "b": path}, hand, labels, arrows=path * 0 + 1)
    assert [frame.name for frame in plot.frames] == labels
    assert [step.label for step in plot.layout.sliders[0].steps] == labels
    for i, frame in enumerate(plot.frames):
        assert list(frame.traces) == [0, 1, 2]
        np.testing.assert_allclose(frame.data[0].x[0], path[i, 0, 0] + 0.5)
    assert len(json.dumps(plot.to_plotly_json(), default=str)) < 60_000
