"""Figures of skeleton volumes: settings side by side, slices, and hands pulled to the truth.

All joints are (21, 3), voxel frame, cells.
"""

from itertools import chain

import numpy as np
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from senorita_lib.hand import BONES, FINGERS
from senorita_lib.plotting import FINGER_COLOURS, draw_hand, new_figure
from senorita_lib.plotting3d import (
    AXIS_COLOURS,
    axis_traces,
    cube_layout,
    draw_cube,
    draw_hand_3d,
    volume_plot,
)

_ARROW, _FAINT = "#20242b", "#b4b8c0"


def switch_plot(volumes_of, threshold=0.5):
    """Interactive view of volumes at several settings, with a button for each.

    Parameters
    ----------
    volumes_of : dict
        Title to volumes (20, D, H, W).
    threshold : float
        Voxels above it are drawn.
    """
    plots = [volume_plot(v, threshold, names=FINGERS) for v in volumes_of.values()]
    count = len(FINGERS)
    axes = plots[0].data[count:]
    figure = go.Figure([*(t for plot in plots for t in plot.data[:count]), *axes], plots[0].layout)
    shown = [[i // count == k for i in range(count * len(plots))] for k in range(len(plots))]
    for trace, visible in zip(figure.data, shown[0], strict=False):
        trace.visible = visible
    buttons = [
        {"label": title, "method": "restyle", "args": [{"visible": visible + [True] * len(axes)}]}
        for title, visible in zip(volumes_of, shown, strict=True)
    ]
    figure.update_layout(updatemenus=[_MENU | {"buttons": buttons}])
    return figure


_MENU = {
    "type": "buttons",
    "direction": "right",
    "x": 0,
    "xanchor": "left",
    "y": 1,
    "yanchor": "top",
}


def choices_figure(profiles_of, slices_of, chain, places):
    """Eq. 1 against the distance, and slices along a bent finger, at several settings.

    Parameters
    ----------
    profiles_of : dict
        Label to values of eq. 1 at ``places``.
    slices_of : dict
        Title to values of eq. 1, (H, W).
    chain : array, (n, 2)
        The finger's joints, x and y in the slices, cells.
    places : array
        Cells from the bone.
    """
    figure, (axes, *cells) = (lambda f, a: (f, a[0]))(
        *new_figure(1, len(slices_of) + 1, width=12, height=2.6)
    )
    for (label, values), style in zip(profiles_of.items(), ("-", "--"), strict=True):
        axes.plot(places, values, style, color=_ARROW, label=label)
    axes.axhline(0.5, color="#999999", lw=0.8, ls=":")
    axes.set(xlabel="cells from the bone", ylabel="V", ylim=(0, 1.02), xlim=(0, places[-1]))
    axes.legend(fontsize=8, frameon=False)
    for cell, (title, values) in zip(cells, slices_of.items(), strict=True):
        shown = _draw_slice(cell, values)
        cell.plot(*np.asarray(chain).T, "o-", color="#d1495b", lw=1, ms=3)
        cell.set(xticks=[], yticks=[])
        cell.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=cells, label="V", shrink=0.9)
    return figure


def _draw_slice(axes, values):
    """Values of eq. 1 with a contour at one half; returns what the axes show."""
    values = np.asarray(values)
    shown = axes.imshow(values, vmin=0, vmax=1, interpolation="nearest")
    axes.contour(values, levels=[0.5], colors="white", linewidths=1)
    axes.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5))
    return shown


