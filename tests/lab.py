"""JupyterLab as a reader uses it: a server of its own, and a notebook in a browser window."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

import matplotlib
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

try:
    from playwright import sync_api as playwright
except ImportError:
    playwright = None

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Else the cells out of sight are not there, and neither are their errors.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


def unavailable(reason: str) -> NoReturn:
    """Skip the test; in CI, which installs all that it needs, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextlib.contextmanager
def open_browser(home: Path) -> Iterator[playwright.Browser]:
    """The installed Chromium or Chrome, without a window; Playwright brings none."""
    if playwright is None:
        unavailable("no playwright: make env")
    names = [os.environ["CHROME"]] if "CHROME" in os.environ else BROWSERS
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        unavailable(f"none of {', '.join(names)} is installed, CHROME can name another one")
    with playwright.sync_playwright() as driver:
        try:
            software = ["--enable-unsafe-swiftshader"]  # WebGL where there is no GPU
            env = os.environ | {"HOME": str(home)}
            browser = driver.chromium.launch(executable_path=path, args=software, env=env)
        except playwright.Error as error:  # Ubuntu's chromium-browser, say, which asks for a snap
            unavailable(f"{path} does not start, CHROME can name another one: {error.message}")
        with browser:
            yield browser


@contextlib.contextmanager
def start_lab(folder: Path, browser: playwright.Browser) -> Iterator[Lab]:
    """A server with settings, notebooks and kernels of its own, all below ``folder``."""
    work = folder / "work"
    (work / "notebooks").mkdir(parents=True)
    # The notebooks' relative paths count from the folder that has this one.
    (work / "notebooks" / "01_data_cropping.ipynb").touch()
    for name in ("data", "results"):
        (work / name).symlink_to(ROOT / name)
    for name, value in SETTINGS.items():
        path = folder / ".jupyter/lab/user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    # Jupyter finds its settings, data and kernels' files below HOME.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "XDG"))}
    own |= {
        "HOME": str(folder), "JUPYTER_TOKEN": token, "PYTHONPATH": str(ROOT),
        "JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter")),  # `python3` is this very Python
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # a new one takes long, and gives a warning
        "OMP_NUM_THREADS": "1",  # more would wait for each other while the browser draws
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}"]
    log = folder / "lab.log"
    with log.open("w") as stream:
        output = {"stdout": stream, "stderr": subprocess.STDOUT}
        server = subprocess.Popen(command, env=own, cwd=work, start_new_session=True, **output)
    lab = Lab(browser, f"http://127.0.0.1:{port}", token, work / "notebooks")
    try:
        deadline, answer = time.monotonic() + 60, b""
        while not answer:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                answer = lab.ask("status")
        yield lab
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)  # it ends its kernels
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)  # its kernels notice, and end as well
            server.wait()


class Lab:
    """A running server, and the browser that shows its notebooks."""

    def __init__(self, browser: playwright.Browser, url: str, token: str, folder: Path) -> None:
        self.browser, self.url, self.token, self.folder = browser, url, token, folder

    def ask(self, path: str, method: str = "GET") -> bytes:
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    @contextlib.contextmanager
    def run(self, name: str, function: str) -> Iterator[Explorer]:
        """Run a committed notebook down to the cell that calls ``function`` for a widget."""
        notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
        (end,) = (i for i, c in enumerate(notebook["cells"]) if f"{function}(" in str(c["source"]))
        del notebook["cells"][end + 1 :]
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            cell.update(outputs=[], execution_count=None)
        # The last one is for questions to the kernel.
        notebook["cells"].append(cells[-1] | {"source": [], "metadata": {}, "id": "question"})
        (self.folder / f"{name}.ipynb").write_text(json.dumps(notebook))
        with self.browser.new_page(viewport={"width": 1500, "height": 1300}) as page:
            explorer = Explorer(page, name, len(cells), function)
            try:
                page.goto(f"{self.url}/lab/tree/notebooks/{name}.ipynb?token={self.token}&reset")
                explorer.run_all()
                explorer.assert_fresh()
                yield explorer
                explorer.check()
            finally:
                for session in json.loads(self.ask("sessions")):
                    self.ask(f"sessions/{session['id']}", "DELETE")


