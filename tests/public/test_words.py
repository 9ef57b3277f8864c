"""Terminals, encodings, numbers and names as other people's machines and habits have them."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

from senorita_lib import cropping, submission
from senorita_lib.boxes import find_hand_box
from senorita_lib.camera import SR300
from senorita_lib.datasets import SyntheticHand, crops, write_synthetic
from senorita_lib.experiments import tables
from senorita_lib.hand import bones_to_joints
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import Recipe, find_recipe, read_overrides


def test_a_terminal_without_utf_8_shows_the_tables():
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    call = [sys.executable, "-m", "senorita_lib.experiments.tables", ROOT / "results" / "tiny"]
    done = subprocess.run(call, env=os.environ | ascii_only, cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"EXTRAP" in done.stdout and done.stdout.isascii()


def test_no_text_is_read_or_written_in_the_locales_encoding():
    """`read_text`, `write_text` and `open` name their encoding everywhere."""
    silent, seen = [], 0
    for path in sorted((ROOT / "senorita_lib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            method = isinstance(node.func, ast.Attribute)
            if name in ("read_text", "write_text") if method else name == "open":
                seen += 1
                binary = any(getattr(a, "value", "") in ("rb", "wb") for a in node.args)
                if not binary and "encoding" not in {keyword.arg for keyword in node.keywords}:
                    silent.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    assert seen and [call for call in silent if "_CPU_INFO" not in call] == []


@pytest.mark.parametrize("text", ["1e-1", "1E-1", "1.e-1"])
def test_powers_of_ten_are_numbers(text):
    """As papermill's -y, which is YAML, gives them: texts."""
    assert find_recipe("tiny", learning_rate=text).learning_rate == 0.1
    assert find_recipe("tiny", **read_overrides([f"learning_rate={text}"])).learning_rate == 0.1


def test_what_is_no_number_or_too_long_a_seed_is_refused():
    with pytest.raises(ValueError, match="learning_rate = 'fast', wanted a valid number"):
        find_recipe("tiny", learning_rate="fast")
    with pytest.raises(ValueError, match=f"seed = {2**64}, wanted a number less than"):
        Recipe(seed=2**64)


def test_values_in_pythons_words_are_read():
    texts = ["a=.5", "b=True", "c=(1, 2)", "d=true", "e=None", "f=null", "g=1abc", "h={[]: 1}"]
    wanted = [0.5, True, (1, 2), True, None, None, "1abc", "{[]: 1}"]
    assert [*read_overrides(texts).values()] == wanted


@pytest.mark.parametrize(
    "changes", [{"rotation": -1.0}, {"shift": -1.0}, {"scale_probability": 1.5}]
)
def test_impossible_augmentation_is_refused(changes):
    with pytest.raises(ValueError, match="wanted a number (greater|less) than or equal to"):
        find_recipe("tiny", **changes)


def test_names_of_weights_and_folders_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    assert Predictor.load("small").model.recipe.name == "small"
    with pytest.raises(FileNotFoundError, match=r"model.safetensors is not there, wanted weights"):
        Predictor.load(tmp_path / "small")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "senorita-hand 1"}])
def test_foreign_weights_are_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ValueError, match=r"other.safetensors.* (format|recipe) "):
        Predictor.load(tmp_path / "other.safetensors")


def told(capsys, main, *arguments):
    """The sentence that a command line ends with."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    out, sentence = capsys.readouterr()
    assert stopped.value.code == 1 and out == "" and sentence.count("\n") == 1
    return sentence


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("result.json", b"{", "result.json is damaged or no JSON"),
        ("result.json", b"\xff", "result.json is damaged or no JSON"),
        ("result.json", b"[]", "result.json has no recipe"),
        ("result.json", b"{}", "result.json has no recipe"),
        ("predictions.npz", b"text", "predictions.npz is damaged or no .npz"),
        ("predictions.npz", b"", "predictions.npz is damaged or no .npz"),
        ("predictions.npz", b"PK\x03\x04", "predictions.npz is damaged or no .npz"),
    ],
)
def test_a_damaged_run_is_named(tmp_path, capsys, file, content, words):
    for name in ("result.json", "predictions.npz"):
        (tmp_path / name).write_bytes((ROOT / "results/tiny/model_1" / name).read_bytes())
    (tmp_path / file).write_bytes(content)
    assert f"{words}, wanted" in told(capsys, tables.main, tmp_path)


def test_swapped_and_impossible_arguments_are_told(tmp_path, capsys, small_data):
    boxes = small_data / "Task 1" / "test_bbs.txt"
    assert "line 1 has 63 numbers" in told(
        capsys, submission.main, boxes, boxes.with_name("test_joint_annotation.txt")
    )
    assert "is a folder, wanted a text" in told(capsys, submission.main, boxes, small_data)
    assert "is damaged or no zip" in told(capsys, submission.main, boxes, boxes)
    for size in (0, -5):
        sentence = told(capsys, crops.main, small_data, "--size", size, "--cache", tmp_path / "c")
        assert sentence.startswith(f"size is {size}, wanted") and not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda bad: Predictor.load(bad), "path is .*, wanted that of a file"),
        (lambda bad: write_synthetic(bad), "path is .*, wanted that of a file"),
        (lambda bad: submission.check_submission(bad, bad), "path is .*, wanted that of a file"),
        (lambda bad: SyntheticHand(bad), "seed is .*, wanted a whole number"),
        (lambda bad: find_recipe(bad), "recipe is .*, wanted one of"),
        (lambda bad: Recipe.from_json(bad), "recipe is .*, wanted a JSON object"),
        (lambda bad: find_hand_box(np.zeros((2, 2)), bad), "camera is .*, wanted a senorita_lib"),
        (lambda bad: cropping.crop_hand(np.zeros((2, 2)), [0, 0, 1, 1], bad), "camera is .*, want"),
        (lambda bad: SR300.project(bad), "xyz .*, wanted"),
        (lambda bad: SR300.unproject(bad), "uvz .*, wanted"),
        (lambda bad: bones_to_joints(bad, np.zeros((20, 3))), "wrist .*, wanted"),
    ],
)
@pytest.mark.parametrize("bad", [None, 3.5, [1, 2], {}])
def test_another_kind_of_argument_is_told(call, words, bad):
    with pytest.raises(ValueError, match=words):
        call(bad)
