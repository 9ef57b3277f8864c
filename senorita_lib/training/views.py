"""How the open world's windows are seen in training: by any camera, at any place and roll."""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from senorita_lib.cropping import CropBatch
from senorita_lib.datasets.crops import CropSet
from senorita_lib.datasets.synthetic.stream import SyntheticStream
from senorita_lib.sensing import randomise
from senorita_lib.views import WIDTH_MM, Turn, crop_views, upright

_NEAR_MM, _FAR_MM = 10.0, 35.0  # how far a prediction, and a first crop, miss the hand's middle
_UPRIGHT = 20.0  # degrees by which a prediction misses the upright roll


def look(
    windows: CropBatch,
    joints_mm: Tensor,
    size: int,
    generator: torch.Generator,
    without: Collection[str] = (),
) -> tuple[CropBatch, Tensor]:
    """Crops of depth windows, and their joints (B, 21, 3), in the camera frame of the crops.

    Most are seen as after a first prediction: about the hand's middle, upright; others as a first
    crop may be: off the middle, at any roll. ``generator`` is one of the CPU.
    """
    batch = len(windows)
    uv = windows.camera.project(joints_mm)[..., :2] - windows.box[:, None, :2]
    uv = uv / (windows.box[:, 2:] - windows.box[:, :2])[:, None]
    depth = windows.image if "sensing" in without else randomise(windows.image, generator, uv)
    unit = torch.rand(batch, 3, generator=generator)
    normal = torch.randn(batch, 5, generator=generator)
    far = unit[:, :1] < 0.35
    offset = normal[:, :3] * torch.where(far, _FAR_MM, _NEAR_MM)
    any_roll = unit[:, 1] < (0 if "roll" in without else 0.4)
    roll = torch.where(any_roll, 360 * unit[:, 2], _UPRIGHT * normal[:, 3]).to(depth)
    width = WIDTH_MM * (1 + 0.06 * normal[:, 4].clamp(-2, 2)).to(depth)
    centre = joints_mm.mean(dim=1) + offset.to(depth)
    turn = Turn(roll + upright(joints_mm).roll)
    crops = crop_views(depth, windows.box, windows.camera, centre, turn, size, width)
    return crops, turn.apply(joints_mm)


def open_crops(count: int, size: int, seed: int) -> CropSet:
    """A fixed set of the open world's crops, seen as in training, to validate on."""
    crops, joints = SyntheticStream(count, seed=seed, split="open", workers=0).batch(0)
    crops, joints = look(crops, joints, size, torch.Generator().manual_seed(seed))
    parts = crops.image[:, 0].half(), crops.box, crops.cube_centre, joints
    image, box, centre, joints_mm = (part.numpy() for part in parts)
    names, found = [f"open {i}" for i in range(count)], np.ones(count, bool)
    return CropSet(names, ["OPEN"] * count, image, box, centre, joints_mm, found)
