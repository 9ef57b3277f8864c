"""The whole network of a recipe, and the file in which its weights are exchanged."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from senorita_lib._arguments import check_flags
from senorita_lib.cropping import CropBatch
from senorita_lib.estimator import HEADS, PoseEstimator, Reading
from senorita_lib.files import PathLike, atomic_write, user_path
from senorita_lib.recipes import Recipe
from senorita_lib.refinement import BoneRefiner, Refinement
from senorita_lib.release.refiner import Refiner
from senorita_lib.release.stems import second_stem_channels, two_stems
from senorita_lib.representations import build_input, input_channels
from senorita_lib.rivals.a2j import A2J
from senorita_lib.rivals.awr import AWR

_HEADS = HEADS | {"a2j": A2J, "awr": AWR}
HAND_FORMAT = "senorita-hand 1"
BODY_FORMAT = "senorita-body 1"  # of an estimator of people (senorita_lib.people.pretraining)


class Prediction(NamedTuple):
    """The estimator's pose (B, 21, 3), what else it read, and the refinement of the pose."""

    uvd: Tensor
    joints_mm: Tensor
    refinement: Refinement | None
    reading: Reading


class HandPoseNet(nn.Module):
    """Estimator and refiner of a recipe, given the training set's mean bone lengths (20,), mm."""

    def __init__(self, recipe: Recipe, bone_lengths: Tensor) -> None:
        super().__init__()
        self.recipe = recipe
        self.calibration: tuple[float, ...] = ()  # of a predictor's confidence, if it was measured
        self.inputs = recipe.model, recipe.depth_layers, recipe.voxel_depth
        second = second_stem_channels(*self.inputs) if recipe.fusion == "stems" else 0
        channels = input_channels(*self.inputs)
        self.estimator = make_estimator(recipe, channels, backbone=two_stems(second))
        kind: Callable[..., BoneRefiner] = BoneRefiner
        if (recipe.patches, recipe.orientation) != ("rectangle", "unit"):
            kind = partial(Refiner, patches=recipe.patches, orientation=recipe.orientation)
        self.refiner = kind(
            bone_lengths, patch_sizes=recipe.patch_sizes, hidden=recipe.hidden,
            channels=recipe.patch_channels, length=recipe.bone_length,
            pose_stream=recipe.pose_stream,
        )  # fmt: skip

    def forward(self, crops: CropBatch, refine: bool = True) -> Prediction:
        """Initial and, unless ``refine`` is false, refined pose."""
        check_flags(refine=refine)
        reading = self.estimator.read(build_input(crops, *self.inputs))
        start = pose = reading.uvd, crops.to_camera(reading.uvd)
        if not self.recipe.refiner_gradient:
            start = pose[0].detach(), pose[1].detach()
        refinement = self.refiner(crops.image, *start) if refine else None
        return Prediction(*pose, refinement, reading)

    def folded(self) -> Self:
        """A copy for prediction alone: norms in their convolutions, channels last; it is faster."""
        net, convolutions = copy.deepcopy(self).eval(), (nn.Conv2d, nn.ConvTranspose2d)
        net.requires_grad_(False)
        for parent in net.modules():
            for (name, conv), (norm_name, norm) in [*pairwise(parent.named_children())]:
                if isinstance(conv, convolutions) and isinstance(norm, nn.BatchNorm2d):
                    turned = isinstance(conv, nn.ConvTranspose2d)
                    setattr(parent, name, fuse_conv_bn_eval(conv, norm, turned))
                    setattr(parent, norm_name, nn.Identity())
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return net

    def save(self, path: PathLike, half: bool = False) -> None:
        """Write weights and recipe as safetensors; with ``half`` as float16, in half the space."""
        check_flags(half=half)
        weights = self.state_dict()
        for name, tensor in weights.items() if half else ():
            # Millimetres would be too coarse.
            if tensor.is_floating_point() and not name.endswith("bone_lengths"):
                weights[name] = tensor.half()
                if not weights[name].isfinite().all():
                    largest = f"{tensor.abs().max():.3g}"
                    raise ValueError(f"{name} has {largest}, wanted no more than 65504 in float16")
        kept = {"calibration": json.dumps(self.calibration)} if self.calibration else {}
        write_weights(path, HAND_FORMAT, self.recipe, weights, kept)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what :meth:`save` wrote, see :func:`read_weights`."""
        recipe, weights = read_weights(path, HAND_FORMAT)
        model = cls(recipe, torch.zeros(20))
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            line = str(error).splitlines()[1].strip()
            raise ValueError(f"{path} does not fit its own recipe: {line}") from None
        model.calibration = tuple(json.loads(_metadata(path).get("calibration", "[]")))
        if (count := len(model.calibration)) not in (0, 7):
            raise ValueError(f"{path} has a calibration of {count} numbers, wanted 7 or none")
        return model.eval()


def make_estimator(recipe: Recipe, in_channels: int, **others: Any) -> PoseEstimator:
    """A :class:`~senorita_lib.estimator.PoseEstimator` of a recipe's shape; it takes ``others``."""
    names = ("block", "layers", "widths", "head_channels", "depth_bins", "head", "handedness")
    options = {name: getattr(recipe, name) for name in names} | others
    return PoseEstimator(in_channels, **options | {"head": _HEADS[recipe.head]})


def write_weights(
    path: PathLike, kind: str, recipe: Recipe, weights: dict[str, Tensor],
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Write tensors by name as safetensors of format ``kind``."""
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    atomic_write(path, save(tensors, {"format": kind, "recipe": recipe.to_json(), **metadata}))


def read_weights(path: PathLike, kind: str) -> tuple[Recipe, dict[str, Tensor]]:
    """Read what :func:`write_weights` wrote; no code of the file is run."""
    path = user_path(path)
    metadata = _metadata(path)
    if (found := metadata.get("format")) != kind:
        raise ValueError(f"{path} has format {found!r}, wanted {kind!r}")
    try:
        return Recipe.from_json(metadata.get("recipe", "")), load_file(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def weights_digest(path: PathLike) -> str:
    """A digest of a file's tensors and their names: safetensors writes metadata in any order."""
    return tensors_digest(load_file(user_path(path)))


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """:func:`weights_digest` of a file that would hold these tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_kind(path: PathLike) -> str | None:
    """The format that a file of weights says it has; raises as :func:`read_weights`."""
    return _metadata(path).get("format")


def _metadata(path: PathLike) -> dict[str, str]:
    path = user_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there, wanted weights that training wrote")
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error})") from None
