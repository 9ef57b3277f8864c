"""The committed notebooks: their form, that they were run, and what their first cell refuses."""

import re

import nbformat
import pytest
from conftest import NOTEBOOKS, ROOT

# Notebook: parameter, a wrong value, and the refusal.
SLIPS = [
    ("01", "foreground", "otsuu", "wanted 'otsu' or"),
    ("02", "layers", 3.5, "wanted a whole number"),
    ("03", "gamma", -0.1, "wanted a number greater"),
    ("04", "pretrain", "maybe", "wanted True, False or N"),
    ("04", "people", "nowhere", "wanted an existing folder"),
    ("05", "results", "nowhere", "wanted an existing folder"),
    ("06", "frames", "nowhere", "wanted an existing file or folder"),
    ("06", "hand", "both", "wanted 'auto', 'left' or"),
]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_was_run_from_top_to_bottom_without_an_error(notebook):
    """nbval compares nothing where there is no output."""
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not any(o.output_type == "error" or o.get("name") == "stderr" for o in outputs)
    assert "all claims hold" in str(cells[-1].outputs)
    assert "assert " in cells[-1].source


def test_opens_with_title_and_one_cell_of_parameters_and_its_cells_are_short(notebook):
    first, second, *others = notebook.cells
    assert first.cell_type == "markdown" and re.match(r"# 0\d · ", first.source)
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert tagged == [second]
    body = [cell.source for cell in others if cell.cell_type == "code"]
    for line in second.source.splitlines():
        name, comment = re.match(r"(\w+) = .*?#(.*)", line).groups()
        assert comment.strip()
        assert re.search(rf"\b{name}\b", "\n".join(body)), f"parameter {name} is never used"
    assert all(len([line for line in c.splitlines() if line.strip()]) <= 30 for c in body)
    assert len(re.findall(r"^\s*(?:import|from) ", "\n".join(body), re.M)) <= 8


def check(path, name, value):
    """Run the first two cells as papermill does, but without a kernel."""
    defaults, checks = (c.source for c in code_cells(nbformat.read(path, as_version=4))[:2])
    namespace = {"In": ["", defaults, f"# Parameters\n{name} = {value!r}\n", checks]}
    exec(defaults, namespace)
    namespace["data"] = str(ROOT)  # any folder: the data set need not have been written
    exec(namespace["In"][2], namespace)
    exec(checks, namespace)


@pytest.mark.parametrize(("number", "name", "value", "refusal"), SLIPS)
def test_a_wrong_value_or_name_is_refused_in_one_sentence(
    number, name, value, refusal, monkeypatch
):
    monkeypatch.chdir(ROOT)
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith(number))
    with pytest.raises(ValueError, match=f"^this notebook has {name} = {value!r}, {refusal}"):
        check(path, name, value)
    with pytest.raises(ValueError, match="^this notebook has no 'parametre', the nearest"):
        check(path, "parametre", 1)