# What no cell may put out: errors, which JupyterLab shows as either, and warnings.
FAILED = "[data-mime-type$='jupyter.error'], [data-mime-type$='jupyter.stderr']"
# The status bar's word: the toolbar's sign is idle too early.
IDLE = "/\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText)"
# That many cells have a number in front, or one has failed, and no later one will get any.
ENDED = f"""count => {IDLE} && (document.querySelector("{FAILED}") ||
    [...document.querySelectorAll('.jp-InputPrompt')]
        .filter(prompt => /\\d/.test(prompt.innerText)).length >= count)"""
ANSWERED = f"""([prompt, before]) => {IDLE} && prompt.innerText != before
    && /\\d/.test(prompt.innerText)"""

# What a figure in the page shows: its title and, for each trace, the sum of each array.
SHOWN = """plot => [plot.layout.title?.text ?? null, plot._fullData.map(trace => Object.fromEntries(
    ['x', 'y', 'z', 'i', 'j', 'k'].filter(name => trace[name]?.length).map(name => [name,
        Array.from(trace[name]).flatMap(row => row?.length ? Array.from(row) : row)
            .reduce((sum, value) => sum + (Number.isFinite(value) ? value : 0), 0)])))]"""

# The same in the kernel, and before it what the readouts of the sliders should say.
HELD = """
import base64, gc, json, ipywidgets, numpy, plotly
def parts(widget):
    return [widget, *(p for child in getattr(widget, "children", ()) for p in parts(child))]
def label(slider):
    return format(slider.value, slider.readout_format) if hasattr(slider, "step") else slider.label
def values(a):
    return numpy.frombuffer(base64.b64decode(a["bdata"]), a["dtype"]) if isinstance(a, dict) else a
def sums(trace):
    arrays = {name: values(trace[name]) for name in "xyzijk" if name in trace}
    arrays = {name: a for name, a in arrays.items() if a is not None and len(a)}
    return {name: float(numpy.nansum(a, dtype=float)) for name, a in arrays.items()}
boxes = [parts(o) for o in gc.get_objects() if issubclass(type(o), ipywidgets.Box)]
whole = max((b for b in boxes if isinstance(b[-1], plotly.graph_objects.FigureWidget)), key=len)
figure = whole[-1]
labels = [label(part) for part in whole if getattr(part, "readout", False)]
print(json.dumps([labels, figure.layout.title.text, [sums(trace) for trace in figure.data]]))
"""


