"""The start of Step 1 (paper, section 3.1): the estimator first learns 16 keypoints of people.

As in integral human pose regression (Sun et al., ECCV 2018), half of each batch has only 2D labels,
the other half depths too. The loss is their I*: the L1 distance of the expected positions.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from senorita_lib._arguments import check_device, check_flags
from senorita_lib.augmentation import draw
from senorita_lib.estimator import PoseEstimator
from senorita_lib.files import PathLike, atomic_write, project_path, read_json, user_path
from senorita_lib.losses import HEATMAP_CELLS
from senorita_lib.model import BODY_FORMAT, HandPoseNet, make_estimator, write_weights
from senorita_lib.people.crops import CUBE_MM, BodySet, cut_body
from senorita_lib.people.keypoints import KEYPOINT_NAMES, PELVIS
from senorita_lib.people.readers import People, find_people
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.recipes import Recipe
from senorita_lib.training import loop, processes
from senorita_lib.training.batches import Shuffled, seed_of
from senorita_lib.training.loop import Loop, Losses, Row
from senorita_lib.training.transfer import Transfer, transfer

WEIGHTS = "body.safetensors"
# What of a recipe decides about its pretraining: in most recipes Models 1-4 share one.
_OF_RECIPE = {
    "seed", "image_size", "block", "layers", "widths", "head_channels", "depth_bins", "head",
    "rotation", "scale", "scale_probability", "shift", "batch", "learning_rate", "decay",
    "precision",
}  # fmt: skip
_COLOUR = 0.2  # each of red, green and blue is multiplied by 1 ± this, as in Sun et al.
SYNTHETIC, _KEPT = "synthetic", "data/people_synthetic"


def body_recipe(recipe: Recipe) -> Recipe:
    """The part of a recipe that decides about its pretraining, the stage "pose"; else defaults.

    Milestones lie at the same shares of the images as in Step 1.
    """
    images = recipe.pretrain_images
    share = images / max(1, recipe.pose_images + recipe.volume_images)
    return Recipe(
        name="body", pose_images=images, volume_images=0, refine_images=0,
        validate_images=max(1, images // 8),
        milestones=tuple(round(share * m) for m in recipe.milestones),
        **recipe.model_dump(include=_OF_RECIPE),
    )  # fmt: skip


def pretrain(
    recipe: Recipe, folder: PathLike, people: PathLike | Sequence[BodySet] = SYNTHETIC, *,
    device: str | None = None, progress: bool = True, checkpoint_seconds: float = 20.0,
) -> Path:  # fmt: skip
    """Train an estimator on people, or continue an earlier call; returns the file of its weights.

    ``people`` is a folder as in :func:`.find_people`, or sets such as ``[Mpii(root)]``, or
    "synthetic": 4,000 people, kept in ``data/people_synthetic``. Raises ``ValueError`` if the
    folder holds a run of another recipe or on other people, or there are too few; ``OSError`` if
    images are missing.
    """
    folder, recipe = user_path(folder), body_recipe(recipe)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if recipe.pose_images < recipe.batch:
        said = f"pretrain_images is {recipe.pose_images}"
        raise ValueError(f"{said}, wanted at least a batch of {recipe.batch}")
    check_flags(progress=progress)
    check_device(device)
    progress = progress and processes.is_first()
    if people == SYNTHETIC:  # with room for a crop to turn and move
        synthetic = SyntheticBody(side=round(1.5 * recipe.image_size))
        people = [synthetic.keep(project_path(_KEPT), progress=progress)]
    elif isinstance(people, str | os.PathLike):
        people = find_people(people)
    everybody = People(people)

    def run() -> None:
        options = {"progress": progress, "checkpoint_seconds": checkpoint_seconds}
        trainer = BodyTrainer(recipe, everybody, folder, device, **options)
        trainer.resume()
        trainer.run()
        if processes.is_first():
            trainer.finish()

    def read() -> Path | None:
        if not (path := folder / "people.json").exists():
            return None
        result = read_json(path, "recipe", "data")
        loop.want_same(path, result["recipe"], recipe, result["data"], everybody.identity)
        return folder / WEIGHTS

    return loop.run_once(folder, recipe, everybody.identity, read, run, progress)


def starting_weights(
    recipe: Recipe, runs: PathLike, people: PathLike | Sequence[BodySet] = SYNTHETIC, **options: Any
) -> Path | None:
    """The weights that a recipe's training starts from, None if it has ``pretrain = False``.

    The pretraining that Models 1-4 share goes to ``people_DIGEST`` in their folder, ``runs``; see
    :func:`pretrain` for the rest.
    """
    if not recipe.pretrain:
        if people != SYNTHETIC:
            said = f"people is {str(people)!r} and recipe {recipe.name!r} has pretrain = False"
            raise ValueError(f"{said}, wanted pretrain = True")
        return None
    digest = hashlib.sha256(body_recipe(recipe).to_json().encode()).hexdigest()
    return pretrain(recipe, Path(runs) / f"people_{digest[:6]}", people, **options)


def transfer_report(recipe: Recipe) -> Transfer:
    """What a recipe's estimator takes over from a network that knows people."""
    source = body_network(body_recipe(recipe)).state_dict()
    return transfer(source, HandPoseNet(recipe, torch.zeros(20)).estimator)


