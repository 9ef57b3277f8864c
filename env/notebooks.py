"""Executes the committed notebooks in place and leaves them light; `make notebooks` calls it.

    python env/notebooks.py [03 05 | 03_skeleton_renderer | notebooks/03_skeleton_renderer.ipynb]

Without names all of them. A notebook is written when all of its cells have run, and else left as
it was. What depends on the machine, the moment or a live kernel is not kept: times, Python's
version, states and views of widgets ("Error displaying widget" on a static page; the text beside
the view stays), bars of progress.
"""

import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError

from senorita_lib.files import atomic_write

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = re.compile(r"\s*(.*: *)?(\d+%\|.*\| *)?\d+\S*(/\S+)? \[(\d+:\d\d.*\]|\S*…)\s*")  # tqdm's text
NOT_KEPT = {"execution", "ExecuteTime", "papermill"}  # times, in a cell's metadata
LINES = 30  # of an error


def find(names, folder=NOTEBOOKS):
    """The notebooks of these names or numbers, in the folder's order; of no names, all."""
    paths = sorted(folder.glob("0*.ipynb"))
    numbers = {path.stem.partition("_")[0]: path for path in paths}
    known = numbers | {path.stem: path for path in paths}
    chosen = []
    for name in names:
        stem = Path(name).stem
        if (key := stem.zfill(2)) not in known:
            raise SystemExit(f"{name} is no notebook, wanted some of {', '.join(numbers)}")
        chosen.append(known[key])
    return [path for path in paths if path in chosen or not names]


def execute(path):
    """Run a notebook from top to bottom and write it, cleaned, in its own place."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    clean(notebook)
    nbformat.validate(notebook)
    atomic_write(path, (nbformat.writes(notebook).rstrip("\n") + "\n").encode())


def clean(notebook):
    """Keep of an executed notebook what is the same wherever and whenever it ran."""
    kept = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    kept["language_info"].pop("version", None)
    notebook.metadata = nbformat.from_dict(kept)
    for cell in notebook.cells:
        for key in NOT_KEPT & cell.metadata.keys():
            del cell.metadata[key]
        if cell.cell_type == "code":
            cell.outputs = cleaned(cell.outputs)


def cleaned(outputs):
    """A cell's outputs without views of widgets and bars; prints that were parted are one."""
    kept = []
    for output in outputs:
        data = output.get("data", {})
        data.pop(WIDGET, None)
        if data.keys() <= {"text/plain"} and BAR.fullmatch(data.get("text/plain", "")):
            continue
        before = kept[-1] if kept else {}
        if "name" in output and output.name == before.get("name"):  # both to stdout, or stderr
            before["text"] += output.text
        else:
            kept.append(output)
    return kept


def one_screen(error):
    """An error's last lines, without colours."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines()
    if len(lines) > LINES:
        lines[: 1 - LINES] = ["..."]
    return "\n".join(line[:200] for line in lines)


def main(names):
    # The environment's own kernel and no start-up files of anybody's, as the Makefile says too.
    os.environ.setdefault("JUPYTER_PATH", str(Path(sys.prefix, "share", "jupyter")))
    os.environ.setdefault("IPYTHONDIR", str(Path(sys.prefix, "ipython")))
    for path in find(names):
        start = time.monotonic()
        try:
            execute(path)
        except (CellExecutionError, CellControlSignal, DeadKernelError) as error:
            raise SystemExit(f"{one_screen(error)}\n\n{path.name} is left as it was.") from None
        size = path.stat().st_size / 1000
        print(f"{path.stem:<26}{time.monotonic() - start:4.0f} s{size:6.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
