"""The notebooks' sliders in JupyterLab, moved by mouse and keys in a real browser.

Each test runs a notebook down to its sliders; after each change the page shows what the kernel has.
"""

from collections.abc import Iterator

import pytest
from lab import Lab, changed_pixels, open_browser, start_lab

from senorita_lib.datasets.synthetic.posedhand import GESTURES
from senorita_lib.hand import FINGERS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with open_browser(folder) as browser, start_lab(folder, browser) as lab:
        yield lab


def test_crop_explorer(lab: Lab) -> None:
    with lab.run("01_data_cropping", "crop_explorer") as explorer:
        picture = explorer.picture()
        for number in "23456":
            explorer.press_right("step")
            assert explorer.title().startswith(number)
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert 0 in explorer.drag("frame", 100)
        assert int(explorer.readout("frame")) > 5


def test_input_explorer(lab: Lab) -> None:
    with lab.run("02_input_representations", "input_explorer") as explorer:
        picture = explorer.picture()
        explorer.click("layers")
        assert explorer.slider("channel").get_attribute("aria-valuemax") == "63.0"
        title = explorer.title()
        explorer.press_right("channel")
        assert explorer.title() != title
        assert explorer.drag("turn (°)", 60, pixels=50) == [0]
        assert changed_pixels(picture, explorer.picture()) > 2000


def test_skeleton_explorer(lab: Lab) -> None:
    with lab.run("03_skeleton_renderer", "skeleton_explorer") as explorer:
        opened = explorer.shown()
        assert explorer.drag("γ (1/cell²)", 60) == [0, 1, 2, 3, 4]
        triangles = [[trace["i"] for trace in s[1][:5]] for s in (opened, explorer.shown())]
        assert all(after < before for before, after in zip(*triangles, strict=True))
        assert explorer.press_right("index") == [FINGERS.index("index")]
        explorer.click("euclidean")  # brings its own unit, and the release's γ
        assert explorer.readout("γ (1/cell)") == "0.625"
        assert explorer.click("fist") == [0, 1, 2, 3, 4]
        bends = dict(zip(FINGERS, GESTURES["fist"], strict=True))
        assert {finger: int(explorer.readout(finger)) for finger in FINGERS} == bends


def test_gallery_explorer(lab: Lab) -> None:
    with lab.run("05_results", "gallery_explorer") as explorer:
        picture, title = explorer.picture(), explorer.title()
        explorer.turn(150)
        camera = explorer.camera()
        assert changed_pixels(picture, explorer.picture()) > 2000
        assert explorer.press_right("hand", pixels=2000) == [0, 1, 2]
        assert explorer.title() != title and explorer.camera() == camera


def test_box_explorer(lab: Lab) -> None:
    with lab.run("06_own_frames", "box_explorer") as explorer:
        opened = explorer.title()
        box = explorer.plot.locator(".shapelayer path").last
        moved = explorer.change(lambda: explorer.move_mouse(box, 25), pixels=200)
        assert "right hand" in opened and {3, 10} <= set(moved)  # the hand in the image, and in 3D
        assert explorer.title().split("box")[1] != opened.split("box")[1]


def test_clip_player(lab: Lab) -> None:
    with lab.run("06_own_frames", "clip_player") as explorer:
        assert {0, 3, 10} <= set(explorer.drag("frame", 150))
        assert int(explorer.readout("frame")) > 5
        assert explorer.title().endswith(f"frame {explorer.readout('frame')}")
