"""The committed notebooks: form, outputs, and how they are called."""

import json
import re
import subprocess
import sys

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


def test_is_light_and_clean(notebook, request):
    path = request.node.callspec.params["notebook"]
    assert path.stat().st_size < 400_000
    assert "widgets" not in notebook["metadata"]
    text = path.read_text()
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|usr|work)/\w", text)
    for cell in code_cells(notebook):
        lines = [line for line in source(cell).splitlines() if line.strip()]
        assert len(lines) <= 15, source(cell)
        assert not re.search(r"^\s*(def|class) ", source(cell), re.M)


def test_figures_have_a_picture_for_static_pages(notebook):
    bundles = [o["data"] for c in code_cells(notebook) for o in c["outputs"] if "data" in o]
    pictures = [data for data in bundles if "image/png" in data]
    assert pictures
    for data in bundles:
        assert "application/vnd.plotly.v1+json" not in data or "image/png" in data


def run_notebook(name, tmp_path, *parameters):
    command = [sys.executable, "-m", "papermill", f"notebooks/{name}.ipynb"]
    command += [str(tmp_path / "out.ipynb"), *parameters]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_training_without_a_data_set_says_what_is_missing(tmp_path):
    done = run_notebook("04_train_refine", tmp_path, "-p", "data", str(tmp_path / "none"))
    assert done.returncode != 0
    assert re.search(r"FileNotFoundError: .*none.*", done.stderr)
    assert "senorita_lib.datasets.synthetic" in done.stderr or "make data" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("model", "7", "wanted 1, 2, 3 or 4"), ("recipe", "tinny", "'tinny', wanted one of")],
)
def test_unknown_parameter_is_refused_at_once(tmp_path, name, value, says):
    done = run_notebook("04_train_refine", tmp_path, "-p", name, value)
    assert done.returncode != 0
    assert says in done.stderr
    assert '"In [3]"' in done.stderr  # the first behind the given parameters
