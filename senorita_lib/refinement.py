"""Patch-based refinement of each bone's orientation (paper, section 2.4 and Fig. 4)."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from senorita_lib._arguments import check_flags, want_tensor
from senorita_lib._arrays import given
from senorita_lib.hand import BONES, bones_to_joints, joints_to_bones

_BONE_COUNT = len(BONES)
_STAGES = ((5, 4), (5, 2), (3, 1))  # kernel and pooling of the convolution at each scale
Orient = Callable[[Tensor], Tensor]


def bone_patch_boxes(joints_uv: Tensor) -> Tensor:
    """Rectangles around each bone's two joints: centre u, v and size along u, v, (B, 20, 4).

    Joints (B, 21, 2 or more); both in the uvd frame. Sizes are at least 10 of 256 px, times 1.5.
    """
    ends = joints_uv[:, list(BONES), :2]
    low, high = ends.amin(dim=2), ends.amax(dim=2)
    return torch.cat([(low + high) / 2, (high - low).clamp_min(10 / 256) * 1.5], dim=-1)


def crop_bone_patches(
    image: Tensor, joints_uv: Tensor, sizes: Sequence[int] = (96, 48, 24)
) -> list[Tensor]:
    """Cut each bone's box out of the depth image, at several scales.

    Image (B, 1, S, S), image frame, joints (B, 21, 2 or more), uvd frame, to a tensor
    (B, 20, size, size), image frame, for each size, px; background (-1) outside the image.
    No gradient flows to the joints through the place of the cut.
    """
    want_tensor("image", image)
    want_tensor("joints_uv", joints_uv)
    if image.ndim != 4 or image.shape[1] != 1 or image.shape[2] != image.shape[3]:
        raise ValueError(f"image has shape {tuple(image.shape)}, wanted (B, 1, S, S)")
    boxes = bone_patch_boxes(joints_uv.detach()).to(image.dtype)
    centre, extent = boxes[..., None, :2], boxes[..., None, 2:]
    patches = []
    for size in sizes:
        cells = (torch.arange(size, device=image.device, dtype=image.dtype) + 0.5) / size - 0.5
        line = 2 * (centre + extent * cells[:, None]) - 1  # (B, 20, size, uv), for the sampler
        # All bones go into one tall grid, so that the image is read once, not 20 times.
        u = line[..., None, :, 0].expand(-1, -1, size, -1)
        v = line[..., :, None, 1].expand(-1, -1, -1, size)
        grid = torch.stack([u, v], dim=-1).flatten(1, 2)
        patch = F.grid_sample(image + 1, grid, align_corners=False)[:, 0] - 1
        patches.append(torch.unflatten(patch, 1, (_BONE_COUNT, size)))
    return patches


def orientations(joints_mm: Tensor) -> Tensor:
    """Each bone's orientation, a unit vector (B, 20, 3), child minus parent; 0 without length."""
    return F.normalize(joints_to_bones(joints_mm), dim=-1)


class Refinement(NamedTuple):
    """What the refiner says of a batch, in the camera frame."""

    initial_orientation: Tensor  # (B, 20, 3): of each bone of the initial pose
    residual_orientation: Tensor  # (B, 20, 3): what the refiner adds to it
    joints_mm: Tensor  # (B, 21, 3): the refined pose, mm
    orient: Orient = orientations  # what makes the orientations of a pose


