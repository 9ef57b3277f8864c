"""A training run's figure, from its log: losses, validation error, weights, and poses over time."""

import itertools

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from senorita_lib.figures.style import BONE_COLOURS, GREY_MAP, MUTED_COLOURS
from senorita_lib.hand import BONES
from senorita_lib.training.loop import counted

_INITIAL, _ORIENTATION, _VOLUME, _REFINED = MUTED_COLOURS[:4]
# Of each narrow panel: its name, and the log's entries in it with their colours.
_PANELS = (
    ("eq. 3: joints (cells)\neq. 6: refined joints", {"L_jt": _INITIAL, "L_jt_ref": _REFINED}),
    ("eq. 4:\nskeleton volumes", {"L_3dske": _VOLUME}),
    ("eq. 5: residual\norientations", {"L_res_ori": _ORIENTATION}),
    (
        "Step 2's weights\nof eq. 3, 5, 6",
        {"w_jt": _INITIAL, "w_res_ori": _ORIENTATION, "w_jt_ref": _REFINED},
    ),
)
_ERRORS = {"initial": (_INITIAL, "o-"), "refined": (_REFINED, "s--")}
_NAMES = {"pose": "Step 1: eq. 3", "volume": "+ eq. 4", "refine": "Step 2"}
_SHADES = {"pose": "#ffffff", "volume": "#eff3f8", "refine": "#dfe7f0"}
_POINTS = 250  # of a curve: longer ones are drawn as means
_COLUMNS = 7  # of the strip, without the truth
_CELL = 128  # most pixels along an image of the strip
_GAP = 0.05  # between two, as a share
_ROOM = 1.25  # the side of a picture around the true hand, as a factor
_END = 1.04  # of the axes, as a factor on the last image


def training_figure(log, strip=None, images=None):
    """What a run has come to, stage by stage.

    Parameters
    ----------
    log : list of dict
        Of a :class:`~senorita_lib.training.stages.Run`, or as far as it has grown.
    strip : CropSet, optional
        The frames whose poses the log keeps, of :func:`~senorita_lib.training.stages.strip_frames`:
        with it, the poses of some validations are drawn over their images.
    images : int, optional
        That all stages will have seen at the end: how far the axes reach.

    Returns
    -------
    matplotlib.figure.Figure
    """
    log = counted(log)
    height = 3.65 if strip is None else 4.25 + 1.14 * len(strip)
    figure = Figure(figsize=(11, height), dpi=80)
    FigureCanvasAgg(figure)
    inch = 1 / height
    grid = figure.add_gridspec(
        4, 2, left=0.145, right=0.995, top=1 - 0.25 * inch, bottom=1 - 3.15 * inch,
        width_ratios=(1.15, 1), wspace=0.15, hspace=0.12,
    )  # fmt: skip
    narrow = [figure.add_subplot(grid[i, 0]) for i in range(4)]
    errors = figure.add_subplot(grid[:, 1])
    for axes, (name, colours) in zip(narrow, _PANELS, strict=True):
        _draw_losses(axes, log, name, colours)
        axes.tick_params(labelbottom=axes is narrow[-1])
    _draw_errors(errors, log)
    end = max([images or 0, *(row["seen"] for row in log)]) or 1
    for axes in (*narrow, errors):
        _mark_stages(axes, log, end, named=axes in (narrow[0], errors))
    for axes in (narrow[-1], errors):
        axes.set_xlabel("images seen", fontsize=9)
    if strip is not None:
        area = (0.145, 0.02 * inch, 0.85, 1 - 3.67 * inch)
        _draw_strip(figure.add_axes(area), log, strip)
    return figure


def _curve(log, key):
    """Images seen and values, (2, n); long curves as means of neighbours."""
    points = np.array([(row["seen"], row[key]) for row in log if key in row]).reshape(-1, 2)
    parts = np.array_split(points, min(len(points), _POINTS)) if len(points) else []
    return np.array([part.mean(axis=0) for part in parts]).reshape(-1, 2).T


def _draw_losses(axes, log, name, colours):
    values = np.array([])
    for key, colour in colours.items():
        # Weights may lie on each other: the later ones are dashed.
        style = "--" if key == "w_jt_ref" else "-"
        seen, curve = _curve(log, key)
        axes.plot(seen, curve, style, color=colour, lw=1.3)
        values = np.append(values, curve)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0:
        _scale(axes, values.min(), values.max())
    else:
        axes.set(yticks=[])
    if "w_jt" in colours:
        _name_weights(axes, log, colours)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    axes.tick_params(labelsize=8)


def _name_weights(axes, log, colours):
    style = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": 8}
    for key in ("w_jt", "w_res_ori"):  # the third is as the first
        seen, curve = _curve(log, key)
        if len(seen):
            place = (seen[0], curve[0]), (-4, 0)
            axes.annotate(f"{curve[-1]:.3g}", *place, color=colours[key], **style)
        elif key == "w_jt" and any(row["stage"] == "refine" for row in log):
            axes.text(0.02, 0.5, "none: the losses are adaptive squares", transform=axes.transAxes,
                      fontsize=8, va="center")  # fmt: skip


