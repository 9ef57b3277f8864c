"""Volumes as meshes: each voxel has one colour, and what is exposed is drawn."""

import numpy as np
import pytest

from senorita_lib.figures.style import FINGER_COLOURS
from senorita_lib.figures.volumes import colour_masks, exposed_faces, mask_mesh, volume_plot
from senorita_lib.figures.widgets import posed_volumes
from senorita_lib.hand import FINGERS


@pytest.fixture(scope="module")
def volumes() -> np.ndarray:
    return posed_volumes((20,) * 5, (0,) * 5, (0, 0, 0))


def test_a_voxel_has_one_colour_and_the_highest_bones(volumes: np.ndarray) -> None:
    masks = colour_masks(volumes, 0.3)
    assert list(masks) == list(FINGER_COLOURS)
    together = np.sum(list(masks.values()), axis=0)
    np.testing.assert_array_equal(together, volumes.max(axis=0) > 0.3)
    for finger, mask in enumerate(masks.values()):
        own = volumes[4 * finger : 4 * finger + 4].max(axis=0)
        assert (own[mask] == volumes.max(axis=0)[mask]).all()


def test_one_cell_has_six_faces() -> None:
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 2, 3] = True
    quads = exposed_faces(mask)
    assert quads.shape == (6, 4, 3)
    np.testing.assert_allclose(quads.mean(axis=(0, 1)), [3, 2, 1])
    sides = np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=-1)
    np.testing.assert_allclose(sides, 1)  # corners go round
    assert all(len(values) == 0 for values in mask_mesh(mask & False, mask & False).values())


def test_live_and_static_twin_show_the_same_faces(volumes: np.ndarray) -> None:
    *meshes, _ = volume_plot(volumes, names=FINGERS)["data"]
    assert [trace["name"] for trace in meshes] == list(FINGERS)
    for trace, mask in zip(meshes, colour_masks(volumes).values(), strict=True):
        corners = np.stack([trace["x"], trace["z"], trace["y"]], axis=1) - 0.5
        first, second = np.stack([trace["i"], trace["j"], trace["k"]], axis=1).reshape(2, -1, 3)
        quads = corners[np.concatenate([first, second[:, 2:]], axis=1)]
        np.testing.assert_array_equal(quads, exposed_faces(mask))
        assert len(trace["intensity"]) == len(trace["i"])


def test_where_two_colours_touch_the_cells_of_one_are_darker() -> None:
    bones = np.zeros((2, 1, 1, 4))
    bones[0, 0, 0, :2] = bones[1, 0, 0, 2:] = 1
    plain, seam, _ = volume_plot(bones, colours=("#ff0000", "#00ff00"))["data"]
    first, second = (trace["x"][trace["i"]] for trace in (plain, seam))  # a corner of each face
    assert set(first[plain["intensity"] >= 3]) == {1, 2}
    assert not (seam["intensity"] >= 3).any() and len(second) == 2 * 10
