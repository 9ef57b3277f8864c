"""The stages of training (paper, section 3.1), checkpoints and resuming.

Step 1 trains the estimator with eq. 3 ("pose") and then with eq. 4 too ("volume");
Step 2 ("refine") trains estimator and refiner together with eq. 3, 5 and 6, balanced by
gradient magnitude. What a step draws depends on the recipe's seed, the stage and the
step alone, so a run that was killed goes on exactly as if it had not been.
"""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import mean_joint_error
from senorita_lib.files import atomic_write
from senorita_lib.hand import joints_to_bones
from senorita_lib.losses import step1_losses, step2_losses
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights, weights_digest, weights_kind
from senorita_lib.release.losses import adaptive_step2_losses
from senorita_lib.renderer import skeleton_volume_loss
from senorita_lib.training import processes
from senorita_lib.training.batches import Batches
from senorita_lib.training.checkpoints import alone_in
from senorita_lib.training.evaluate import data_identity, evaluate_run, predict_crops
from senorita_lib.training.loop import Loop, rmsprop, want_same, want_same_everywhere
from senorita_lib.training.transfer import transfer

STAGES = ("pose", "volume", "refine")
_STRIP = 4  # validation frames whose poses the log keeps
_WORTH_COMPILING = 10_000 * 32**3  # images with eq. 4, times voxels


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its network (in eval mode), log and result as written there."""

    folder: Path
    model: HandPoseNet
    log: list
    result: dict


def train(
    recipe,
    data,
    folder,
    *,
    device=None,
    progress=True,
    checkpoint_seconds=20.0,
    seconds=None,
    start=None,
    watch=None,
    volume_loss=None,
):
    """Train a recipe through all its stages and test it, or go on where an earlier call stopped.

    Parameters
    ----------
    recipe : Recipe
    data : path
        Root of a data set in HANDS19's layout. (Of a recipe whose images come from the stream
        it gives bone lengths, validation and test frames.)
    folder : path
        Where ``checkpoint.pt``, ``model.safetensors``, ``log.json``, ``timing.json``,
        ``result.json`` and ``predictions.npz`` go.
    device : str, optional
        The graphics card if there is one, else the CPU.
    progress : bool
    checkpoint_seconds : float
        Least time between two checkpoints; they never take more than a twentieth of the time.
    seconds : dict, optional
        Time that each stage may take: one whose time is over ends there, and the run is no
        longer just its recipe's.
    start : path, optional
        Weights that this run begins with. ``model.safetensors`` of an earlier run: of networks of
        the same shape; of the estimator alone if that run trained no refiner. Or of people, of
        :func:`.pretrain`, which a recipe with ``pretrain`` wants: what is
        moved is told in ``transfer.json`` (:mod:`senorita_lib.training.transfer`).
    watch : callable, optional
        Called with the log when it has grown.
    volume_loss : callable, optional
        What stands for eq. 4, called as :func:`~senorita_lib.renderer.skeleton_volume_loss` is,
        the default. The recipe does not know of another: give its runs folders of their own.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the folder holds a run of another recipe or on other data, if the start is missing, of
        another kind than the recipe says or does not fit, or if processes that train together were
        given different ones or cannot share batches evenly.

    Notes
    -----
    Of processes that train together (:mod:`.processes`) each makes the same call. The
    first one writes; all read the data set and the folder.
    """
    _want_start(recipe, start)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    progress = progress and processes.is_first()
    crop = crop_options(recipe)
    crops = load_crops(Hands19(data, "train"), progress=progress, **crop)
    # The challenge wants a pose for every test frame, also where the box is empty.
    test = load_crops(Hands19(data, "test", skip_degenerate=False), progress=progress, **crop)
    identity = data_identity(crops, test)
    if start is not None:
        identity += " from " + weights_digest(start)
    want_same_everywhere("recipe", recipe.to_json())
    want_same_everywhere("data set", identity)
    with alone_in(folder, progress) if processes.is_first() else nullcontext():
        if processes.from_first(_finished(recipe, folder, identity) is not None):
            return _finished(recipe, folder, identity)
        trainer = Trainer(recipe, crops, folder, device, identity, volume_loss, progress)
        trainer.pace(checkpoint_seconds, watch)
        if not trainer.resume() and start is not None:
            trainer.begin_with(start)
        while trainer.stage < len(STAGES):
            trainer.run_stage(seconds)
        if processes.is_first():
            trainer.finish(test)
        processes.from_first(None)  # the others wait here
        return _finished(recipe, folder, identity)


def crop_options(recipe):
    """A recipe's choices as :func:`~senorita_lib.datasets.crops.load_crops` takes them."""
    return {"size": recipe.image_size, "foreground": recipe.foreground, "centre": recipe.centre}


