"""`make notebooks`: what it keeps of an executed notebook, and that a failure changes nothing."""

import runpy
import sys
from types import SimpleNamespace

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

notebooks = SimpleNamespace(**runpy.run_path(str(ROOT / "env" / "notebooks.py")))

KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "version": "3.0.0", "pygments_lexer": "ipython3"},
}
VIEW = {"model_id": "0123", "version_major": 2, "version_minor": 0}


def shown(**data):
    types = {"text": "text/plain", "png": "image/png", "view": notebooks.WIDGET}
    return new_output("display_data", {types[key]: value for key, value in data.items()})


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


BARS = (
    "  0%|          | 0/8 [00:00<?, ?it/s]",
    "refine: 100%|██████████| 400/400 [00:31<00:00, 12.9it/s, loss=0.1]",
    "predicting:  12%|█▎        | 1.00k/8.00k [1:02:03<02:01, 1.2s/it]",
    "3it [00:00, 9.1it/s]",
    "4,000 crops, 32.9 MB in data/crops:   0%|          | 0/4000 [0…",
)
TEXTS = ("", "caption", "eq. 4: 12 [mm]", "VBox(children=(HBox(),))", "50% of 3/4 [a]", "1 [2]")


def test_bars_and_views_go_and_other_texts_and_pictures_stay():
    for view in ({}, {"view": VIEW}):
        assert notebooks.cleaned([shown(text=bar, **view) for bar in BARS]) == []
        kept = notebooks.cleaned([shown(text=text, **view) for text in TEXTS])
        assert kept == [shown(text=text) for text in TEXTS]
    picture = shown(text=BARS[0], png="iVBO")
    assert notebooks.cleaned([picture]) == [picture]
    # Prints become one where nothing stands between.
    bar = shown(text=BARS[0], view=VIEW)
    outputs = [printed("a\n"), printed("b\n"), bar, printed("c\n"), shown(text="figure")]
    outputs += [printed("d\n"), printed("e\n", "stderr"), printed("f\n", "stderr"), printed("g\n")]
    kept = [(o.get("name"), o.get("text")) for o in notebooks.cleaned(outputs)]
    texts = "a\nb\nc\n", None, "d\n", "e\nf\n", "g\n"
    assert kept == [*zip(("stdout", None, "stdout", "stderr", "stdout"), texts, strict=True)]


def test_notebooks_are_found_by_number_and_by_name(tmp_path):
    one, two = tmp_path / "01_one.ipynb", tmp_path / "02_two.ipynb"
    for path in (two, one, tmp_path / "draft.ipynb"):
        path.touch()
    assert notebooks.find([], tmp_path) == [one, two]
    assert notebooks.find(["2", "01"], tmp_path) == [one, two]
    for name in ("02", "2", "02_two", "notebooks/02_two.ipynb"):
        assert notebooks.find([name], tmp_path) == [two]
    with pytest.raises(SystemExit, match="^3 is no notebook, wanted some of 01, 02$"):
        notebooks.find(["3"], tmp_path)
    # An error fits one screen.
    text = "\x1b[31mValueError\x1b[0m\n" + "x" * 500 + "\n" + "\n".join(map(str, range(99)))
    lines = notebooks.one_screen(text).splitlines()
    assert len(lines) == notebooks.LINES and lines[0] == "..." and lines[-1] == "98"


BAR = 'from tqdm.auto import tqdm\nprint("first", flush=True)\n[*tqdm(range(3))]\nprint("last")'


def write(path, *sources):
    notebook = new_notebook(metadata=KERNEL, cells=[new_markdown_cell("# Title ·")])
    notebook.cells += [new_code_cell(source) for source in sources]
    notebook.metadata |= {"widgets": {"x": 1}, "papermill": {"y": 2}}
    notebook.cells[1].metadata |= {"tags": ["a"], "execution": {"z": "3"}}
    nbformat.write(notebook, path)
    return path.read_bytes()


@pytest.mark.slow
def test_executes_cleans_and_changes_nothing_when_a_cell_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JUPYTER_PATH", f"{sys.prefix}/share/jupyter")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    fine, failing = tmp_path / "01_fine.ipynb", tmp_path / "02_failing.ipynb"
    write(fine, BAR, "from ipywidgets import IntSlider\nIntSlider(3)")
    before = write(failing, BAR, "raise ValueError('no')", "print('never')")
    monkeypatch.setitem(notebooks.main.__globals__, "find", lambda names: [fine, failing])
    with pytest.raises(SystemExit) as stopped:
        notebooks.main([])
    assert "01_fine" in capsys.readouterr().out
    assert "\nValueError: no" in stopped.value.code  # without its colours
    assert failing.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("*.*")) == [fine.name, failing.name]

    written = nbformat.read(fine, as_version=4)
    nbformat.validate(written)
    assert set(written.metadata) == {"kernelspec", "language_info"}
    assert "version" not in written.metadata.language_info
    _, first, second = written.cells
    assert [first.execution_count, second.execution_count] == [1, 2]
    assert (first.metadata, second.metadata) == ({"tags": ["a"]}, {})
    assert [(o.output_type, o.get("text")) for o in first.outputs] == [("stream", "first\nlast\n")]
    assert [list(o.data) for o in second.outputs] == [["text/plain"]]
    assert fine.read_text("utf-8").startswith('{\n "cells": [\n') and "Title ·" in fine.read_text()