def _scale(axes, low, high):
    """A logarithmic axis with a few plain numbers."""
    wide = high > 8 * low
    room = 2 if wide else 1.12
    axes.set(yscale="log", ylim=(low / room, high * room))
    axes.yaxis.set_major_locator(LogLocator() if wide else MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_errors(axes, log):
    for name, (colour, style) in _ERRORS.items():
        seen, curve = _curve(log, f"validation_{name}_mm")
        if len(seen):
            label = f"{name} pose, {curve[-1]:.1f} mm at last"
            axes.plot(seen, curve, style, color=colour, ms=4, lw=1.3, label=label)
    axes.margins(y=0.12)
    axes.set_ylabel("validation error (mm)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if not axes.lines:
        axes.set(yticks=[])
    else:
        axes.legend(fontsize=9, frameon=False, loc="upper right")


def _mark_stages(axes, log, end, named):
    axes.set_xlim(0, _END * end)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seen, _: _thousands(seen)))
    stages = list(dict.fromkeys(row["stage"] for row in log))
    ends = [max(row["seen"] for row in log if row["stage"] == stage) for stage in stages]
    for stage, start, stop in zip(stages, [0, *ends], [*ends[:-1], _END * end], strict=False):
        axes.axvspan(start, stop, color=_SHADES[stage], lw=0, zorder=0)
        if named:
            axes.annotate(
                _NAMES[stage], (start, 1), (1, 3), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", fontsize=9,
            )  # fmt: skip


def _thousands(images):
    return f"{images / 1000:.4g}k" if images else "0"


def _draw_strip(axes, log, strip):
    """Rows are frames, columns validations; the last column is the truth."""
    validations = evenly([row for row in log if "strip_mm" in row], _COLUMNS)
    crops, true_mm = strip.batch(range(len(strip)))
    poses = [torch.tensor(row["strip_mm"]) for row in validations] + [true_mm]
    points = torch.stack([crops.to_uvd(pose)[..., :2] for pose in poses]).numpy()
    step, rows = 1 + _GAP, np.arange(len(strip))
    columns = step * np.append(np.arange(len(validations)), _COLUMNS + 0.15)
    corner, side = _windows(points[-1])
    points = ((points - corner[:, None]) / side[:, None]).clip(0, 1)
    points += np.stack(np.broadcast_arrays(columns[:, None], step * rows), axis=-1)[:, :, None]
    for x, row in zip(columns, [*validations, {}], strict=True):
        shade = _SHADES.get(row.get("stage"), "white")
        area = (x - _GAP / 2, -_GAP / 2), step, len(rows) * step
        axes.add_patch(Rectangle(*area, color=shade, lw=0, zorder=-1))
    for i, x in itertools.product(rows, columns):
        (u, v), size = corner[i], side[i]
        picture, extent = _cut(crops.image[i, 0].numpy(), u, v, size.item())
        left, right, low, high = extent
        axes.imshow(
            picture, cmap=GREY_MAP, vmin=-0.999, vmax=1, interpolation="nearest",
            extent=(x + left, x + right, i * step + low, i * step + high),
        )  # fmt: skip
    bones = points[:, :, list(BONES)].reshape(-1, 2, 2)
    colours = BONE_COLOURS * (len(bones) // len(BONES))
    axes.add_collection(LineCollection(bones, colors=colours, linewidths=1.5, capstyle="round"))
    _label_columns(axes, validations, columns, len(rows) * step)
    middle = len(rows) * step / 2
    axes.text(
        -0.1, middle, f"{len(rows)} of the\nvalidation frames", ha="right", va="center", fontsize=9
    )
    axes.set(xlim=(-_GAP / 2, (_COLUMNS + 1.15) * step), ylim=(2 * middle + 0.35, -0.18))
    axes.set(aspect="equal", anchor="W")
    axes.set_axis_off()


def _windows(true_uv):
    """Corner (n, 2) and side (n, 1) of a square around each true hand (n, 21, 2), uvd frame."""
    low, high = true_uv.min(axis=1), true_uv.max(axis=1)
    side = _ROOM * (high - low).max(axis=1, keepdims=True)
    return (low + high - side) / 2, side


def _cut(image, u, v, side):
    """The pixels of a square, and where in it they lie: left, right, bottom, top."""
    size = len(image)
    left, top = (max(0, int(np.ceil(size * at))) for at in (u, v))
    right, bottom = (min(size, int(size * (at + side))) for at in (u, v))
    thin = -(-(right - left) // _CELL)
    extent = [(left / size - u), (right / size - u), (bottom / size - v), (top / size - v)]
    return image[top:bottom:thin, left:right:thin], [place / side for place in extent]


def _label_columns(axes, validations, columns, bottom):
    style = {"y": bottom, "ha": "center", "va": "top", "fontsize": 9}
    last = None
    for x, row in zip(columns, validations, strict=False):
        error = row.get("validation_refined_mm", row["validation_initial_mm"])
        axes.text(x + 0.5, s=f"{_thousands(row['seen'])} images\n{error:.1f} mm", **style)
        if row["stage"] != last:
            last = row["stage"]
            axes.text(x, -0.06, _NAMES[last], fontsize=9)
    axes.text(columns[-1] + 0.5, s="truth", **style)


def evenly(items, most):
    """At most so many of the items, at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]
