"""The stages of training (paper, section 3.1), checkpoints and resuming.

Step 1 trains the estimator with eq. 3 ("pose") and then with eq. 4 too ("volume");
Step 2 ("refine") trains estimator and refiner together with eq. 3, 5 and 6, balanced by
gradient magnitude. What a step draws depends on the recipe's seed, the stage and the
step alone, so a run that was killed goes on exactly as if it had not been.
"""

import hashlib
import json
import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib import processes
from senorita_lib.batches import Batches
from senorita_lib.checkpoints import alone_in, load_checkpoint, save_checkpoint
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import write_aside
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import mean_joint_error
from senorita_lib.hand import joints_to_bones
from senorita_lib.inference import data_identity, evaluate_run, predict_crops
from senorita_lib.losses import step1_losses, step2_losses
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import Recipe
from senorita_lib.renderer import skeleton_volume_loss

STAGES = ("pose", "volume", "refine")
_LOG_STEPS = 10
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
        ``model.safetensors`` of an earlier run, whose weights this one begins with: of networks of
        the same shape; of the estimator alone if that run trained no refiner.
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
        If the folder holds a run of another recipe or on other data, the start does not fit, or
        processes that train together were given different ones or cannot share batches evenly.

    Notes
    -----
    Of processes that train together (:mod:`senorita_lib.processes`) each makes the same call. The
    first one writes; all read the data set and the folder.
    """
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
        identity += " from " + hashlib.sha256(Path(start).read_bytes()).hexdigest()
    _want_same_everywhere("recipe", recipe.to_json())
    _want_same_everywhere("data set", identity)
    with alone_in(folder, progress) if processes.is_first() else nullcontext():
        if processes.from_first(_finished(recipe, folder, identity) is not None):
            return _finished(recipe, folder, identity)
        trainer = Trainer(recipe, crops, folder, device, identity, volume_loss, progress)
        trainer.checkpoint_seconds, trainer.watch = checkpoint_seconds, watch or (lambda log: None)
        trainer.next_save = time.monotonic() + checkpoint_seconds
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


class Trainer:
    """Everything a checkpoint holds, and one step of each stage."""

    def __init__(
        self, recipe, crops, folder, device, identity="", volume_loss=None, progress=False
    ):
        self.recipe, self.crops, self.folder, self.device = recipe, crops, folder, device
        self.identity, self.progress = identity, progress
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
        self.batches = Batches(recipe, crops, seen, device, progress)
        torch.manual_seed(recipe.seed)
        bones = joints_to_bones(crops.joints[crops.found])
        lengths = torch.from_numpy(np.linalg.norm(bones, axis=-1).mean(axis=0))
        self.model = HandPoseNet(recipe, lengths).to(device)
        self.narrow = recipe.precision == "bfloat16"
        if self.narrow:
            self.model.estimator.to(memory_format=torch.channels_last)
        self.stage = self.images = self.pose_seen = 0
        self.log, self.timing = [], {}
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
        self.optimizer = torch.optim.RMSprop(
            groups, lr=self.recipe.learning_rate, alpha=0.99, eps=1e-8
        )

    def plan(self):
        """Images and batch size of the stage."""
        recipe, name = self.recipe, STAGES[self.stage]
        if name == "volume":
            whole = recipe.pose_images + recipe.volume_images
            return whole - self.pose_seen, recipe.volume_batch or recipe.batch
        if name == "refine":
            return recipe.refine_images, recipe.refine_batch
        return recipe.pose_images, recipe.batch

    def run_stage(self, seconds):
        """From where the stage stands to its end."""
        name, recipe = STAGES[self.stage], self.recipe
        total, batch = self.plan()
        steps = total // batch
        before = self.timing.get(name, 0.0)
        start = time.monotonic()
        sums = {}
        bar = tqdm(
            total=steps,
            initial=self.images // batch,
            desc=f"{name:>6}",
            disable=not self.progress,
            mininterval=1.0,  # a kernel drops messages, the last too, if a client reads them late
        )
        with bar:
            for step in range(self.images // batch, steps):
                for key, value in self.step(step, batch).items():
                    sums.setdefault(key, []).append(value)
                seen, self.images = self.images, (step + 1) * batch
                bar.update()
                last = step + 1 == steps
                if last or self.images // recipe.validate_images > seen // recipe.validate_images:
                    self.log.append(self._validate())
                    self.watch(self.log)
                    if self.progress:  # a line that stays, also where no bar can be shown
                        bar.write(_sentence(self.log[-1], total))
                    last |= name == "pose" and pose_converged(self.log, recipe)
                if (step + 1) % _LOG_STEPS == 0 or last:
                    means = {
                        k: float(processes.mean(torch.stack(v).mean())) for k, v in sums.items()
                    }
                    self.log.append({"stage": name, "images": self.images, **means})
                    sums = {}
                    bar.set_postfix({k: f"{v:.3g}" for k, v in means.items()}, refresh=False)
                    self.watch(self.log)
                    self.timing[name] = before + time.monotonic() - start
                    if seconds:
                        over = self.timing[name] > seconds.get(name, math.inf)
                        last |= processes.from_first(over)
                    # Only here, so that a resumed run logs the same means.
                    if not last and time.monotonic() > self.next_save:
                        self.save()
                if last:
                    break
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
            choices = recipe.balance, recipe.refined_pose_weight
            losses, loss = step2_losses(prediction, crops, joints_mm, *choices)
        else:
            cells = recipe.volume_size, recipe.volume_weight
            volume = None if name == "pose" or not recipe.volume_weight else self.volume_loss
            losses, loss = step1_losses(prediction.uvd, crops.to_uvd(joints_mm), volume, *cells)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {key: value.detach() for key, value in losses.items()}

    def _validate(self):
        """A row of the log: error on the validation frames, and the poses of a few of them."""
        if not processes.is_first():
            return processes.from_first(None)
        refine = STAGES[self.stage] == "refine"
        initial, refined = predict_crops(self.model, self.validation, self.device)
        row = {"stage": STAGES[self.stage], "images": self.images}
        row["validation_initial_mm"] = mean_joint_error(initial, self.validation.joints)
        if refine:
            row["validation_refined_mm"] = mean_joint_error(refined, self.validation.joints)
        poses = (refined if refine else initial)[strip_rows(len(initial))]
        row["strip_mm"] = poses.round(1).tolist()
        return processes.from_first(row)

    def save(self):
        """Write a checkpoint."""
        if not processes.is_first():
            return
        state = {
            "recipe": self.recipe.to_json(),
            "data": self.identity,
            "stage": self.stage,
            "images": self.images,
            "pose_seen": self.pose_seen,
            "log": json.dumps(self.log),
            "timing": json.dumps(self.timing),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        start = time.monotonic()
        save_checkpoint(self.folder, state)
        now = time.monotonic()
        self.next_save = now + max(self.checkpoint_seconds, 19 * (now - start))

    def finish(self, test):
        """Test the network and write what a finished run's folder holds."""
        model = self.model.eval()
        model.save(self.folder / "model.safetensors")
        for name in ("log", "timing"):
            data = f"{json.dumps(getattr(self, name))}\n".encode()
            write_aside(self.folder / f"{name}.json", data)
        seen = {row["stage"]: row["images"] for row in self.log}  # the last of each stage
        evaluate_run(
            model, self.crops, test, self.folder, self.identity, seen, self.device, self.progress
        )

    def resume(self):
        """Take up the folder's checkpoint; whether it has one."""
        state = load_checkpoint(self.folder, self.device)
        at = (state["stage"], state["images"]) if state else None
        _want_same_everywhere(f"checkpoint in {self.folder}", at)
        if state is None:
            return False
        stored = json.loads(state["recipe"])
        path = self.folder / "checkpoint.pt"
        _want_same(path, stored, self.recipe, state.get("data"), self.identity)
        self.stage, self.images = state["stage"], state["images"]
        self.pose_seen = state["pose_seen"]
        self.log, self.timing = json.loads(state["log"]), json.loads(state["timing"])
        self.model.load_state_dict(state["model"])
        self.begin_stage()
        self.optimizer.load_state_dict(state["optimizer"])
        return True

    def begin_with(self, path):
        """Take an earlier run's weights, but this data set's bone lengths."""
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