def learning_rate(recipe, stage, images):
    """Rate of the estimator.

    Parameters
    ----------
    recipe : Recipe
    stage : int
        Index in ``STAGES``.
    images : int
        Seen in Step 1, where the rate is divided at the milestones; constant in Step 2.
    """
    if STAGES[stage] == "refine":
        return recipe.learning_rate * recipe.refine_rate_factor
    factor = recipe.volume_rate_factor if STAGES[stage] == "volume" else 1.0
    return (
        recipe.learning_rate * factor * recipe.decay ** sum(images >= m for m in recipe.milestones)
    )


def has_converged(errors, share, patience):
    """Whether the last ``patience`` validations all stayed within ``share`` of the best before."""
    before, last = errors[:-patience], errors[-patience:]
    return bool(before) and min(last) > (1 - share) * min(before)


def pose_converged(log, recipe):
    """Whether Step 1 is ready for eq. 4: validation has converged since the last drop of the rate.

    A rate that is about to be divided is itself why an error stands still: only validations after
    the last milestone before ``pose_images`` count.

    Parameters
    ----------
    log : list of dict
        Of a run, as far as it has come.
    recipe : Recipe
    """
    last = max((m for m in recipe.milestones if m < recipe.pose_images), default=0)
    key = "validation_initial_mm"
    rows = [row for row in log if row["stage"] == "pose" and key in row]
    errors = [row[key] for row in rows if row["images"] > last]
    return has_converged(errors, recipe.converged, recipe.patience)


class Trainer(Loop):
    """One step of each stage, and what a finished run leaves."""

    stages = STAGES
    counters = ("pose_seen",)

    def __init__(
        self, recipe, crops, folder, device, identity="", volume_loss=None, progress=False
    ):
        super().__init__(recipe, folder, device, identity, progress)
        self.crops, self.pose_seen = crops, 0
        # In a short stage, compiling takes longer than it saves.
        voxels = recipe.volume_images * recipe.volume_size**3
        compiled = None if voxels > _WORTH_COMPILING else False
        self.volume_loss = partial(
            volume_loss
            or partial(
                skeleton_volume_loss,
                distance=recipe.distance,
                ends=recipe.ends,
                difference=recipe.volume_difference,
                compiled=compiled,
            ),
            size=(recipe.volume_size,) * 3,
            gamma=recipe.gamma,
        )
        seen, held = split_rows(recipe, crops)
        self.validation = crops.take(held)
        self.batches = Batches(recipe, crops, seen, device)
        torch.manual_seed(recipe.seed)
        bones = joints_to_bones(crops.joints[crops.found])
        lengths = torch.from_numpy(np.linalg.norm(bones, axis=-1).mean(axis=0))
        self.model = HandPoseNet(recipe, lengths).to(device)
        self.narrow = recipe.precision == "bfloat16"
        if self.narrow:
            self.model.estimator.to(memory_format=torch.channels_last)
        self.begin_stage()

    def begin_stage(self):
        """Network and optimizer as a stage wants them."""
        refine = self.stage < len(STAGES) and STAGES[self.stage] == "refine"
        estimator, refiner = self.model.estimator, self.model.refiner
        refiner.requires_grad_(refine)  # before the processes share what is trained
        self.network = None
        self.network = processes.shared(self.model)
        groups = [{"params": list(estimator.parameters()), "factor": 1.0}]
        if refine:
            factor = self.recipe.refiner_rate_factor
            groups.append({"params": list(refiner.parameters()), "factor": factor})
        self.optimizer = rmsprop(groups, self.recipe)

    def plan(self):
        """Images and batch size of the stage."""
        recipe, name = self.recipe, STAGES[self.stage]
        if name == "volume":
            whole = recipe.pose_images + recipe.volume_images
            return whole - self.pose_seen, recipe.volume_batch or recipe.batch
        if name == "refine":
            return recipe.refine_images, recipe.refine_batch
        return recipe.pose_images, recipe.batch

    def is_over(self):
        """Whether eq. 4 may join."""
        return STAGES[self.stage] == "pose" and pose_converged(self.log, self.recipe)

    def run_stage(self, seconds=None):
        """From where the stage stands to the begin of the next."""
        super().run_stage(seconds)
        name = STAGES[self.stage]
        if name == "pose":
            self.pose_seen = self.images
        optimizer = self.optimizer
        self.stage, self.images = self.stage + 1, 0
        self.begin_stage()
        if name == "pose":  # eq. 4 joins Step 1, it does not begin another
            self.optimizer = optimizer
        self.save()

    def step(self, step, batch):
        """Train on one batch; its losses, detached."""
        recipe, name = self.recipe, STAGES[self.stage]
        self.model.train()
        seen = step * batch + (self.pose_seen if name == "volume" else 0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.stage, seen) * group["factor"]
        crops, joints_mm = self.batches(self.stage, step, batch)
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.narrow):
            prediction = self.network(crops, refine=name == "refine")
        if name == "refine":
            balanced = adaptive_step2_losses if recipe.balance == "adaptive" else step2_losses
            options = recipe.refined_pose_weight, processes.mean
            found = prediction.uvd, prediction.refinement
            losses, loss = balanced(*found, crops, joints_mm, *options)
        else:
            cells = recipe.volume_size, recipe.volume_weight
            volume = None if name == "pose" or not recipe.volume_weight else self.volume_loss
            losses, loss = step1_losses(prediction.uvd, crops.to_uvd(joints_mm), volume, *cells)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {key: value.detach() for key, value in losses.items()}

    def validate(self):
        """Error on the validation frames, and the poses of a few of them."""
        refine = STAGES[self.stage] == "refine"
        initial, refined = predict_crops(self.model, self.validation, self.device)
        row = {"validation_initial_mm": mean_joint_error(initial, self.validation.joints)}
        if refine:
            row["validation_refined_mm"] = mean_joint_error(refined, self.validation.joints)
        poses = (refined if refine else initial)[strip_rows(len(initial))]
        return row | {"strip_mm": poses.round(1).tolist()}

    def sentence(self, row):
        """The errors."""
        names = [name for name in ("initial", "refined") if f"validation_{name}_mm" in row]
        return ", ".join(f"{name} {row[f'validation_{name}_mm']:.1f} mm" for name in names)

    def finish(self, test):
        """Test the network and write what a finished run's folder holds."""
        model = self.model.eval()
        model.save(self.folder / "model.safetensors")
        self.write_records()
        seen = {row["stage"]: row["images"] for row in self.log}  # the last of each stage
        evaluate_run(
            model, self.crops, test, self.folder, self.identity, seen, self.device, self.progress
        )

    def begin_with(self, path):
        """Take an earlier run's weights, but this data set's bone lengths; or those of people."""
        if weights_kind(path) == BODY_FORMAT:
            report = transfer(read_weights(path, BODY_FORMAT)[1], self.model.estimator)
            if processes.is_first():
                data = (json.dumps(asdict(report), indent=1) + "\n").encode()
                atomic_write(self.folder / "transfer.json", data)
            return
        earlier, own = HandPoseNet.load(path), self.model.state_dict()
        # A refiner that was not trained is as it was drawn.
        part = "" if earlier.recipe.refine_images else "estimator."
        weights = {k: v for k, v in earlier.state_dict().items() if k.startswith(part)}
        wanted = {name for name in own if name.startswith(part)}
        for name in sorted(wanted | weights.keys()):
            one, other = (
                tuple(state[name].shape) if name in state else "none" for state in (weights, own)
            )
            if one != other:
                raise ValueError(
                    f"{path} has {name} of shape {one}, wanted {other} as in the recipe"
                )
        weights["refiner.bone_lengths"] = own["refiner.bone_lengths"]
        self.model.load_state_dict(own | weights)


