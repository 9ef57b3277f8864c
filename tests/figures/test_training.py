"""A run's figure says what its log says; while it runs, it is drawn in one place and seldom."""

import sys
from types import SimpleNamespace
from typing import Any

import IPython
import numpy as np
import pytest

from senorita_lib.cropping import CropBatch
from senorita_lib.datasets.crops import CropSet
from senorita_lib.figures import training
from senorita_lib.figures.style import png
from senorita_lib.figures.training import LiveTraining, training_figure
from senorita_lib.hand import BONES
from senorita_lib.recipes import find_recipe

Log = list[dict[str, Any]]
ROWS: Log = [{"stage": "pose", "images": 160 * i, "L_jt": 8 / i} for i in range(1, 200)]


@pytest.fixture
def strip(crops: CropBatch, hand: np.ndarray) -> CropSet:
    arrays = {"images": crops.image[:, 0].numpy(), "boxes": crops.box.numpy(), "joints": hand}
    arrays |= {"cube_centres": crops.cube_centre.numpy(), "found": np.ones(4, bool)}
    return CropSet(names=list("abcd"), splits=["train"] * 4, **arrays)


@pytest.fixture
def log(hand: np.ndarray) -> Log:
    """Three stages of 1000 images; a validation in the middle and at the end of each."""
    rows: Log = []
    for stage in ("pose", "volume", "refine"):
        for images in range(100, 1001, 100):
            if images in (500, 1000):
                row = {"stage": stage, "images": images, "validation_initial_mm": 30.0}
                row |= {"validation_refined_mm": 25.0} if stage == "refine" else {}
                rows.append(row | {"sample_poses": (hand + len(rows)).tolist()})
            losses = {"L_jt": 5.0 - images / 1000}
            losses |= {"L_3dske": 700.0} if stage == "volume" else {}
            if stage == "refine":
                losses |= {"L_res_ori": 0.2, "L_jt_ref": 4.0}
                losses |= {"w_jt": 1.0, "w_res_ori": 60.95, "w_jt_ref": 1.0}
            rows.append({"stage": stage, "images": images} | losses)
    return rows


def test_curves_are_the_logs(log: Log) -> None:
    poses, volumes, orientations, weights, errors = training_figure(log).axes
    np.testing.assert_allclose(poses.lines[0].get_xdata(), np.arange(100, 3001, 100))
    np.testing.assert_allclose(poses.lines[0].get_ydata()[:2], [4.9, 4.8])
    np.testing.assert_allclose(poses.lines[1].get_xdata(), np.arange(2100, 3001, 100))
    np.testing.assert_allclose(volumes.lines[0].get_xdata(), np.arange(1100, 2001, 100))
    np.testing.assert_allclose(orientations.lines[0].get_ydata(), 0.2)
    assert [text.get_text() for text in weights.texts] == ["1", "61"]
    np.testing.assert_allclose(errors.lines[0].get_xdata(), [500, 1000, 1500, 2000, 2500, 3000])
    np.testing.assert_allclose(errors.lines[1].get_xydata(), [[2500, 25], [3000, 25]])
    assert [text.get_text() for text in errors.texts] == ["Step 1: eq. 3", "+ eq. 4", "Step 2"]
    planned = training_figure(log[:3], images=3000)
    assert all(axes.get_xlim()[1] > 3000 for axes in planned.axes)


def test_poses_end_with_the_truth(log: Log, strip: CropSet, crops: CropBatch, hand: Any) -> None:
    axes = training_figure(log, strip).axes[-1]
    drawn = np.array([bones.get_segments() for bones in axes.collections])  # columns by frames
    assert drawn.shape == (7 * 4, 20, 2, 2)
    true = crops.to_uvd(hand)[:, list(BONES), :2]
    for frame, shown in enumerate(axes.images[-4:]):
        left, right, bottom, top = shown.get_extent()
        uv = (drawn[-4 + frame] - (left, top)) / (right - left, bottom - top)
        np.testing.assert_allclose(uv, true[frame], atol=1e-5)
        np.testing.assert_array_equal(shown.get_array(), crops.image[frame, 0])
    labels = [text.get_text() for text in axes.texts]
    assert labels[-1] == "4 of the\nvalidation frames" and "truth" in labels
    assert "0.5k images\n30.0 mm" in labels and "3k images\n25.0 mm" in labels
    more = [log[-2] | {"images": 1000 * i, "sample_poses": hand.tolist()} for i in range(2, 900)]
    figure = training_figure([*log, *more], strip)  # a long run: seven columns, light curves
    assert len(figure.axes[-1].collections) == 8 * 4
    assert max(len(line.get_xdata()) for axes in figure.axes for line in axes.lines) <= 250
    labels = [text.get_text() for text in figure.axes[-1].texts]
    assert "0.5k images\n30.0 mm" in labels and any("901k images" in label for label in labels)


def test_new_diverged_and_unbalanced_runs_are_drawn(log: Log, strip: CropSet) -> None:
    for length in (0, 1, 6):
        png(training_figure(log[:length], strip, 3000), colours=None)
    for value in (np.nan, np.inf, 0.0):
        png(training_figure([*log, log[-1] | {"L_jt": value, "L_jt_ref": value}]))
    bare = [{k: v for k, v in row.items() if not k.startswith("w_")} for row in log]
    (text,) = training_figure(bare).axes[3].texts
    assert "adaptive" in text.get_text()


@pytest.mark.parametrize(("drawing", "step"), [(2.0, 2.0), (0.0, 0.5)])
def test_one_display_is_updated_and_seldom(
    drawing: float, step: float, monkeypatch: pytest.MonkeyPatch, strip: CropSet
) -> None:
    """A drawing takes at most a twenty-fifth of the time; quick ones are 5 s apart."""
    clock, draw = SimpleNamespace(seconds=100.0), training.training_figure
    shown: list[list[dict[str, str]]] = []  # for each display what it came to show

    def display(bundle: dict[str, str], **options: bool) -> SimpleNamespace:
        assert options == {"raw": True, "display_id": True}
        shown.append([bundle])
        return SimpleNamespace(update=lambda bundle, metadata, raw: shown[-1].append(bundle))

    def slow(*args: Any) -> Any:
        clock.seconds += drawing
        return draw(*args)

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(training.time, "monotonic", lambda: clock.seconds)
    monkeypatch.setattr(training, "training_figure", slow)
    monkeypatch.setattr(training, "sample_frames", lambda recipe, data, cache: strip)
    live = LiveTraining(find_recipe("tiny"), "data")
    assert shown == [[{"text/plain": "training: no step yet"}]]
    for i in range(1, 80):
        live(ROWS[:i])
        clock.seconds += step
    (updates,) = shown
    drawn, spent = len(updates) - 1, clock.seconds - 100
    assert 3 <= drawn <= 1 + spent / max(5, 25 * drawing)
    live.finish([*ROWS, {"stage": "pose", "images": 3600, "validation_initial_mm": 38.04}])
    assert len(shown) == 1 and len(updates) == drawn + 2
    assert all("image/png" in bundle for bundle in updates[1:])
    assert "not been validated" in updates[-2]["text/plain"]
    assert updates[-1]["text/plain"].endswith("38.0 mm after 1 validations.")


@pytest.mark.parametrize("shell", [SimpleNamespace(), None])
def test_without_a_notebook_nothing_happens(
    shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    if shell is None:
        monkeypatch.delitem(sys.modules, "IPython")
    LiveTraining(find_recipe("tiny"), "not even data")(ROWS)
    assert capsys.readouterr() == ("", "")
