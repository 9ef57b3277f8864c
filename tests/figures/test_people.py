import numpy as np
import pytest

from senorita_lib.figures.people import curves_figure, draw_person, keypoint_figure, side_colours
from senorita_lib.figures.style import MUTED_COLOURS, new_figure
from senorita_lib.people.crops import cut_body
from senorita_lib.people.keypoints import BODY_BONES, HUMAN36M_JOINT, KEYPOINT_NAMES
from senorita_lib.people.synthetic import SyntheticBody


@pytest.fixture(scope="module")
def people():
    return SyntheticBody(4, side=64)


def test_every_keypoint_is_named_once_with_both_its_numbers(people):
    figure = keypoint_figure(people[1], [people[i] for i in (0, 1, 2)])
    *small, large = [axes for axes in figure.axes if axes.images]
    found = {text.get_text(): text.xy for text in large.texts}
    assert len(found) == 16
    _, uvd = cut_body(people[1], 192)
    for keypoint, (name, joint) in enumerate(zip(KEYPOINT_NAMES, HUMAN36M_JOINT, strict=True)):
        theirs = "between 11 and 14" if joint is None else joint
        place = found[f"{name.replace('_', ' ')}: {keypoint}, {theirs}"]
        np.testing.assert_allclose(place, 192 * uvd[keypoint, :2] - 0.5, atol=1e-3)
    titles = [axes.get_title() for axes in small]
    assert titles == ["u and v alone", "u, v and depth", "u and v alone"]


def test_person_is_drawn_where_the_keypoints_are(people):
    _, axes = new_figure()
    image, uvd = cut_body(people[1], 64)
    uvd[15] = np.nan  # not known
    draw_person(axes[0, 0], image, uvd)
    assert len(axes[0, 0].lines) == len(BODY_BONES)
    for line, ends in zip(axes[0, 0].lines, BODY_BONES, strict=True):
        np.testing.assert_allclose(line.get_xdata(), 64 * uvd[list(ends), 0] - 0.5)
    colours = side_colours()
    assert colours[5] != colours[0] and colours[5] == colours[15] and len(set(colours)) == 3


def test_curves_are_seeds_and_their_means():
    curves = {"a": [[[1000, 40.0], [2000, 30.0]], [[1000, 44.0], [2000, 32.0]]]}
    curves["b"] = [[[1000, 38.0], [2000, 29.0]]] * 2
    figure = curves_figure(curves, {"both": ["a", "b"], "one": ["b"]})
    both, one = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["both", "one"]
    assert len(both.lines) == 6 and len(one.lines) == 3
    thick = [line for line in both.lines if line.get_linewidth() > 2]
    assert [line.get_label() for line in thick] == ["a", "b"]
    assert list(thick[0].get_xdata()) == [1, 2] and list(thick[0].get_ydata()) == [42, 31]
    assert [line.get_color() for line in thick] == list(MUTED_COLOURS[:2])