class BoneRefiner(nn.Module):
    """Twenty bone networks as one grouped network.

    Each bone's patches go through the *patch stream*, its initial orientation through the
    *initial pose stream*; together they give a residual orientation. The refined unit
    orientations times the bone lengths, chained from the initial wrist, are the refined pose.

    ``bone_lengths`` (20,) are the mean ones of the training set, mm; ``length="initial"`` takes
    those of the initial pose instead. ``patch_sizes`` are the patches' sides at the three scales,
    px; ``channels`` is the width of the patch stream, ``hidden`` that of the fully connected layers
    (half of it in the pose stream's first). ``pose_stream=False`` leaves that stream out, as in the
    refinement that the paper builds upon.
    """

    def __init__(
        self, bone_lengths: Tensor, *, patch_sizes: Sequence[int] = (96, 48, 24),
        hidden: int = 256, channels: int = 8, length: Literal["train", "initial"] = "train",
        pose_stream: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if length not in ("train", "initial"):
            raise ValueError(f"length is {length!r}, wanted 'train' or 'initial'")
        check_flags(pose_stream=pose_stream)
        self.length = length
        self.orient: Orient = orientations
        self.patch_sizes = tuple(patch_sizes)
        self.bone_lengths: Tensor
        lengths = torch.as_tensor(given("bone_lengths", bone_lengths), dtype=torch.float32)
        if lengths.shape != (_BONE_COUNT,):
            raise ValueError(f"bone_lengths have shape {tuple(lengths.shape)}, wanted (20,)")
        self.register_buffer("bone_lengths", lengths.detach())
        self.patch_stream = nn.ModuleList(_conv_stage(channels, *stage) for stage in _STAGES)
        scales = zip(self.patch_sizes, _STAGES, strict=True)
        cells = sum(((size - kernel + 1) // pool) ** 2 for size, (kernel, pool) in scales)
        self.patch_features = _fc_stage(channels * cells, hidden)
        self.pose_stream = None
        if pose_stream:
            widths = (3, hidden // 2, hidden, hidden, hidden)
            self.pose_stream = nn.Sequential(*map(_fc_stage, widths, widths[1:]))
        self.residual = GroupedLinear(2 * hidden if pose_stream else hidden, 3)
        nn.init.normal_(self.residual.weight, std=0.01)

    def forward(self, image: Tensor, joints_uvd: Tensor, joints_mm: Tensor) -> Refinement:
        """Refine the initial pose (B, 21, 3), in the uvd and the camera frame (mm), of an image."""
        initial = self.orient(joints_mm)
        scales = zip(self.patch_stream, self.cut(image, joints_uvd), strict=True)
        maps = [torch.unflatten(stage(patch), 1, (_BONE_COUNT, -1)) for stage, patch in scales]
        features = self.patch_features(torch.cat([scale.flatten(2) for scale in maps], dim=2))
        if self.pose_stream is not None:
            features = torch.cat([self.pose_stream(initial), features], dim=2)
        residual = self.residual(features).to(initial.dtype)
        bones = self.turn(initial + residual, joints_mm)
        with torch.autocast(image.device.type, enabled=False):  # it would round the chain of bones
            joints = bones_to_joints(joints_mm[:, 0], bones)
        return Refinement(initial, residual, joints, self.orient)

    def cut(self, image: Tensor, joints_uvd: Tensor) -> list[Tensor]:
        """The patches of an image, see :func:`crop_bone_patches`."""
        return crop_bone_patches(image, joints_uvd, self.patch_sizes)

    def turn(self, refined: Tensor, joints_mm: Tensor) -> Tensor:
        """Bones (B, 20, 3), mm, from ``refined`` = initial + residual orientation."""
        lengths = self.bone_lengths[:, None]
        if self.length == "initial":
            lengths = joints_to_bones(joints_mm).norm(dim=-1, keepdim=True)
        return F.normalize(refined, dim=-1) * lengths


class GroupedLinear(nn.Module):
    """A linear layer for each bone: (B, 20, inputs) to (B, 20, outputs), xavier weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(_BONE_COUNT, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(_BONE_COUNT, 1, outputs))
        bound = math.sqrt(6 / (inputs + outputs))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 20, inputs) to (B, 20, outputs)."""
        return torch.baddbmm(self.bias, features.transpose(0, 1), self.weight).transpose(0, 1)


def _conv_stage(channels: int, kernel: int, pool: int) -> nn.Sequential:
    conv = nn.Conv2d(_BONE_COUNT, _BONE_COUNT * channels, kernel, groups=_BONE_COUNT)
    # The fan of one bone's convolution; torch would count all twenty.
    bound = math.sqrt(6 / (kernel * kernel * (1 + channels)))
    nn.init.uniform_(conv.weight, -bound, bound)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    norm = nn.BatchNorm2d(_BONE_COUNT * channels)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True), nn.MaxPool2d(pool))


def _fc_stage(inputs: int, outputs: int) -> nn.Sequential:
    """(B, 20, inputs) to (B, 20, outputs), each bone's features normalised on their own."""
    norm, bones = nn.BatchNorm1d(_BONE_COUNT * outputs), nn.Unflatten(1, (_BONE_COUNT, outputs))
    modules = {"0": GroupedLinear(inputs, outputs), "flat": nn.Flatten(), "1": norm}
    return nn.Sequential(OrderedDict(modules | {"bones": bones, "2": nn.ReLU()}))
