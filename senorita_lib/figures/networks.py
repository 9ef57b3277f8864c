"""The paper's Fig. 1: what flows in one forward pass of all networks, and in which shape."""

import numpy as np
from matplotlib.colors import to_rgb

from senorita_lib.camera import SR300
from senorita_lib.evaluation import mean_joint_error
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
from senorita_lib.figures.recording import follow, patch_stages, shape_text
from senorita_lib.figures.style import (
    BONE_COLOURS,
    GREY,
    GREY_MAP,
    IMAGE_MAP,
    INK,
    JOINT_COLOURS,
    NOTHING,
    draw_box,
    draw_crop,
    draw_depth,
    draw_hand,
)
from senorita_lib.figures.volumes import draw_volumes
from senorita_lib.hand import BONES
from senorita_lib.losses import pose_loss
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
from senorita_lib.representations import CHANNELS, inputs_of

_COLUMNS = 1.2, 3.15, 6.2, 9.3, 11.85  # centres of Fig. 1's columns, inches
_TOP, _MIDDLE, _BOTTOM, _SIDE = 5.5, 3.55, 1.25, 1.2  # of its rows, and of a picture


def overview_figure(model, frame, camera=SR300):
    """Fig. 1: one frame's way through the whole network, with each tensor's shape.

    Parameters
    ----------
    model : HandPoseNet
        With heat maps.
    frame : Frame
        Without joints, the true volumes, the losses and the errors are left out.
    camera : Camera

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the model has no heat maps.
    HandNotFoundError
        If the frame's box holds no hand.
    """
    seen = follow(model, frame, camera)
    page = new_page(13, 6.65)
    recipe = model.recipe
    title = f"Recipe {recipe.name}, Model {recipe.model}: one frame on its way"
    write(page, 2.45, _TOP + 0.52, title, size=9, weight="bold", ha="left")
    key = "Each picture is what flows there; below it is its shape, batch first.\n"
    key += "Poses and orientations are in the camera frame."
    write(page, 2.45, _TOP + 0.22, key, colour=GREY, ha="left", linespacing=1.5)
    _draw_inputs(page, recipe, frame, seen)
    _draw_estimator(page, seen)
    _draw_renderer(page, recipe, seen)
    _draw_refinement(page, seen)
    return page.figure


