"""Figures of skeleton volumes: settings side by side, slices, and hands pulled to the truth.

All joints are (21, 3), voxel frame, cells.
"""

import numpy as np
import plotly.graph_objects as go

from senorita_lib.figures.scenes import axis_traces, cube_layout, hand_line, placed
from senorita_lib.figures.style import FAINT, GREY, INK, draw_hand, new_figure
from senorita_lib.figures.volumes import draw_cube, draw_hand_3d
from senorita_lib.hand import BONES


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
    figure, grid = new_figure(1, len(slices_of) + 1, width=12, height=2.6)
    axes, *cells = grid[0]
    for (label, values), style in zip(profiles_of.items(), ("-", "--"), strict=True):
        axes.plot(places, values, style, color=INK, label=label)
    axes.axhline(0.5, color=GREY, lw=0.8, ls=":")
    axes.set(xlabel="cells from the bone", ylabel="V", ylim=(0, 1.02), xlim=(0, places[-1]))
    axes.legend(fontsize=8, frameon=False)
    for cell, (title, values) in zip(cells, slices_of.items(), strict=True):
        shown = _draw_slice(cell, values)
        cell.plot(*np.asarray(chain).T, "o-", color=INK, lw=1.2, ms=3.5)
        cell.set(xticks=[], yticks=[])
        cell.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=cells, label="V", shrink=0.9)
    return figure


def _draw_slice(axes, values):
    """Values of eq. 1 with a contour at one half; returns what the axes show."""
    values = np.asarray(values)
    axes.grid(False)
    shown = axes.imshow(values, vmin=0, vmax=1, interpolation="nearest")
    axes.contour(values, levels=[0.5], colors="white", linewidths=1)
    axes.set(xlim=(-0.5, values.shape[1] - 0.5), ylim=(values.shape[0] - 0.5, -0.5))
    axes.set_autoscale_on(False)  # what is drawn over it does not widen it
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
    figure, axes = new_figure(len(volumes_of), 3, width=8, height=2.5 * len(volumes_of))
    for row, (title, volume) in zip(axes, volumes_of.items(), strict=True):
        volume = np.asarray(volume)
        slices = {"xyz": volume[z], "zyx": volume[:, :, x].T, "zxy": volume[:, y].T}
        for cell, ((across, down, through), values) in zip(row, slices.items(), strict=True):
            shown = _draw_slice(cell, values)
            draw_hand(cell, joints[:, ["xyz".index(across), "xyz".index(down)]], width=1, dots=4)
            cell.set(xlabel=f"{across} (cells)", ylabel=f"{down} (cells)")
            cell.set_title(f"{title}, {through} = {middle['xyz'.index(through)]}", fontsize=9)
        figure.colorbar(shown, ax=row, label="V", shrink=0.9)
    return figure


def pulls_figure(pulled, truth, size=32):
    """Where the loss pulls the joints of some hands, over the faint true hand.

    Parameters
    ----------
    pulled : dict
        Title to (joints, arrows, azimuth): both (21, 3), cells, and from where they are seen.
    truth : array, (21, 3)
    size : int
        Cells along the cube's sides.
    """
    figure, axes = new_figure(
        1, len(pulled), width=4.2 * len(pulled), height=3.5, subplot_kw={"projection": "3d"}
    )
    for cell, (title, (joints, arrows, azimuth)) in zip(axes[0], pulled.items(), strict=True):
        draw_hand_3d(cell, truth, width=5, dots=0, alpha=0.25)
        draw_hand_3d(cell, joints)
        starts, along = (np.asarray(points)[:, [0, 2, 1]].T for points in (joints, arrows))
        cell.quiver(*starts, *along, color=INK, lw=1.4, arrow_length_ratio=0.3)
        draw_cube(cell, size)
        cell.view_init(elev=14, azim=azimuth)
        cell.set_title(title, fontsize=9)
    return figure