def _sentence(row, total):
    names = [name for name in ("initial", "refined") if f"validation_{name}_mm" in row]
    errors = [f"{name} {row[f'validation_{name}_mm']:.1f} mm" for name in names]
    return (
        f"{row['stage']:>6} {row['images']:>7} of {total} images, validation: {', '.join(errors)}"
    )


def _finished(recipe, folder, identity):
    """The run that the folder holds whole, if it does."""
    path = folder / "result.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    _want_same(path, result["recipe"], recipe, result.get("data"), identity)
    model = HandPoseNet.load(folder / "model.safetensors")
    return Run(folder, model, json.loads((folder / "log.json").read_text()), result)


def _want_same(path, stored, recipe, data, identity):
    """Refuse to go on with a run of another recipe or on another data set."""
    wanted = json.loads(recipe.to_json())
    stored = json.loads(Recipe().to_json()) | stored  # one from before a value came to be
    other = [name for name in wanted | stored if stored.get(name) != wanted.get(name)]
    if other:
        found = f"{other[0]} = {stored.get(other[0])!r}, wanted {wanted.get(other[0])!r}"
        raise ValueError(f"{path} is of another recipe, with {found}: {_ELSEWHERE}")
    if data != identity:
        raise ValueError(f"{path} is of another data set than the one given: {_ELSEWHERE}")


def _want_same_everywhere(what, value):
    """Refuse processes that would not train together."""
    if processes.from_first(value) != value:
        raise ValueError(f"{what} is another one here than in the first process, wanted the same")


_ELSEWHERE = "choose another run folder or remove this one"
