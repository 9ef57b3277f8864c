"""The paper's Fig. 4, one bone's refinement network, drawn of one forward pass."""

import numpy as np

from senorita_lib.camera import SR300
from senorita_lib.evaluation import bone_angles
from senorita_lib.figures.page import (
    GREEN,
    ORANGE,
    caption,
    draw_arrow,
    draw_maps,
    draw_round_box,
    new_page,
    thumbnail,
    write,
)
from senorita_lib.figures.recording import Call, follow, patch_stages, shape_text
from senorita_lib.figures.style import (
    BONE_COLOURS,
    GREY,
    GREY_MAP,
    IMAGE_MAP,
    INK,
    draw_box,
    draw_crop,
    draw_hand,
)
from senorita_lib.hand import BONE_FINGER, BONES, FINGERS, JOINT_NAMES
from senorita_lib.refinement import bone_patch_boxes

_ROWS = 4.45, 3.4, 2.5  # of Fig. 4's three scales


def refiner_figure(model, frame, camera=SR300, bone=None):
    """Fig. 4: one bone's way through its refinement network, with each tensor's shape.

    Parameters
    ----------
    model : HandPoseNet
        With heat maps.
    frame : Frame
    camera : Camera
    bone : int, optional
        Of ``BONES``; without it, the bone that is turned most.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError, HandNotFoundError
        As :func:`overview_figure`.
    """
    seen = follow(model, frame, camera)
    refined = seen.prediction.refinement
    if bone is None:
        before, after = (p.cpu() for p in (seen.prediction.joints_mm, refined.joints_mm))
        bone = int(np.nanargmax(bone_angles(before, after)[0]))
    page = new_page(13, 5.35)
    _draw_bone(page, seen, bone)
    _draw_patch_stream(page, model, seen, bone)
    _draw_pose_stream(page, seen, bone)
    _draw_increment(page, seen, bone)
    return page.figure


def _draw_bone(page, seen, bone):
    """Where the bone and its patch are."""
    child, parent = (JOINT_NAMES[joint].split("_")[-1] for joint in BONES[bone])
    axes = thumbnail(page, 1.2, 3.4, 1.7, 1.7)
    draw_crop(axes, seen.crops.image[0, 0].cpu(), colours=GREY_MAP)
    pixels = seen.pixels(seen.prediction.joints_mm)
    draw_hand(axes, pixels, width=1, dots=0, alpha=0.4)
    axes.plot(*pixels[list(BONES[bone])].T, color=BONE_COLOURS[bone], lw=3)
    boxes = bone_patch_boxes(seen.prediction.uvd, style=seen.patches, image_size=seen.size)
    u, v, width, height = (boxes[0, bone].cpu().numpy() * seen.size).tolist()
    corners = u - width / 2, v - height / 2, u + width / 2, v + height / 2
    draw_box(axes, np.array(corners) - 0.5, BONE_COLOURS[bone])
    name = f"{FINGERS[BONE_FINGER[bone]]}, {parent}–{child}"
    caption(page, 1.2, 2.55, name, "initial pose, its patch")
    draw_arrow(page, (2.07, 3.4), (2.58, 3.4))
    write(page, 1.2, 4.85, f"One of {len(BONES)} bone networks,", size=9, weight="bold")
    write(page, 1.2, 4.68, "which run as one grouped network", colour=GREY)


def _draw_patch_stream(page, model, seen, bone):
    """Each scale's patch, convolution and pooling; all joined in a fully connected layer."""
    draw_round_box(page, 5.75, 3.45, 6.3, 3.5, GREEN)
    write(page, 2.8, 5.0, "Patch stream", size=9, weight="bold", ha="left")
    write(page, 6.1, 5.0, "of each layer's maps, the first four", colour=GREY)
    calls = patch_stages(seen.calls)
    largest = calls[0][0].input.shape[-1]
    for y, scale, stage in zip(_ROWS, calls, model.refiner.patch_stream, strict=True):
        patch = scale[0].input[:, bone]
        side = 0.7 * (patch.shape[-1] / largest) ** 0.6
        draw_crop(thumbnail(page, 3.2, y, side, side), patch[0].cpu())
        write(page, 3.2, y - side / 2 - 0.13, shape_text(patch[0]), colour=GREY)
        maps, pooled = (_of_bone(scale[i].output, bone) for i in (2, 3))
        (kernel, _), pool = stage[0].kernel_size, stage[3].kernel_size
        for x, what, name in (
            (5.0, maps, f"conv {kernel} × {kernel}"),
            (6.95, pooled, f"pool {pool} × {pool}" if pool > 1 else "no pooling"),
        ):
            draw_maps(page, x, y + 0.08, what[:4], 0.36)
            caption(page, x, y - 0.09, name, shape_text(what))
        draw_arrow(page, (3.25 + side / 2, y + 0.08), (4.12, y + 0.08))
        draw_arrow(page, (5.86, y + 0.08), (6.09, y + 0.08))
        draw_arrow(page, (7.81, y + 0.08), (8.21, 3.4 + (y - _ROWS[1]) / 3))
    _draw_strip(page, 8.3, 3.4, 1.5, seen.calls["refiner.patch_features"], bone)


