"""The committed notebooks: their form, that they were run, and what their first cell refuses."""

import json
import re

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
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
    return json.loads(request.param.read_text("utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def test_was_run_from_top_to_bottom_without_an_error(notebook):
    """nbval compares nothing where there is no output."""
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert "all claims hold" in str(cells[-1]["outputs"])
    assert "assert " in source(cells[-1])


def test_opens_with_title_and_one_cell_of_parameters(notebook):
    first, second = notebook["cells"][:2]
    assert first["cell_type"] == "markdown" and re.match(r"# 0\d · ", source(first))
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert tagged == [second]
    body = "\n".join(source(cell) for cell in notebook["cells"][2:] if cell["cell_type"] == "code")
    for line in source(second).splitlines():
        name, comment = re.match(r"(\w+) = .*?#(.*)", line).groups()
        assert comment.strip()
        assert re.search(rf"\b{name}\b", body), f"parameter {name} is never used"


def check(path, name, value):
    """Run the first two cells as papermill does, but without a kernel."""
    defaults, checks = map(source, code_cells(json.loads(path.read_text("utf-8")))[:2])
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


def test_cells_are_short_and_imports_few(notebook):
    cells = [source(cell) for cell in code_cells(notebook)]
    assert all(len([line for line in c.splitlines() if line.strip()]) <= 30 for c in cells)
    assert len(re.findall(r"^\s*(?:import|from) ", "\n".join(cells), re.M)) <= 8
