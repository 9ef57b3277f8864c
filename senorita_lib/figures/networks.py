"""The paper's Figs. 1 and 4, each picture and shape from a tensor of one forward pass."""

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from mpl_toolkits.mplot3d.axes3d import Axes3D

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.evaluation import bone_angles, mean_joint_error
from senorita_lib.figures import style
from senorita_lib.figures.style import GREY, IMAGE_MAP, INK
from senorita_lib.figures.volumes import draw_volumes
from senorita_lib.files import read_toml
from senorita_lib.hand import BONE_FINGER, BONES, FINGERS, JOINT_NAMES, joints_to_bones
from senorita_lib.losses import pose_loss
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import Recipe
from senorita_lib.refinement import Refinement, bone_patch_boxes
from senorita_lib.release.patches import released_boxes
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
from senorita_lib.representations import CHANNELS, inputs_of
from senorita_lib.training.stages import crop_options

_LAYOUT = read_toml(__file__)
ORANGE, GREEN = "#e67e22", "#5aa02c"  # as in the paper's Fig. 1 and Fig. 4
Call = tuple[torch.Tensor, torch.Tensor]  # a module's first argument, and its output


class Flow(NamedTuple):
    """One frame's way through a network."""

    crops: CropBatch
    calls: dict[str, Call]  # of its modules, by name; a norm's is what the ReLU in place made of it
    uvd: torch.Tensor
    joints_mm: torch.Tensor
    refined: Refinement
    true_mm: torch.Tensor  # (1, 21, 3), camera frame

    def children(self, parent: str) -> list[Call]:
        """The calls of a module's children."""
        return [call for name, call in self.calls.items() if name.rpartition(".")[0] == parent]

    def patch_stages(self) -> list[list[Call]]:
        """For each scale of the patch stream its calls: convolution, norm, ReLU, pooling."""
        scales = range(len(self.children("refiner.patch_stream")))
        return [self.children(f"refiner.patch_stream.{scale}") for scale in scales]

    def pixels(self, joints_mm: torch.Tensor) -> np.ndarray:
        """Joints (1, 21, 3), camera frame, mm, in pixels of the crop, (21, 2)."""
        size = self.crops.image.shape[-1]
        return self.crops.to_uvd(joints_mm)[0, :, :2].cpu().numpy() * size - 0.5


