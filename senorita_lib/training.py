"""The stages of training (paper, section 3.1), checkpoints and resuming.

Step 1 trains the estimator with eq. 3 ("pose") and then with eq. 4 too ("volume");
Step 2 ("refine") trains estimator and refiner together with eq. 3, 5 and 6, balanced by
gradient magnitude. What a step draws depends on the recipe's seed, the stage and the
step alone, so a run that was killed goes on exactly as if it had not been.
"""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib import processes
from senorita_lib.batches import Batches
from senorita_lib.checkpoints import load_checkpoint, save_checkpoint
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import write_aside
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import mean_joint_error
from senorita_lib.hand import joints_to_bones
from senorita_lib.inference import data_identity, evaluate_run, predict_crops
from senorita_lib.losses import step1_losses, step2_losses
from senorita_lib.model import HandPoseNet
from senorita_lib.renderer import skeleton_volume_loss

STAGES = ("pose", "volume", "refine")
_LOG_STEPS = 10
_STRIP = 4  # validation frames whose poses the log keeps
_WORTH_COMPILING = 50_000  # images with eq. 4


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
        If the folder holds a run of another recipe or on other data.
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
    finished = _finished(recipe, folder, identity)
    if finished:
        return finished
    trainer = _Trainer(recipe, crops, folder, device, identity, volume_loss, progress)
    trainer.checkpoint_seconds, trainer.watch = checkpoint_seconds, watch or (lambda log: None)
    trainer.next_save = time.monotonic() + checkpoint_seconds
    trainer.resume()
    while trainer.stage < len(STAGES):
        trainer.run_stage(seconds)
    model = trainer.model.eval()
    if processes.is_first():
        model.save(folder / "model.safetensors")
        for name in ("log", "timing"):
            write_aside(folder / f"{name}.json", f"{json.dumps(getattr(trainer, name))}\n".encode())
        evaluate_run(model, crops, test, folder, device, progress)
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


class _Trainer:
    """Everything a checkpoint holds, and one step of each stage."""

    def __init__(self, recipe, crops, folder, device, identity, volume_loss, progress):
        self.recipe, self.crops, self.folder, self.device = recipe, crops, folder, device
        self.identity, self.progress = identity, progress
        # In a short stage, compiling takes longer than it saves.
        compiled = None if recipe.volume_images > _WORTH_COMPILING else False
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
        rows = np.flatnonzero(crops.found)
        seen, held = split_rows(recipe, crops)
        self.validation = crops.take(held)
        self.batches = Batches(recipe, crops, seen, device, progress)
        torch.manual_seed(recipe.seed)
        bones = joints_to_bones(crops.joints[rows])
        lengths = torch.from_numpy(np.linalg.norm(bones, axis=-1).mean(axis=0))
        self.model = HandPoseNet(recipe, lengths).to(device)
        self.narrow = recipe.precision == "bfloat16"
        if self.narrow:
            self.model.estimator.to(memory_format=torch.channels_last)
        self.stage = self.images = self.pose_seen = 0
        self.log, self.timing = [], {}
        self._begin_stage()

    def _begin_stage(self):
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

    def _plan(self):
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
        total, batch = self._plan()
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
                for key, value in self._step(step, batch).items():
                    sums.setdefault(key, []).append(value)
                seen, self.images = self.images, (step + 1) * batch
                bar.update()
                last = step + 1 == steps
                if last or self.images // recipe.validate_images > seen // recipe.validate_images:
                    self.log.append(self._validate())
                    self.watch(self.log)
                    if self.progress:  # a line that stays, also where no bar can be shown
                        bar.write(_sentence(self.log[-1], total))
                    last |= self._has_converged()
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
                        last |= processes.from_first(self.timing[name] > seconds[name])
                    # Only here, so that a resumed run logs the same means.
                    if not last and time.monotonic() > self.next_save:
                        self.save()
                if last:
                    break
        if name == "pose":
            self.pose_seen = self.images
        optimizer = self.optimizer
        self.stage, self.images = self.stage + 1, 0
        self._begin_stage()
        if name == "pose":  # eq. 4 joins Step 1, it does not begin another
            self.optimizer = optimizer
        self.save()

    def _has_converged(self):
        if STAGES[self.stage] != "pose":
            return False
        errors = [
            row["validation_initial_mm"] for row in self.log if "validation_initial_mm" in row
        ]
        return has_converged(errors, self.recipe.converged, self.recipe.patience)

    def _step(self, step, batch):
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
            losses, loss = step2_losses(prediction, crops, joints_mm, recipe.balance)
        else:
            cells = recipe.volume_size, recipe.volume_weight
            volume = None if name == "pose" else self.volume_loss
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

    def resume(self):
        """Take up the folder's checkpoint, if it has one."""
        state = load_checkpoint(self.folder, self.device)
        if state is None:
            return
        stored = json.loads(state["recipe"])
        path = self.folder / "checkpoint.pt"
        _want_same(path, stored, self.recipe, state.get("data"), self.identity)
        self.stage, self.images = state["stage"], state["images"]
        self.pose_seen = state["pose_seen"]
        self.log, self.timing = json.loads(state["log"]), json.loads(state["timing"])
        self.model.load_state_dict(state["model"])
        self._begin_stage()
        self.optimizer.load_state_dict(state["optimizer"])


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
    errors = [f"{k.split('_')[1]} {v:.1f} mm" for k, v in row.items() if "validation" in k]
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
    other = [name for name in wanted | stored if stored.get(name) != wanted.get(name)]
    if other:
        found = f"{other[0]} = {stored.get(other[0])!r}, wanted {wanted.get(other[0])!r}"
        raise ValueError(f"{path} is of another recipe, with {found}: {_ELSEWHERE}")
    if data != identity:
        raise ValueError(f"{path} is of another data set than the one given: {_ELSEWHERE}")


_ELSEWHERE = "choose another run folder or remove this one"
