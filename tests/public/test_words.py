"""Terminals, encodings, numbers and names as other people's machines and habits have them."""

import ast
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save_file

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
