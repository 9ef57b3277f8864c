"""JupyterLab as a reader has it: a server of its own, and a notebook in a browser's window."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

try:
    from playwright import sync_api as playwright
except ImportError:
    playwright = None

SCREENSHOTS = ROOT / "runs" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Else the cells out of sight are not there, and neither are their errors.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


def unavailable(reason):
    """Skip the test; where CI installs all that it needs, fail it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


# --- the browser ------------------------------------------------------------------------------


@contextlib.contextmanager
def open_browser(home):
    """The Chromium or Chrome that is installed, without a window; Playwright brings none."""
    if playwright is None:
        unavailable("no playwright: make env")
    named = os.environ.get("CHROME")
    paths = [shutil.which(name) for name in ([named] if named else BROWSERS)]
    path = next(filter(None, paths), None)
    if path is None:
        what = f"no {named}, which CHROME names" if named else "no Chromium"
        unavailable(f"{what}: sudo apt-get install chromium, or CHROME=/path/to/chrome")
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(
                executable_path=path,
                args=["--enable-unsafe-swiftshader"],  # WebGL where there is no GPU
                env={**os.environ, "HOME": str(home)},
            )
        except playwright.Error as error:  # Ubuntu's chromium-browser, say, which asks for a snap
            said = [*re.findall(r"\[err\] (.*)", error.message), *error.message.splitlines()]
            unavailable(f"{path} does not start, CHROME can name another one: {said[0]}")
        with browser:
            yield browser


# --- the server -------------------------------------------------------------------------------


@contextlib.contextmanager
def start_lab(folder, browser):
    """A :class:`Lab` on notebooks below ``folder``, with nobody's settings and no one's kernels."""
    work = folder / "work"
    (work / "notebooks").mkdir(parents=True)
    # The notebooks' relative paths count from the folder that has this one.
    (work / "notebooks" / "01_data_cropping.ipynb").touch()
    for name in ("data", "results"):
        (work / name).symlink_to(ROOT / name)
    for name, value in SETTINGS.items():
        path = folder / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    own = {
        "HOME": folder,
        "IPYTHONDIR": folder / "ipython",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTER_PATH": Path(sys.prefix) / "share" / "jupyter",  # `python3` is this very Python
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # making it anew takes long, and a warning
        "OMP_NUM_THREADS": 1,  # more would wait for each other while the browser draws
        "PYTHONPATH": ROOT,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}"]
    log = folder / "lab.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command,
            env={**os.environ, **{k: str(v) for k, v in own.items()}, "JUPYTER_TOKEN": token},
            cwd=work,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    lab = Lab(browser, f"http://127.0.0.1:{port}", token, work / "notebooks")
    try:
        deadline = time.monotonic() + 60
        while not lab.answers():
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield lab
    finally:
        stop(server)


