"""A notebook's parameters: each slip is told in one sentence, and nothing else is stopped."""

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as some

from senorita_lib.parameters import check_parameters, folder, number, one_of, truth, whole
from senorita_lib.recipes import RECIPES

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOT_NUMBERS = ["1", "", None, True, False, [1], (1,), {}, 1j, np.array([1, 2])]


def refusal(check, value, error=ValueError):
    with pytest.raises(error) as caught:
        check_parameters({"x": value}, x=check)
    message = str(caught.value)
    assert "\n" not in message
    return message


def accepts(check, value):
    check_parameters({"x": value}, x=check)
    return True


# --- values -----------------------------------------------------------------------------------


@given(some.integers(), some.integers(), some.integers())
def test_whole_numbers_are_taken_within_both_limits(a, b, value):
    least, most = sorted((a, b))
    if least <= value <= most:
        assert accepts(whole(least, most), value)
    else:
        wanted = f"wanted a whole number from {least} to {most}"
        assert refusal(whole(least, most), value) == f"x is {value}, {wanted}"
    assert accepts(whole(), value)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 3.0, 3.5, math.nan, math.inf], ids=repr)
def test_what_is_no_whole_number_is_refused(value):
    """3.0 too: it counts nothing, and range() does not take it."""
    assert refusal(whole(0), value) == f"x is {value!r}, wanted a whole number from 0 on"


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert accepts(whole(0), np.int64(3))
    assert "wanted a whole number from 0 on" in refusal(whole(0), np.int64(-3))
    assert "wanted" in refusal(whole(0), np.bool_(True))


finite = some.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite, finite)
def test_numbers_are_taken_between_limits(a, b, value):
    low, high = sorted((a, b))
    for check, fine in (
        (number(above=low, below=high), low < value < high),
        (number(least=low, most=high), low <= value <= high),
        (number(above=low), value > low),
        (number(most=high), value <= high),
    ):
        assert accepts(check, value) if fine else "wanted a number" in refusal(check, value)


@pytest.mark.parametrize("value", [*NOT_NUMBERS, "abc", math.nan, math.inf, -math.inf], ids=repr)
def test_what_is_no_number_is_refused(value):
    assert refusal(number(above=0), value) == f"x is {value!r}, wanted a number above 0"
    assert refusal(number(), value) == f"x is {value!r}, wanted a number"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (whole(), "a whole number"),
        (whole(8), "a whole number from 8 on"),
        (whole(8, 64), "a whole number from 8 to 64"),
        (whole(most=3), "a whole number up to 3"),
        (number(above=0, below=1), "a number above 0 and below 1"),
        (number(above=0, most=1), "a number above 0 and up to 1"),
        (number(least=0, below=1), "a number from 0 and below 1"),
        (number(below=1), "a number below 1"),
        (one_of(1, 2, 3, 4), "1, 2, 3 or 4"),
        (one_of("otsu", "valley"), "'otsu' or 'valley'"),
        (one_of("otsu"), "'otsu'"),
        (folder(), "the path of a folder"),
    ],
)
def test_what_is_wanted_in_words(check, words):
    assert refusal(check, None) == f"x is None, wanted {words}"


def test_slip_in_a_choice_is_told_its_neighbour():
    check = one_of("otsu", "valley")
    assert accepts(check, "otsu")
    wanted = "x is 'otsuu', wanted 'otsu' or 'valley'"
    assert refusal(check, "otsuu") == f"{wanted} (did you mean 'otsu'?)"
    assert refusal(check, "box") == "x is 'box', wanted 'otsu' or 'valley'"


@pytest.mark.parametrize("value", ["1", True, 1.0, 5, None, [1], np.array([1, 2])], ids=repr)
def test_choice_of_numbers_takes_no_text_and_no_truth_value(value):
    assert accepts(one_of(1, 2), 1)
    assert refusal(one_of(1, 2), value) == f"x is {value!r}, wanted 1 or 2"


# --- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "taken"), [("true", True), ("False", False), (True, True)])
def test_truth_may_be_a_word(given, taken):
    """Papermill makes a text of `-p NAME true`, and a truth of `-p NAME True`."""
    namespace = {"x": given, "y": None}
    check_parameters(namespace, x=truth(), y=truth(None))
    assert namespace == {"x": taken, "y": None}


@pytest.mark.parametrize("value", ["yes", 1, 0.0, "", []])
def test_what_is_no_truth_is_refused(value):
    assert refusal(truth(None), value) == f"x is {value!r}, wanted True, False or None"


def test_words_may_stand_for_a_folder(tmp_path):
    check = folder("wanted people there", but=("synthetic",))
    assert accepts(check, "synthetic") and accepts(check, str(tmp_path))
    assert "which is not there: wanted people there" in refusal(
        check, str(tmp_path / "no"), FileNotFoundError
    )


def test_missing_folder_is_told_with_what_makes_it(tmp_path):
    check = folder("`make data` writes it")
    assert accepts(check, str(tmp_path)) and accepts(check, tmp_path)
    missing = str(tmp_path / "none")
    assert accepts(folder(), missing)  # the notebook makes it
    wanted = f"x is {missing!r}, which is not there: `make data` writes it"
    assert refusal(check, missing, FileNotFoundError) == wanted


