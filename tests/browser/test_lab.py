"""The notebooks' sliders in JupyterLab, moved by mouse and keys in a real browser.

Each test runs a notebook down to its sliders, and asks its kernel whether the page shows the same.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from lab import Explorer, Lab, open_browser, start_lab

from senorita_lib.datasets.synthetic.posedhand import GESTURES
from senorita_lib.hand import FINGERS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with open_browser(folder) as browser, start_lab(folder, browser) as lab:
        yield lab


def changed_pixels(before: np.ndarray, after: np.ndarray) -> int:
    return (abs(after - before).max(axis=-1) > 8).sum()


def changed_traces(before: list, after: list) -> list[int]:
    return [i for i, pair in enumerate(zip(before[1], after[1], strict=True)) if pair[0] != pair[1]]


def assert_fresh(explorer: Explorer) -> None:
    """The page shows what the kernel holds; a busy machine has a few seconds to get there."""
    for _ in range(5):
        readouts, (title, sums) = explorer.held()
        shown = explorer.readouts(), *explorer.shown()
        held = readouts, title, [pytest.approx(trace, abs=1e-3) for trace in sums]  # float32
        if shown == held:
            return
        explorer.page.wait_for_timeout(1000)
    assert shown == held


def test_crop_explorer(lab: Lab) -> None:
    with lab.run("01_data_cropping", "crop_explorer") as explorer:
        assert_fresh(explorer)
        picture = explorer.picture()
        for number in "23456":
            explorer.press_right("step")
            assert explorer.title().startswith(number)
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert_fresh(explorer)
        last, picture = explorer.shown(), explorer.picture()
        explorer.drag("frame", 100)
        assert 0 in changed_traces(last, explorer.shown())
        assert int(explorer.readout("frame")) > 5
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert_fresh(explorer)


def test_input_explorer(lab: Lab) -> None:
    with lab.run("02_input_representations", "input_explorer") as explorer:
        assert_fresh(explorer)
        picture = explorer.picture()
        explorer.click("layers")
        assert explorer.slider("channel").get_attribute("aria-valuemax") == "63.0"
        assert_fresh(explorer)
        title = explorer.title()
        explorer.press_right("channel")
        assert explorer.title() != title
        assert_fresh(explorer)
        shown = explorer.shown()
        explorer.drag("turn (°)", 60)
        assert changed_traces(shown, explorer.shown()) == [0]
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert_fresh(explorer)


def test_skeleton_explorer(lab: Lab) -> None:
    with lab.run("03_skeleton_renderer", "skeleton_explorer") as explorer:
        assert_fresh(explorer)
        opened, picture = explorer.shown(), explorer.picture()
        explorer.drag("γ (1/cell²)", 60)
        thin, thin_picture = explorer.shown(), explorer.picture()
        assert changed_traces(opened, thin) == [0, 1, 2, 3, 4]
        triangles = [[trace["i"] for trace in shown[1][:5]] for shown in (opened, thin)]
        assert all(after < before for before, after in zip(*triangles, strict=True))
        assert changed_pixels(picture, thin_picture) > 2000
        assert_fresh(explorer)
        explorer.press_right("index")
        bent = explorer.shown()
        assert changed_traces(thin, bent) == [FINGERS.index("index")]
        assert changed_pixels(thin_picture, explorer.picture()) > 50
        assert_fresh(explorer)
        explorer.click("euclidean")  # brings its own unit, and the release's γ
        assert explorer.readout("γ (1/cell)") == "0.625"
        assert_fresh(explorer)
        bent = explorer.shown()
        explorer.click("fist")
        bends = dict(zip(FINGERS, GESTURES["fist"], strict=True))
        assert {finger: int(explorer.readout(finger)) for finger in FINGERS} == bends
        assert changed_traces(bent, explorer.shown()) == [0, 1, 2, 3, 4]
        assert_fresh(explorer)


def test_gallery_explorer(lab: Lab) -> None:
    with lab.run("05_results", "gallery_explorer") as explorer:
        assert_fresh(explorer)
        picture = explorer.picture()
        explorer.turn(150)
        turned, camera = explorer.picture(), explorer.camera()
        assert changed_pixels(picture, turned) > 2000
        shown = explorer.shown()
        explorer.press_right("hand")
        assert changed_traces(shown, explorer.shown()) == [0, 1, 2]
        assert explorer.title() != shown[0]
        assert explorer.camera() == camera
        assert changed_pixels(turned, explorer.picture()) > 2000
        assert_fresh(explorer)


def test_box_explorer(lab: Lab) -> None:
    with lab.run("06_own_frames", "box_explorer") as explorer:
        assert_fresh(explorer)
        opened, picture = explorer.shown(), explorer.picture()
        assert "right hand" in opened[0]
        with explorer.change():
            explorer.move_mouse(explorer.plot.locator(".shapelayer path").last, 25)
        moved = explorer.shown()
        assert moved[0].split("box")[1] != opened[0].split("box")[1]
        assert {3, 10} <= set(changed_traces(opened, moved))  # the hand in the image, and in 3D
        assert changed_pixels(picture, explorer.picture()) > 200
        assert_fresh(explorer)


def test_clip_player(lab: Lab) -> None:
    with lab.run("06_own_frames", "clip_player") as explorer:
        assert_fresh(explorer)
        opened, picture = explorer.shown(), explorer.picture()
        explorer.drag("frame", 150)
        assert int(explorer.readout("frame")) > 5
        assert explorer.title().endswith(f"frame {explorer.readout('frame')}")
        assert {0, 3, 10} <= set(changed_traces(opened, explorer.shown()))
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert_fresh(explorer)
