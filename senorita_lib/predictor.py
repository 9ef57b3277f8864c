"""One depth frame in, 21 joints in millimetres out."""

import os
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
import torch

from senorita_lib import cropping
from senorita_lib._arguments import check_device, is_left
from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import NOMINAL_MM, SIDE_PX, Box, CropBatch, HandCrop, HandNotFoundError
from senorita_lib.files import user_path
from senorita_lib.model import HandPoseNet
from senorita_lib.weights import find_weights, known_weights

# Least share of the square that a hand takes at its depth: a fist seen from its end shows a tenth.
_LEAST_SHARE = 0.03


@dataclass(frozen=True)
class HandPose:
    """A predicted pose, float32."""

    joints_mm: np.ndarray  # (21, 3): refined pose, camera frame, mm
    initial_mm: np.ndarray  # (21, 3): the estimator's pose before refinement, camera frame, mm
    pixels: np.ndarray  # (21, 2): the refined joints in the image, pixel frame
    crop: HandCrop  # what the network saw


class Predictor:
    """A trained network, ready for depth frames of any pinhole camera."""

    def __init__(self, model: HandPoseNet, device: str | torch.device = "cpu") -> None:
        check_device(device)
        self.model, self.device = model.to(device).eval(), device

    @classmethod
    def load(
        cls, checkpoint: str | os.PathLike[str] = "small", device: str | torch.device = "cpu"
    ) -> Self:
        """A trained network.

        ``checkpoint`` is ``model.safetensors``, the folder of the run that wrote it, or the name
        of weights that come with the package, see :mod:`senorita_lib.weights`; a folder with the
        name of weights counts if it holds a run.
        Raises ``FileNotFoundError`` without such a file or name, ``ValueError`` if it is damaged.
        """
        path = user_path(checkpoint)
        run = path / "model.safetensors"
        if run.is_file() or (path.is_dir() and str(checkpoint) not in known_weights()):
            path = run
        elif not path.suffix and not path.is_file():
            path = find_weights(str(checkpoint))
        return cls(HandPoseNet.load(path), device)

    def predict(
        self,
        depth_mm: np.ndarray,
        camera: Camera,
        box: Box | None = None,
        left: bool | str = False,
    ) -> HandPose:
        """The pose of the hand in a depth frame.

        Parameters
        ----------
        depth_mm
            (camera.height, camera.width), mm, 0 where nothing returned.
        box
            Rough box around the hand, x1, y1, x2, y2, pixel frame; by default found.
        left
            Whether it is a left hand, or "left" or "right". The networks see a left one in a
            mirror; ``crop`` stays mirrored.

        Raises
        ------
        ValueError
            If an argument cannot be used; :class:`.HandNotFoundError` if no hand is there.
        """
        left, recipe, seen_by = is_left(left), self.model.recipe, camera
        depth = cropping.checked_depth(depth_mm, camera)
        box = cropping.checked_box(find_hand_box(depth, camera) if box is None else box, camera)
        if left:
            depth = depth[:, ::-1]
            seen_by = replace(camera, cx=camera.width - 1 - camera.cx)
            x1, y1, x2, y2 = box
            box = np.array([camera.width - x2, y1, camera.width - x1, y2])
        how = recipe.foreground, recipe.centre, recipe.image_size
        crop = cropping.crop_checked(depth, box, seen_by, *how)
        with torch.inference_mode():
            prediction = self.model(CropBatch.stack([crop]).to(self.device))
        mirror = np.array([-1 if left else 1, 1, 1], np.float32)
        initial, joints = (
            pose[0].float().cpu().numpy() * mirror
            for pose in (prediction.joints_mm, prediction.refinement.joints_mm)
        )
        return HandPose(joints, initial, camera.project(joints)[:, :2], crop)


def find_hand_box(depth_mm: np.ndarray, camera: Camera) -> np.ndarray:
    """A box x1, y1, x2, y2, pixel frame, around the hand, as wide as a hand is at its depth.

    Hand and arm must be what is nearest to the camera. Raises ``ValueError`` if ``depth_mm``
    cannot be used, :class:`.HandNotFoundError` if no surface is large enough.
    """
    depth = cropping.checked_depth(depth_mm, camera)
    found, tries = "no depth", 40  # of 50 mm each: strays may lie 2 m before the hand
    while tries and (near := depth[depth > 0]).size:
        tries -= 1
        few = min(50, near.size // 2)  # stray pixels may lie nearer
        front = int(np.partition(near, few)[few])
        mask = ((depth > 0) & (depth < front + 150)).astype(np.uint8)
        _, labels = cv2.connectedComponents(mask)
        nearest = np.bincount(labels[mask.astype(bool) & (depth < front + 50)])
        blob = labels == nearest.argmax()
        points = np.argwhere(blob)[:, ::-1].astype(np.float32)
        side = SIDE_PX * NOMINAL_MM / float(np.median(depth[blob])) * camera.fx / SR300.fx
        stray = (depth > 0) & (depth < front + 50)
        if len(points) >= _LEAST_SHARE * side * side:
            stray &= ~blob
            if not stray[depth <= front].any():  # they would move the front
                break
        elif found == "no depth":
            found = f"{len(points)} connected pixels nearest, at {front} mm"
        depth = np.where(stray, 0, depth)
    else:
        raise HandNotFoundError(f"depth_mm has {found}, wanted a hand")
    # An arm comes in over the image's border, or from below; the hand is at its other end.
    limits = np.array([camera.width, camera.height]) - 4
    root = points[((points < 3) | (points > limits)).any(axis=1)]
    if not len(root):
        root = points[points[:, 1] > points[:, 1].max() - 3]
    away = np.linalg.norm(points - root.mean(axis=0), axis=1)
    points = points[np.linalg.norm(points - points[away.argmax()], axis=1) < 0.8 * side]
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.concatenate([centre - side / 2, centre + side / 2])