def _draw_pose_stream(page, seen, bone):
    """The initial orientation, and its way through the fully connected layers."""
    draw_arrow(page, (8.39, 3.4), (9.41, 2.9))
    steps = [call for name, call in seen.calls.items() if _is_pose_layer(name)]
    if not steps:
        return write(page, 5.65, 0.9, "no initial pose stream in this recipe", colour=GREY)
    draw_round_box(page, 5.75, 0.87, 6.3, 1.4, ORANGE)
    write(page, 2.8, 1.4, "Initial pose stream", size=9, weight="bold", ha="left")
    initial = seen.prediction.refinement.initial_orientation[0, bone]
    caption(page, 3.5, 0.74, "initial orientation", shape_text(initial))
    write(page, 3.5, 0.97, _numbers(seen, initial))
    draw_arrow(page, (1.2, 2.08), (1.2, 0.97), (3.1, 0.97))
    places = np.linspace(8.3, 5.35, len(steps))[::-1] if len(steps) > 1 else [8.3]
    for x, before, call in zip(places, [3.8, *places], steps, strict=False):
        _draw_strip(page, x, 0.97, 0.6, call, bone)
        draw_arrow(page, (before + 0.09, 0.97), (x - 0.09, 0.97))
    return draw_arrow(page, (8.39, 0.97), (9.41, 1.9))


def _is_pose_layer(name):
    return name.startswith("refiner.pose_stream.") and name.count(".") == 2


def _draw_increment(page, seen, bone):
    """Both streams joined, the residual orientation, and the bone turned by it."""
    call, refined = seen.calls["refiner.residual"], seen.prediction.refinement
    _draw_strip(page, 9.5, 2.4, 1.8, Call(None, call.input), bone, "joined")
    draw_arrow(page, (9.59, 2.4), (10.05, 2.4))
    initial, residual = refined.initial_orientation[0, bone], refined.residual_orientation[0, bone]
    write(page, 10.4, 2.4, _numbers(seen, residual))
    shapes = " → ".join(shape_text(part[0, bone]) for part in call)
    caption(page, 10.4, 2.17, "FC", shapes)
    write(page, 10.4, 2.74, "residual ΔU", size=9)
    draw_arrow(page, (10.75, 2.4), (11.28, 2.4))
    axes = thumbnail(page, 12.05, 2.4, 1.4, 1.4)
    _draw_turn(axes, initial.cpu().numpy(), residual.cpu().numpy(), BONE_COLOURS[bone])
    legend = {"initial": GREY, "+ residual": INK, "= refined": BONE_COLOURS[bone]}
    for i, (name, colour) in enumerate(legend.items()):
        style = {"colour": colour, "weight": "bold"}
        write(page, 12.05, 3.58 - 0.17 * i, name, **style)
    before, after = (pose.cpu().numpy() for pose in (seen.prediction.joints_mm, refined.joints_mm))
    lines = [f"turned by {bone_angles(before, after)[0, bone]:.1f}°"]
    if seen.true_mm is not None:
        true = seen.true_mm.cpu().numpy()
        left = [f"{bone_angles(pose, true)[0, bone]:.1f}°" for pose in (before, after)]
        lines.append(f"error {left[0]}, then {left[1]}")
    caption(page, 12.05, 1.7, *lines, "seen across both, initial up")


def _of_bone(maps, bone):
    """A bone's share of a grouped network's maps (1, 20 channels, h, w)."""
    return maps.unflatten(1, (len(BONES), -1))[0, bone]


def _numbers(seen, vector):
    unit, digits = (" mm", 1) if seen.prediction.refinement.orientation == "raw" else ("", 2)
    lines = [f"{value:+.{digits}f}{unit}".replace("-", "−") for value in vector.tolist()]
    return "\n".join(lines)


def _draw_strip(page, x, y, height, call, bone, name="FC"):
    """A bone's share of a layer's output as a column of colours, and how many numbers it has."""
    values = call.output[0, bone]
    axes = thumbnail(page, x, y, 0.14, height)
    axes.imshow(
        values[:, None].cpu().numpy(), cmap=IMAGE_MAP, aspect="auto", interpolation="nearest"
    )
    sizes = [call.input[0, bone], values] if call.input is not None else [values]
    caption(page, x, y - height / 2, name, " → ".join(map(shape_text, sizes)))


def _draw_turn(axes, initial, residual, colour):
    """Initial + residual = refined orientation, in the plane of the first two."""
    up = initial / max(np.linalg.norm(initial), 1e-9)
    side = residual - residual @ up * up
    side = side / max(np.linalg.norm(side), 1e-9)
    start, end = (np.array([v @ side, v @ up]) for v in (initial, initial + residual))
    for tail, head, ink in (
        (0 * start, start, GREY),
        (0 * start, end, colour),
        (start, end, INK),
    ):
        style = {"arrowstyle": "-|>,head_width=0.15,head_length=0.3", "color": ink, "lw": 1.6}
        axes.annotate("", head, tail, arrowprops=style | {"shrinkA": 0, "shrinkB": 0})
    points = np.array([0 * start, start, end])
    middle, reach = (points.min(0) + points.max(0)) / 2, 0.56 * np.ptp(points, axis=0).max()
    axes.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]))