def descent_figure(paths_of, truth, steps, size=32):
    """Hands on their way to the truth, seen from the front.

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
    figure, axes = new_figure(
        len(paths_of), len(steps), width=2 * len(steps), height=2 * len(paths_of) + 0.2
    )
    for row, (title, path) in zip(axes, paths_of.items(), strict=True):
        for cell, step in zip(row, steps, strict=True):
            draw_hand(cell, truth, width=5, dots=0, alpha=0.25)
            draw_hand(cell, path[step])
            cell.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(True)
        row[0].set_ylabel(title, fontsize=9)
    for cell, step in zip(axes[0], steps, strict=True):
        cell.set_title(f"step {step}", fontsize=9)
    return figure


def moving_plot(paths_of, truth, labels, arrows=None, *, prefix="", size=32):
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
    prefix : str
        Of the label that is shown.
    size : int
        Cells along the cube's sides.
    """
    still, frames = [], [[] for _ in labels]
    for i, path in enumerate(paths_of.values()):
        scene = f"scene{i + 1 if i else ''}"
        # From the cube's corner, as its axes are, and not from the middle of the first cell.
        still += [hand_line(truth + 0.5, scene, FAINT, width=3), *axis_traces(size, scene)]
        for moving, joints in zip(frames, path, strict=True):
            moving.append(hand_line(joints + 0.5, scene))
    if arrows is not None:
        first = next(iter(paths_of.values()))
        for moving, joints, pulls in zip(frames, first, arrows, strict=True):
            moving.append(_arrow_line(joints + 0.5, pulls))
    figure = go.Figure([*frames[0], *still], cube_layout(size, len(paths_of)))
    figure.frames = [
        go.Frame(
            data=[go.Scatter3d(x=line.x, y=line.y, z=line.z) for line in moving],
            name=label,
            traces=list(range(len(moving))),
        )
        for moving, label in zip(frames, labels, strict=True)
    ]
    middles = (np.arange(len(paths_of)) + 0.5) / len(paths_of)
    titles = [
        {"text": title, "x": x, "y": 0.94, "yanchor": "top", "showarrow": False}
        for title, x in zip(paths_of, middles, strict=True)
    ]
    figure.update_layout(
        annotations=titles, showlegend=False, margin_b=100, height=450,
        updatemenus=[_PLAYER], sliders=[frame_slider(labels, prefix)],
    )  # fmt: skip
    return figure


def _arrow_line(joints, arrows):
    """Arrows as one line, lifted after each; their heads are dots."""
    starts = np.asarray(joints, np.float32)
    ends = starts + np.asarray(arrows, np.float32)
    points = np.stack([starts, ends, np.full_like(starts, np.nan)], axis=1).reshape(-1, 3)
    return go.Scatter3d(
        **placed(points), mode="lines+markers", hoverinfo="skip",
        line={"color": INK, "width": 4}, showlegend=False,
        marker={"color": INK, "size": np.tile(np.uint8([0, 5, 0]), len(starts))},
    )  # fmt: skip


def _move(milliseconds):
    return {
        "frame": {"duration": milliseconds, "redraw": True},
        "transition": {"duration": 0},
        "fromcurrent": True,
        "mode": "immediate",
    }


_PLAYER = {
    "type": "buttons",
    "direction": "right",
    "buttons": [
        {"label": "▶", "method": "animate", "args": [None, _move(250)]},
        {"label": "❚❚", "method": "animate", "args": [[None], _move(0)]},
    ],
    **{"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 20}},
}


def frame_slider(labels, prefix=""):
    """Plotly slider that shows the figure's frames, whose names are ``labels``."""
    steps = [{"label": n, "method": "animate", "args": [[n], _move(0)]} for n in labels]
    current = {"xanchor": "right", "prefix": prefix}
    return {"steps": steps, "x": 0.12, "len": 0.88, "y": 0, "currentvalue": current}