class Explorer:
    """A page with a notebook of so many code cells, and its widget of sliders and a figure."""

    def __init__(self, page: playwright.Page, name: str, cells: int, function: str) -> None:
        self.page, self.name, self.cells = page, name, cells
        self.errors: list[str] = []
        cell = page.locator(".jp-CodeCell").filter(has_text=f"{function}(")
        self.cell = cell.filter(has=page.locator(".jupyter-widgets"))
        self.plot = self.cell.locator(".js-plotly-plot")
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.errors.append(f"the page: {error}"))
        page.on("console", self.listen)

    def listen(self, message: playwright.ConsoleMessage) -> None:
        """A figure that sends the kernel too much at once loses its connection."""
        if "Connection lost" in message.text:
            self.errors.append(f"the page: {message.text}")

    def wait(self, condition: str, what: str, seconds: int, argument: Any = None) -> None:
        try:
            self.page.wait_for_function(condition, arg=argument, timeout=1000 * seconds)
        except playwright.TimeoutError:
            pytest.fail(f"{self.name}: waited {seconds} s for {what}")

    def run_all(self) -> None:
        self.wait("() => document.querySelector('.jp-Notebook .jp-Cell')", "its cells", 60)
        self.wait(f"() => {IDLE}", "its kernel", 60)
        for item in ("Run", "Run All Cells"):
            self.page.get_by_role("menuitem", name=item, exact=True).click()
        self.wait(ENDED, "the end of its last cell", 240, self.cells)
        self.check()

    def check(self) -> None:
        """No cell has an error or writes to stderr, and the page has no error either."""
        if found := [*self.errors, *self.page.locator(FAILED).all_inner_texts()]:
            pytest.fail(f"{self.name}: {found[0]}")

    def ask(self, code: str) -> Any:
        """What code prints in the notebook's kernel, read as JSON."""
        cell = self.page.locator(".jp-CodeCell").last
        prompt = cell.locator(".jp-InputPrompt")
        argument = [prompt.element_handle(), prompt.inner_text()]
        cell.locator(".cm-content").fill(code)
        self.page.keyboard.press("Control+Enter")
        self.wait(ANSWERED, "an answer of its kernel", 20, argument)
        self.check()
        return json.loads(cell.locator(".jp-OutputArea-output").inner_text())

    def slider(self, label: str, kind: str = "@role='slider'") -> playwright.Locator:
        """The first one behind a label: widgets have no names themselves."""
        text = f"//*[normalize-space()='{label}']"
        return self.cell.locator(f"xpath=({text}/following::*[{kind}])[1]")

    def readout(self, label: str) -> str:
        return self.slider(label, "contains(@class, 'widget-readout')").inner_text()

    def shown(self) -> list:
        return self.plot.evaluate(SHOWN)

    def title(self) -> str:
        return self.shown()[0]

    def picture(self) -> np.ndarray:
        self.page.mouse.move(0, 0)  # over the figure it would bring buttons
        return np.asarray(Image.open(BytesIO(self.plot.screenshot())).convert("RGB"), int)

    def move_mouse(self, part: playwright.Locator, right: int) -> None:
        """Press it in the middle of a part, move it to the right, let go."""
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right, y, steps=8)
        self.page.mouse.up()

    def turn(self, right: int) -> None:
        self.move_mouse(self.plot, right)
        last = None
        while (now := self.camera()) != last:  # it turns on for a moment
            last = now
            self.page.wait_for_timeout(300)

    def camera(self) -> dict:
        return self.plot.evaluate("plot => plot._fullLayout.scene.camera")

    def drag(self, label: str, right: int, pixels: int = 2000) -> list[int]:
        return self.change(lambda: self.move_mouse(self.slider(label), right), pixels)

    def press_right(self, label: str, pixels: int = 50) -> list[int]:
        return self.change(lambda: self.slider(label).press("ArrowRight"), pixels)

    def click(self, name: str) -> list[int]:
        return self.change(self.cell.get_by_role("button", name=name, exact=True).click, 50)

    def change(self, do: Callable[[], object], pixels: int) -> list[int]:
        """Numbers of the traces that something changes; more than so many pixels must change, too.

        Waits until the figure shows something else, and then stays so: it is what the kernel holds.
        """
        before, picture, deadline = self.shown(), self.picture(), time.monotonic() + 20
        do()
        last = before
        while (now := self.shown()) == before or now != last:
            if time.monotonic() > deadline:
                pytest.fail(f"{self.name}: waited 20 s for its figure to change")
            last = now
            self.page.wait_for_timeout(300)
        assert changed_pixels(picture, self.picture()) > pixels
        self.assert_fresh()
        traces = zip(before[1], now[1], strict=True)
        return [number for number, (one, other) in enumerate(traces) if one != other]

    def assert_fresh(self) -> None:
        """The page shows what the kernel holds; a busy machine has a few seconds to get there."""
        for _ in range(5):
            readouts, title, sums = self.ask(HELD)
            held = readouts, title, [pytest.approx(trace, abs=1e-3) for trace in sums]  # float32
            texts = self.cell.locator(".widget-readout:visible").all_inner_texts()
            shown = [text.replace("−", "-") for text in texts], *self.shown()
            if shown == held:
                return
            self.page.wait_for_timeout(1000)
        assert shown == held


def changed_pixels(before: np.ndarray, after: np.ndarray) -> int:
    return (abs(after - before).max(axis=-1) > 8).sum()