def follow(model: HandPoseNet, frame: Frame) -> Flow:
    """Run a copy of the model on one frame, and record what each of its modules gets and gives.

    A ``ValueError`` where the model has no heat maps, or the frame no labels or no hand.
    """
    if model.recipe.head != "integral":
        raise ValueError(f"model has a {model.recipe.head!r} head, wanted 'integral'")
    if frame.joints is None:
        raise ValueError(f"{frame.name} has no labels, wanted a frame with joints")
    crop = crop_hand(frame.depth, frame.box, frame.camera, **crop_options(model.recipe))
    crops = CropBatch.stack([crop]).to(next(model.parameters()).device)
    calls: dict[str, Call] = {}

    def keep(name: str, _: torch.nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        calls[name] = arguments[0], output

    model = copy.deepcopy(model).eval()
    for name, module in model.named_modules():
        module.register_forward_hook(partial(keep, name))
    with torch.no_grad():
        uvd, joints_mm, refined, _ = model(crops)
    true = torch.as_tensor(frame.joints).to(crops.image)[None]
    return Flow(crops, calls, uvd, joints_mm, refined, true)


def _shape(tensor: torch.Tensor | np.ndarray) -> str:
    """A tensor's shape as the figures print it: ``1 × 21 × 3``."""
    return " × ".join(map(str, tensor.shape))


class Page:
    """A figure of ``networks.toml``, to draw on; places and sizes are as there."""

    def __init__(self, name: str) -> None:
        layout = _LAYOUT[name]
        width, height = layout["size"]
        self.figure = Figure(figsize=(width, height), dpi=80)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()
        for box in layout["boxes"]:
            self.box(*box)
        for points in layout["arrows"]:
            self.arrow(*points)
        for points in layout["training"]:
            self.arrow(*points, colour=ORANGE)
        for text in layout["texts"]:
            self.write(**text)

    def picture(self, x: float, y: float, size: Any = 1.2, /, **options: Any) -> Axes:
        """Framed axes of one size, or of width and height, around a point."""
        page, size = self.figure.get_size_inches(), np.broadcast_to(size, 2)
        axes = self.figure.add_axes((*([x, y] - size / 2) / page, *size / page), **options)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=GREY, linewidth=0.8)
        return axes

    def image(self, x: float, y: float, image: torch.Tensor, name: str = "", *details: Any,
              size: float = 1.2, colours: Any = IMAGE_MAP) -> Axes:  # fmt: skip
        """An image in the image frame, and its caption."""
        axes = self.picture(x, y, size)
        style.draw_crop(axes, image.cpu(), colours=colours)
        self.caption(x, y - size / 2, name, *details)
        return axes

    def maps(self, x: float, y: float, maps: torch.Tensor, side: float) -> None:
        """Maps (n, h, w) side by side around a point, in one range of values."""
        low, high = maps.min().item(), maps.max().item()
        for i, values in enumerate(maps.cpu().numpy()):
            axes = self.picture(x + (i - (len(maps) - 1) / 2) * (side + 0.05), y, side)
            axes.imshow(values, IMAGE_MAP, vmin=low, vmax=high, interpolation="nearest")

    def strip(self, x: float, y: float, height: float, values: torch.Tensor, *words: str) -> None:
        """Numbers (n,) as a column of colours, and its caption."""
        axes, column = self.picture(x, y, (0.14, height)), values[:, None].cpu().numpy()
        axes.imshow(column, IMAGE_MAP, aspect="auto", interpolation="nearest")
        self.caption(x, y - height / 2, *words)

    def write(self, x: float, y: float, text: str, size: float = 8, **options: Any) -> None:
        """Text around a point, or from it with ``ha``; in ink if it is large."""
        look = {"ha": "center", "va": "center", "color": INK if size > 8 else GREY} | options
        self.axes.text(x, y, text, fontsize=size, **look)

    def caption(self, x: float, y: float, name: str, *details: Any) -> None:
        """What is above, and below it texts, or tensors' shapes."""
        self.write(x, y - 0.13, name, 9)
        for i, detail in enumerate(details):
            text = detail if isinstance(detail, str) else _shape(detail)
            self.write(x, y - 0.3 - 0.16 * i, text)

    def box(self, x: float, y: float, width: float, height: float, colour: str,
            round: float = 0.1) -> None:  # fmt: skip
        """A rounded rectangle around a point, lightly filled."""
        corner, shape = (x - width / 2, y - height / 2), f"round,pad=0,rounding_size={round}"
        look: Any = {"boxstyle": shape, "fc": colour + "20", "ec": colour, "lw": 1}
        self.axes.add_patch(FancyBboxPatch(corner, width, height, **look))

    def arrow(self, *points: tuple[float, float], colour: str = GREY) -> None:
        """A thin line along points, with a head at its end."""
        self.axes.plot(*zip(*points, strict=True), color=colour, lw=1)
        head = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "color": colour, "lw": 1}
        self.axes.annotate("", points[-1], points[-2], arrowprops=head | _WHOLE)


_WHOLE = {"shrinkA": 0, "shrinkB": 0}  # arrows from end to end


def overview_figure(model: HandPoseNet, frame: Frame) -> Figure:
    """Fig. 1: a labelled frame's way through the whole network, with errors; see :func:`follow`."""
    seen, page, recipe = follow(model, frame), Page("overview"), model.recipe
    title = f"Recipe {recipe.name}, Model {recipe.model}: one frame, step by step"
    page.write(2.45, 6.02, title, 9, ha="left", weight="bold")
    axes, image = page.picture(1.2, 5.5, (1.6, 1.2)), seen.crops.image[0, 0]
    style.draw_depth(axes, frame.depth, colourbar=False)
    style.draw_box(axes, seen.crops.box[0].tolist(), "#ffffff")
    page.caption(1.2, 4.9, "depth frame, box", frame.depth)
    page.image(1.2, 3.55, image, "crop", seen.crops.image)
    _draw_estimator(page, recipe, seen)
    _draw_renderer(page, recipe, seen)
    _draw_refinement(page, seen)
    poses = (3.55, "initial pose", seen.joints_mm), (1.25, "refined pose", seen.refined.joints_mm)
    for y, name, pose in poses:
        mean = mean_joint_error(pose.cpu().numpy(), seen.true_mm.cpu().numpy())
        words = name, pose, f"mean joint error {mean:.1f} mm"
        axes = page.image(11.85, y, image, *words, colours=style.GREY_MAP)
        style.draw_hand(axes, seen.pixels(pose), width=1.5, dots=5)
    return page.figure