def _want_start(recipe, start):
    """Refuse weights of people where the recipe has none, and none where it wants them."""
    if start is None:
        if recipe.pretrain:
            raise ValueError(
                f"recipe {recipe.name!r} has pretrain = True and start is None, wanted the weights "
                "of senorita_lib.people.pretraining.pretrain, or pretrain = False"
            )
    elif weights_kind(start) == BODY_FORMAT and not recipe.pretrain:
        raise ValueError(
            f"{start} has weights of people and recipe {recipe.name!r} pretrain = False, wanted "
            "pretrain = True"
        )


def split_rows(recipe, crops):
    """Rows of a ``CropSet`` of training frames to train on, and the last, to validate on."""
    rows = np.flatnonzero(crops.found)
    held = max(1, round(len(rows) * recipe.validation_share))
    return rows[:-held], rows[-held:]


def strip_rows(count):
    """Which of ``count`` validation frames have their poses in the log, at each validation."""
    return np.linspace(0, count - 1, _STRIP).round().astype(int)


def strip_frames(recipe, data, progress=True):
    """The validation frames whose poses are in the log's ``strip_mm``, as a ``CropSet``.

    Parameters
    ----------
    recipe : Recipe
    data : path
        As :func:`train` takes them.
    progress : bool
        While the data set's crops are made, if this is their first use.
    """
    crops = load_crops(Hands19(data, "train"), progress=progress, **crop_options(recipe))
    _, held = split_rows(recipe, crops)
    return crops.take(held[strip_rows(len(held))])


def _finished(recipe, folder, identity):
    """The run that the folder holds whole, if it does."""
    path = folder / "result.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    want_same(path, result["recipe"], recipe, result.get("data"), identity)
    model = HandPoseNet.load(folder / "model.safetensors")
    return Run(folder, model, json.loads((folder / "log.json").read_text()), result)
