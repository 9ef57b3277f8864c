"""A training run's figure, from its log, and how a notebook shows it while the run goes on."""

import sys
import time
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from senorita_lib.datasets.crops import CropSet
from senorita_lib.figures.style import BONE_COLOURS, GREY_MAP, MUTED_COLOURS, mime_bundle
from senorita_lib.files import PathLike
from senorita_lib.hand import BONES
from senorita_lib.recipes import Recipe
from senorita_lib.training.loop import counted
from senorita_lib.training.stages import sample_frames

Log = list[dict[str, Any]]

_INITIAL, _ORIENTATION, _VOLUME, _REFINED = MUTED_COLOURS[:4]
_PANELS: dict[str, dict[str, str]] = {  # name, then the log's entries with their colours
    "eq. 3: joints (cells)\neq. 6: refined joints": {"L_jt": _INITIAL, "L_jt_ref": _REFINED},
    "eq. 4:\nskeleton volumes": {"L_3dske": _VOLUME},
    "eq. 5: residual\norientations": {"L_res_ori": _ORIENTATION},
    "Step 2's weights\nof eq. 3, 5, 6":
        {"w_jt": _INITIAL, "w_res_ori": _ORIENTATION, "w_jt_ref": _REFINED},
}  # fmt: skip
_ERRORS = {"initial": (_INITIAL, "o-"), "refined": (_REFINED, "s--")}
_STAGES = {  # name and shade
    "pose": ("Step 1: eq. 3", "#ffffff"), "volume": ("+ eq. 4", "#eff3f8"),
    "refine": ("Step 2", "#dfe7f0"),
}  # fmt: skip
_POINTS = 250  # of a curve: longer ones are drawn as means
_COLUMNS = 7  # of poses, without the truth
_SECONDS = 5.0  # least time between two drawings
_SHARE = 1 / 25  # of the time that drawing may take


def training_figure(log: Log, strip: CropSet | None = None, images: int = 0) -> Figure:
    """Losses, weights and validation error of a run, stage by stage, from its log so far.

    With ``strip``, the frames whose poses the log keeps (:func:`.stages.sample_frames`), poses of
    some validations are drawn. The axes reach at least as far as ``images`` seen.
    """
    log = counted(log)
    height = 3.65 if strip is None else 4.25 + 1.14 * len(strip)
    figure = Figure(figsize=(11, height), dpi=80)
    grid = figure.add_gridspec(
        4, 2, left=0.145, right=0.995, top=1 - 0.25 / height, bottom=1 - 3.15 / height,
        width_ratios=(1.15, 1), wspace=0.15, hspace=0.12,
    )  # fmt: skip
    panels = [figure.add_subplot(grid[i, 0]) for i in range(4)]
    errors = figure.add_subplot(grid[:, 1])
    for axes, (name, colours) in zip(panels, _PANELS.items(), strict=True):
        _draw_losses(axes, log, name, colours)
        axes.tick_params(labelbottom=axes is panels[-1])
    for name, (colour, style) in _ERRORS.items():
        seen, curve = _curve(log, f"validation_{name}_mm")
        if len(seen):
            label = f"{name} pose, now {curve[-1]:.1f} mm"
            errors.plot(seen, curve, style, color=colour, ms=4, lw=1.3, label=label)
            errors.legend(fontsize=9, frameon=False, loc="upper right")
    errors.margins(y=0.12)
    errors.set_ylabel("validation error (mm)", fontsize=9)
    errors.grid(alpha=0.25)
    end = 1.04 * max(1, images, *(row["seen"] for row in log))
    last = {row["stage"]: row["seen"] for row in log}
    spans = [*zip(last, [0, *last.values()], [*[*last.values()][:-1], end], strict=False)]
    for axes in (*panels, errors):
        axes.tick_params(labelsize=8)
        axes.set_xlim(0, end)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seen, _: _thousands(seen)))
        for stage, start, stop in spans:
            name, shade = _STAGES[stage]
            axes.axvspan(start, stop, color=shade, lw=0, zorder=0)
            if axes in (panels[0], errors):
                axes.annotate(name, (start, 1), (1, 3), xycoords=axes.get_xaxis_transform(),
                              textcoords="offset points", fontsize=9)  # fmt: skip
    for axes in (panels[-1], errors):
        axes.set_xlabel("images seen", fontsize=9)
    if strip is not None:
        _draw_poses(figure, log, strip)
    return figure


def _curve(log: Log, key: str) -> np.ndarray:
    """Images seen and values, (2, n); long curves as means of neighbours."""
    points = np.array([(row["seen"], row[key]) for row in log if key in row]).reshape(-1, 2)
    parts = np.array_split(points, min(len(points), _POINTS)) if len(points) else []
    return np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2).T