def _draw_estimator(page: Page, recipe: Recipe, seen: Flow) -> None:
    """A plane of each input, the mean of each stage's maps, and the heat maps."""
    inputs, names = seen.calls["estimator.backbone"][0], inputs_of(recipe.model)
    channels = CHANNELS | {"layers": recipe.depth_layers, "voxels": recipe.voxel_depth}
    planes = inputs.split([channels[name] for name in names], dim=1)
    for i, plane in reversed([*enumerate(planes)]):
        shift = 0.13 * (i - (len(planes) - 1) / 2)
        middle = plane[0, plane.shape[1] // 2]
        page.image(3.15 + shift, 3.55 + shift, middle, size=1.33 - 0.13 * len(planes))
    parts = [f"{plane.shape[1]} {name}" for name, plane in zip(names, planes, strict=True)]
    lines = [", ".join(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    page.caption(3.15, 2.95, f"input channels: {lines[0]}", *lines[1:], inputs)
    backbone, head = (seen.children(f"estimator.{part}") for part in ("backbone", "head"))
    # In the head are a deconvolution, its norm and its ReLU three times, then a convolution.
    columns = (5.3, backbone[-4:], "levels of the ResNet"), (7.2, head[2:-1:3], "deconvolutions")
    for x, stages, name in columns:
        for i, (_, maps) in enumerate(stages):
            page.maps(x + 0.47 * (i - (len(stages) - 1) / 2), 3.65, maps.mean(dim=1), 0.42)
        page.caption(x, 3.35, f"{len(stages)} {name}", stages[-1][1])
    logits = head[-1][1].unflatten(1, (len(JOINT_NAMES), -1))
    heat = logits[0].flatten(1).softmax(dim=1).view(logits[0].shape).sum(dim=1)  # over d
    heat = (heat / heat.amax(dim=(1, 2), keepdim=True))[..., None].cpu().numpy()
    ink = 1 - np.array([to_rgb(colour) for colour in style.JOINT_COLOURS])[:, None, None]
    page.picture(9.3, 3.55).imshow(1 - (heat * ink).max(axis=0), interpolation="nearest")
    page.caption(9.3, 2.95, "heat maps, on u-v", logits)


def _draw_renderer(page: Page, recipe: Recipe, seen: Flow) -> None:
    """Eq. 1, 3 and 4: both poses as volumes, compared."""
    options: dict[str, Any] = {"gamma": recipe.gamma, "size": (recipe.volume_size,) * 3}
    options |= {"distance": recipe.distance, "ends": recipe.ends, "compiled": False}
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
    kind = "eq. 4" if recipe.volume_difference == "l1" else "smooth L1"
    loss = skeleton_volume_loss(cells[0], cells[1], **options, difference=recipe.volume_difference)
    page.write(10.575, 5.7, f"volumes, {kind}:\n{loss:.0f} voxels", color=INK)
    page.write(10.575, 5.3, f"poses, eq. 3:\n{pose_loss(*poses):.2f} cells", color=INK)


def _draw_refinement(page: Page, seen: Flow) -> None:
    calls, refined = seen.calls, seen.refined
    patches = [stage[0][0] for stage in seen.patch_stages()]
    for bone, patch in enumerate(patches[0][0]):  # columns are fingers, tips on top
        place = 1.2 + 0.29 * (bone // 4 - 2), 1.25 + 0.29 * (1.5 - bone % 4)
        axes = page.image(*place, patch, size=0.25)
        axes.spines[:].set(color=style.BONE_COLOURS[bone], linewidth=1.5)
    shapes = [_shape(patches[0]), *(_shape(patch[0, 0]) for patch in patches[1:])]
    page.caption(1.2, 0.65, f"patches of the bones, {len(patches)} scales", "; ".join(shapes))
    streams = {"patch stream": (0.87, 1.08, GREEN, calls["refiner.patch_features"])}
    if "refiner.pose_stream" in calls:
        streams["initial pose stream"] = 1.42, 1.21, ORANGE, calls["refiner.pose_stream"]
        axes, vectors = page.picture(3.6, 1.42, 0.62), refined.initial_orientation[0].cpu().numpy()
        for (x, y, _), colour in zip(vectors, style.BONE_COLOURS, strict=True):
            axes.plot([0, x], [0, y], color=colour, lw=1)
        reach = 1.1 * np.linalg.norm(vectors, axis=1).max()
        axes.set(xlim=(-reach, reach), ylim=(reach, -reach))
        page.write(3.2, 1.51, "initial\norientations", 9, ha="right")
        page.write(3.2, 1.23, _shape(refined.initial_orientation), ha="right")
        page.arrow((3.6, 2.17), (3.6, 1.75))
        page.arrow((3.95, 1.42), (4.43, 1.42))
    for name, (y, end, colour, call) in streams.items():
        page.box(5.35, y, 1.8, 0.46, colour)
        page.caption(5.35, y + 0.22, name, call[1])
        page.arrow((6.27, y), (6.85, end))
    page.caption(7.42, 1.365, "joined, FC", calls["refiner.residual"][0])
    image, residual = seen.crops.image[0, 0], refined.residual_orientation
    axes = page.image(9.3, 1.25, image, "residual orientations", residual, colours=style.GREY_MAP)
    pixels, arrows = seen.pixels(seen.joints_mm), residual[0, :, :2].cpu().numpy()
    style.draw_hand(axes, pixels, width=0.8, dots=0, alpha=0.6)
    longest = max(np.linalg.norm(arrows, axis=1).max(), 1e-9)  # is drawn as a fifth of the crop
    axes.quiver(
        *pixels[[child for child, _ in BONES]].T, *arrows.T, color=INK, angles="xy",
        scale_units="xy", scale=5 * longest / len(image), width=0.009, headwidth=4, headlength=4,
        headaxislength=4, zorder=4,
    )  # fmt: skip


def refiner_figure(model: HandPoseNet, frame: Frame) -> Figure:
    """Fig. 4: the way of the bone turned most through its network; else as Fig. 1."""
    seen, page = follow(model, frame), Page("refiner")
    before, after = seen.joints_mm.cpu(), seen.refined.joints_mm.cpu()
    turned = bone_angles(before, after)[0]
    bone = int(np.nanargmax(turned))
    colour, image, pixels = style.BONE_COLOURS[bone], seen.crops.image[0, 0], seen.pixels(before)
    child, parent = (JOINT_NAMES[joint].split("_")[-1] for joint in BONES[bone])
    words = f"{FINGERS[BONE_FINGER[bone]]}, {parent}–{child}", "initial pose, its patch"
    axes = page.image(1.2, 3.4, image, *words, size=1.7, colours=style.GREY_MAP)
    style.draw_hand(axes, pixels, width=1, dots=0, alpha=0.4)
    axes.plot(*pixels[list(BONES[bone])].T, color=colour, lw=3)
    released = model.recipe.patches == "released"
    boxes = released_boxes(seen.uvd, len(image)) if released else bone_patch_boxes(seen.uvd)
    style.draw_patch_boxes(axes, boxes[:1, bone].cpu(), len(image), [colour])
    _draw_streams(page, seen, bone)
    _draw_increment(page, seen, bone)
    left = [bone_angles(pose, seen.true_mm.cpu())[0, bone] for pose in (before, after)]
    errors = f"error {left[0]:.1f}°, then {left[1]:.1f}°", "seen across both, initial up"
    page.caption(12.05, 1.7, f"turned by {turned[bone]:.1f}°", *errors)
    return page.figure


def _draw_streams(page: Page, seen: Flow, bone: int) -> None:
    """The layers of the patch stream, and of the initial pose stream if there is one."""

    def draw_layer(x: float, y: float, height: float, call: Call) -> None:
        before, after = (part[0, bone] for part in call)
        page.strip(x, y, height, after, "FC", f"{_shape(before)} → {_shape(after)}")

    for y, calls in zip((4.45, 3.4, 2.5), seen.patch_stages(), strict=True):
        patch = calls[0][0][0, bone]
        conv, pooled = (calls[i][1].unflatten(1, (len(BONES), -1))[0, bone] for i in (2, 3))
        kernel, pool = len(patch) - conv.shape[1] + 1, conv.shape[1] // pooled.shape[1]
        side = 0.07 * len(patch) ** 0.6
        page.image(3.2, y, patch, size=side)
        page.write(3.2, y - side / 2 - 0.13, _shape(patch))
        words = f"conv {kernel} × {kernel}", f"pool {pool} × {pool}" if pool > 1 else "no pooling"
        for x, maps, name in zip((5.0, 6.95), (conv, pooled), words, strict=True):
            page.maps(x, y + 0.08, maps[:4], 0.36)
            page.caption(x, y - 0.09, name, maps)
        page.arrow((3.25 + side / 2, y + 0.08), (4.12, y + 0.08))
        page.arrow((5.86, y + 0.08), (6.09, y + 0.08))
        page.arrow((7.81, y + 0.08), (8.21, 2.27 + y / 3))
    draw_layer(8.3, 3.4, 1.5, seen.calls["refiner.patch_features"])
    if not (layers := seen.children("refiner.pose_stream")):
        page.write(5.65, 0.9, "no initial pose stream in this recipe")
        return
    page.box(5.75, 0.87, 6.3, 1.4, ORANGE)
    page.write(2.8, 1.4, "Initial pose stream", 9, ha="left", weight="bold")
    page.arrow((1.2, 2.08), (1.2, 0.97), (3.1, 0.97))
    initial = layers[0][0][0, bone]
    page.write(3.5, 0.97, _numbers(seen, initial), color=INK)
    page.caption(3.5, 0.74, "initial orientation", initial)
    places = np.linspace(8.3, 5.35, len(layers))[::-1]
    for x, before, call in zip(places, [3.8, *places], layers, strict=False):
        draw_layer(x, 0.97, 0.6, call)
        page.arrow((before + 0.09, 0.97), (x - 0.09, 0.97))
    page.arrow((8.39, 0.97), (9.41, 1.9))


def _draw_increment(page: Page, seen: Flow, bone: int) -> None:
    joined, residual = (part[0, bone] for part in seen.calls["refiner.residual"])
    page.strip(9.5, 2.4, 1.8, joined, "joined", _shape(joined))
    page.write(10.4, 2.4, _numbers(seen, residual), color=INK)
    page.caption(10.4, 2.17, "FC", f"{_shape(joined)} → {_shape(residual)}")
    initial, turn = seen.refined.initial_orientation[0, bone].cpu(), residual.cpu()
    up = torch.nn.functional.normalize(initial, dim=0)  # of the page, in the plane of both
    side = torch.nn.functional.normalize(turn - (turn @ up) * up, dim=0)
    ends = (0 * initial, initial, initial + turn)
    origin, start, end = ((float(v @ side), float(v @ up)) for v in ends)
    axes = page.picture(12.05, 2.4, 1.4)
    for y, name, tail, head, ink in (
        (3.58, "initial", origin, start, GREY),
        (3.41, "+ residual", start, end, INK),
        (3.24, "= refined", origin, end, style.BONE_COLOURS[bone]),
    ):
        page.write(12.05, y, name, color=ink, weight="bold")
        shape = {"arrowstyle": "-|>,head_width=0.15,head_length=0.3", "color": ink, "lw": 1.6}
        axes.annotate("", head, tail, arrowprops=shape | _WHOLE)
    points = np.array([origin, start, end])
    (x, y), reach = (points.min(0) + points.max(0)) / 2, 0.56 * np.ptp(points, axis=0).max()
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))


def _numbers(seen: Flow, vector: torch.Tensor) -> str:
    form = "{:+.1f} mm" if seen.refined.orient is joints_to_bones else "{:+.2f}"
    return "\n".join(map(form.format, vector.tolist())).replace("-", "−")
