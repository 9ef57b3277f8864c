"""The stages of training (paper, section 3.1).

Step 1 trains the estimator with eq. 3 ("pose"), then with eq. 4 too ("volume"). Step 2 ("refine")
trains estimator and refiner together with eq. 3, 5 and 6, balanced by gradient magnitude. What a
step draws depends only on the recipe's seed, the stage and the step, so a run that was killed
resumes exactly.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import update_bn

from senorita_lib._arguments import check_device, check_flags
from senorita_lib.cropping import CropBatch
from senorita_lib.datasets.crops import CropSet, load_crops
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import mean_joint_error
from senorita_lib.files import PathLike, atomic_write, read_json, user_path
from senorita_lib.hand import joints_to_bones
from senorita_lib.losses import handedness_loss, step1_losses, step2_losses
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights, weights_digest, weights_kind
from senorita_lib.recipes import Recipe
from senorita_lib.release.losses import adaptive_step2_losses
from senorita_lib.renderer import skeleton_volume_loss
from senorita_lib.representations import build_input
from senorita_lib.training import processes
from senorita_lib.training.batches import WORLD, Batches
from senorita_lib.training.evaluate import evaluate_run, predict_crops
from senorita_lib.training.loop import STAGES, Loop, Losses, Row, images_seen, run_once, want_same
from senorita_lib.training.loop import has_converged as has_converged
from senorita_lib.training.loop import learning_rate as learning_rate
from senorita_lib.training.loop import pose_converged as pose_converged
from senorita_lib.training.transfer import transfer
from senorita_lib.training.views import open_crops

_SAMPLES = 4  # validation frames whose poses the log keeps
_MOST = 500  # crops of the open world to validate on
_MIRRORED = 8  # one of so many images is also seen in a mirror, as a left hand
_HAND_WEIGHT = 2.0
_PRECISE = 20  # batches that tell batch norms their means and variances
_WORTH_COMPILING = 10_000 * 32**3  # images with eq. 4, times voxels

VolumeLoss = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Run:
    """A finished run, with its network in eval mode; log and result as written in its folder."""

    folder: Path
    model: HandPoseNet
    log: list[Row]
    result: dict[str, Any]


def train(
    recipe: Recipe,
    data: PathLike,
    folder: PathLike,
    *,
    device: str | None = None,
    progress: bool = True,
    checkpoint_seconds: float = 20.0,
    start: PathLike | None = None,
    watch: Callable[[list[Row]], object] | None = None,
    volume_loss: VolumeLoss | None = None,
    cache: PathLike | None = None,
    keep_mm: Sequence[float] = (),
) -> Run:
    """Train a recipe through all its stages and test it, or resume an earlier call.

    Of processes that train together (:mod:`.processes`) each makes this call; the first one
    writes. Two calls that share a folder wait for each other.

    Parameters
    ----------
    data
        Root of a data set in HANDS19's layout. With ``source="stream"`` it still gives bone
        lengths, validation and test frames. Where the test frames or their list are missing,
        the run trains, is not tested, and says so.
    folder
        For ``checkpoint.pt``, ``model.safetensors``, ``log.json``, ``timing.json``,
        ``result.json`` and ``predictions.npz``.
    device
        The graphics card if there is one, else the CPU.
    checkpoint_seconds
        Least time between two checkpoints; they never take more than a twentieth of the time.
    start
        Weights to start from: ``model.safetensors`` of an earlier run, of networks of the same
        shape (only its estimator if that run trained no refiner), or those of
        :func:`senorita_lib.people.pretraining.pretrain`, which a recipe with ``pretrain`` needs;
        ``transfer.json`` then tells what was transferred.
    watch
        Called with the log when it has grown.
    volume_loss
        Used in place of :func:`~senorita_lib.renderer.skeleton_volume_loss` as eq. 4; called with
        predicted and true poses (B, 21, 3), voxel frame, ``size`` and ``gamma``, it gives a scalar.
        It is not part of the recipe: give such runs folders of their own.
    cache
        Folder for crops, by default ``crops`` in the data set's.
    keep_mm
        Validation errors of the initial pose. The first weights below each are also kept, as
        ``below_15mm.safetensors``.

    Raises
    ------
    ValueError
        If the folder holds a run of another recipe or on other data; if ``start`` is missing, of
        the wrong kind or does not fit; or if processes cannot share batches evenly.
    """
    check_flags(progress=progress)
    _check_start(recipe, start)
    if volume_loss is not None:
        try:
            inspect.signature(volume_loss).bind(None, None, size=(1, 1, 1), gamma=1.0)
        except TypeError as error:
            wanted = "wanted a function of (predicted, true, size, gamma)"
            raise ValueError(f"volume_loss has {error}, {wanted}") from None
    folder = user_path(folder)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(device)
    progress = progress and processes.is_first()
    options = crop_options(recipe) | {"progress": progress, "cache": cache}
    hands = Hands19(data, "train")
    try:  # the challenge wants a pose for every test frame, also where the box is empty
        tests = [Hands19(data, "test", skip_degenerate=False)]
    except FileNotFoundError as error:
        tests = []
        if processes.is_first():
            print(f"there will be no test result: {error}", flush=True)
    crops, *rest = (load_crops(part, **options) for part in (hands, *tests))
    labels = "".join(part.identity for part in (crops, *rest))
    identity = hashlib.sha256(labels.encode()).hexdigest()
    if recipe.source != "files":
        identity += f" and synthetic world {WORLD}"
    if start is not None:
        identity += " from " + weights_digest(start)

    def run() -> None:
        trainer = Trainer(
            recipe, crops, folder, device, identity, volume_loss=volume_loss, watch=watch,
            progress=progress, checkpoint_seconds=checkpoint_seconds, keep_mm=keep_mm,
        )  # fmt: skip
        if not trainer.resume() and start is not None:
            trainer.init_from(start)
        trainer.run()
        if processes.is_first():
            trainer.finish((tests[0], rest[0]) if rest else None)

    def read() -> Run | None:
        path = folder / "result.json"
        if not path.exists():
            return None
        result, log = (read_json(p) for p in (path, folder / "log.json"))
        want_same(path, result["recipe"], recipe, result.get("data"), identity)
        return Run(folder, HandPoseNet.load(folder / "model.safetensors"), log, result)

    return run_once(folder, recipe, identity, read, run, progress)


def with_left(crops: CropBatch, count: int) -> CropBatch:
    """The crops, and behind them the first ``count`` of them in a mirror: left hands."""
    image = torch.cat([crops.image, crops.image[:count].flip(-1)])
    mirror, (x1, y1, x2, y2) = crops.cube_centre.new_tensor([-1, 1, 1]), crops.box[:count].unbind(1)
    axis = 2 * crops.camera.cx  # about the camera's axis
    box = torch.cat([crops.box, torch.stack([axis - x2, y1, axis - x1, y2], dim=1)])
    centre = torch.cat([crops.cube_centre, crops.cube_centre[:count] * mirror])
    return replace(crops, image=image, box=box, cube_centre=centre)


def crop_options(recipe: Recipe) -> dict[str, Any]:
    """A recipe's choices as :func:`~senorita_lib.datasets.crops.load_crops` takes them."""
    return {"size": recipe.image_size, "foreground": recipe.foreground, "centre": recipe.centre}


