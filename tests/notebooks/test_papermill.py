"""papermill, as `make run` calls it: it stops at a wrong parameter, and shows training."""

import re
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def command(source, *options):
    return [sys.executable, "-m", "papermill", "--kernel", "python3", str(source), *options]


def test_slip_stops_in_the_first_cell_and_the_notebook_is_whole(tmp_path):
    """It opens in JupyterLab with a mark at its top and the error in its place."""
    source, out = ROOT / "notebooks" / "04_train_refine.ipynb", tmp_path / "out.ipynb"
    call = command(source, str(out), "-p", "model", "7")
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'Exception encountered at "In [3]"' in done.stderr, done.stderr
    refusal = "ValueError: this notebook has model = 7, wanted 1, 2, 3 or 4"
    assert done.stderr.strip().splitlines()[-1].startswith(refusal)

    executed = nbformat.read(out, as_version=4)
    nbformat.validate(executed)
    marks = [c for c in executed.cells if "papermill-error-cell-tag" in c.metadata.get("tags", [])]
    assert marks[0] is executed.cells[0] and "In [3]" in marks[0].source
    injected = [c for c in executed.cells if "injected-parameters" in c.metadata.get("tags", [])]
    own = [c.source for c in executed.cells if c not in marks + injected]
    assert own == [c.source for c in nbformat.read(source, as_version=4).cells]
    code = [c for c in executed.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == [1, 2, 3] + [None] * (len(code) - 3)
    assert [o.output_type for c in code for o in c.outputs] == ["error"] and code[2].outputs
    assert executed.cells[executed.cells.index(code[2]) - 1] is marks[-1]


TRAIN = """
import sys, time
from pathlib import Path

sys.path.insert(0, {tests!r})
from conftest import QUICK
from senorita_lib.training.stages import train

def wait(log, read=Path({folder!r}, "read"), end=time.monotonic() + 600):
    "After the second validation, wait until the line about the first has been read."
    while sum("validation_initial_mm" in row for row in log) > 1 and not read.exists():
        assert time.monotonic() < end, "no line has been read"
        time.sleep(0.05)

recipe = QUICK.override(validate_images=24)
train(recipe, {data!r}, {folder!r} + "/run", device="cpu", watch=wait)
"""


def test_lines_of_the_training_arrive_while_it_runs(small_data, tmp_path):
    """With the Makefile's options; without --log-output papermill shows its own bar alone."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    options = re.search(r"^PAPERMILL := .* papermill --kernel python3 (.*)$", makefile, re.M)[1]
    values = {"tests": str(ROOT / "tests"), "folder": str(tmp_path), "data": str(small_data)}
    cell = nbformat.v4.new_code_cell(TRAIN.format(**values))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "train.ipynb")
    call = command(tmp_path / "train.ipynb", str(tmp_path / "out.ipynb"), *options.split())
    pipes, stages = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}, set()
    with subprocess.Popen(call, cwd=ROOT, text=True, **pipes) as process:
        for line in process.stderr:
            if found := re.match(r" *(pose|volume|refine) .*validation: initial", line):
                (tmp_path / "read").touch()
                stages.add(found[1])
    assert process.returncode == 0 and stages == {"pose", "volume", "refine"}