def stop(server):
    """SIGTERM lets it end its kernels; those of one that was killed notice, and end as well."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class Lab:
    """A running server, and the browser that shows its notebooks."""

    def __init__(self, browser, url, token, folder):
        self.browser, self.url, self.token, self.folder = browser, url, token, folder

    def ask(self, path, method="GET"):
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/api/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def answers(self):
        try:
            return bool(self.ask("status"))
        except OSError:
            return False

    @contextlib.contextmanager
    def run(self, name):
        """A :class:`Notebook`, run: a copy of the committed one without its outputs."""
        notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        for cell in cells:
            cell.update(outputs=[], execution_count=None)
        # The last one is for questions to the kernel.
        question = {"cell_type": "code", "source": [], "outputs": [], "execution_count": None}
        notebook["cells"].append(question | {"metadata": {}, "id": "question"})
        (self.folder / f"{name}.ipynb").write_text(json.dumps(notebook))
        with self.browser.new_page(viewport={"width": 1500, "height": 1300}) as page:
            opened = Notebook(page, name, len(cells))
            try:
                page.goto(f"{self.url}/lab/tree/notebooks/{name}.ipynb?token={self.token}&reset")
                opened.wait_until_open()
                opened.run_all()
                yield opened
                opened.check()
            except BaseException:
                with contextlib.suppress(playwright.Error):
                    opened.screenshot("failed")
                raise
            finally:
                for session in json.loads(self.ask("sessions")):
                    self.ask(f"sessions/{session['id']}", "DELETE")


# --- a notebook in the browser ----------------------------------------------------------------

ERROR, STDERR = "application/vnd.jupyter.error", "application/vnd.jupyter.stderr"
# The status bar's word: the toolbar's sign is idle too early.
IDLE = "/\\| Idle/.test(document.querySelector('#jp-main-statusbar')?.innerText)"
# That many cells have a number in front, or one has an error, and no later one will get any.
ENDED = f"""count => {IDLE} && (document.querySelector('[data-mime-type="{ERROR}"]') ||
    [...document.querySelectorAll('.jp-InputPrompt')]
        .filter(prompt => /\\d/.test(prompt.innerText)).length >= count)"""
ANSWERED = f"""([prompt, before]) => {IDLE} && prompt.innerText != before
    && /\\d/.test(prompt.innerText)"""


class Notebook:
    """A page that shows a notebook of so many cells with code."""

    def __init__(self, page, name, cells):
        self.page, self.name, self.cells = page, name, cells
        self.errors = []
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.errors.append(f"the page: {error}"))

    def wait(self, condition, what, seconds, argument=None):
        try:
            self.page.wait_for_function(condition, arg=argument, timeout=1000 * seconds)
        except playwright.TimeoutError:
            pytest.fail(f"{self.name}: waited {seconds} s for {what}")

    def wait_until_open(self):
        self.wait("() => document.querySelector('.jp-Notebook .jp-Cell')", "its cells", 60)
        self.wait(f"() => {IDLE}", "its kernel", 60)

    def run_all(self):
        for item in ("Run", "Run All Cells"):
            self.page.get_by_role("menuitem", name=item, exact=True).click()
        self.wait(ENDED, "the end of its last cell", 240, self.cells)
        self.check()

    def check(self):
        """No cell has an error or writes to stderr, and the page has no error either."""
        cells = [self.page.locator(f"[data-mime-type='{kind}']") for kind in (ERROR, STDERR)]
        found = [*self.errors, *(text for cell in cells for text in cell.all_inner_texts())]
        if found:
            pytest.fail(f"{self.name}: {found[0]}")

    def explorer(self, function):
        """The widget that a cell's call of ``function`` shows."""
        cells = self.page.locator(".jp-CodeCell").filter(has_text=f"{function}(")
        return Explorer(self, cells.filter(has=self.page.locator(".jupyter-widgets")))

    def ask(self, code):
        """What code prints in the notebook's kernel, from JSON."""
        cell = self.page.locator(".jp-CodeCell").last
        prompt = cell.locator(".jp-InputPrompt")
        argument = [prompt.element_handle(), prompt.inner_text()]
        cell.locator(".cm-content").fill(code)
        self.page.keyboard.press("Control+Enter")
        self.wait(ANSWERED, "an answer of its kernel", 20, argument)
        self.check()
        return json.loads(cell.locator(".jp-OutputArea-output").inner_text())

    def screenshot(self, what, part=None):
        """Keep a picture of the page, or of a part of it."""
        self.page.mouse.move(0, 0)  # over a figure it would bring buttons
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (part or self.page).screenshot(path=SCREENSHOTS / f"{self.name[:2]}_{what}.png")


# What a figure in the page shows: its title and, for each trace, the sum of each array.
SHOWN = """plot => [plot.layout.title?.text ?? null, plot.data.map(trace => Object.fromEntries(
    ['x', 'y', 'z', 'i', 'j', 'k'].filter(name => trace[name]?.length).map(name => [name,
        Array.from(trace[name]).flatMap(row => row?.length ? Array.from(row) : row)
            .reduce((sum, value) => sum + (Number.isFinite(value) ? value : 0), 0)])))]"""

