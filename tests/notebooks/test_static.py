"""The committed notebooks as whoever has no kernel sees them, and which of them nbval compares."""

import base64
import re
from functools import cache

import nbformat
import pytest
from conftest import ROOT
from nbconvert import HTMLExporter

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PLOTLY = "application/vnd.plotly.v1+json"
IGNORED = {"nbval-ignore-output", "nbval-skip"}
COMMENTS = re.compile(r"^\s*#+\s*(NBVAL_|PYTEST_VALIDATE_)", re.M)
UNTOLD = "No description has been provided for this image"  # nbconvert's, of a picture without alt
pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def data_of(cell):
    return [output.data for output in cell.outputs if "data" in output]


@cache
def page(path, template):
    """The notebook as HTML, and its embedded pictures' tags."""
    html, _ = HTMLExporter(template_name=template).from_filename(str(path))
    return html, re.findall(r'<img\b[^>]*\bsrc="data:image/png;base64,[^>]*>', html)


def test_each_figure_is_a_picture_on_a_static_page(path, notebook):
    bundles = [data for cell in code_cells(notebook) for data in data_of(cell)]
    shown = [data["image/png"] for data in bundles if "image/png" in data]
    drawn = [re.search(r'base64,([^"]*)"', tag)[1] for tag in page(path, "lab")[1]]
    assert shown
    assert [base64.b64decode(text) for text in drawn] == [base64.b64decode(t) for t in shown]
    assert all("image/png" in data for data in bundles if PLOTLY in data)
    for cell in code_cells(notebook):
        if re.search(r"\bshow\(", cell.source):
            assert any("image/png" in data for data in data_of(cell)), cell.source


def test_pictures_are_told_in_words(path, notebook):
    """Of nbconvert's templates only ``classic`` writes the output's alt text onto the page."""
    told = [re.search(r'\balt="([^"]*)"', tag)[1].strip() for tag in page(path, "classic")[1]]
    assert told and "" not in told and UNTOLD not in told
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"] == output.data["text/plain"]


def test_page_has_no_widget_that_needs_a_kernel(path, notebook):
    assert "widgets" not in notebook.metadata
    types = {kind for cell in code_cells(notebook) for data in data_of(cell) for kind in data}
    assert types <= {"text/plain", "text/html", "image/png", PLOTLY}
    for words in ("Error displaying widget", "Box(children=(", "model_id", "it/s]"):
        assert words not in page(path, "lab")[0]


def test_notebook_is_light_and_of_no_machine(path, notebook):
    assert path.stat().st_size < 400_000
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|usr|work)/\w", path.read_text("utf-8"))
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.language_info  # Python's, here and now
    for cell in notebook.cells:
        assert not {"execution", "ExecuteTime", "papermill"} & cell.metadata.keys()
    nbformat.validate(notebook)
    assert path.read_text("utf-8") == nbformat.writes(notebook).rstrip("\n") + "\n"


def test_each_ignored_cell_tells_why(notebook):
    """In a comment of the cell, ``# nbval: …``: there a reader sees it, whatever the editor."""
    cells = code_cells(notebook)
    ignored = [cell for cell in cells if IGNORED & set(cell.metadata.get("tags", []))]
    assert 3 * len(ignored) < len(cells)
    for cell in ignored:
        assert "nbval-skip" not in cell.metadata.tags, cell.source
        assert re.search(r"# nbval: \w+( \S+)+", cell.source), cell.source
        assert cell.outputs, "there is nothing that could differ"
    for cell in cells:
        assert not COMMENTS.search(cell.source), "nbval's own comments, wanted a tag"
        if cell not in ignored:
            assert "# nbval:" not in cell.source
    # Nor does any option ignore all of them.
    text = (ROOT / "Makefile").read_text("utf-8") + (ROOT / "pyproject.toml").read_text("utf-8")
    text += "".join(file.read_text("utf-8") for file in (ROOT / ".ci").iterdir())
    assert not re.search(r"nbval-lax|sanitize-with|nbval-kernel-name|allow-errors", text)
    assert "--nbval --nbval-current-env" in text
