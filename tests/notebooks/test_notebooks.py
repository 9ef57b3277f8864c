"""The committed notebooks: their form, that they were run, and what their first cell refuses.

And how whoever has no kernel sees them, and which of their cells nbval compares.
"""

import base64
import re

import nbformat
import pytest
from conftest import NOTEBOOKS, ROOT
from nbconvert import HTMLExporter

PLOTLY = "application/vnd.plotly.v1+json"
IGNORED = {"nbval-ignore-output", "nbval-skip"}
COMMENTS = re.compile(r"^\s*#+\s*(NBVAL_|PYTEST_VALIDATE_)", re.M)
UNTOLD = "No description has been provided for this image"  # nbconvert's, of a picture without alt

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
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


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


def data_of(cell):
    return [output.data for output in cell.outputs if "data" in output]


def page(path, template):
    """The notebook as HTML, and its embedded pictures' tags."""
    html, _ = HTMLExporter(template_name=template).from_filename(str(path))
    return html, re.findall(r'<img\b[^>]*\bsrc="data:image/png;base64,[^>]*>', html)


@pytest.mark.slow
def test_each_figure_is_a_picture_on_a_static_page_that_needs_no_kernel(path, notebook):
    bundles = [data for cell in code_cells(notebook) for data in data_of(cell)]
    assert {kind for data in bundles for kind in data} <= {
        "text/plain", "text/html", "image/png", PLOTLY,
    }  # fmt: skip
    assert all("image/png" in data for data in bundles if PLOTLY in data)
    shown = [base64.b64decode(data["image/png"]) for data in bundles if "image/png" in data]
    html, tags = page(path, "lab")
    assert shown
    assert [base64.b64decode(re.search(r'base64,([^"]*)"', tag)[1]) for tag in tags] == shown
    for words in ("Error displaying widget", "Box(children=(", "model_id", "it/s]"):
        assert words not in html
    for cell in code_cells(notebook):
        if re.search(r"\bshow\(", cell.source):
            assert any("image/png" in data for data in data_of(cell)), cell.source


@pytest.mark.slow
def test_pictures_are_told_in_words(path, notebook):
    """Of nbconvert's templates only ``classic`` writes the output's alt text onto the page."""
    told = [re.search(r'\balt="([^"]*)"', tag)[1].strip() for tag in page(path, "classic")[1]]
    assert told and "" not in told and UNTOLD not in told
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        if "image/png" in output.get("data", {}):
            assert output.metadata["image/png"]["alt"] == output.data["text/plain"]


def test_notebook_is_light_and_of_no_machine(path, notebook):
    text = path.read_text("utf-8")
    assert path.stat().st_size < 400_000
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|usr|work)/\w", text)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.language_info  # Python's, here and now
    for cell in notebook.cells:
        assert not {"execution", "ExecuteTime", "papermill"} & cell.metadata.keys()
    nbformat.validate(notebook)
    assert text == nbformat.writes(notebook).rstrip("\n") + "\n"


def test_each_ignored_cell_tells_why(notebook):
    """In a comment of the cell, ``# nbval: …``: there a reader sees it, whatever the editor."""
    cells = code_cells(notebook)
    ignored = [cell for cell in cells if IGNORED & set(cell.metadata.get("tags", []))]
    assert 3 * len(ignored) < len(cells)
    for cell in cells:
        assert "nbval-skip" not in cell.metadata.get("tags", []), cell.source
        assert not COMMENTS.search(cell.source), "nbval's own comments, wanted a tag"
        reason = re.search(r"# nbval: \w+( \S+)+", cell.source)
        assert bool(reason) == ("# nbval:" in cell.source) == (cell in ignored), cell.source
        assert cell.outputs or cell not in ignored, "there is nothing that could differ"
    # Nor does any option ignore all of them.
    files = ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / ".ci").iterdir()
    text = "".join(file.read_text("utf-8") for file in files)
    assert not re.search(r"nbval-lax|sanitize-with|nbval-kernel-name|allow-errors", text)
    assert "--nbval --nbval-current-env" in text
