"""Terminals, encodings, numbers and names as other people's machines and habits have them."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, told
from safetensors.torch import save_file

from senorita_lib import cropping, submission
from senorita_lib.boxes import find_hand_box
from senorita_lib.camera import SR300
from senorita_lib.datasets import SyntheticHand, crops, write_synthetic
from senorita_lib.experiments import tables
from senorita_lib.hand import bones_to_joints
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import Recipe, find_recipe, read_overrides
from senorita_lib.weights import find_weights


def test_a_terminal_without_utf_8_shows_the_tables():
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    call = [sys.executable, "-m", "senorita_lib.experiments.tables", ROOT / "results" / "tiny"]
    done = subprocess.run(call, env=os.environ | ascii_only, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"EXTRAP" in done.stdout and done.stdout.isascii()


def test_no_text_is_read_or_written_in_the_locales_encoding():
    """Each call names its encoding, as ``files.read_text`` does for nearly all."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "senorita_lib").rglob("*.py"))
    assert "Path(path).read_text(encoding=" in code and 'open(part, "wb")' in code
    silent = r'(?<!_CPU_INFO)\.(read|write)_text\((?!encoding=)|[^.\w]open\((?!.*"[rw]b")'
    assert not re.search(silent, code)


def test_numbers_in_any_notation_are_read_and_impossible_ones_refused():
    for text in ("1e-1", "1E-1", "1.e-1"):  # papermill's -y, which is YAML, gives them as texts
        for given in (text, read_overrides([f"x={text}"])["x"]):
            assert find_recipe("tiny", learning_rate=given).learning_rate == 0.1
    texts = ["a=.5", "b=True", "c=(1, 2)", "d=true", "e=None", "f=null", "g=1abc", "h={[]: 1}"]
    wanted = [0.5, True, (1, 2), True, None, None, "1abc", "{[]: 1}"]
    assert [*read_overrides(texts).values()] == wanted
    with pytest.raises(ValueError, match="learning_rate = 'fast', wanted a valid number"):
        find_recipe("tiny", learning_rate="fast")
    with pytest.raises(ValueError, match=f"seed = {2**64}, wanted a number less than"):
        Recipe(seed=2**64)
    for changes in ({"rotation": -1.0}, {"shift": -1.0}, {"scale_probability": 1.5}):
        with pytest.raises(ValueError, match="wanted a number (greater|less) than or equal to"):
            find_recipe("tiny", **changes)


def test_names_of_weights_and_folders_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert Predictor.load("small").model.recipe.name == "small"
    with pytest.raises(FileNotFoundError, match=r"model.safetensors is not there, wanted weights"):
        Predictor.load(tmp_path / "small")
    for metadata in (None, {"format": "pt"}, {"format": "senorita-hand 1"}):
        save_file({"weight": torch.zeros(2)}, "other.safetensors", metadata)
        with pytest.raises(ValueError, match=r"other.safetensors.* (format|recipe) "):
            Predictor.load("other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(find_weights("small").read_bytes()[:1000])
    with pytest.raises(ValueError, match="cut.safetensors is damaged"):
        Predictor.load("cut.safetensors")


@pytest.mark.parametrize(
    ("file", "contents", "words"),
    [
        ("result.json", [b"{", b"\xff"], "is damaged or no JSON"),
        ("result.json", [b"[]", b"{}"], "has no recipe"),
        ("predictions.npz", [b"text", b"", b"PK\x03\x04"], "is damaged or no .npz"),
    ],
)
def test_a_damaged_run_is_named(tmp_path, capsys, file, contents, words):
    for name in ("result.json", "predictions.npz"):
        (tmp_path / name).write_bytes((ROOT / "results/tiny/model_1" / name).read_bytes())
    for content in contents:
        (tmp_path / file).write_bytes(content)
        assert f"{file} {words}, wanted" in told(tables.main, capsys, tmp_path)


def test_swapped_and_impossible_arguments_are_told(tmp_path, capsys, small_data):
    boxes, joints = (small_data / f"Task 1/test_{n}.txt" for n in ("bbs", "joint_annotation"))
    assert "line 1 has 63 numbers" in told(submission.main, capsys, boxes, joints)
    assert "is a folder, wanted a text" in told(submission.main, capsys, boxes, small_data)
    assert "is damaged or no zip" in told(submission.main, capsys, boxes, boxes)
    for size in (0, -5):
        sentence = told(crops.main, capsys, small_data, "--size", size, "--cache", tmp_path / "c")
        assert sentence.startswith(f"size is {size}, wanted") and not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Predictor.load, "path is .*, wanted that of a file"),
        (write_synthetic, "path is .*, wanted that of a file"),
        (lambda bad: submission.check_submission(bad, bad), "path is .*, wanted that of a file"),
        (SyntheticHand, "seed is .*, wanted a whole number"),
        (find_recipe, "recipe is .*, wanted one of"),
        (Recipe.from_json, "recipe is .*, wanted a JSON object"),
        (lambda bad: find_hand_box(np.zeros((2, 2)), bad), "camera is .*, wanted a senorita_lib"),
        (lambda bad: cropping.crop_hand(np.zeros((2, 2)), [0, 0, 1, 1], bad), "camera is .*, want"),
        (SR300.project, "xyz .*, wanted"),
        (SR300.unproject, "uvz .*, wanted"),
        (lambda bad: bones_to_joints(bad, np.zeros((20, 3))), "wrist .*, wanted"),
    ],
)
def test_another_kind_of_argument_is_told(call, words):
    for bad in (None, 3.5, [1, 2], {}):
        with pytest.raises(ValueError, match=words):
            call(bad)