def test_relative_folder_counts_from_the_project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert accepts(folder("else"), "data")
    assert "'notebook'" in refusal(folder("else"), "notebook", FileNotFoundError)


@pytest.mark.parametrize("value", ["", "\0", 3, None, True, ["data"]], ids=repr)
def test_what_is_no_path_is_refused(value):
    assert refusal(folder(), value) == f"x is {value!r}, wanted the path of a folder"


@pytest.mark.parametrize("inside", ["", "run", "run/model_1"])
def test_file_in_the_way_is_told(tmp_path, inside):
    file = tmp_path / "file"
    file.touch()
    path = str(file / inside)
    wanted = f"x is {path!r}, wanted a folder, and {file} is a file"
    assert refusal(folder(), path) == refusal(folder("else"), path) == wanted


# --- names ------------------------------------------------------------------------------------

CHECKS = {"model": one_of(1, 2, 3, 4), "seed": whole(0)}
CHECK_CELL = "check_parameters(globals(), ...)"


def kernel(*cells, **values):
    """The namespace of a kernel in which these cells ran before the check."""
    return {"model": 1, "seed": 0, "In": ["", *cells, CHECK_CELL], **values}


def test_unknown_name_that_papermill_was_given_is_refused():
    namespace = kernel("model = 1", "# Parameters\nseed = 3\nmodle = 2\n", seed=3, modle=2)
    with pytest.raises(ValueError) as caught:
        check_parameters(namespace, **CHECKS)
    wanted = "modle is no parameter of this notebook, did you mean model? It has model and seed"
    assert str(caught.value) == wanted


def test_unknown_name_without_a_neighbour_is_refused():
    namespace = kernel("", "# Parameters\nwhatever = float('nan')\n")
    with pytest.raises(ValueError) as caught:
        check_parameters(namespace, seed=whole(0))
    assert str(caught.value) == "whatever is no parameter of this notebook. It has seed"


def test_slip_is_told_before_a_wrong_value():
    namespace = kernel("model = 7", "# Parameters\nseeed = 3\n", model=7)
    with pytest.raises(ValueError, match="^seeed is no parameter"):
        check_parameters(namespace, **CHECKS)


@pytest.mark.parametrize(
    "cells",
    [
        [],
        ["model = 1"],
        ["model = 1", "# Parameters\nseed = 3\nmodel = 2\n"],
        ["model = 1", "# Parameters\nseed = 3\nPAPERMILL_OUTPUT_PATH = 'out.ipynb'\n"],
        ["model = 1", "# parameters that I tried\nmodle = 2"],
        ["model = 1", "import torch", "# Parameters\nmodle = 2"],
        ["model = 1", "# Parameters\nseed = 1\n", CHECK_CELL, "# Parameters\nmine = 2\n"],
        ["# Parameters\nmine = 2\n"],
    ],
)
def test_own_cells_are_not_looked_at(cells):
    check_parameters(kernel(*cells), **CHECKS)
    check_parameters(kernel(*cells, CHECK_CELL), **CHECKS)  # run again


@pytest.mark.parametrize("inputs", [None, (), [], "abcd", 3])
def test_namespace_without_a_history_will_do(inputs):
    check_parameters({"model": 1, "seed": 0, "In": inputs}, **CHECKS)
    check_parameters({"model": 1, "seed": 0}, **CHECKS)


def test_missing_value_says_which_cell_to_run():
    with pytest.raises(ValueError) as caught:
        check_parameters({"model": 1}, **CHECKS)
    assert str(caught.value) == "seed has no value, run the cell with the parameters first"


# --- the notebooks ----------------------------------------------------------------------------


def code(path):
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells]


def assigned(text):
    return {
        node.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def check_call(text):
    (call,) = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "check_parameters"
    )
    return call


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_checks_its_parameters_and_no_others(path):
    parameters, check = code(path)[:2]
    call = check_call(check)
    assert [ast.unparse(argument) for argument in call.args] == ["globals()"]
    assert [k.arg for k in call.keywords] == re.findall(r"^(\w+) = ", parameters, re.M)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_defaults_pass_and_the_check_can_be_run_again(path, monkeypatch):
    """No later cell may give a parameter's name to something that the check would refuse."""
    monkeypatch.chdir(ROOT)
    (ROOT / "data").exists() or pytest.skip("no data set here")
    parameters, check, *rest = code(path)
    namespace = {}
    exec(parameters, namespace)
    names = set(namespace) - {"__builtins__"}
    exec(check, namespace)
    kept = {name: type(namespace[name]) for name in names}
    again = set().union(*(assigned(text) for text in rest if "%" not in text[:1])) & names
    assert all(kept[name] is str for name in again), again  # `data = project_path(data)`
    namespace.update({name: Path(namespace[name]) for name in again})
    exec(check, namespace)


def test_notebook_04_takes_every_recipe():
    call = check_call(code(NOTEBOOKS[3])[1])
    (choices,) = (k.value.args for k in call.keywords if k.arg == "recipe")
    assert {ast.literal_eval(choice) for choice in choices} == set(RECIPES)