def _draw_inputs(page, recipe, frame, seen):
    """Frame, crop, and a plane of each input representation, behind one another."""
    first, second = _COLUMNS[:2]
    axes = thumbnail(page, first, _TOP, 1.6, _SIDE)
    draw_depth(axes, frame.depth, colourbar=False)
    draw_box(axes, seen.crops.box[0].tolist(), "#ffffff")
    caption(page, first, _TOP - 0.6, "depth frame, box", shape_text(frame.depth))
    draw_crop(thumbnail(page, first, _MIDDLE), seen.crops.image[0, 0].cpu())
    caption(page, first, _MIDDLE - 0.6, "crop", shape_text(seen.crops.image))
    inputs, names = seen.calls["estimator"].input, inputs_of(recipe.model)
    channels = CHANNELS | {"layers": recipe.depth_layers, "voxels": recipe.voxel_depth}
    planes = inputs.split([channels[name] for name in names], dim=1)
    side = _SIDE - 0.13 * (len(planes) - 1)
    for i in reversed(range(len(planes))):
        shift = 0.13 * (i - (len(planes) - 1) / 2)
        axes = thumbnail(page, second + shift, _MIDDLE + shift, side, side)
        draw_crop(axes, planes[i][0, planes[i].shape[1] // 2].cpu())
    parts = [f"{plane.shape[1]} {name}" for name, plane in zip(names, planes, strict=True)]
    lines = [", ".join(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    caption(
        page, second, _MIDDLE - 0.6, "input channels: " + lines[0], *lines[1:], shape_text(inputs)
    )
    draw_arrow(page, (first, _TOP - 1.02), (first, _MIDDLE + 0.62))
    draw_arrow(page, (first + 0.66, _MIDDLE), (second - 0.66, _MIDDLE))


def _draw_estimator(page, seen):
    """The network with the mean of each stage's maps, its heat maps, their expectation."""
    _, second, third, fourth, fifth = _COLUMNS
    draw_round_box(page, third, _MIDDLE, 3.9, 1.5, GREY)
    write(page, third, _MIDDLE + 0.57, "Integral regression network", size=9, weight="bold")
    levels, ups, last = _stages(seen.calls)
    tensors, first_up = [*levels, *ups], len(levels)
    sides = np.array([tensor.shape[-1] for tensor in tensors]) ** 0.5
    sides *= 0.6 / sides.max()
    gaps = np.full(len(sides), 0.07)
    gaps[0], gaps[first_up] = 0, 0.3
    lefts = third - (sides.sum() + gaps.sum()) / 2 + np.cumsum(gaps + sides) - sides
    for tensor, left, side in zip(tensors, lefts, sides, strict=True):
        draw_maps(page, left + side / 2, _MIDDLE + 0.1, tensor.mean(dim=1), side)
    for stages, name in ((levels, "levels of the ResNet"), (ups, "deconvolutions")):
        part = slice(0, first_up) if stages is levels else slice(first_up, None)
        middle = (lefts[part][0] + lefts[part][-1] + sides[part][-1]) / 2
        caption(page, middle, _MIDDLE - 0.27, f"{len(stages)} {name}", shape_text(stages[-1]))
    logits = last.unflatten(1, (seen.prediction.uvd.shape[1], -1))
    _draw_heatmaps(thumbnail(page, fourth, _MIDDLE), logits[0])
    caption(page, fourth, _MIDDLE - 0.6, "heat maps, on u-v", shape_text(logits))
    _draw_pose(page, fifth, _MIDDLE, "initial pose", seen, seen.prediction.joints_mm)
    draw_arrow(page, (second + 0.66, _MIDDLE), (third - 2.0, _MIDDLE))
    draw_arrow(page, (third + 2.0, _MIDDLE), (fourth - 0.66, _MIDDLE))
    draw_arrow(page, (fourth + 0.66, _MIDDLE), (fifth - 0.66, _MIDDLE))
    write(page, (fourth + fifth) / 2, _MIDDLE + 0.12, "soft-argmax", colour=GREY)


def _stages(calls):
    """Outputs of the ResNet's levels, of the deconvolutions, and of the last convolution."""
    backbone, head = (
        [call.output for name, call in calls.items() if name.rpartition(".")[0] == parent]
        for parent in ("estimator.backbone", "estimator.head")
    )
    return backbone[-4:], head[2:-1:3], head[-1]  # a deconvolution, its norm, its ReLU


def _draw_renderer(page, recipe, seen):
    """Eq. 1, 3 and 4: both poses as volumes, compared; in orange, as only training has it."""
    fourth, fifth = _COLUMNS[3:]
    middle = (fourth + fifth) / 2
    options = {"gamma": recipe.gamma, "distance": recipe.distance, "ends": recipe.ends}
    options |= {"size": (recipe.volume_size,) * 3, "compiled": False}
    draw_round_box(page, middle, _TOP, 4.5, 2.04, ORANGE)
    name = "3D skeleton volume renderer, only in training"
    write(page, middle, _TOP + 0.86, name, size=9, weight="bold")
    poses = {"volumes of this pose": (fifth, seen.prediction.uvd)}
    if seen.true_mm is not None:
        poses["volumes of the true pose"] = fourth, seen.crops.to_uvd(seen.true_mm)
    for name, (x, uvd) in poses.items():
        volumes = render_skeleton(recipe.volume_size * uvd - 0.5, **options)
        axes = thumbnail(page, x, _TOP - 0.01, 1.4, 1.4, projection="3d")
        draw_volumes(axes, volumes[0].cpu().numpy(), threshold=0.6)
        axes.set_box_aspect((1, 1, 1), zoom=1.25)
        for text in axes.texts:
            text.set_fontsize(8)
        caption(page, x, _TOP - 0.56, name, shape_text(volumes))
    draw_arrow(page, (fifth, _MIDDLE + 0.62), (fifth, _TOP - 1.04), colour=ORANGE)
    write(page, fifth + 0.1, (_MIDDLE + _TOP) / 2 - 0.21, "eq. 1", colour=GREY, ha="left")
    if seen.true_mm is None:
        write(page, fourth, _TOP, "a frame without labels:\nnothing to compare with", colour=GREY)
        return
    draw_arrow(page, (middle, _TOP), (fourth + 0.62, _TOP), colour=ORANGE)
    draw_arrow(page, (middle, _TOP), (fifth - 0.62, _TOP), colour=ORANGE)
    (_, predicted), (_, true) = poses.values()
    cells = [recipe.volume_size * uvd - 0.5 for uvd in (predicted, true)]
    loss = skeleton_volume_loss(*cells, difference=recipe.volume_difference, **options)
    kind = "eq. 4" if recipe.volume_difference == "l1" else "smooth L1"
    write(page, middle, _TOP + 0.2, f"volumes, {kind}:\n{loss:.0f} voxels")
    write(page, middle, _TOP - 0.2, f"their poses, eq. 3:\n{pose_loss(predicted, true):.2f} cells")


def _draw_refinement(page, seen):
    """Patches and initial orientations, the bone networks, residuals, and the refined pose."""
    first, _, third, fourth, fifth = _COLUMNS
    calls, refined = seen.calls, seen.prediction.refinement
    upper, lower, bus, plus = _BOTTOM + 0.17, _BOTTOM - 0.38, _BOTTOM + 0.92, (fourth + fifth) / 2
    patches = [stage[0].input for stage in patch_stages(calls)]
    _draw_patches(thumbnail(page, first, _BOTTOM, 1.5, _SIDE), patches[0][0].cpu().numpy())
    shapes = [shape_text(patches[0]), *(shape_text(patch[0, 0]) for patch in patches[1:])]
    name = f"patches of the bones, {len(patches)} scales"
    caption(page, first, _BOTTOM - 0.6, name, "; ".join(shapes))
    draw_round_box(page, third, _BOTTOM, 3.9, 1.5, GREY)
    name = f"Refinement: {len(BONES)} bone networks (Fig. 4)"
    write(page, third, _BOTTOM + 0.57, name, size=9, weight="bold")
    streams = {"patch stream": (lower, GREEN, calls["refiner.patch_features"].output)}
    draw_arrow(page, (first + 0.8, lower), (third - 1.77, lower))
    if "refiner.pose_stream" in calls:
        streams["initial pose stream"] = upper, ORANGE, calls["refiner.pose_stream"].output
        axes = thumbnail(page, 3.6, upper, 0.62, 0.62)
        _draw_rosette(axes, refined.initial_orientation[0].cpu().numpy())
        write(page, 3.2, upper + 0.09, "initial\norientations", size=9, ha="right")
        shape = shape_text(refined.initial_orientation)
        write(page, 3.2, upper - 0.19, shape, colour=GREY, ha="right")
        draw_arrow(page, (3.95, upper), (third - 1.77, upper))
        draw_arrow(page, (3.6, bus), (3.6, upper + 0.33))
    join = (upper + lower) / 2
    for name, (y, colour, output) in streams.items():
        draw_round_box(page, third - 0.85, y, 1.8, 0.46, colour)
        caption(page, third - 0.85, y + 0.22, name, shape_text(output))
        draw_arrow(page, (third + 0.07, y), (third + 0.65, (y + 2 * join) / 3))
    draw_round_box(page, third + 1.22, join, 1.1, 0.46, GREY)
    shape = shape_text(calls["refiner.residual"].input)
    caption(page, third + 1.22, join + 0.22, "joined, FC", shape)
    _draw_residuals(thumbnail(page, fourth, _BOTTOM), seen)
    shape = shape_text(refined.residual_orientation)
    caption(page, fourth, _BOTTOM - 0.6, "residual orientations", shape)
    _draw_pose(page, fifth, _BOTTOM, "refined pose", seen, refined.joints_mm)
    draw_round_box(page, plus, _BOTTOM, 0.3, 0.3, GREY, round=0.15)
    write(page, plus, _BOTTOM, "+", size=12)
    below = _MIDDLE - (1.02 if seen.true_mm is None else 1.2)  # the initial pose's caption
    draw_arrow(page, (third + 2.0, _BOTTOM), (fourth - 0.66, _BOTTOM))
    draw_arrow(page, (fourth + 0.66, _BOTTOM), (plus - 0.17, _BOTTOM))
    draw_arrow(page, (plus + 0.17, _BOTTOM), (fifth - 0.66, _BOTTOM))
    draw_arrow(page, (fifth, below), (fifth, bus), (plus, bus), (plus, _BOTTOM + 0.17))
    draw_arrow(page, (plus, bus), (first + 0.5, bus), (first + 0.5, _BOTTOM + 0.62))
    draw_arrow(page, (first, _MIDDLE - 1.02), (first, _BOTTOM + 0.62))


def _draw_heatmaps(axes, logits):
    """Heat maps' logits (21, D, H, W) as sums along d, each up to its own maximum."""
    heat = logits.flatten(1).softmax(dim=1).view(logits.shape).sum(dim=1).cpu().numpy()
    heat /= heat.max(axis=(1, 2), keepdims=True)
    ink = 1 - np.array([to_rgb(colour) for colour in JOINT_COLOURS])
    axes.imshow(1 - (heat[..., None] * ink[:, None, None]).max(axis=0), interpolation="nearest")


def _draw_pose(page, x, y, name, seen, joints_mm):
    """A pose over the crop, and how far it is from the truth."""
    axes = thumbnail(page, x, y)
    draw_crop(axes, seen.crops.image[0, 0].cpu(), colours=GREY_MAP)
    draw_hand(axes, seen.pixels(joints_mm), width=1.5, dots=5)
    error = []
    if seen.true_mm is not None:
        mean = mean_joint_error(joints_mm.cpu().numpy(), seen.true_mm.cpu().numpy())
        error = [f"mean joint error {mean:.1f} mm"]
    caption(page, x, y - 0.6, name, shape_text(joints_mm), *error)


def _draw_patches(axes, patches):
    """Patches (20, P, P) on one sheet: columns are fingers, rows bones, tips on top."""
    size = patches.shape[-1]
    pitch = size + 2 * max(1, size // 12)
    sheet = np.full((4 * pitch, 5 * pitch), np.nan)
    for bone, patch in enumerate(patches):
        y, x = pitch * (bone % 4), pitch * (bone // 4)
        sheet[y : y + size, x : x + size] = patch
        draw_box(axes, np.array([x, y, x + size, y + size]) - 0.5, BONE_COLOURS[bone])
    colours = IMAGE_MAP.with_extremes(bad="#ffffff", under=NOTHING)
    draw_crop(axes, np.ma.masked_invalid(sheet), colours=colours)
    margin = pitch - size
    axes.set(xlim=(-margin, 5 * pitch), ylim=(4 * pitch, -margin))
    axes.set_axis_off()


def _draw_rosette(axes, vectors):
    """Bone vectors (20, 3), camera frame, on x-y from one origin."""
    reach = 1.1 * np.linalg.norm(vectors, axis=1).max()
    for vector, colour in zip(vectors, BONE_COLOURS, strict=True):
        axes.plot([0, vector[0]], [0, vector[1]], color=colour, lw=1)
    axes.set(xlim=(-reach, reach), ylim=(reach, -reach))


def _draw_residuals(axes, seen):
    """Residual orientations at the bones' ends, x-y, enlarged to be seen."""
    draw_crop(axes, seen.crops.image[0, 0].cpu(), colours=GREY_MAP)
    pixels = seen.pixels(seen.prediction.joints_mm)
    draw_hand(axes, pixels, width=0.8, dots=0, alpha=0.6)
    residual = seen.prediction.refinement.residual_orientation[0, :, :2].cpu().numpy()
    reach = 0.2 * seen.size / max(np.linalg.norm(residual, axis=1).max(), 1e-9)
    tails = pixels[[child for child, _ in BONES]]
    axes.quiver(
        *tails.T, *(reach * residual).T, angles="xy", scale_units="xy", scale=1, color=INK,
        width=0.009, headwidth=4, headlength=4, headaxislength=4, zorder=4,
    )  # fmt: skip
