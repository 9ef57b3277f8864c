"""The committed notebooks as whoever has no kernel sees them, and which of them nbval compares."""

import base64
import re
from html.parser import HTMLParser

import nbformat
import pytest
from conftest import ROOT
from nbconvert import HTMLExporter

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IGNORED = {"nbval-ignore-output", "nbval-skip"}
COMMENTS = re.compile(r"^\s*#+\s*(NBVAL_|PYTEST_VALIDATE_)", re.M)
UNTOLD = "No description has been provided for this image"  # nbconvert's, of a picture without alt


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem, scope="module")
def path(request):
    return request.param


@pytest.fixture(scope="module")
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def data_of(cell):
    return [output.data for output in cell.outputs if "data" in output]


def page(notebook, template):
    html, _ = HTMLExporter(template_name=template).from_notebook_node(notebook)
    return html


class Pictures(HTMLParser):
    """A page's embedded pictures, each as a dict of its attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "img" and attributes["src"].startswith("data:image/png;base64,"):
            self.found.append(attributes)


# --- a page without a kernel ------------------------------------------------------------------


def test_each_figure_is_a_picture_on_a_static_page(notebook):
    bundles = [data for cell in code_cells(notebook) for data in data_of(cell)]
    shown = [data["image/png"] for data in bundles if "image/png" in data]
    assert shown
    drawn = [image["src"].partition(",")[2] for image in Pictures(page(notebook, "lab")).found]
    assert [base64.b64decode(text) for text in drawn] == [base64.b64decode(t) for t in shown]


def test_each_cell_that_shows_has_a_picture(notebook):
    for cell in code_cells(notebook):
        if re.search(r"\bshow\(", cell.source):
            assert any("image/png" in data for data in data_of(cell)), cell.source


def test_live_figures_have_a_picture_beside_them(notebook):
    for cell in code_cells(notebook):
        for data in data_of(cell):
            if "application/vnd.plotly.v1+json" in data:
                assert "image/png" in data, cell.source


def test_pictures_are_told_in_words(notebook):
    """Of nbconvert's templates only ``classic`` writes the output's alt text onto the page."""
    told = [image["alt"].strip() for image in Pictures(page(notebook, "classic")).found]
    assert told and "" not in told and UNTOLD not in told
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert output.metadata["image/png"]["alt"] == output.data["text/plain"]


def test_page_has_no_widget_that_needs_a_kernel(notebook):
    assert "widgets" not in notebook.metadata
    types = {kind for cell in code_cells(notebook) for data in data_of(cell) for kind in data}
    assert types <= {"text/plain", "text/html", "image/png", "application/vnd.plotly.v1+json"}
    for words in ("Error displaying widget", "Box(children=(", "model_id", "it/s]"):
        assert words not in page(notebook, "lab")


def test_notebook_is_light_and_of_no_machine(path, notebook):
    assert path.stat().st_size < 400_000
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|usr|work)/\w", path.read_text("utf-8"))
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.language_info  # Python's, here and now
    for cell in notebook.cells:
        assert not {"execution", "ExecuteTime", "papermill"} & cell.metadata.keys()


def test_notebook_is_valid_and_written_in_one_way(path, notebook):
    nbformat.validate(notebook)
    text = path.read_text("utf-8")
    assert text == nbformat.writes(notebook).rstrip("\n") + "\n"


# --- what nbval does not compare --------------------------------------------------------------


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
    assert not re.search(r"nbval", str(notebook.metadata))


def test_nothing_is_ignored_wholesale():
    for called in (ROOT / "Makefile", *(ROOT / ".ci").iterdir(), ROOT / "pyproject.toml"):
        text = called.read_text("utf-8")
        assert not re.search(r"nbval-lax|sanitize-with|nbval-kernel-name|allow-errors", text)
    assert re.search(r"pytest --nbval --nbval-current-env", (ROOT / "Makefile").read_text("utf-8"))