def slices_figure(volumes_of, joints, bone):
    """Slices through a bone's middle of its volume, with the hand and a contour at one half.

    Parameters
    ----------
    volumes_of : dict
        Title to one bone's volume (D, H, W).
    joints : array, (21, 3)
    bone : int
        Which of ``BONES``.
    """
    joints = np.asarray(joints)
    middle = joints[list(BONES[bone])].mean(axis=0).round().astype(int)
    x, y, z = middle
    figure, axes = new_figure(len(volumes_of), 3, width=8.8, height=2.8 * len(volumes_of))
    for row, (title, volume) in zip(axes, volumes_of.items(), strict=True):
        volume = np.asarray(volume)
        slices = {"xyz": volume[z], "zyx": volume[:, :, x].T, "zxy": volume[:, y].T}
        for cell, ((across, down, through), values) in zip(row, slices.items(), strict=True):
            shown = _draw_slice(cell, values)
            draw_hand(cell, joints[:, ["xyz".index(across), "xyz".index(down)]], width=1, dots=4)
            cell.set(xlabel=f"{across} (cells)", ylabel=f"{down} (cells)")
            cell.set_title(f"{title}, {through} = {middle['xyz'.index(through)]}", fontsize=9)
            cell.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5))
        figure.colorbar(shown, ax=row, label="V", shrink=0.9)
    return figure


def pulls_figure(curves_of, pulled, truth, size=32):
    """Losses along ways from the truth, and where the loss pulls the joints of some hands.

    Parameters
    ----------
    curves_of : dict
        Label of the x axis to (places, {label: losses}).
    pulled : dict
        Title to (joints, arrows, azimuth): both (21, 3), cells, and from where they are seen.
    truth : array, (21, 3)
    size : int
        Cells along the cube's sides.
    """
    figure = Figure(figsize=(12, 3.4), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.05))
    cells = left.subplots(1, len(curves_of))
    for cell, (xlabel, (places, losses_of)) in zip(cells, curves_of.items(), strict=True):
        colours = AXIS_COLOURS if len(losses_of) == 3 else FINGER_COLOURS[1:]
        for (label, losses), colour in zip(losses_of.items(), colours, strict=False):
            cell.plot(places, losses, color=colour, label=label)
        cell.set(xlabel=xlabel, ylim=(0, None))
        cell.legend(fontsize=8, frameon=False)
    cells[0].set_ylabel("eq. 4")
    cells = right.subplots(1, len(pulled), subplot_kw={"projection": "3d"})
    for cell, (title, (joints, arrows, azimuth)) in zip(cells, pulled.items(), strict=True):
        draw_hand_3d(cell, truth, width=4, dots=0, alpha=0.25)
        draw_hand_3d(cell, joints)
        draw_arrows_3d(cell, joints, arrows)
        draw_cube(cell, size)
        cell.view_init(elev=14, azim=azimuth)
        cell.set_title(title, fontsize=9)
    return figure


def descent_figure(paths_of, truth, steps, size=32):
    """Hands on their way to the truth, seen from the front, and their mean joint errors.

    Parameters
    ----------
    paths_of : dict
        Title to path (S + 1, 21, 3).
    truth : array, (21, 3)
    steps : sequence of int
        Which steps are drawn.
    size : int
        Cells along the cube's sides.
    """
    figure, axes = new_figure(len(paths_of), len(steps) + 1, width=10, height=2.1 * len(paths_of))
    for row, (title, path) in zip(axes, paths_of.items(), strict=True):
        path = np.asarray(path)
        for cell, step in zip(row, steps, strict=False):
            draw_hand(cell, truth, width=5, dots=0, alpha=0.25)
            draw_hand(cell, path[step])
            cell.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
            cell.set(xticks=[], yticks=[])
            cell.set_title(f"step {step}", fontsize=9)
        row[0].set_ylabel(title, fontsize=9)
        row[-1].plot(np.linalg.norm(path - np.asarray(truth), axis=-1).mean(axis=-1), color=_ARROW)
        row[-1].set(ylabel="mean error (cells)", ylim=(0, None))
    axes[-1, -1].set_xlabel("step")
    return figure


def draw_arrows_3d(axes, joints, arrows):
    """Arrows (21, 3) at joints, on 3D matplotlib axes as :func:`draw_hand_3d` has them."""
    joints, arrows = (np.asarray(points)[:, [0, 2, 1]] for points in (joints, arrows))
    axes.quiver(*joints.T, *arrows.T, color=_ARROW, lw=1.4, arrow_length_ratio=0.3)