def _draw_losses(axes: Axes, log: Log, name: str, colours: dict[str, str]) -> None:
    values = np.array([])
    for key, colour in colours.items():
        seen, curve = _curve(log, key)
        # The weights of eq. 3 and 6 are the same: the later one is dashed and not named.
        axes.plot(seen, curve, "--" if key == "w_jt_ref" else "-", color=colour, lw=1.3)
        values = np.append(values, curve[np.isfinite(curve)])
        if len(seen) and key in ("w_jt", "w_res_ori"):
            axes.annotate(f"{curve[-1]:.3g}", (seen[0], curve[0]), (-4, 0), ha="right", va="center",
                          textcoords="offset points", fontsize=8, color=colour)  # fmt: skip
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    if len(values) and (low := values.min()) > 0:
        wide = (high := values.max()) > 8 * low
        room = 2 if wide else 1.12
        axes.set(yscale="log", ylim=(low / room, high * room))
        axes.yaxis.set_major_locator(LogLocator() if wide else MaxNLocator(3, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        return
    axes.set(yticks=[])
    if "w_jt" in colours and any(row["stage"] == "refine" for row in log):
        text = "none: the losses are adaptive squares"
        axes.text(0.02, 0.5, text, transform=axes.transAxes, fontsize=8, va="center")


def _thousands(images: float) -> str:
    return f"{images / 1000:.4g}k" if images else "0"


def _error(row: dict[str, Any]) -> float:
    return row.get("validation_refined_mm", row["validation_initial_mm"])


def _draw_poses(figure: Figure, log: Log, strip: CropSet) -> None:
    """Rows are frames, columns validations, of 1 each; the last column is the truth."""
    validations = [row for row in log if "sample_poses" in row]
    # Of many some, at even distances, the last among them.
    count = min(len(validations), _COLUMNS)
    chosen = np.linspace(0, len(validations) - 1, count).round().astype(int)
    crops, true_mm = strip.batch(range(len(strip)))
    true = crops.to_uvd(true_mm)[..., :2].numpy()
    low, high = true.min(axis=1), true.max(axis=1)
    side = 1.25 * (high - low).max(axis=1, keepdims=True)  # of a square around the true hand
    corner = (low + high - side) / 2
    height, rows = figure.get_figheight(), len(strip)
    # One pair of axes for all: with 32 pairs, drawing takes twice as long.
    axes = figure.add_axes((0.145, 0.02 / height, 0.85, 1 - 3.67 / height))

    def draw(x: float, joints_mm: torch.Tensor, label: str, title: str, shade: str) -> None:
        axes.add_patch(Rectangle((x, 0), 1, rows, color=shade, lw=0, zorder=-1))
        axes.text(x + 0.5, rows, label, ha="center", va="top", fontsize=9)
        axes.text(x, -0.06, title, fontsize=9)
        points = (crops.to_uvd(joints_mm)[..., :2].numpy() - corner[:, None]) / side[:, None]
        for y in range(rows):
            (left, top), size = (x, y) - corner[y] / side[y], 1 / side[y, 0]
            extent = left, left + size, top + size, top
            image = axes.imshow(crops.image[y, 0].numpy(), GREY_MAP, vmin=-0.999, vmax=1,
                                interpolation="nearest", extent=extent)  # fmt: skip
            image.set_clip_path(Rectangle((x, y), 1, 1, transform=axes.transData))
            bones = (points[y].clip(0, 1) + (x, y))[list(BONES)]
            axes.add_collection(LineCollection(list(bones), colors=BONE_COLOURS, linewidths=1.5))

    before = None
    for column, row in enumerate(validations[i] for i in chosen):
        name, shade = _STAGES[row["stage"]]
        label = f"{_thousands(row['seen'])} images\n{_error(row):.1f} mm"
        title, before = "" if name == before else name, name
        draw(column, torch.tensor(row["sample_poses"]), label, title, shade)
    draw(_COLUMNS + 0.15, true_mm, "truth", "", "white")
    words = f"{rows} of the\nvalidation frames"
    axes.text(-0.1, rows / 2, words, ha="right", va="center", fontsize=9)
    axes.set(xlim=(0, _COLUMNS + 1.15), ylim=(rows + 0.35, -0.18), aspect="equal", anchor="W")
    axes.set_axis_off()


class LiveTraining:
    """Shows a run in a notebook, as ``watch`` of ``train``, and does nothing elsewhere."""

    def __init__(self, recipe: Recipe, data: PathLike, cache: PathLike | None = None) -> None:
        self._next, self._handle = 0.0, None
        self._images = recipe.pose_images + recipe.volume_images + recipe.refine_images
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        if getattr(shell, "kernel", None) is not None:  # so that what is shown can be replaced
            from IPython.display import display

            self._strip = sample_frames(recipe, data, cache=cache)
            text = {"text/plain": "training: no step yet"}
            self._handle = display(text, raw=True, display_id=True)

    def __call__(self, log: Log) -> None:
        """Draw the log, unless it was drawn a moment ago."""
        start = time.monotonic()
        if start >= self._next:
            self.finish(log, colours=None)
            now = time.monotonic()
            self._next = now + max(_SECONDS, (now - start) / _SHARE)

    def finish(self, log: Log, colours: int | None = 128) -> None:
        """Draw the log now: when the run is over, or was there already."""
        if self._handle is None:
            return
        caption = "Losses of a run that has not been validated yet."
        if errors := [_error(row) for row in log if "validation_initial_mm" in row]:
            caption = f"Losses, validation error and poses: {errors[-1]:.1f} mm"
            caption += f" after {len(errors)} validations."
        figure = training_figure(log, self._strip, self._images)
        bundle, options = mime_bundle(figure, None, caption, colours)
        self._handle.update(bundle, **options)
