"""SeñoritaHand: depth image to 21 hand joints, as the paper has it, in PyTorch.

One coordinate contract holds everywhere, and every docstring names its frame:

| frame  | axes and range                                                                  | unit  |
|--------|---------------------------------------------------------------------------------|-------|
| camera | x right, y down, z forward                                                      | mm    |
| pixel  | u right, v down, of the raw image; u = fx x / z + cx                            | px    |
| uvd    | u, v in [0, 1] across the crop box, (pixel - box corner) / side;                | -     |
|        | d in [0, 1] through the cube, 0 = far face, 1 = near face                       |       |
| voxel  | (x, y, z) along (W, H, D) of a volume of n cells: n * uvd - 1/2,                | cells |
|        | so that whole numbers are cell centres                                          |       |
| image  | the crop, 256 x 256; near = +1, far = -1 = background                           | -     |

Volumes are ``(batch, bone or joint, D, H, W)``; joints are ``(batch, 21, 3)`` in
HANDS19 order (:mod:`senorita_lib.hand`).
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

# OpenMP's threads spin while they wait, which starves any other busy process; torch reads this
# when it is first imported (benchmarks/openmp.py has the figures).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from senorita_lib.camera import CAMERAS, SR300, Camera
    from senorita_lib.checks import check_predictor
    from senorita_lib.cropping import HandCrop, crop_hand
    from senorita_lib.datasets.hands19 import Hands19
    from senorita_lib.datasets.synthetic.frames import SyntheticHand, write_synthetic
    from senorita_lib.diagnosis import check_frame
    from senorita_lib.estimator import PoseEstimator
    from senorita_lib.evaluation import mean_joint_error, success_curve
    from senorita_lib.hand import BONES, JOINT_NAMES
    from senorita_lib.model import HandPoseNet
    from senorita_lib.predictor import HandPose, Predictor
    from senorita_lib.recipes import Recipe, find_recipe
    from senorita_lib.refinement import BoneRefiner
    from senorita_lib.renderer import SkeletonVolumeLoss, render_skeleton, skeleton_volume_loss
    from senorita_lib.representations import build_input
    from senorita_lib.submission import check_submission, write_submission
    from senorita_lib.training.stages import train

__all__ = [
    "BONES", "CAMERAS", "JOINT_NAMES", "SR300", "BoneRefiner", "Camera", "HandCrop", "HandPose",
    "HandPoseNet", "Hands19", "PoseEstimator", "Predictor", "Recipe", "SkeletonVolumeLoss",
    "SyntheticHand", "build_input", "check_frame", "check_predictor", "check_submission",
    "crop_hand", "find_recipe", "mean_joint_error", "render_skeleton", "skeleton_volume_loss",
    "success_curve", "train", "write_submission", "write_synthetic",
]  # fmt: skip

# Where each name is defined; it is imported when it is asked for, and torch with it.
_HOME = {
    "camera": ("CAMERAS", "SR300", "Camera"), "checks": ("check_predictor",),
    "cropping": ("HandCrop", "crop_hand"), "datasets.hands19": ("Hands19",),
    "datasets.synthetic.frames": ("SyntheticHand", "write_synthetic"),
    "diagnosis": ("check_frame",), "estimator": ("PoseEstimator",),
    "evaluation": ("mean_joint_error", "success_curve"),
    "hand": ("BONES", "JOINT_NAMES"), "model": ("HandPoseNet",),
    "predictor": ("HandPose", "Predictor"), "recipes": ("Recipe", "find_recipe"),
    "refinement": ("BoneRefiner",), "representations": ("build_input",),
    "renderer": ("SkeletonVolumeLoss", "render_skeleton", "skeleton_volume_loss"),
    "submission": ("check_submission", "write_submission"), "training.stages": ("train",),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    for home, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"senorita_lib.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
