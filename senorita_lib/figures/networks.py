"""The paper's Figs. 1 and 4, each picture and shape from a tensor of one forward pass."""

from typing import Any

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.axes3d import Axes3D

from senorita_lib.datasets.hands19 import Frame
from senorita_lib.evaluation import bone_angles, mean_joint_error
from senorita_lib.figures import style
from senorita_lib.figures.page import Call, Flow, Page, follow, shape_text
from senorita_lib.figures.volumes import draw_volumes
from senorita_lib.hand import BONE_FINGER, BONES, FINGERS, JOINT_NAMES
from senorita_lib.losses import pose_loss
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import Recipe
from senorita_lib.refinement import bone_patch_boxes, orientations
from senorita_lib.release.patches import released_boxes
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
from senorita_lib.representations import CHANNELS, inputs_of

ORANGE, GREEN = "#e67e22", "#5aa02c"  # as in the paper's Fig. 1 and Fig. 4
# Fig. 1 has columns at x = 1.2, 3.15, 6.2, 9.3 and 11.85 inches, rows at y = 5.5, 3.55 and 1.25.
_ARROWS = (  # frame to initial pose; from there to the sum and the patches; to the refined pose
    ((1.2, 4.48), (1.2, 4.17)), ((1.86, 3.55), (2.49, 3.55)), ((3.81, 3.55), (4.2, 3.55)),
    ((8.2, 3.55), (8.64, 3.55)), ((9.96, 3.55), (11.19, 3.55)),
    ((11.85, 2.35), (11.85, 2.17), (10.575, 2.17), (10.575, 1.42)),
    ((10.575, 2.17), (1.7, 2.17), (1.7, 1.87)), ((1.2, 2.53), (1.2, 1.87)),
    ((2.0, 0.87), (4.43, 0.87)), ((8.2, 1.25), (8.64, 1.25)), ((9.96, 1.25), (10.405, 1.25)),
    ((10.745, 1.25), (11.19, 1.25)),
)  # fmt: skip


def overview_figure(model: HandPoseNet, frame: Frame) -> Figure:
    """Fig. 1: a labelled frame's way through the whole network, with errors; see :func:`follow`."""
    seen, page, recipe = follow(model, frame), Page(13, 6.65), model.recipe
    title = f"Recipe {recipe.name}, Model {recipe.model}: one frame, step by step"
    page.write(2.45, 6.02, title, 9, ha="left", weight="bold")
    key = "Each picture is a tensor of this forward pass; below it is its shape, batch first.\n"
    key += "Poses and orientations are in the camera frame."
    page.write(2.45, 5.72, key, ha="left", linespacing=1.5)
    axes = page.picture(1.2, 5.5, (1.6, 1.2))
    style.draw_depth(axes, frame.depth, colourbar=False)
    style.draw_box(axes, seen.crops.box[0].tolist(), "#ffffff")
    page.caption(1.2, 4.9, "depth frame, box", frame.depth)
    page.image(1.2, 3.55, seen.crops.image[0, 0], "crop", seen.crops.image)
    _draw_estimator(page, recipe, seen)
    _draw_renderer(page, recipe, seen)
    _draw_refinement(page, seen)
    for points in _ARROWS:
        page.arrow(*points)
    return page.figure


