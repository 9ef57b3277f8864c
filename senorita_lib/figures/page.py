"""One forward pass, recorded, and a page on which its tensors are drawn: for Figs. 1 and 4."""

import copy
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.figures.style import GREY, IMAGE_MAP, INK, draw_crop
from senorita_lib.model import HandPoseNet
from senorita_lib.refinement import Refinement
from senorita_lib.training.stages import crop_options


class Call(NamedTuple):
    """A module's first argument and output; a norm's is what the ReLU in place made of it."""

    input: torch.Tensor
    output: torch.Tensor


class Flow(NamedTuple):
    """One frame's way through a network."""

    crops: CropBatch
    calls: dict[str, Call]  # of its modules, by name
    uvd: torch.Tensor
    joints_mm: torch.Tensor
    refined: Refinement
    true_mm: torch.Tensor  # (1, 21, 3), camera frame

    def children(self, parent: str) -> list[Call]:
        """The calls of a module's children."""
        return [call for name, call in self.calls.items() if name.rpartition(".")[0] == parent]

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
    crop = crop_hand(frame.depth, frame.box, **crop_options(model.recipe))
    crops = CropBatch.stack([crop]).to(next(model.parameters()).device)
    calls: dict[str, Call] = {}

    def keep(name: str, _: torch.nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        calls[name] = Call(arguments[0], output)

    model = copy.deepcopy(model).eval()
    for name, module in model.named_modules():
        module.register_forward_hook(partial(keep, name))
    with torch.no_grad():
        uvd, joints_mm, refined, _ = model(crops)
    true = torch.as_tensor(frame.joints).to(crops.image)[None]
    return Flow(crops, calls, uvd, joints_mm, refined, true)


def shape_text(tensor: torch.Tensor | np.ndarray) -> str:
    """A tensor's shape as the figures print it: ``1 × 21 × 3``."""
    return " × ".join(map(str, tensor.shape))


class Page:
    """A figure to draw on freely; places and sizes are in inches from its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(width, height), dpi=80)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

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
        draw_crop(axes, image.cpu(), colours=colours)
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
        style = {"ha": "center", "va": "center", "color": INK if size > 8 else GREY} | options
        self.axes.text(x, y, text, fontsize=size, **style)

    def caption(self, x: float, y: float, name: str, *details: Any) -> None:
        """What is above, and below it texts, or tensors' shapes."""
        self.write(x, y - 0.13, name, 9)
        for i, detail in enumerate(details):
            text = detail if isinstance(detail, str) else shape_text(detail)
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
        style = "-|>,head_width=0.18,head_length=0.35"
        head = {"arrowstyle": style, "color": colour, "lw": 1, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", points[-1], points[-2], arrowprops=head)
