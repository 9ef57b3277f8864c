"""The committed notebooks: their form, and that they were run."""

import json
import re

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return json.loads(request.param.read_text())


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def test_there_are_five():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


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
    assert first["cell_type"] == "markdown"
    assert re.match(r"# 0\d · ", source(first))
    assert "**You will see**" in source(first)
    tagged = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert tagged == [second]
    body = "\n".join(source(cell) for cell in notebook["cells"][2:] if cell["cell_type"] == "code")
    for line in source(second).splitlines():
        name, comment = re.match(r"(\w+) = .*?#(.*)", line).groups()
        assert comment.strip()
        assert re.search(rf"\b{name}\b", body), f"parameter {name} is never used"


def test_cells_are_short(notebook):
    for cell in code_cells(notebook):
        lines = [line for line in source(cell).splitlines() if line.strip()]
        assert len(lines) <= 15, source(cell)
        assert not re.search(r"^\s*(def|class) ", source(cell), re.M)
