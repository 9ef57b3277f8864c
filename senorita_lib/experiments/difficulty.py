"""What makes a frame hard, turned palms and bent fingers, and where the error of a pose lies."""

import numpy as np
import numpy.typing as npt
import torch

from senorita_lib.cropping import CUBE_MM
from senorita_lib.datasets.synthetic.posing import view_angles
from senorita_lib.evaluation import bone_angles, joint_errors
from senorita_lib.hand import BONES, joints_to_bones
from senorita_lib.refinement import bone_patch_boxes

_PALM, _TIPS = slice(0, 6), slice(8, 21, 3)  # joints


def palm_angle(joints: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Angle between palm and camera: 0° the palm faces it, 90° edge on, 180° the back faces it.

    ``joints`` are (..., 21, 3), camera frame, of a right hand.
    """
    azimuth, elevation = np.radians(view_angles(np.asarray(joints, np.float64)))
    return np.degrees(np.arccos(np.cos(azimuth) * np.cos(elevation)))


def finger_bend(joints: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """How far each finger is bent: the angles between its successive bones, summed.

    ``joints`` are (..., 21, 3), any frame and unit, without bones of zero length. The sums,
    (..., 5), degrees, thumb first, are about 0 for a straight finger, 200 and more in a fist.
    """
    bones = joints_to_bones(np.asarray(joints, np.float64))
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    bones = bones.reshape(*bones.shape[:-2], 5, 4, 3)
    cosines = (bones[..., 1:, :] * bones[..., :-1, :]).sum(axis=-1)
    return np.degrees(np.arccos(cosines.clip(-1, 1))).sum(axis=-1)


def anatomy(poses: np.ndarray, true: np.ndarray, initial: np.ndarray) -> dict[str, float]:
    """Where the error of poses lies, means over frames; all (N, 21, 3), camera frame, mm.

    ``length`` of the bones, true = 1; the error of a bone's far end from its near end ``along`` the
    true bone (signed, mm) and ``across`` it; errors of ``palm`` and ``tips``, mm; the ``angle``
    between bone and true bone, degrees; the share of bones ``towards`` the truth: turned nearer to
    it than in the initial pose; and the share of true bones that lie ``in_patch``: within about the
    rectangle that the refiner cuts out around the initial pose's bone, without perspective.
    """
    bones, wanted = joints_to_bones(poses), joints_to_bones(true)
    length = np.linalg.norm(wanted, axis=-1)
    off, unit = bones - wanted, wanted / length[..., None]
    along = (off * unit).sum(axis=-1)
    joints, angle = joint_errors(poses, true), bone_angles(poses, true)
    boxes = CUBE_MM * bone_patch_boxes(torch.from_numpy(initial / CUBE_MM)).numpy()[:, :, None]
    inside = np.abs(true[:, list(BONES), :2] - boxes[..., :2]) <= boxes[..., 2:] / 2
    means = {
        "length": np.linalg.norm(bones, axis=-1).mean() / length.mean(),
        "along": along.mean(),
        "across": np.linalg.norm(off - along[..., None] * unit, axis=-1).mean(),
        "palm": joints[:, _PALM].mean(),
        "tips": joints[:, _TIPS].mean(),
        "angle": np.nanmean(angle),
        "towards": (angle < bone_angles(initial, true)).mean(),
        "in_patch": inside.all(axis=(2, 3)).mean(),
    }
    return {name: round(float(value), 3) for name, value in means.items()}
