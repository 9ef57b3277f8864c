"""Patch-based refinement of each bone's orientation (paper, section 2.4 and Fig. 4)."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from senorita_lib.hand import BONES, bones_to_joints, joints_to_bones
from senorita_lib.release.patches import pooling_windows, released_boxes, released_patches

_BONE_COUNT = len(BONES)
# Kernel and pooling of the convolution at each of the three scales.
_STAGES = ((5, 4), (5, 2), (3, 1))
_CHOICES = {
    "style": ("rectangle", "released"),
    "patches": ("rectangle", "released"),
    "orientation": ("unit", "raw"),
    "length": ("train", "initial"),
}


def bone_patch_boxes(joints_uv, *, style="rectangle", image_size=256, least=10 / 256, factor=1.5):
    """Boxes around each bone's two joints.

    Parameters
    ----------
    joints_uv : tensor, (B, 21, 2 or more)
        uvd frame.
    style : {"rectangle", "released"}
        Rectangles (paper), or squares of whole pixels of the larger side, see
        :func:`~senorita_lib.release.patches.released_boxes`.
    image_size : int
        Side of the image, px; rectangles do not depend on it.
    least : float
        Width and height are padded to at least this much (10 of 256 px).
    factor : float
        Then enlarged by this factor.

    Returns
    -------
    tensor, (B, 20, 4)
        Centre u, v and size along u, v, uvd frame.

    Raises
    ------
    ValueError
        If the style is unknown.
    """
    _want_choice("style", style)
    if style == "released":
        return released_boxes(joints_uv, image_size, least=least, factor=factor)
    ends = joints_uv[:, list(BONES), :2]
    low, high = ends.amin(dim=2), ends.amax(dim=2)
    return torch.cat([(low + high) / 2, (high - low).clamp_min(least) * factor], dim=-1)


def crop_bone_patches(
    image, joints_uv, sizes=(96, 48, 24), *, style="rectangle", least=10 / 256, factor=1.5
):
    """Cut each bone's patch out of the depth image, at several scales.

    No gradient flows to the joints through the place of the cut.

    Parameters
    ----------
    image : tensor, (B, 1, S, S)
        Image frame.
    joints_uv : tensor, (B, 21, 2 or more)
        uvd frame.
    sizes : ints
        Sides of the patches, px.
    style : {"rectangle", "released"}
        Each size cut out of the image (paper), or the first one, behind a band along the bone,
        and the others pooled from it, see
        :func:`~senorita_lib.release.patches.released_patches`.
    least, factor : float
        As in :func:`bone_patch_boxes`.

    Returns
    -------
    list of tensors, (B, 20, size, size)
        Image frame, type of the image; background (-1) outside the image.

    Raises
    ------
    ValueError
        If the style is unknown, the image is not (B, 1, S, S), or a size cannot be pooled.
    """
    _want_choice("style", style)
    if image.ndim != 4 or image.shape[1] != 1 or image.shape[2] != image.shape[3]:
        raise ValueError(f"image has shape {tuple(image.shape)}, wanted (B, 1, S, S)")
    if style == "released":
        return released_patches(image, joints_uv, sizes, least=least, factor=factor)
    boxes = bone_patch_boxes(joints_uv.detach(), least=least, factor=factor).to(image.dtype)
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
        patches.append(patch.unflatten(1, (_BONE_COUNT, size)))
    return patches


class Refinement(NamedTuple):
    """What the refiner says of a batch.

    Attributes
    ----------
    initial_orientation, residual_orientation : tensor, (B, 20, 3)
        Of each bone, camera frame: the initial pose's orientation as :func:`orientations` gives
        it, and what the refiner adds to it; both without unit, or both in mm if ``orientation``
        is "raw".
    joints_mm : tensor, (B, 21, 3)
        The refined pose, camera frame, mm.
    orientation : {"unit", "raw"}
        The representation of the two.
    """

    initial_orientation: torch.Tensor
    residual_orientation: torch.Tensor
    joints_mm: torch.Tensor
    orientation: str = "unit"


def orientations(joints_mm, kind="unit"):
    """Each bone's orientation, camera frame.

    Parameters
    ----------
    joints_mm : tensor, (B, 21, 3)
        Camera frame, mm.
    kind : {"unit", "raw"}
        Unit vectors (paper), or the bone vectors themselves, mm (released).

    Returns
    -------
    tensor, (B, 20, 3)
        Child minus parent; zero for a bone without length.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    _want_choice("orientation", kind)
    bones = joints_to_bones(joints_mm)
    return F.normalize(bones, dim=-1) if kind == "unit" else bones


def _want_choice(name, value):
    if value not in _CHOICES[name]:
        wanted = " or ".join(repr(choice) for choice in _CHOICES[name])
        raise ValueError(f"{name} is {value!r}, wanted {wanted}")