def body_pose_loss(predicted_uvd: torch.Tensor, true_uvd: torch.Tensor) -> torch.Tensor:
    """Eq. 3 for uvd (B, 16, 3) of people, where unknown (NaN) true coordinates do not count."""
    off = torch.where(true_uvd.isnan(), 0, predicted_uvd - true_uvd)
    return off.abs().mean() * HEATMAP_CELLS


class BodyBatches:
    """Training batches of people, functions of seed and step alone: half with depths, if any.

    ``rows`` are those to train on, with 2D labels alone and with depths. Fewer people than a batch
    takes raise ``ValueError``.
    """

    def __init__(
        self, recipe: Recipe, people: People, rows: Sequence[np.ndarray], device: str
    ) -> None:
        self.recipe, self.people, self.device = recipe, people, device
        self.orders = {k: Shuffled(own, recipe.seed) for k, own in enumerate(rows) if len(own)}
        fewest = min((len(order.rows) for order in self.orders.values()), default=0)
        if fewest * len(self.orders) < recipe.batch:
            said = f"there are {fewest} people of a kind to train on"
            raise ValueError(f"{said}, wanted at least their share of a batch of {recipe.batch}")
        # OpenCV reads and warps without Python's lock. A study gives each run one thread.
        self._threads = ThreadPoolExecutor(torch.get_num_threads())
        self._ahead: tuple[int, Iterable[tuple[np.ndarray, np.ndarray]]] = (-1, ())

    def __call__(self, step: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A step's rows for this process: images (B, 3, S, S) in [-1, 1] and uvd (B, 16, 3)."""
        begun, crops = self._ahead
        if begun != step:
            crops = self._begin(step, batch)
        self._ahead = step + 1, self._begin(step + 1, batch)
        parts = zip(*crops, strict=True)
        images, uvd = (torch.from_numpy(np.stack(part)).to(self.device) for part in parts)
        return images, uvd

    def _begin(self, step: int, batch: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Let threads cut out the people of a step."""
        recipe = self.recipe
        numbers = np.diff(np.linspace(0, batch, len(self.orders) + 1).astype(int))
        orders = zip(self.orders.items(), numbers, strict=True)
        rows = np.concatenate([order(kind, step, number) for (kind, order), number in orders])
        generator = torch.Generator().manual_seed(seed_of(recipe.seed, 16, step))
        draws = draw(batch, generator, recipe)
        more = torch.rand(batch, 4, generator=generator)
        colour = 1 + _COLOUR * (2 * more[:, 1:] - 1)
        changes = *draws, more[:, 0] < 0.5, colour
        people = [*zip(rows, *(values.tolist() for values in changes), strict=True)]
        return self._threads.map(
            lambda own: cut_body(self.people[own[0]], recipe.image_size, *own[1:]),
            people[processes.rank_slice(batch)],
        )


class BodyTrainer(Loop):
    """The one stage of pretraining."""

    stages = ("people",)
    model: PoseEstimator

    def __init__(
        self, recipe: Recipe, people: People, folder: Path, device: str, **options: Any
    ) -> None:
        super().__init__(recipe, folder, device, people.identity, **options)
        self.people = people
        seen, self.held = people.split(recipe.validation_share)
        self.batches = BodyBatches(recipe, people, seen, device)
        torch.manual_seed(recipe.seed)
        self.model = body_network(recipe).to(device)
        if self.precision == "bfloat16":
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.begin_stage()

    def plan(self) -> tuple[int, int]:
        """Images and batch size."""
        return self.recipe.pose_images, self.recipe.batch

    def groups(self) -> list[dict[str, Any]]:
        """All parameters."""
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def loss(self, step: int, batch: int) -> tuple[Losses, torch.Tensor]:
        """The loss of one batch."""
        images, uvd = self.batches(step, batch)
        with self.autocast():
            loss = body_pose_loss(self.network(images), uvd)
        return {"L_jt": loss}, loss

    def validate(self) -> Row:
        """Errors on the held-out people."""
        size = self.recipe.image_size
        uvd = predict_people(self.model, self.people, self.held, size, self.device)
        return body_errors(uvd, self.people, self.held)

    def finish(self) -> None:
        """Write what a finished pretraining's folder holds."""
        self.write_records()
        write_weights(self.folder / WEIGHTS, BODY_FORMAT, self.recipe, self.model.state_dict())
        spatial = self.people.spatial
        last = next(row for row in reversed(self.log) if "validation_percent" in row)
        result = {
            "recipe": json.loads(self.recipe.to_json()),
            "data": self.identity,
            "people": {"2D": int((~spatial).sum()), "3D": int(spatial.sum())},
            "images": loop.images_seen(self.log)["people"],
            "device": str(self.device),
            "torch": torch.__version__,
            "validation": {key: value for key, value in last.items() if "validation" in key},
        }
        atomic_write(self.folder / "people.json", json.dumps(result, indent=1) + "\n")


def body_network(recipe: Recipe) -> PoseEstimator:
    """A recipe's estimator for colour images and 16 keypoints."""
    return make_estimator(recipe, 3, joints=len(KEYPOINT_NAMES))


def predict_people(
    model: PoseEstimator, people: BodySet, rows: np.ndarray, size: int, device: str = "cpu"
) -> np.ndarray:
    """Keypoints that a network finds in crops of ``size`` px: uvd, (N, 16, 3)."""
    model.eval()
    found = []
    with torch.inference_mode(), ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for start in range(0, len(rows), 64):
            some = rows[start : start + 64]
            images = np.stack([*threads.map(lambda row: cut_body(people[row], size)[0], some)])
            found.append(model(torch.from_numpy(images).to(device)).float().cpu().numpy())
    return np.concatenate(found)


def body_errors(uvd: np.ndarray, people: BodySet, rows: np.ndarray) -> dict[str, float]:
    """Mean errors of predicted uvd (N, 16, 3) over the labelled keypoints of some people.

    In percent of the box's side in the image; in space, of those with depths, in mm relative to
    the pelvis. NaN predictions propagate.
    """

    def mean_distance(found: np.ndarray, true: np.ndarray) -> float:
        known = np.isfinite(true).all(axis=-1)
        return float(np.linalg.norm(found - true, axis=-1)[known].mean())

    boxes, keypoints, spatial = people.boxes[rows], people.keypoints[rows], people.spatial[rows]
    corner, side = boxes[:, None, :2], (boxes[:, 2] - boxes[:, 0])[:, None, None]
    places = (keypoints[..., :2] - corner) / side, 0.5 - keypoints[..., 2:] / CUBE_MM
    true = np.concatenate(places, axis=-1)
    errors = {"validation_percent": 100 * mean_distance(uvd[..., :2], true[..., :2])}
    if spatial.any():
        given = boxes[spatial], people.cameras[rows][spatial]
        poses = (to_camera(pose[spatial], *given) for pose in (uvd, true))
        errors["validation_body_mm"] = mean_distance(*(p - p[:, PELVIS, None] for p in poses))
    return errors


def to_camera(uvd: np.ndarray, boxes: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """uvd (N, 16, 3) to camera frame, mm, but z counts from the true pelvis's depth."""
    corner, side = boxes[:, None, :2], (boxes[:, 2] - boxes[:, 0])[:, None, None]
    u, v = np.moveaxis(corner + side * uvd[..., :2], -1, 0)
    fx, fy, cx, cy, pelvis = cameras.T[..., None]
    z = pelvis + (0.5 - uvd[..., 2]) * CUBE_MM
    return np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z - pelvis], axis=-1)
