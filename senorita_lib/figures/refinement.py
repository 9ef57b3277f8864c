"""Figures of the refiner: the patches that it sees, and how it turns the bones."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from senorita_lib.evaluation import bone_angles
from senorita_lib.figures.scenes import cloud_plot, hand_line
from senorita_lib.figures.style import (
    BONE_COLOURS,
    FAINT,
    GREY,
    GREY_MAP,
    INK,
    draw_crop,
    draw_hand,
    draw_patch_boxes,
)
from senorita_lib.hand import BONE_FINGER, BONES, FINGERS, JOINT_NAMES, joints_to_bones
from senorita_lib.representations import point_cloud

_CHILDREN = [JOINT_NAMES[child].split("_")[-1] for child, _ in BONES]


def patches_figure(image, joints_uv, cuts):
    """A depth image with its bones' patches, cut in one style a row.

    Parameters
    ----------
    image : array, (S, S)
        Image frame.
    joints_uv : array, (21, 2 or more)
        uvd frame.
    cuts : dict
        Title to (boxes, patches): boxes (20, 4), centre u, v and size, uvd frame, and for each
        scale the patches (20, P, P), image frame.
    """
    figure = Figure(figsize=(10, 3.3 * len(cuts)), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    rows = figure.subfigures(len(cuts), 1, squeeze=False)[:, 0]
    longest = np.asarray(next(iter(cuts.values()))[0])[:, 2:].prod(axis=1).argmax()
    for row, (title, (boxes, patches)) in zip(rows, cuts.items(), strict=True):
        left, middle, right = row.subfigures(1, 3, width_ratios=(3.4, 4.6, 1.4))
        axes = left.subplots()
        draw_crop(axes, image, title, GREY_MAP)
        draw_hand(axes, np.asarray(joints_uv)[:, :2] * len(image) - 0.5, dots=0, alpha=0.5)
        draw_patch_boxes(axes, boxes, len(image))
        _draw_patches(middle.subplots(4, 5), patches[0])
        scales = right.subplots(len(patches), 1, squeeze=False)[:, 0]
        for axes, scale in zip(scales, patches, strict=True):
            draw_crop(axes, scale[longest], f"{len(scale[longest])} px")
            _frame(axes, BONE_COLOURS[longest])
        name = f"{FINGERS[BONE_FINGER[longest]]} {_bone_name(longest)}"
        scales[len(scales) // 2].set_ylabel(name, fontsize=8)
    return figure


def _draw_patches(cells, patches):
    """Columns are fingers, rows bones, tips on top."""
    for bone, patch in enumerate(patches):
        axes = cells[bone % 4, bone // 4]
        draw_crop(axes, patch)
        _frame(axes, BONE_COLOURS[bone])
    for axes, finger in zip(cells[0], FINGERS, strict=True):
        axes.set_title(finger, fontsize=9)
    for bone, axes in enumerate(cells[:, 0]):
        axes.set_ylabel(_bone_name(bone), fontsize=8)


def _bone_name(bone):
    child, parent = (JOINT_NAMES[joint].split("_")[-1] for joint in BONES[bone])
    return f"{parent}–{child}"


def _frame(axes, colour):
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


def residual_figure(crop, initial_mm, refined_mm, true_mm, all_angles=None):
    """How the refiner turned the bones of a hand, and how far each is from the truth.

    Parameters
    ----------
    crop : CropBatch
        Of one hand.
    initial_mm, refined_mm, true_mm : tensor, (1, 21, 3)
        Camera frame.
    all_angles : dict, optional
        Title to (before, after), both (20,), degrees: a second row of bars.
    """
    own = [bone_angles(pose, true_mm)[0] for pose in (initial_mm, refined_mm)]
    bars = {"this hand": own} | (all_angles or {})
    figure = Figure(figsize=(11, 3.9), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(7.2, 4.4))
    turned, judged = left.subplots(1, 2)
    image = crop.image[0, 0]
    draw_crop(turned, image, "initial (dashed), refined, and how each bone turned", GREY_MAP)
    draw_crop(judged, image, "refined, and the truth (dotted)", GREY_MAP)
    initial, refined, true = (_pixels(crop, pose) for pose in (initial_mm, refined_mm, true_mm))
    draw_hand(turned, initial, width=0.9, dots=0, style="--")
    for axes in (turned, judged):
        draw_hand(axes, refined, width=2.2, dots=6)
    draw_hand(judged, true, width=1.6, dots=0, style=":")
    middle, reach = _window(initial, refined, true)
    for axes in (turned, judged):
        axes.set(xlim=middle[0] + reach, ylim=(middle[1] + reach)[::-1])
    for start, end in _turns(crop, initial_mm, refined_mm):
        if np.hypot(*(end - start)) > 0.04 * reach[1]:
            turned.annotate("", end, start, arrowprops=_ARROW_STYLE)
    for axes, (title, angles) in zip(
        right.subplots(len(bars), 1, sharex=True, squeeze=False)[:, 0], bars.items(), strict=True
    ):
        _draw_angles(axes, title, *angles)
    return figure


_ARROW_STYLE = {
    "arrowstyle": "->,head_width=0.13,head_length=0.22", "color": INK, "lw": 1.1,
    "shrinkA": 0, "shrinkB": 0,
}  # fmt: skip


def _pixels(crop, joints_mm):
    return crop.to_uvd(joints_mm)[0, :, :2].numpy() * crop.image.shape[-1] - 0.5


def _window(*poses):
    """Middle (2,) of all points, and from there to both edges of a square around them."""
    points = np.concatenate(poses)
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, 0.58 * (high - low).max() * np.array([-1, 1])


def _turns(crop, initial_mm, refined_mm):
    """Where each refined bone would end unturned and where it ends, (20, 2, 2), pixels."""
    child, parent = (list(ends) for ends in zip(*BONES, strict=True))
    before, after = joints_to_bones(initial_mm), joints_to_bones(refined_mm)
    length = after.norm(dim=-1, keepdim=True) / before.norm(dim=-1, keepdim=True)
    unturned = refined_mm[:, parent] + length * before
    return np.stack([_pixels(crop, unturned), _pixels(crop, refined_mm[:, child])], axis=1)


def _draw_angles(axes, title, before, after):
    """Two bars a bone, from the wrist outwards, finger by finger."""
    order = [4 * finger + part for finger in range(5) for part in (3, 2, 1, 0)]
    places = np.array([bone + 0.8 * BONE_FINGER[order[bone]] for bone in range(20)])
    colours = [BONE_COLOURS[bone] for bone in order]
    for angles, side, alpha in ((before, -0.2, 0.4), (after, 0.2, 1)):
        axes.bar(places + side, np.asarray(angles)[order], 0.4, color=colours, alpha=alpha)
    change = f"{np.nanmean(before):.1f}° before (pale), {np.nanmean(after):.1f}° after"
    axes.set_title(f"{title}: {change}", fontsize=9)
    axes.set_xticks(places, [_CHILDREN[bone] for bone in order], rotation=90, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylabel("angle to the true bone (°)", fontsize=9)
    axes.margins(x=0.01)


def residual_plot(crop, initial_mm, refined_mm, true_mm):
    """Interactive view of the three poses in the depth image's points; a legend hides each.

    Parameters
    ----------
    As :func:`residual_figure`'s.
    """
    points, valid = (part[0].numpy() for part in point_cloud(crop))
    centre = crop.cube_centre[0].numpy()
    points = (points[valid] - 0.5) * 200 + centre
    every = -(-len(points) // 1200)
    shown = points[::every]
    figure = cloud_plot(shown, np.zeros(len(shown)), np.stack([centre - 100, centre + 100]))
    figure.data[0].update(marker={"size": 1.5, "color": FAINT}, hoverinfo="skip")
    figure.update_traces(showlegend=False)
    named = {"showlegend": True, "mode": "lines"}
    figure.add_traces(
        [
            hand_line(true_mm[0], colours=GREY, width=5, name="truth", **named),
            hand_line(initial_mm[0], width=3, name="initial", **named),
            hand_line(refined_mm[0], width=8, name="refined", **named),
        ]
    )
    figure.update_layout(showlegend=True, legend={"x": 1, "xanchor": "right", "y": 0.95})
    return figure
