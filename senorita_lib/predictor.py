"""One depth frame in, 21 joints in millimetres out."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from senorita_lib import cropping, diagnosis
from senorita_lib._arguments import check_device, is_left
from senorita_lib.boxes import find_hand_box, hand_candidates
from senorita_lib.camera import Camera
from senorita_lib.cropping import CUBE_MM, Box, CropBatch, HandCrop, HandNotFoundError
from senorita_lib.diagnosis import Finding, Report
from senorita_lib.files import PathLike, user_path
from senorita_lib.model import HandPoseNet, Prediction
from senorita_lib.views import Turn, crop_views, depth_window, upright
from senorita_lib.weights import find_weights, known_weights

_QUARTERS = 0.0, 90.0, 180.0, 270.0  # degrees
_PLACES = 3  # of a frame without a box: the hand is at one of them in 98 of 100
_CLEAR_MM = 78.0  # with less doubt no other place is looked at; from 320 open-world frames
_SURE = 0.65  # of a left hand: least error if two in three hands are right
_BESIDE = torch.tensor([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]) * 15.0  # mm
_BORDER_MM, _CUT = 8.0, 2  # a cut hand has so many joints so close to the image's border
_MOST_MM = 200.0  # expected error: all that is known then is that there is no pose
_LOST = 1.3  # times the spread after the search: with more the hand is not where it was
# Not followed: what spreads more, or has more probability of the other hand. From 200 open-world
# frames of seed 4243; experiments/following.py counts.
_VAGUE_MM, _OTHER = 57.0, 0.92


def weights_path(checkpoint: PathLike) -> Path:
    """The file that :meth:`Predictor.load` reads, see there."""
    if isinstance(checkpoint, str) and checkpoint in known_weights():
        return find_weights(checkpoint)
    path = user_path(checkpoint)
    run = path / "model.safetensors"
    if run.is_file() or path.is_dir():
        return run
    if not path.suffix and not path.is_file():
        return find_weights(str(checkpoint))
    return path


@dataclass(frozen=True)
class HandPose:
    """A predicted pose, float32."""

    joints_mm: np.ndarray  # (21, 3): refined pose, camera frame, mm
    initial_mm: np.ndarray  # (21, 3): the estimator's pose before refinement, camera frame, mm
    pixels: np.ndarray  # (21, 2): the refined joints in the image, pixel frame
    crop: HandCrop  # what the network saw; of a resized frame where pixels are not square
    confidence_mm: np.ndarray  # (21,): expected error of each joint, mm; NaN if not calibrated
    evidence_mm: np.ndarray  # (2, 21): what that rests on: spread, and how far crops disagree, mm
    left: bool = False  # the hand that it was taken for
    left_probability: float | None = None  # None where it was said, not found
    searched_mm: float = float("nan")  # spread_mm of the pose that was last searched for

    @property
    def spread_mm(self) -> float:
        """Spread of the heat maps, mean over the joints, mm; NaN without heat maps."""
        return float(self.evidence_mm[0].mean())

    def is_in(self, box: Box) -> bool:
        """Whether the middle of the joints is in a box, x1, y1, x2, y2, pixel frame."""
        middle, (first, last) = self.pixels.mean(axis=0), np.reshape(box, (2, 2))
        return bool((first <= middle).all() and (middle <= last).all())


class Predictor:
    """A trained network, ready for depth frames of any pinhole camera.

    It predicts with a copy of ``model`` as it is now: after more training, make another.
    """

    def __init__(self, model: HandPoseNet, device: str | torch.device = "cpu") -> None:
        check_device(device)
        self.model, self.device = model, device
        self._net = model.folded().to(device)

    @classmethod
    def load(cls, checkpoint: PathLike = "small", device: str | torch.device = "cpu") -> Self:
        """A trained network.

        ``checkpoint`` is the name of weights that come with the package, see
        :mod:`senorita_lib.weights`; or ``model.safetensors``, or the folder of the run that wrote
        it (``./small`` or a ``Path`` where that has the name of such weights).
        Raises ``FileNotFoundError`` without such a file or name, ``ValueError`` if it is damaged.
        """
        return cls(HandPoseNet.load(weights_path(checkpoint)), device)

    def predict(
        self, depth_mm: np.ndarray, camera: Camera, box: Box | None = None,
        left: bool | str = "auto", last: HandPose | None = None,
    ) -> HandPose:  # fmt: skip
        """The pose of the hand in a depth frame.

        Weights of the paper's recipes see the paper's crop of the box. Those of a recipe with
        ``source="open"`` see the hand turned by quarters about the middle of the box, then turned
        so that its fingers point up, about the middle of the pose found before, and finally in
        five neighbouring crops, whose mean is returned.

        Parameters
        ----------
        depth_mm
            (camera.height, camera.width), mm, 0 where nothing returned.
        box
            Rough box around the hand, x1, y1, x2, y2, pixel frame; by default found.
        left
            Whether it is a left hand, or "left" or "right". The networks see a left one in a
            mirror; ``crop.image`` stays mirrored. With "auto", weights that can tell hands do;
            others, and those in doubt, take it for a right one.
        last
            The pose in the frame before: the hand is first looked for there, in one crop, as the
            same hand. The search is only made if it is gone, looks like the other hand, or was
            outside ``box``. Others than these weights ignore it.

        Raises
        ------
        ValueError
            If an argument cannot be used; :class:`.HandNotFoundError` if no hand is there. With
            what :func:`.check_frame` finds first.
        """
        try:
            return self._predict_pose(depth_mm, camera, box, left, last)
        except ValueError as error:
            error.args = (diagnosis.explained(str(error), depth_mm, camera, box),)
            raise

    def check(
        self, depth_mm: np.ndarray, camera: Camera, box: Box | None = None,
        left: bool | str = "auto",
    ) -> Report:  # fmt: skip
        """:func:`.check_frame`, and what the pose adds: joints at the image's border, a left hand.

        Arguments, errors: as there and in :meth:`predict`. Where the frame has an error, nothing is
        predicted. A left hand is only reported if nobody says which hand it is.
        """
        report = diagnosis.check_frame(depth_mm, camera, box)
        if not report.ok:
            return report
        try:
            pose = self._predict_pose(depth_mm, camera, box, left, None)
        except HandNotFoundError as error:
            return replace(report, findings=(diagnosis.no_hand(error), *report.findings))
        found, size = list(report.findings), np.array([camera.width, camera.height])
        border = _BORDER_MM * camera.fx / float(pose.joints_mm[:, 2].mean())
        count = int((np.abs(pose.pixels - size / 2) > size / 2 - border).any(axis=1).sum())
        if count >= _CUT and all(finding.name != "cut" for finding in found):
            where = f"{count} of {len(pose.pixels)} joints are at the image's border"
            found.append(diagnosis.cut(where))
        if pose.left and pose.left_probability is not None:
            hand = f"it is a left hand with a probability of {pose.left_probability:.2f}"
            advice = "if it is a right one, flip the image if that is mirrored, or say left=False"
            found.append(Finding("left hand", hand, advice, "warning"))
        return replace(report, findings=tuple(found))

    def _predict_pose(
        self, depth_mm: np.ndarray, camera: Camera, box: Box | None, left: bool | str,
        last: HandPose | None,
    ) -> HandPose:  # fmt: skip
        hand = is_left(left)
        if hand is None and not self.model.recipe.handedness:
            hand = False
        depth = cropping.checked_depth(depth_mm, camera)
        corners = None if box is None else cropping.checked_box(box, camera)
        if corners is not None and last is not None and not last.is_in(corners):
            last = None
        if not camera.square:
            square = cropping.with_square_pixels(depth, camera, corners)
            pose = self._predict_square(*square, hand, last)
            return replace(pose, pixels=camera.project(pose.joints_mm)[:, :2])
        return self._predict_square(depth, camera, corners, hand, last)

    def _predict_square(
        self, depth: np.ndarray, camera: Camera, corners: np.ndarray | None, hand: bool | None,
        last: HandPose | None,
    ) -> HandPose:  # fmt: skip
        """What :meth:`predict` does with checked arguments."""
        recipe = self.model.recipe
        searches = recipe.source == "open"
        if searches and last is not None:
            followed = last.left if hand is None else hand
            with suppress(HandNotFoundError):
                joints = np.asarray(last.joints_mm, np.float32)
                pose = self._look(depth, camera, joints, followed, _BESIDE[:1])
                if hand is not None:
                    pose = replace(pose, left_probability=None)
                told = followed if pose.left_probability is None else pose.left_probability
                most = min(_LOST * last.searched_mm, _VAGUE_MM)
                if pose.spread_mm < most and abs(told - followed) < _OTHER:
                    return replace(pose, searched_mm=last.searched_mm)
        diagnosis.refuse_scale(depth, camera, corners)
        if searches:
            if corners is None:
                places = hand_candidates(depth, camera)[:_PLACES]
            else:
                places = cropping.box_middle(depth, corners, camera)[None]
            return self._search(depth, camera, places, hand)
        box = find_hand_box(depth, camera) if corners is None else corners
        seen_by = camera
        if hand:
            depth, seen_by, box = cropping.in_mirror(depth, camera, box)
        how = recipe.foreground, recipe.centre, recipe.image_size
        crop = cropping.crop_checked(depth, box, seen_by, *how)
        crops, turn = CropBatch.stack([crop]), Turn(torch.zeros(1), torch.tensor([bool(hand)]))
        if hand:
            # The turned camera's own box: its axis, unlike the mirror's, is where it was.
            aside = np.float32(camera.cx - seen_by.cx)
            seen, turned = crop.box + [aside, 0, aside, 0], turn.matrix()[0].numpy()
            crop = replace(crop, camera=camera, box=seen.astype(np.float32), turned=turned)
        return self._pose(self._predict(crops), crops, turn, camera, crop)

    def _search(
        self, depth: np.ndarray, camera: Camera, places: np.ndarray, left: bool | None
    ) -> HandPose:
        """Find the place, the roll, and which hand it is, and look there.

        A hand that is not told is first seen as a right one: enough to find its place and roll.
        """
        first, least = None, math.inf
        for place in places:
            turn = Turn(torch.tensor(_QUARTERS), torch.tensor([bool(left)] * len(_QUARTERS)))
            joints, prediction, crops = self._see(depth, camera, place, turn)
            # The one closest to what all together say.
            apart = (joints - joints.quantile(0.5, dim=0)).norm(dim=-1).mean(dim=-1)
            spread = _spread_mm(prediction, crops, camera).nan_to_num()
            doubt = float(apart.mean() + spread.mean())
            if first is None or doubt < least:
                first, least = joints[apart.argmin()], doubt
            if doubt < _CLEAR_MM and prediction.reading.spread is not None:
                break
        assert first is not None
        again, logits = {}, []
        for hand in (False, True) if left is None else (left,):
            turn = upright(first[None], torch.tensor([hand]))
            seen, prediction, _ = self._see(depth, camera, first.mean(dim=0).numpy(), turn)
            again[hand] = seen[0].numpy()
            if prediction.reading.left is not None:
                logits.append(float(prediction.reading.left))
        if left is not None:
            return replace(self._look(depth, camera, again[left], left), left_probability=None)
        probability = 1 / (1 + math.exp((logits[1] - logits[0]) / 2))
        left = probability > _SURE
        pose = self._look(depth, camera, again[left], left)
        return replace(pose, left_probability=probability)

    def _look(
        self, depth: np.ndarray, camera: Camera, joints: np.ndarray, left: bool,
        beside: Tensor = _BESIDE,
    ) -> HandPose:  # fmt: skip
        """The mean pose that is seen ``beside`` the middle of a first one, with its fingers up.

        Of weights that can tell hands, its ``left_probability`` is what these crops say.
        """
        roll = upright(torch.from_numpy(joints)[None], torch.tensor([left])).roll
        turn = Turn(roll.expand(len(beside)), torch.tensor([left]).expand(len(beside)))
        middle = joints.mean(axis=0)
        _, prediction, crops = self._see(depth, camera, middle, turn, beside, refine=True)
        parts = crops.image[:, 0], crops.box, crops.cube_centre, turn.matrix()
        image, box, centre, turned = (part[0].numpy() for part in parts)
        crop = HandCrop(image, box, centre, camera, turned=turned)
        pose = self._pose(prediction, crops, turn, camera, crop)
        if prediction.reading.left is None:
            return pose
        logit = float(prediction.reading.left.mean()) * (-1 if left else 1)
        return replace(pose, left_probability=1 / (1 + math.exp(-logit)))

    def _see(
        self, depth: np.ndarray, camera: Camera, middle: np.ndarray, turn: Turn,
        beside: Tensor = _BESIDE[:1], refine: bool = False,
    ) -> tuple[Tensor, Prediction, CropBatch]:  # fmt: skip
        """Initial poses (B, 21, 3), camera frame, that several turned cameras see at a point."""
        count, size = len(turn.roll), self.model.recipe.image_size
        middle = np.round(middle, 1)  # or rounding, which differs by processor, moves pixels
        window, box = depth_window(depth, camera, middle)
        centre = (torch.from_numpy(np.float32(middle)) + beside).expand(count, 3)
        parts = window.expand(count, -1, -1, -1), box.expand(count, -1)
        crops = crop_views(*parts, camera, centre, turn, size)
        prediction = self._predict(crops, refine)
        return turn.apply(prediction.joints_mm.float().cpu(), back=True), prediction, crops

    def _predict(self, crops: CropBatch, refine: bool = True) -> Prediction:
        with torch.inference_mode():
            prediction: Prediction = self._net(crops.to(self.device), refine=refine)
        return prediction

    def _pose(
        self, prediction: Prediction, crops: CropBatch, turn: Turn, camera: Camera, crop: HandCrop
    ) -> HandPose:
        """The mean of what was predicted for crops of turned cameras, in the camera's own frame."""
        assert prediction.refinement is not None
        poses = prediction.joints_mm, prediction.refinement.joints_mm
        first, each = (turn.apply(pose.float().cpu(), back=True) for pose in poses)
        joints = each.mean(dim=0)
        spread = _spread_mm(prediction, crops, camera).mean(dim=0)
        evidence = torch.stack([spread, (each - joints).norm(dim=-1).mean(dim=0)]).numpy()
        expected = np.full(evidence.shape[1], np.nan)
        if powers := self.model.calibration:
            # One crop alone has no second row of evidence.
            powers = powers[:4] if len(each) > 1 else (*powers[4:], 0.0)
            expected = np.exp(evidence_terms(evidence) @ powers).clip(max=_MOST_MM)
        left = bool(turn.mirrored is not None and turn.mirrored[0])
        found, initial = joints.numpy(), first.mean(dim=0).numpy()
        pixels = camera.project(found)[:, :2]
        pose = HandPose(found, initial, pixels, crop, expected, evidence, left)
        return replace(pose, searched_mm=pose.spread_mm)


def evidence_terms(evidence: np.ndarray) -> np.ndarray:
    """What the logarithm of expected errors is linear in: (21, 4) for evidence (2, 21), mm."""
    spread, apart = np.maximum(evidence, 1e-3)
    mean = np.full_like(spread, np.log(spread.mean()))
    return np.stack([np.ones_like(spread), np.log(spread), mean, np.log(apart + 0.5)], axis=1)


def _spread_mm(prediction: Prediction, crops: CropBatch, camera: Camera) -> Tensor:
    """The heat maps' spread (B, 21), mm; NaN without heat maps."""
    if prediction.reading.spread is None:
        return torch.full(prediction.uvd.shape[:2], torch.nan)
    width = (crops.box[:, 2] - crops.box[:, 0]) * crops.cube_centre[:, 2] / camera.fx
    sides = torch.stack([width, width, torch.full_like(width, CUBE_MM)], dim=-1)
    spread: Tensor = (prediction.reading.spread.float().cpu() * sides[:, None]).norm(dim=-1)
    return spread