def moving_plot(paths_of, truth, labels, arrows=None, size=32):
    """Animated hands with a slider, each in a scene of its own, over the faint true hand.

    Parameters
    ----------
    paths_of : dict
        Title to path (S, 21, 3).
    truth : array, (21, 3)
    labels : sequence of str, (S,)
        One for each place on the paths.
    arrows : array, (S, 21, 3), optional
        Drawn at the joints of the first path.
    size : int
        Cells along the cube's sides.
    """
    still, frames = [], [[] for _ in labels]
    for i, path in enumerate(paths_of.values()):
        scene = f"scene{i + 1 if i else ''}"
        still += [_hand_line(truth, scene, [_FAINT] * 5, width=10), *axis_traces(size, scene)]
        for moving, joints in zip(frames, path, strict=True):
            moving.append(_hand_line(joints, scene))
    if arrows is not None:
        first = next(iter(paths_of.values()))
        for moving, joints, pulls in zip(frames, first, arrows, strict=True):
            moving += _arrow_lines(joints, pulls)
    figure = go.Figure([*frames[0], *still], cube_layout(size, len(paths_of)))
    figure.frames = [
        go.Frame(
            data=[
                {key: trace[key] for key in ("type", *"xyzuvw") if key in trace} for trace in moving
            ],
            name=label,
            traces=list(range(len(moving))),
        )
        for moving, label in zip(frames, labels, strict=True)
    ]
    middles = (np.arange(len(paths_of)) + 0.5) / len(paths_of)
    titles = [
        {"text": title, "x": x, "y": 1, "yanchor": "top", "showarrow": False}
        for title, x in zip(paths_of, middles, strict=True)
    ]
    figure.update_layout(
        annotations=titles, showlegend=False, updatemenus=[_PLAYER], sliders=[_slider(labels)],
        margin_b=70, height=440,
    )  # fmt: skip
    return figure


# Joints of each finger from the wrist, and -1 where the line is lifted.
_CHAINS = [[0, 1 + f, *range(6 + 3 * f, 9 + 3 * f), -1] for f in range(5)]


def _hand_line(joints, scene, colours=FINGER_COLOURS, width=6):
    """All fingers as one line: light as a frame."""
    lifted = np.append(np.asarray(joints, np.float32), np.full((1, 3), np.nan, np.float32), axis=0)
    colours = np.repeat(colours, [len(chain) for chain in _CHAINS]).tolist()
    return go.Scatter3d(
        **dict(zip("xyz", lifted[list(chain(*_CHAINS))].T, strict=True)), mode="lines+markers",
        scene=scene, hoverinfo="skip", showlegend=False,
        line={"color": colours, "width": width}, marker={"color": colours, "size": width / 2},
    )  # fmt: skip


def _arrow_lines(joints, arrows):
    """Shafts, and in one more trace their heads."""
    starts, arrows = np.asarray(joints, np.float32), np.asarray(arrows, np.float32)
    ends = starts + arrows
    shafts = np.stack([starts, ends, np.full_like(starts, np.nan)], axis=1).reshape(-1, 3)
    shaft = go.Scatter3d(
        **dict(zip("xyz", shafts.T, strict=True)), mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": _ARROW, "width": 4},
    )  # fmt: skip
    heads = go.Cone(
        **dict(zip("xyzuvw", np.concatenate([ends.T, arrows.T]), strict=True)), anchor="tip",
        sizemode="raw", sizeref=0.4, hoverinfo="skip", showscale=False,
        colorscale=[(0, _ARROW), (1, _ARROW)],
    )  # fmt: skip
    return [shaft, heads]


def _move(milliseconds):
    return {
        "frame": {"duration": milliseconds, "redraw": True},
        "transition": {"duration": 0},
        "fromcurrent": True,
        "mode": "immediate",
    }


_PLAYER = _MENU | {
    "buttons": [
        {"label": "▶", "method": "animate", "args": [None, _move(120)]},
        {"label": "❚❚", "method": "animate", "args": [[None], _move(0)]},
    ],
    "y": 0,
    "pad": {"t": 20},
}


def _slider(labels):
    steps = [{"label": n, "method": "animate", "args": [[n], _move(0)]} for n in labels]
    return {"steps": steps, "x": 0.12, "len": 0.88, "y": 0, "currentvalue": {"xanchor": "right"}}