# The same in the kernel, and in front of it what its sliders' readouts are to say.
HELD = """
import gc, json, ipywidgets, numpy, plotly
def parts(widget):
    return [widget, *(p for child in getattr(widget, "children", ()) for p in parts(child))]
def label(slider):
    return format(slider.value, slider.readout_format) if hasattr(slider, "step") else slider.label
def sums(trace):
    arrays = {name: trace[name] for name in "xyzijk" if name in trace}
    return {n: float(numpy.nansum(a)) for n, a in arrays.items() if a is not None and len(a)}
boxes = [parts(o) for o in gc.get_objects() if issubclass(type(o), ipywidgets.Box)]
whole = max((b for b in boxes if isinstance(b[-1], plotly.graph_objects.FigureWidget)), key=len)
figure = whole[-1]
labels = [label(part) for part in whole if getattr(part, "readout", False)]
print(json.dumps([labels, figure.layout.title.text, [sums(trace) for trace in figure.data]]))
"""

WATCH = """plot => {
    plot.on('plotly_afterplot', () => plot.redrawn = performance.now());
    addEventListener('keydown', () => plot.pressed = performance.now(), true);
}"""


class Explorer:
    """A widget of sliders and a figure, in its cell."""

    def __init__(self, notebook, cell):
        self.notebook, self.page, self.cell = notebook, notebook.page, cell
        self.plot = cell.locator(".js-plotly-plot")
        self.plot.evaluate(WATCH)

    def slider(self, label):
        """The first one behind a label: they bear no names themselves."""
        return self.behind(label, "@role='slider'")

    def readout(self, label):
        return self.behind(label, "contains(@class, 'widget-readout')").inner_text()

    def behind(self, label, kind):
        text = f"//*[normalize-space()='{label}']"
        return self.cell.locator(f"xpath=({text}/following::*[{kind}])[1]")

    def button(self, name):
        return self.cell.get_by_role("button", name=name, exact=True)

    def readouts(self):
        texts = self.cell.locator(".widget-readout:visible").all_inner_texts()
        return [text.replace("−", "-") for text in texts]

    def shown(self):
        """The figure's title, and of each trace the sum of each array."""
        return self.plot.evaluate(SHOWN)

    def title(self):
        return self.shown()[0]

    def held(self):
        """What the readouts should say and what :meth:`shown` should be, by the kernel."""
        readouts, *shown = self.notebook.ask(HELD)
        return readouts, shown

    def picture(self):
        """The figure's pixels."""
        self.page.mouse.move(0, 0)
        return np.asarray(Image.open(BytesIO(self.plot.screenshot())).convert("RGB"), int)

    def move_mouse(self, part, pixels):
        """Press it in the middle of a part, move to the right, let go."""
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y, steps=8)
        self.page.mouse.up()

    def drag(self, handle, pixels):
        """Move a slider's handle by the mouse."""
        before = self.shown()
        self.move_mouse(handle, pixels)
        self.wait_for_change(before)

    def turn(self, pixels):
        """Turn a figure of three dimensions, by the mouse."""
        self.move_mouse(self.plot, pixels)
        last = None
        while (now := self.camera()) != last:  # it turns on for a moment
            last = now
            self.page.wait_for_timeout(300)

    def camera(self):
        return self.plot.evaluate("plot => plot._fullLayout.scene.camera")

    def press(self, handle, key):
        """Press a key on a slider; milliseconds until the figure was drawn anew."""
        before = self.shown()
        handle.focus()
        self.page.keyboard.press(key)
        self.wait_for_change(before)
        return self.plot.evaluate("plot => plot.redrawn - plot.pressed")

    def click(self, name):
        before = self.shown()
        self.button(name).click()
        self.wait_for_change(before)

    def wait_for_change(self, before):
        """Wait until the figure shows something else, and then until it stays as it is."""
        last, deadline = before, time.monotonic() + 20
        while (now := self.shown()) == before or now != last:
            if time.monotonic() > deadline:
                pytest.fail(f"{self.notebook.name}: waited 20 s for its figure to change")
            last = now
            self.page.wait_for_timeout(300)

    def screenshot(self, what):
        self.notebook.screenshot(what, self.cell)
