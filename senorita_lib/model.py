"""The whole network of a recipe, and the file in which its weights are exchanged."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from senorita_lib.estimator import PoseEstimator
from senorita_lib.recipes import Recipe
from senorita_lib.refinement import BoneRefiner, Refinement
from senorita_lib.representations import build_input, input_channels, second_stem_channels


class Prediction(NamedTuple):
    """The estimator's pose (B, 21, 3) as ``uvd`` and ``joints_mm``, and the refinement of it."""

    uvd: torch.Tensor
    joints_mm: torch.Tensor
    refinement: Refinement | None


class HandPoseNet(nn.Module):
    """Estimator and refiner as a recipe describes them.

    Parameters
    ----------
    recipe : Recipe
    bone_lengths : tensor, (20,)
        Mean bone lengths of the training set, mm.
    """

    def __init__(self, recipe, bone_lengths):
        super().__init__()
        self.recipe = recipe
        inputs = recipe.model, recipe.depth_layers, recipe.voxel_depth
        second = second_stem_channels(*inputs) if recipe.fusion == "stems" else 0
        self.estimator = make_estimator(recipe, input_channels(*inputs), second_stem=second)
        self.refiner = BoneRefiner(
            bone_lengths,
            patch_sizes=recipe.patch_sizes,
            hidden=recipe.hidden,
            channels=recipe.patch_channels,
            length=recipe.bone_length,
            orientation=recipe.orientation,
            patches=recipe.patches,
            pose_stream=recipe.pose_stream,
        )

    def estimate(self, crops):
        """Initial pose (B, 21, 3) of a ``CropBatch``, uvd frame."""
        recipe = self.recipe
        return self.estimator(
            build_input(crops, recipe.model, recipe.depth_layers, recipe.voxel_depth)
        )

    def forward(self, crops, refine=True):
        """Initial and, unless ``refine`` is false, refined pose of a ``CropBatch``.

        Returns
        -------
        Prediction
        """
        uvd = self.estimate(crops)
        joints_mm = crops.to_camera(uvd)
        if not refine:
            return Prediction(uvd, joints_mm, None)
        start = uvd, joints_mm
        if not self.recipe.refiner_gradient:
            start = uvd.detach(), joints_mm.detach()
        return Prediction(uvd, joints_mm, self.refiner(crops.image, *start))

    def save(self, path, half=False):
        """Write weights and recipe as safetensors, aside and then renamed.

        Parameters
        ----------
        path : path
        half : bool
            Write the networks' numbers as float16, in half the space.

        Raises
        ------
        ValueError
            If a number is too large for float16.
        """
        weights = self.state_dict()
        if half:
            weights = {name: _as_half(name, tensor) for name, tensor in weights.items()}
        write_weights(path, _FORMAT, self.recipe, weights)

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; no code of the file is run.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged or something else.
        """
        recipe, weights = read_weights(path, _FORMAT)
        model = cls(recipe, torch.zeros(20))
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            line = str(error).splitlines()[1].strip()
            raise ValueError(f"{path} does not fit its own recipe: {line}") from None
        return model.eval()


def make_estimator(recipe, in_channels, **others):
    """A :class:`~senorita_lib.estimator.PoseEstimator` of a recipe's shape; it takes ``others``."""
    names = ("block", "layers", "widths", "head_channels", "depth_bins", "head")
    return PoseEstimator(in_channels, **{name: getattr(recipe, name) for name in names}, **others)


def write_weights(path, kind, recipe, weights):
    """Write tensors by name as safetensors, aside and then renamed.

    Parameters
    ----------
    path : path
    kind : str
        What a reader calls their format.
    recipe : Recipe
    weights : dict of tensors
    """
    path = Path(path)
    aside = path.with_name(path.name + ".part")
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(weights, aside, {"format": kind, "recipe": recipe.to_json()})
    os.replace(aside, path)


def read_weights(path, kind):
    """Read what :func:`write_weights` wrote; no code of the file is run.

    Returns
    -------
    recipe : Recipe
    weights : dict of tensors

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or of another kind.
    """
    found = weights_kind(path)
    if found != kind:
        raise ValueError(f"{path} has format {found!r}, wanted {kind!r}")
    with safe_open(path, "pt") as file:
        recipe = Recipe.from_json(file.metadata()["recipe"])
        return recipe, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def weights_digest(path):
    """A digest of a file's tensors and their names; of the same weights two files differ.

    (safetensors writes what is said of a file in any order.)
    """
    digest = hashlib.sha256()
    with safe_open(path, "pt") as file:
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_kind(path):
    """The format that a file of weights says it has, None if it says nothing.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there, wanted weights that training wrote")
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None


def _as_half(name, tensor):
    if not tensor.is_floating_point() or name.endswith("bone_lengths"):  # mm, too coarse there
        return tensor
    narrow = tensor.half()
    if not narrow.isfinite().all():
        raise ValueError(
            f"{name} has {tensor.abs().max():.3g}, wanted no more than 65504 in float16"
        )
    return narrow


_FORMAT = "senorita-hand 1"
BODY_FORMAT = "senorita-body 1"  # of an estimator of people (senorita_lib.people.pretraining)
