"""Figures of pretraining: the 16 keypoints, people of both kinds, and what they do for hands."""

import numpy as np
from matplotlib.ticker import MultipleLocator

from senorita_lib.figures.style import GREY, INK, MUTED_COLOURS, new_figure, tidy
from senorita_lib.people.crops import cut_body
from senorita_lib.people.keypoints import (
    BODY_BONES,
    HEAD_TOP,
    HUMAN36M_JOINT,
    KEYPOINT_NAMES,
    MIRRORED,
    PELVIS,
    THORAX,
    UPPER_NECK,
)

_LEFT, _RIGHT, _MIDDLE = MUTED_COLOURS[0], MUTED_COLOURS[1], "#ffffff"
_CROP = 192  # px


def side_colours():
    """A colour for each keypoint: the person's left, right, and neither."""
    return [
        _MIDDLE if MIRRORED[k] == k else _LEFT if name.startswith("left") else _RIGHT
        for k, name in enumerate(KEYPOINT_NAMES)
    ]


def draw_person(axes, image, uvd, *, width=1.6, dots=10):
    """A crop (3, S, S) with its skeleton, uvd (16, 3); what is not known is left out."""
    size = image.shape[-1]
    axes.imshow((image.transpose(1, 2, 0) + 1) / 2)
    points, colours = size * uvd[:, :2] - 0.5, side_colours()
    for child, parent in BODY_BONES:
        axes.plot(*points[[child, parent]].T, color=colours[child], lw=width,
                  solid_capstyle="round")  # fmt: skip
    axes.scatter(*points.T, s=dots, c=colours, edgecolors=INK, linewidths=0.4, zorder=3)
    axes.set(xticks=[], yticks=[], xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    axes.spines[:].set_visible(False)


def keypoint_figure(example, others):
    """The 16 keypoints with their numbers in MPII and Human3.6M, and people of both kinds.

    Parameters
    ----------
    example : BodyFrame
        Shown large, best from the front with spread limbs.
    others : list of BodyFrame
        Shown beside, six or so.
    """
    columns = -(-len(others) // 2)
    figure, axes = new_figure(2, 2 + columns, width=5.6 + 1.6 * columns, height=3.8)
    grid = axes[0, 0].get_gridspec()
    for cell in axes[:, :2].flat:
        cell.remove()
    large = figure.add_subplot(grid[:, :2])
    image, uvd = cut_body(example, _CROP)
    draw_person(large, image, uvd, width=2.2, dots=26)
    _name_keypoints(large, _CROP * uvd[:, :2] - 0.5)
    large.set_title("keypoint, its number in MPII and in Human3.6M", fontsize=9)
    for cell, frame in zip(axes[:, 2:].flat, others, strict=False):
        image, uvd = cut_body(frame, _CROP // 2)
        draw_person(cell, image, uvd)
        deep = np.isfinite(uvd[:, 2]).any()
        cell.set_title("u, v and depth" if deep else "u and v alone", fontsize=9)
    for cell in axes[:, 2:].flat[len(others) :]:
        cell.axis("off")
    return figure


def _name_keypoints(axes, points):
    """Names beside the person, in a column on either side, from the top down."""
    middle = {PELVIS: 0, UPPER_NECK: 0, THORAX: 1, HEAD_TOP: 1}  # which column has them
    columns = [middle.get(k, int(points[k, 0] > points[PELVIS, 0])) for k in range(16)]
    for column, (x, side) in enumerate(((-0.05, "right"), (1.05, "left"))):
        own = [k for k in range(16) if columns[k] == column]
        own.sort(key=lambda k: points[k, 1])
        heights = _CROP * np.linspace(0.03, 0.97, len(own))
        for keypoint, y in zip(own, heights, strict=True):
            name, joint = KEYPOINT_NAMES[keypoint].replace("_", " "), HUMAN36M_JOINT[keypoint]
            theirs = "between 11 and 14" if joint is None else joint
            axes.annotate(
                f"{name}: {keypoint}, {theirs}", points[keypoint], (x * _CROP, y), ha=side,
                va="center", fontsize=8, annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.8, "shrinkB": 2},
            )  # fmt: skip


def curves_figure(curves, groups):
    """Validation error of hands against hands seen: a thin line a seed, a thick one their mean.

    Parameters
    ----------
    curves : dict
        Trial to [images, mm] of each seed, as a study keeps them (:mod:`.studies`).
    groups : dict
        Title of a panel to its trials.
    """
    width = 0.6 + 3.3 * len(groups)
    figure, axes = new_figure(1, len(groups), width=width, height=3.0, sharey=True)
    for cell, (title, trials) in zip(axes[0], groups.items(), strict=True):
        for trial, colour in zip(trials, MUTED_COLOURS, strict=False):
            seeds = np.array(curves[trial])
            for seen, mm in seeds.transpose(0, 2, 1):
                cell.plot(seen / 1000, mm, color=colour, lw=0.7, alpha=0.5)
            seen, mm = seeds.mean(axis=0).T
            cell.plot(seen / 1000, mm, color=colour, lw=2.2, label=trial)
        cell.set_title(title, fontsize=9)
        cell.set_xlabel("images of hands, thousands", fontsize=9)
        cell.legend(fontsize=8, edgecolor="none", framealpha=0.8)
        cell.xaxis.set_major_locator(MultipleLocator(5))
        cell.set_xlim(0, None)
        tidy(cell)
        cell.tick_params(labelleft=True)
    axes[0, 0].set_ylabel("validation error, initial pose (mm)", fontsize=9)
    return figure