def _draw_estimator(page: Page, recipe: Recipe, seen: Flow) -> None:
    """A plane of each input, the mean of each stage's maps, the heat maps, the initial pose."""
    inputs, names = seen.calls["estimator.backbone"].input, inputs_of(recipe.model)
    channels = CHANNELS | {"layers": recipe.depth_layers, "voxels": recipe.voxel_depth}
    planes = inputs.split([channels[name] for name in names], dim=1)
    for i, plane in reversed([*enumerate(planes)]):
        shift = 0.13 * (i - (len(planes) - 1) / 2)
        middle = plane[0, plane.shape[1] // 2]
        page.image(3.15 + shift, 3.55 + shift, middle, size=1.33 - 0.13 * len(planes))
    parts = [f"{plane.shape[1]} {name}" for name, plane in zip(names, planes, strict=True)]
    lines = [", ".join(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    page.caption(3.15, 2.95, f"input channels: {lines[0]}", *lines[1:], inputs)
    page.box(6.2, 3.55, 3.9, 1.5, style.GREY)
    page.write(6.2, 4.12, "Integral regression network", 9, weight="bold")
    backbone = [call.output for call in seen.children("estimator.backbone")]
    head = [call.output for call in seen.children("estimator.head")]
    # In the head are a deconvolution, its norm and its ReLU three times, then a convolution.
    columns = (5.3, backbone[-4:], "levels of the ResNet"), (7.2, head[2:-1:3], "deconvolutions")
    for x, stages, name in columns:
        for i, maps in enumerate(stages):
            page.maps(x + 0.47 * (i - (len(stages) - 1) / 2), 3.65, maps.mean(dim=1), 0.42)
        page.caption(x, 3.35, f"{len(stages)} {name}", stages[-1])
    logits = head[-1].unflatten(1, (len(JOINT_NAMES), -1))
    heat = logits[0].flatten(1).softmax(dim=1).view(logits[0].shape).sum(dim=1)  # over d
    heat = (heat / heat.amax(dim=(1, 2), keepdim=True))[..., None].cpu().numpy()
    ink = 1 - np.array([to_rgb(colour) for colour in style.JOINT_COLOURS])[:, None, None]
    page.picture(9.3, 3.55).imshow(1 - (heat * ink).max(axis=0), interpolation="nearest")
    page.caption(9.3, 2.95, "heat maps, on u-v", logits)
    page.write(10.575, 3.67, "soft-argmax")
    _draw_pose(page, 3.55, "initial pose", seen, seen.joints_mm)


def _draw_pose(page: Page, y: float, name: str, seen: Flow, joints_mm: torch.Tensor) -> None:
    mean = mean_joint_error(joints_mm.cpu().numpy(), seen.true_mm.cpu().numpy())
    words = name, joints_mm, f"mean joint error {mean:.1f} mm"
    axes = page.image(11.85, y, seen.crops.image[0, 0], *words, colours=style.GREY_MAP)
    style.draw_hand(axes, seen.pixels(joints_mm), width=1.5, dots=5)


def _draw_renderer(page: Page, recipe: Recipe, seen: Flow) -> None:
    """Eq. 1, 3 and 4: both poses as volumes, compared; in orange, as only training has it."""
    options: dict[str, Any] = {"gamma": recipe.gamma, "size": (recipe.volume_size,) * 3}
    options |= {"distance": recipe.distance, "ends": recipe.ends, "compiled": False}
    page.box(10.575, 5.5, 4.5, 2.04, ORANGE)
    page.write(10.575, 6.36, "3D skeleton volume renderer, only in training", 9, weight="bold")
    page.arrow((11.85, 4.17), (11.85, 4.46), colour=ORANGE)
    page.write(11.95, 4.315, "eq. 1", ha="left")
    poses = seen.uvd, seen.crops.to_uvd(seen.true_mm)
    cells = [recipe.volume_size * uvd - 0.5 for uvd in poses]
    for joints, (x, name) in zip(cells, ((11.85, "this"), (9.3, "the true")), strict=True):
        volumes = render_skeleton(joints, **options)
        axes = page.picture(x, 5.49, 1.4, projection="3d", facecolor="none")
        assert isinstance(axes, Axes3D)
        draw_volumes(axes, volumes[0].cpu().numpy(), threshold=0.6)
        for text in axes.texts:
            text.set_fontsize(8)
        page.caption(x, 4.94, f"volumes of {name} pose", volumes)
    for x in (9.92, 11.23):
        page.arrow((10.575, 5.5), (x, 5.5), colour=ORANGE)
    kind = "eq. 4" if recipe.volume_difference == "l1" else "smooth L1"
    loss = skeleton_volume_loss(cells[0], cells[1], **options, difference=recipe.volume_difference)
    page.write(10.575, 5.7, f"volumes, {kind}:\n{loss:.0f} voxels", color=style.INK)
    page.write(10.575, 5.3, f"poses, eq. 3:\n{pose_loss(*poses):.2f} cells", color=style.INK)


def _draw_refinement(page: Page, seen: Flow) -> None:
    calls, refined = seen.calls, seen.refined
    patches = [stage[0].input for stage in _patch_stages(calls)]
    for bone, patch in enumerate(patches[0][0]):  # columns are fingers, tips on top
        place = 1.2 + 0.29 * (bone // 4 - 2), 1.25 + 0.29 * (1.5 - bone % 4)
        axes = page.image(*place, patch, size=0.25)
        axes.spines[:].set(color=style.BONE_COLOURS[bone], linewidth=1.5)
    shapes = [shape_text(patches[0]), *(shape_text(patch[0, 0]) for patch in patches[1:])]
    page.caption(1.2, 0.65, f"patches of the bones, {len(patches)} scales", "; ".join(shapes))
    page.box(6.2, 1.25, 3.9, 1.5, style.GREY)
    page.write(6.2, 1.82, f"Refinement: {len(BONES)} bone networks (Fig. 4)", 9, weight="bold")
    streams = {"patch stream": (0.87, 1.08, GREEN, calls["refiner.patch_features"].output)}
    if "refiner.pose_stream" in calls:
        streams["initial pose stream"] = 1.42, 1.21, ORANGE, calls["refiner.pose_stream"].output
        axes, vectors = page.picture(3.6, 1.42, 0.62), refined.initial_orientation[0].cpu().numpy()
        for (x, y, _), colour in zip(vectors, style.BONE_COLOURS, strict=True):
            axes.plot([0, x], [0, y], color=colour, lw=1)
        reach = 1.1 * np.linalg.norm(vectors, axis=1).max()
        axes.set(xlim=(-reach, reach), ylim=(reach, -reach))
        page.write(3.2, 1.51, "initial\norientations", 9, ha="right")
        page.write(3.2, 1.23, shape_text(refined.initial_orientation), ha="right")
        page.arrow((3.6, 2.17), (3.6, 1.75))
        page.arrow((3.95, 1.42), (4.43, 1.42))
    for name, (y, end, colour, output) in streams.items():
        page.box(5.35, y, 1.8, 0.46, colour)
        page.caption(5.35, y + 0.22, name, output)
        page.arrow((6.27, y), (6.85, end))
    page.box(7.42, 1.145, 1.1, 0.46, style.GREY)
    page.caption(7.42, 1.365, "joined, FC", calls["refiner.residual"].input)
    image, residual = seen.crops.image[0, 0], refined.residual_orientation
    axes = page.image(9.3, 1.25, image, "residual orientations", residual, colours=style.GREY_MAP)
    pixels, arrows = seen.pixels(seen.joints_mm), residual[0, :, :2].cpu().numpy()
    style.draw_hand(axes, pixels, width=0.8, dots=0, alpha=0.6)
    longest = max(np.linalg.norm(arrows, axis=1).max(), 1e-9)  # is drawn as a fifth of the crop
    axes.quiver(
        *pixels[[child for child, _ in BONES]].T, *arrows.T, color=style.INK, angles="xy",
        scale_units="xy", scale=5 * longest / len(image), width=0.009, headwidth=4, headlength=4,
        headaxislength=4, zorder=4,
    )  # fmt: skip
    page.box(10.575, 1.25, 0.3, 0.3, style.GREY, round=0.15)
    page.write(10.575, 1.25, "+", 12)
    _draw_pose(page, 1.25, "refined pose", seen, refined.joints_mm)


def _patch_stages(calls: dict[str, Call]) -> list[list[Call]]:
    """For each scale of the patch stream its calls: convolution, norm, ReLU, pooling, stage."""
    scales: dict[str, list[Call]] = {}
    for name, call in calls.items():
        if name.startswith("refiner.patch_stream."):
            scales.setdefault(name.split(".")[2], []).append(call)
    return list(scales.values())


def refiner_figure(model: HandPoseNet, frame: Frame) -> Figure:
    """Fig. 4: the way of the bone turned most through its network; else as Fig. 1."""
    seen, page = follow(model, frame), Page(13, 5.35)
    before, after = seen.joints_mm.cpu(), seen.refined.joints_mm.cpu()
    turned = bone_angles(before, after)[0]
    bone = int(np.nanargmax(turned))
    colour, image, pixels = style.BONE_COLOURS[bone], seen.crops.image[0, 0], seen.pixels(before)
    page.write(1.2, 4.85, f"One of {len(BONES)} bone networks,", 9, weight="bold")
    page.write(1.2, 4.68, "which run as one grouped network")
    child, parent = (JOINT_NAMES[joint].split("_")[-1] for joint in BONES[bone])
    name = f"{FINGERS[BONE_FINGER[bone]]}, {parent}–{child}"
    words = name, "initial pose, its patch"
    axes = page.image(1.2, 3.4, image, *words, size=1.7, colours=style.GREY_MAP)
    style.draw_hand(axes, pixels, width=1, dots=0, alpha=0.4)
    axes.plot(*pixels[list(BONES[bone])].T, color=colour, lw=3)
    released = model.recipe.patches == "released"
    boxes = released_boxes(seen.uvd, len(image)) if released else bone_patch_boxes(seen.uvd)
    style.draw_patch_boxes(axes, boxes[:1, bone].cpu(), len(image), [colour])
    page.arrow((2.07, 3.4), (2.58, 3.4))
    _draw_patch_stream(page, seen, bone)
    _draw_pose_stream(page, seen, bone)
    _draw_increment(page, seen, bone)
    left = [bone_angles(pose, seen.true_mm.cpu())[0, bone] for pose in (before, after)]
    errors = f"error {left[0]:.1f}°, then {left[1]:.1f}°"
    page.caption(
        12.05, 1.7, f"turned by {turned[bone]:.1f}°", errors, "seen across both, initial up"
    )
    return page.figure


def _draw_patch_stream(page: Page, seen: Flow, bone: int) -> None:
    page.box(5.75, 3.45, 6.3, 3.5, GREEN)
    page.write(2.8, 5.0, "Patch stream", 9, ha="left", weight="bold")
    page.write(6.1, 5.0, "the first four maps of each layer")
    for y, calls in zip((4.45, 3.4, 2.5), _patch_stages(seen.calls), strict=True):
        patch = calls[0].input[0, bone]
        conv, pooled = (calls[i].output.unflatten(1, (len(BONES), -1))[0, bone] for i in (2, 3))
        kernel, pool = len(patch) - conv.shape[1] + 1, conv.shape[1] // pooled.shape[1]
        side = 0.07 * len(patch) ** 0.6
        page.image(3.2, y, patch, size=side)
        page.write(3.2, y - side / 2 - 0.13, shape_text(patch))
        page.maps(5.0, y + 0.08, conv[:4], 0.36)
        page.caption(5.0, y - 0.09, f"conv {kernel} × {kernel}", conv)
        page.maps(6.95, y + 0.08, pooled[:4], 0.36)
        name = f"pool {pool} × {pool}" if pool > 1 else "no pooling"
        page.caption(6.95, y - 0.09, name, pooled)
        page.arrow((3.25 + side / 2, y + 0.08), (4.12, y + 0.08))
        page.arrow((5.86, y + 0.08), (6.09, y + 0.08))
        page.arrow((7.81, y + 0.08), (8.21, 2.27 + y / 3))
    _draw_layer(page, 8.3, 3.4, 1.5, seen.calls["refiner.patch_features"], bone)
    page.arrow((8.39, 3.4), (9.41, 2.9))


def _draw_pose_stream(page: Page, seen: Flow, bone: int) -> None:
    layers = seen.children("refiner.pose_stream")
    if not layers:
        page.write(5.65, 0.9, "no initial pose stream in this recipe")
        return
    page.box(5.75, 0.87, 6.3, 1.4, ORANGE)
    page.write(2.8, 1.4, "Initial pose stream", 9, ha="left", weight="bold")
    page.arrow((1.2, 2.08), (1.2, 0.97), (3.1, 0.97))
    initial = layers[0].input[0, bone]
    page.write(3.5, 0.97, _numbers(seen, initial), color=style.INK)
    page.caption(3.5, 0.74, "initial orientation", initial)
    places = np.linspace(8.3, 5.35, len(layers))[::-1]
    for x, before, call in zip(places, [3.8, *places], layers, strict=False):
        _draw_layer(page, x, 0.97, 0.6, call, bone)
        page.arrow((before + 0.09, 0.97), (x - 0.09, 0.97))
    page.arrow((8.39, 0.97), (9.41, 1.9))


def _draw_increment(page: Page, seen: Flow, bone: int) -> None:
    joined, residual = (part[0, bone] for part in seen.calls["refiner.residual"])
    page.strip(9.5, 2.4, 1.8, joined, "joined", shape_text(joined))
    page.arrow((9.59, 2.4), (10.05, 2.4))
    page.write(10.4, 2.74, "residual ΔU", 9)
    page.write(10.4, 2.4, _numbers(seen, residual), color=style.INK)
    page.caption(10.4, 2.17, "FC", f"{shape_text(joined)} → {shape_text(residual)}")
    page.arrow((10.75, 2.4), (11.28, 2.4))
    initial, turn = seen.refined.initial_orientation[0, bone].cpu(), residual.cpu()
    up = torch.nn.functional.normalize(initial, dim=0)  # of the page, in the plane of both
    side = torch.nn.functional.normalize(turn - (turn @ up) * up, dim=0)
    ends = (0 * initial, initial, initial + turn)
    origin, start, end = ((float(v @ side), float(v @ up)) for v in ends)
    axes = page.picture(12.05, 2.4, 1.4)
    for y, name, tail, head, ink in (
        (3.58, "initial", origin, start, style.GREY),
        (3.41, "+ residual", start, end, style.INK),
        (3.24, "= refined", origin, end, style.BONE_COLOURS[bone]),
    ):
        page.write(12.05, y, name, color=ink, weight="bold")
        shape = {"arrowstyle": "-|>,head_width=0.15,head_length=0.3", "color": ink, "lw": 1.6}
        axes.annotate("", head, tail, arrowprops=shape | {"shrinkA": 0, "shrinkB": 0})
    points = np.array([origin, start, end])
    (x, y), reach = (points.min(0) + points.max(0)) / 2, 0.56 * np.ptp(points, axis=0).max()
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))


def _draw_layer(page: Page, x: float, y: float, height: float, call: Call, bone: int) -> None:
    before, after = (part[0, bone] for part in call)
    page.strip(x, y, height, after, "FC", f"{shape_text(before)} → {shape_text(after)}")


def _numbers(seen: Flow, vector: torch.Tensor) -> str:
    form = "{:+.1f} mm" if seen.refined.orient is not orientations else "{:+.2f}"
    return "\n".join(map(form.format, vector.tolist())).replace("-", "−")