class BoneRefiner(nn.Module):
    """Twenty bone networks as one grouped network.

    Each bone's patches go through the *patch stream*, its initial orientation through the
    *initial pose stream*; together they give a residual orientation. The refined unit
    orientations times the bone lengths, chained from the initial wrist, are the refined pose.
    With raw orientations, the refined bone is the initial bone plus the residual, both in mm.

    Parameters
    ----------
    bone_lengths : tensor, (20,)
        Mean bone lengths of the training set, mm.
    patch_sizes : three ints
    hidden : int
        Width of the fully connected layers (the first of the pose stream has half of it).
    channels : int
        Channels of the patch stream.
    length : {"train", "initial"}
        Bone lengths of the refined pose: the training set's (paper), or the initial pose's.
        Has no say where orientations are raw, as these have lengths of their own.
    orientation : {"unit", "raw"}
        What the pose stream reads and the residual adds to: unit vectors (paper), or bone
        vectors in mm (released), see :func:`orientations`.
    patches : {"rectangle", "released"}
        The style of :func:`crop_bone_patches`.
    pose_stream : bool
        False leaves the initial pose stream out: a residual of the patches alone, as in the
        refinement that the paper builds upon.

    Raises
    ------
    ValueError
        If a choice is unknown, or the first patch size is no multiple of the others where
        released patches need it.
    """

    def __init__(
        self,
        bone_lengths,
        *,
        patch_sizes=(96, 48, 24),
        hidden=256,
        channels=8,
        length="train",
        orientation="unit",
        patches="rectangle",
        pose_stream=True,
    ):
        super().__init__()
        _want_choice("length", length)
        _want_choice("orientation", orientation)
        _want_choice("patches", patches)
        if patches == "released":
            pooling_windows(patch_sizes)
        self.length, self.orientation, self.patches = length, orientation, patches
        self.patch_sizes = tuple(patch_sizes)
        self.register_buffer("bone_lengths", torch.as_tensor(bone_lengths, dtype=torch.float32))
        self.patch_stream = nn.ModuleList(_conv_stage(channels, *stage) for stage in _STAGES)
        flat = channels * sum(
            ((size - kernel + 1) // pool) ** 2
            for size, (kernel, pool) in zip(self.patch_sizes, _STAGES, strict=True)
        )
        self.patch_features = _fc_stage(flat, hidden)
        self.pose_stream = None
        if pose_stream:
            self.pose_stream = nn.Sequential(
                _fc_stage(3, hidden // 2),
                _fc_stage(hidden // 2, hidden),
                _fc_stage(hidden, hidden),
                _fc_stage(hidden, hidden),
            )
        self.residual = GroupedLinear(2 * hidden if pose_stream else hidden, 3)
        nn.init.normal_(self.residual.weight, std=0.01)

    def forward(self, image, joints_uvd, joints_mm):
        """Refine an initial pose.

        Parameters
        ----------
        image : tensor, (B, 1, S, S)
            Depth image, image frame.
        joints_uvd, joints_mm : tensor, (B, 21, 3)
            The initial pose in the uvd frame and in the camera frame (mm).

        Returns
        -------
        Refinement
        """
        initial = orientations(joints_mm, self.orientation)
        patches = crop_bone_patches(image, joints_uvd, self.patch_sizes, style=self.patches)
        flat = [
            stage(patch).unflatten(1, (_BONE_COUNT, -1)).flatten(2)
            for stage, patch in zip(self.patch_stream, patches, strict=True)
        ]
        features = self.patch_features(torch.cat(flat, dim=2))
        if self.pose_stream is not None:
            features = torch.cat([self.pose_stream(initial), features], dim=2)
        residual = self.residual(features).to(initial.dtype)
        bones = initial + residual
        if self.orientation == "unit":
            bones = F.normalize(bones, dim=-1) * self._lengths(joints_mm)
        with torch.autocast(image.device.type, enabled=False):  # it would round the chain of bones
            joints = bones_to_joints(joints_mm[:, 0], bones)
        return Refinement(initial, residual, joints, self.orientation)

    def _lengths(self, joints_mm):
        if self.length == "initial":
            return joints_to_bones(joints_mm).norm(dim=-1, keepdim=True)
        return self.bone_lengths[:, None]


class GroupedLinear(nn.Module):
    """A linear layer for each bone: (B, 20, inputs) to (B, 20, outputs), xavier weights."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(_BONE_COUNT, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(_BONE_COUNT, 1, outputs))
        bound = math.sqrt(6 / (inputs + outputs))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features):
        """(B, 20, inputs) to (B, 20, outputs)."""
        return torch.baddbmm(self.bias, features.transpose(0, 1), self.weight).transpose(0, 1)


def _conv_stage(channels, kernel, pool):
    conv = nn.Conv2d(_BONE_COUNT, _BONE_COUNT * channels, kernel, groups=_BONE_COUNT)
    # Fans of one bone's convolution; torch would count all twenty.
    bound = math.sqrt(6 / (kernel * kernel * (1 + channels)))
    nn.init.uniform_(conv.weight, -bound, bound)
    nn.init.zeros_(conv.bias)
    norm = nn.BatchNorm2d(_BONE_COUNT * channels)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True), nn.MaxPool2d(pool))


def _fc_stage(inputs, outputs):
    """(B, 20, inputs) to (B, 20, outputs), each bone's features normalised on their own."""
    stage = nn.Sequential(GroupedLinear(inputs, outputs))
    stage.add_module("flat", nn.Flatten())
    stage.add_module("1", nn.BatchNorm1d(_BONE_COUNT * outputs))
    stage.add_module("bones", nn.Unflatten(1, (_BONE_COUNT, outputs)))
    stage.add_module("2", nn.ReLU())
    return stage
