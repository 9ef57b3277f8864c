"""The live figure has one place, and takes little of the time."""

import sys
from types import SimpleNamespace

import IPython
import pytest

from senorita_lib.figures import live as plotting_live
from senorita_lib.figures.live import LiveTraining
from senorita_lib.recipes import find_recipe

ROWS = [{"stage": "pose", "images": 160 * i, "L_jt": 8 / i} for i in range(1, 200)]


@pytest.fixture
def shown(monkeypatch):
    """What a kernel is told: a list of displays, each a list of what it came to show."""
    displays = []

    def display(bundle, *, raw, display_id):
        assert raw and display_id
        displays.append([bundle])
        return SimpleNamespace(update=lambda bundle, metadata, raw: displays[-1].append(bundle))

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(IPython.display, "display", display)
    return displays


@pytest.fixture
def clock(monkeypatch):
    """A clock that drawing moves on by two seconds."""
    now = SimpleNamespace(seconds=100.0)
    draw = plotting_live.training_figure

    def drawing(*args):
        now.seconds += 2
        return draw(*args)

    monkeypatch.setattr(plotting_live.time, "monotonic", lambda: now.seconds)
    monkeypatch.setattr(plotting_live, "training_figure", drawing)
    return now


def test_one_display_is_updated_and_seldom(shown, clock, small_data, capsys):
    live = LiveTraining(find_recipe("tiny"), small_data)
    capsys.readouterr()  # the crops may have had to be made
    assert shown == [[{"text/plain": "training: no step yet"}]]
    begin, drawn = clock.seconds, 0
    for i in range(1, 200):
        live(ROWS[:i])
        clock.seconds += 1  # ten steps of training
    (updates,) = shown
    drawn = len(updates) - 1
    assert 3 < drawn <= 1 + (clock.seconds - begin) / 50  # 2 s each are a twenty-fifth
    live.finish(ROWS)
    assert len(shown) == 1 and len(updates) == drawn + 2
    assert all("image/png" in bundle for bundle in updates[1:])
    assert "not been validated" in updates[-1]["text/plain"]
    assert capsys.readouterr() == ("", "")


def test_quick_drawings_keep_a_distance_too(shown, monkeypatch, small_data):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(plotting_live.time, "monotonic", lambda: now.seconds)
    live = LiveTraining(find_recipe("tiny"), small_data, seconds=5)
    for i in range(1, 60):
        live(ROWS[:i])
        now.seconds += 0.5
    assert len(shown[0]) - 1 == 6


def test_finished_run_is_shown_once(shown, small_data):
    live = LiveTraining(find_recipe("tiny"), small_data)
    last = {"stage": "pose", "images": 3600, "validation_initial_mm": 38.04}
    live.finish([*ROWS, last])
    assert len(shown) == 1 and len(shown[0]) == 2
    assert shown[0][-1]["text/plain"].endswith("38.0 mm after 1 validations.")


@pytest.mark.parametrize("where", ["plain Python", "terminal", "no IPython"])
def test_without_a_notebook_nothing_happens(where, monkeypatch, tmp_path, capsys):
    shell = SimpleNamespace() if where == "terminal" else None
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    if where == "no IPython":
        monkeypatch.setitem(sys.modules, "IPython", None)
    live = LiveTraining(find_recipe("tiny"), tmp_path / "not even data")
    live(ROWS)
    live.finish(ROWS)
    assert capsys.readouterr() == ("", "")
