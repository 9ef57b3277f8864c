"""Parameters of notebooks: each slip is told in one sentence, and nothing else is stopped."""

import math
from pathlib import Path

import pytest

from senorita_lib.files import project_path
from senorita_lib.notebook import check_parameters, existing, folder, number, one_of, truth, whole

CHECKS = {"model": one_of(1, 2, 3, 4), "seed": whole(0)}
CHECK_CELL = "check_parameters(globals(), ...)"


def taken(check, value):
    namespace = {"x": value}
    check_parameters(namespace, x=check)
    return namespace["x"]


def refusal(check, value):
    with pytest.raises(ValueError) as caught:
        taken(check, value)
    return str(caught.value).removeprefix(f"this notebook has x = {value!r}, wanted ")


@pytest.mark.parametrize(
    ("check", "value", "wanted"),
    [
        (whole(0), -1, "a number greater than or equal to 0"),
        (whole(8, 64), 65, "a number less than or equal to 64"),
        *((whole(0), v, "a whole number") for v in (3.0, "1", None, True, [1], math.nan)),
        (number(above=0), 0, "a number greater than 0"),
        (number(), math.inf, "a finite number"),
        *((number(), value, "a valid number") for value in ("1", None, True, [1], 1j)),
        (one_of("otsu", "valley"), "otsuu", "'otsu' or 'valley'"),
        *((one_of(1, 2), value, "1 or 2") for value in ("1", 5, None, [1])),
        *((truth(None), value, "True, False or None") for value in ("yes", 2, "", [])),
        *((folder(), value, "the path of a folder") for value in ("", "\0", 3, None, ["data"])),
    ],
)
def test_what_is_wanted_in_words(check, value, wanted):
    assert refusal(check, value) == wanted


def test_limits_words_of_truth_and_namespaces_without_a_history_are_taken():
    assert [taken(whole(8, 64), value) for value in (8, 64)] == [8, 64]
    assert taken(number(above=0, below=1), 0.5) == 0.5
    assert taken(truth(), "true") is True and taken(truth(None), "False") is False
    assert taken(truth(), True) is True and taken(truth(None), None) is None
    for inputs in (None, (), [], "abcd"):
        check_parameters({"model": 1, "seed": 0, "In": inputs}, **CHECKS)
    with pytest.raises(ValueError, match="^seed has no value, run the cell with the parameters"):
        check_parameters({"model": 1}, **CHECKS)


def test_missing_folder_or_file_in_the_way_is_told(tmp_path):
    check = folder("`make data` writes it", but=("synthetic",))
    missing, file = str(tmp_path / "none"), tmp_path / "file"
    assert taken(check, str(tmp_path)) and taken(check, tmp_path) and taken(check, "synthetic")
    assert taken(folder(), missing)  # the notebook makes it
    assert refusal(check, missing) == "an existing folder: `make data` writes it"
    assert refusal(existing(), missing) == f"an existing file or folder, but {missing} is none"
    assert taken(existing(""), "") == "" and taken(existing(), str(tmp_path))
    file.touch()
    for path in (file, file / "run", file / "run/model_1"):
        assert refusal(folder(), str(path)) == f"a folder, but {file} is a file"


def test_relative_paths_count_from_this_projects_clone(tmp_path, monkeypatch):
    """Not from the working folder, nor from another project above it."""
    clone = tmp_path / "clone"
    (clone / "notebooks").mkdir(parents=True)
    (clone / "data").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(clone / "notebooks")
    assert project_path("data") == clone / "notebooks" / "data"  # not a clone yet
    (clone / "notebooks" / "01_data_cropping.ipynb").touch()
    for below in (clone, clone / "notebooks"):
        monkeypatch.chdir(below)
        assert project_path("data") == clone / "data"
        assert taken(folder("else"), "data") == "data"
    assert project_path("/data") == Path("/data") and project_path("~") == Path.home()


def kernel(*cells, **values):
    """The namespace of a kernel in which these cells ran before the check."""
    return {"model": 1, "seed": 0, "In": ["", *cells, CHECK_CELL], **values}


def test_unknown_name_is_told_before_a_wrong_value():
    cells = "model = 7", "# Parameters\nseed = 3\nmodle = float('nan')\n"
    wanted = "^this notebook has no 'modle', the nearest known name is 'model'$"
    with pytest.raises(ValueError, match=wanted):
        check_parameters(kernel(*cells, model=7), **CHECKS)


@pytest.mark.parametrize(
    "cells",
    [
        [],
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