class Trainer(Loop):
    """The three stages for hands; parameters as in :func:`train` and :class:`.Loop`."""

    model: HandPoseNet

    def __init__(
        self, recipe: Recipe, crops: CropSet, folder: Path, device: str, identity: str = "", *,
        volume_loss: VolumeLoss | None = None, keep_mm: Sequence[float] = (), **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(recipe, folder, device, identity, **options)
        self.keep_mm = keep_mm
        if volume_loss is None:
            # In a short stage, compiling takes longer than it saves.
            long = recipe.volume_images * recipe.volume_size**3 > _WORTH_COMPILING
            volume_loss = partial(
                skeleton_volume_loss, distance=recipe.distance, ends=recipe.ends,
                difference=recipe.volume_difference, compiled=None if long else False,
            )  # fmt: skip
        self.volume_loss = partial(volume_loss, size=(recipe.volume_size,) * 3, gamma=recipe.gamma)
        seen, held = split_rows(recipe, crops)
        self.crops, self.validation = crops, _held_crops(recipe, crops, held)
        self.batches = Batches(recipe, crops, seen, device)
        self.rows = seen
        self.precise: dict[int, list[CropBatch]] = {}  # by size of the batch
        torch.manual_seed(recipe.seed)
        bones = joints_to_bones(crops.joints[crops.found])
        lengths = torch.from_numpy(np.linalg.norm(bones, axis=-1).mean(axis=0))
        self.model = HandPoseNet(recipe, lengths).to(device)
        if self.precision == "bfloat16":
            # torch's stub does not know it
            self.model.estimator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.begin_stage()

    def plan(self) -> tuple[int, int]:
        """Images and batch size of the stage."""
        recipe, name = self.recipe, STAGES[self.stage]
        if name == "volume":  # Step 1 sees as many images, however early eq. 4 joins
            left = recipe.pose_images + recipe.volume_images - images_seen(self.log).get("pose", 0)
            return left, recipe.volume_batch or recipe.batch
        if name == "refine":
            return recipe.refine_images, recipe.refine_batch
        return recipe.pose_images, recipe.batch

    def groups(self) -> list[dict[str, Any]]:
        """The estimator, in Step 2 also the refiner; only these require gradients."""
        refine = STAGES[self.stage] == "refine"
        self.model.refiner.requires_grad_(refine)
        if self.model.estimator.hand is not None:  # Step 2 shows no left hands
            self.model.estimator.hand.requires_grad_(not refine)
        groups = [{"params": list(self.model.estimator.parameters()), "factor": 1.0}]
        if refine:
            factor = self.recipe.refiner_rate_factor
            groups.append({"params": list(self.model.refiner.parameters()), "factor": factor})
        return groups

    def loss(self, step: int, batch: int) -> tuple[Losses, torch.Tensor]:
        """Losses of one batch, and what the stage minimises."""
        recipe, name = self.recipe, STAGES[self.stage]
        crops, joints_mm = self.batches(self.stage, step, batch)
        seen, mirrored = self.mirrored(crops)
        with self.autocast():
            prediction = self.network(seen, refine=name == "refine")
        if name == "refine":
            balanced = adaptive_step2_losses if recipe.balance == "adaptive" else step2_losses
            return balanced(
                prediction.uvd, prediction.refinement, crops, joints_mm,
                recipe.refined_pose_weight, processes.mean,
            )  # fmt: skip
        volume = self.volume_loss if name == "volume" and recipe.volume_weight else None
        cells, weight = recipe.volume_size, recipe.volume_weight
        right, true = prediction.reading.first(len(crops)), crops.to_uvd(joints_mm)
        own = self.model.estimator.head.losses(right, true, crops.image)
        losses, total = step1_losses(right.uvd, true, volume, cells, weight, own)
        if mirrored:
            losses["L_hand"] = handedness_loss(prediction.reading.left, len(crops))
            total = total + _HAND_WEIGHT * losses["L_hand"]
        return losses, total

    def mirrored(self, crops: CropBatch) -> tuple[CropBatch, int]:
        """What the network sees of a batch: also some left hands, and how many."""
        if not self.recipe.handedness or STAGES[self.stage] == "refine":
            return crops, 0
        count = max(1, len(crops) // _MIRRORED)
        return with_left(crops, count), count

    def settle(self) -> None:
        """Give batch norms their means and variances over training images, if the recipe says so.

        In training they follow the batches with a delay in which the weights change, and with such
        ones an error jumps by millimetres from one validation to the next.
        """
        if not self.recipe.precise_bn:
            return
        batches = self.precise_batches(self.plan()[1])
        seen: Iterator[Any] = (self.mirrored(crops)[0] for crops in batches)
        trained: torch.nn.Module = self.model
        if STAGES[self.stage] != "refine":
            trained, inputs = self.model.estimator, self.model.inputs
            seen = (build_input(crops, *inputs) for crops in seen)
        with self.autocast():
            update_bn(seen, trained)

    def precise_batches(self, batch: int) -> list[CropBatch]:
        """What norms are settled on: always the same, also in a run that resumes."""
        if batch not in self.precise:
            draw = Batches(self.recipe, self.crops, self.rows, self.device)  # the run's goes on
            drawn = (draw(len(STAGES), step, batch) for step in range(_PRECISE))
            self.precise[batch] = [crops for crops, _ in drawn]
        return self.precise[batch]

    def validate(self) -> Row:
        """Errors on the validation frames, and the poses of a few of them."""
        names = ("initial", "refined") if STAGES[self.stage] == "refine" else ("initial",)
        found, row = predict_crops(self.model, self.validation, self.device), {}
        for name, poses in zip(names, found, strict=False):
            row[f"validation_{name}_mm"] = mean_joint_error(poses, self.validation.joints)
        for mm in self.keep_mm:
            path = below(self.folder, mm)
            if row["validation_initial_mm"] < mm and not path.exists():
                self.model.save(path)
        sample = poses[_sample_rows(len(self.validation))]
        return row | {"sample_poses": sample.round(1).tolist()}

    def finish(self, test: tuple[Hands19, CropSet] | None) -> None:
        """Test the network, if there are test frames, and write what the run's folder holds."""
        self.model.eval().save(self.folder / "model.safetensors")
        self.write_records()
        seen = images_seen(self.log)
        about = {"data": self.identity, "images": seen, "precision": self.precision}
        evaluate_run(self.model, self.crops, test, self.folder, about, self.device, self.progress)

    def init_from(self, path: PathLike) -> None:
        """Start from the weights of an earlier run, or from those of people.

        The bone lengths stay those of this data set.
        """
        if weights_kind(path) == BODY_FORMAT:
            report = transfer(read_weights(path, BODY_FORMAT)[1], self.model.estimator)
            if processes.is_first():
                text = json.dumps(asdict(report), indent=1) + "\n"
                atomic_write(self.folder / "transfer.json", text)
            return
        earlier, own = HandPoseNet.load(path), self.model.state_dict()
        weights = earlier.state_dict()
        # A refiner that was not trained is left out.
        batches = (v for k, v in weights.items() if k.startswith("refiner.") and "num_batches" in k)
        both = earlier.recipe.refine_images or any(batches)
        tells = self.recipe.handedness and earlier.recipe.handedness
        left_out = {"refiner.": not both, "estimator.hand.": not tells}
        skipped = tuple(part for part, out in left_out.items() if out)
        weights, wanted = (
            {name: values for name, values in state.items() if not name.startswith(skipped)}
            for state in (weights, own)
        )
        for name in sorted(wanted.keys() | weights.keys()):
            one, other = (tuple(s[name].shape) if name in s else "none" for s in (weights, own))
            if one != other:
                found = f"{path} has {name} of shape {one}"
                raise ValueError(f"{found}, wanted {other} as in the recipe")
        weights["refiner.bone_lengths"] = own["refiner.bone_lengths"]
        self.model.load_state_dict(own | weights)


def _check_start(recipe: Recipe, start: PathLike | None) -> None:
    """Weights of people go with a recipe that has ``pretrain``, and the other way round."""
    name = f"recipe {recipe.name!r}"
    if start is None and recipe.pretrain:
        wanted = "the weights of senorita_lib.people.pretraining.pretrain, or pretrain = False"
        raise ValueError(f"{name} has pretrain = True and start is None, wanted {wanted}")
    if start is not None and weights_kind(start) == BODY_FORMAT and not recipe.pretrain:
        found = f"{start} has weights of people and {name} pretrain = False"
        raise ValueError(f"{found}, wanted pretrain = True")


def below(folder: Path, mm: float) -> Path:
    """Where :func:`train` keeps the first weights with a validation error below ``mm``."""
    return folder / f"below_{mm:g}mm.safetensors"


def split_rows(recipe: Recipe, crops: CropSet) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training frames to train on, and the last ones, to validate on."""
    rows = np.flatnonzero(crops.found)
    held = max(1, round(len(rows) * recipe.validation_share))
    return rows[:-held], rows[-held:]


def _sample_rows(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, _SAMPLES).round().astype(int)


def sample_frames(
    recipe: Recipe, data: PathLike, progress: bool = True, cache: PathLike | None = None
) -> CropSet:
    """The validation frames whose poses the log of :func:`train` keeps as ``sample_poses``."""
    options = crop_options(recipe) | {"progress": progress, "cache": cache}
    crops = load_crops(Hands19(data, "train"), **options)
    held = _held_crops(recipe, crops, split_rows(recipe, crops)[1])
    return held.take(_sample_rows(len(held)))


def _held_crops(recipe: Recipe, crops: CropSet, held: np.ndarray) -> CropSet:
    """What a run validates on: the last training frames, or as many of the open world's."""
    if recipe.source == "open":
        return open_crops(min(len(held), _MOST), recipe.image_size, recipe.seed + 1)
    return crops.take(held)
