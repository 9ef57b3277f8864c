"""How papermill, by which `make run` calls the notebooks, treats slips, and what one sees."""

import json
import re
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

# notebook: a wrong value, its refusal; a name that the notebook does not have, its refusal
SLIPS = {
    "01_data_cropping": [
        ("foreground", "otsuu", r"foreground is 'otsuu', .*\(did you mean 'otsu'\?\)"),
        ("centr", "box", r"centr is no parameter of this notebook, did you mean centre\?"),
    ],
    "02_input_representations": [
        ("layers", "3.5", r"layers is 3\.5, wanted a whole number"),
        ("layer", "64", r"layer is no parameter of this notebook, did you mean layers\?"),
    ],
    "03_skeleton_renderer": [
        ("gamma", "-0.1", r"gamma is -0\.1, wanted a number above 0"),
        ("gama", "0.1", r"gama is no parameter of this notebook, did you mean gamma\?"),
    ],
    "04_train_refine": [
        ("model", "7", "model is 7, wanted 1, 2, 3 or 4"),
        ("modle", "2", r"modle is no parameter of this notebook, did you mean model\?"),
        ("data", "nowhere", "data is 'nowhere', which is not there: `make data`"),
        ("pretrain", "maybe", "pretrain is 'maybe', wanted True, False or None"),
        ("people", "nowhere", "people is 'nowhere', which is not there: wanted MPII and Human3.6M"),
    ],
    "05_results": [
        ("results", "nowhere", "results is 'nowhere', which is not there: "),
        ("result", "results/tiny", "result is no parameter of this notebook, did you mean"),
    ],
}
CASES = [(name, *slip) for name, slips in SLIPS.items() for slip in slips]
SECONDS = 60  # until a line of the training has to be there


def command(source, *options):
    return [sys.executable, "-m", "papermill", "--kernel", "python3", str(source), *options]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each slip's finished process and executed notebook.

    One after the other: kernels that start at the same moment may be given the same port, and one
    of them dies (nteract/papermill#511).
    """
    folder = tmp_path_factory.mktemp("papermill")

    def run(case):
        name, parameter, value, _ = case
        out = folder / f"{name}_{parameter}.ipynb"
        call = command(f"notebooks/{name}.ipynb", str(out), "-p", parameter, value)
        return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False), out

    return {case: run(case) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][:2]}-{case[1]}")
def test_slip_is_told_in_the_first_cell_behind_the_parameters(runs, case):
    done, _ = runs[case]
    assert done.returncode == 1
    assert 'Exception encountered at "In [3]"' in done.stderr, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert re.fullmatch(rf"(ValueError|FileNotFoundError): {case[3]}.*", last)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0][:2]}-{case[1]}")
def test_notebook_of_a_failure_is_whole(runs, case):
    """It opens in JupyterLab with a mark at its top, the error in its place, and no more run."""
    name, *_ = case
    done, out = runs[case]
    executed = nbformat.read(out, as_version=4)
    nbformat.validate(executed)
    committed = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    marks = [c for c in executed.cells if "papermill-error-cell-tag" in c.metadata.get("tags", [])]
    assert marks[0] is executed.cells[0] and "In [3]" in marks[0].source
    injected = [c for c in executed.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert len(injected) == 1
    own = [c for c in executed.cells if c not in marks + injected]
    assert [c.source for c in own] == [c.source for c in committed.cells]

    code = [c for c in executed.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == [1, 2, 3] + [None] * (len(code) - 3)
    (error,) = [o for c in code for o in c.outputs]
    assert error in code[2].outputs and error.output_type == "error"
    assert done.stderr.strip().endswith(f"{error.ename}: {error.evalue}")
    assert executed.cells[executed.cells.index(code[2]) - 1] is marks[-1]


# --- with people, and without --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "false"])
def test_notebook_04_begins_with_people_or_from_scratch(value, trained, tmp_path):
    """Without, the run is the one of `tiny` as it is; with, people and hands are trained here."""
    source, out = ROOT / "notebooks/04_train_refine.ipynb", tmp_path / "out.ipynb"
    call = command(source, str(out), "--log-output", "--no-progress-bar", "-p", "pretrain", value)
    if value == "true":
        call += ["-p", "runs", str(tmp_path / "runs")]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = re.findall(r"^ *(people|pose|volume|refine) .*validation: .*$", done.stderr, re.M)
    assert set(lines) == ({"people", "pose", "volume", "refine"} if value == "true" else set())
    text = str([c.outputs for c in nbformat.read(out, as_version=4).cells if c.cell_type == "code"])
    begins = "Step 1 begins with people" if value == "true" else "Step 1 begins from scratch"
    assert begins in text and "all claims hold" in text
    if value == "true":
        model = tmp_path / "runs" / "tiny_pretrained" / "model_1"
        moved = json.loads((model / "transfer.json").read_text())
        assert len(moved["rebuilt"]) == 2 and not moved["left"] and not moved["widened"]
        result = json.loads((model / "result.json").read_text())
        assert result["recipe"]["pretrain"]
        assert len(list(model.parent.glob("people_*/body.safetensors"))) == 1


# --- progress ---------------------------------------------------------------------------------

TRAIN = """
import sys, time
from pathlib import Path

sys.path.insert(0, {tests!r})
from conftest import QUICK
from senorita_lib.training.stages import train

def wait(log, folder=Path({folder!r})):
    "Go on from the second validation when somebody has read the line about the first."
    end = time.monotonic() + {seconds}
    while sum("validation_initial_mm" in row for row in log) > 1 and time.monotonic() < end:
        if (folder / "read").exists():
            break
        time.sleep(0.05)

recipe = QUICK.override(validate_images=24)
train(recipe, {data!r}, {folder!r} + "/run", device="cpu", watch=wait)
"""


def training_notebook(folder, data):
    text = TRAIN.format(
        tests=str(ROOT / "tests"), folder=str(folder), data=str(data), seconds=SECONDS
    )
    path = folder / "train.ipynb"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [nbformat.v4.new_code_cell(text)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def test_lines_of_the_training_arrive_while_it_runs(small_data, tmp_path):
    """With the Makefile's options; without --log-output papermill shows its own bar alone."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    options = re.search(r"^PAPERMILL := .* papermill --kernel python3 (.*)$", makefile, re.M)[1]
    assert options.split() == ["--log-output", "--no-progress-bar"]
    source = training_notebook(tmp_path, small_data)
    call = command(source, str(tmp_path / "out.ipynb"), *options.split())
    process = subprocess.Popen(
        call,
        cwd=ROOT,
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    start, told = time.monotonic(), []
    with process:
        for line in process.stderr:
            if re.match(r" *(pose|volume|refine) .*validation: initial", line):
                if not told:
                    assert not (tmp_path / "run" / "result.json").exists()
                    (tmp_path / "read").touch()
                told.append((line.split()[0], time.monotonic() - start))
    assert process.returncode == 0
    assert {stage for stage, _ in told} == {"pose", "volume", "refine"}
    assert told[0][1] < SECONDS
