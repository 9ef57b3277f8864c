"""The stages of training (paper, section 3.1), checkpoints and resuming.

Step 1 trains the estimator with eq. 3 ("pose") and then with eq. 4 too ("volume");
Step 2 ("refine") trains estimator and refiner together with eq. 3, 5 and 6, balanced by
gradient magnitude. What a step draws depends on the recipe's seed, the stage and the
step alone, so a run that was killed goes on exactly as if it had not been.
"""

import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.augmentation import augment, draw
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import write_aside
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import mean_joint_error
from senorita_lib.hand import joints_to_bones
from senorita_lib.inference import data_identity, evaluate_run, predict_crops
from senorita_lib.losses import balance_weights, pose_loss, residual_orientation_loss
from senorita_lib.model import HandPoseNet
from senorita_lib.renderer import skeleton_volume_loss

STAGES = ("pose", "volume", "refine")
_LOG_STEPS = 10
_VALIDATIONS = 4  # in each stage
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
    volume_loss=None,
):
    """Train a recipe through all its stages and test it, or go on where an earlier call stopped.

    Parameters
    ----------
    recipe : Recipe
    data : path
        Root of a data set in HANDS19's layout.
    folder : path
        Where ``checkpoint.pt``, ``model.safetensors``, ``log.json``, ``result.json`` and
        ``predictions.npz`` go.
    device : str, optional
        The graphics card if there is one, else the CPU.
    progress : bool
    checkpoint_seconds : float
        Time between two checkpoints.
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
    crop = {"size": recipe.image_size, "foreground": recipe.foreground, "centre": recipe.centre}
    crops = load_crops(Hands19(data, "train"), progress=progress, **crop)
    # The challenge wants a pose for every test frame, also where the box is empty.
    test = load_crops(Hands19(data, "test", skip_degenerate=False), progress=progress, **crop)
    identity = data_identity(crops, test)
    finished = _finished(recipe, folder, identity)
    if finished:
        return finished
    trainer = _Trainer(recipe, crops, folder, device, identity, volume_loss)
    trainer.resume()
    while trainer.stage < len(STAGES):
        trainer.run_stage(progress, checkpoint_seconds)
    model = trainer.model.eval()
    model.save(folder / "model.safetensors")
    write_aside(folder / "log.json", (json.dumps(trainer.log) + "\n").encode())
    result = evaluate_run(model, crops, test, folder, device, progress)
    return Run(folder, model.cpu(), trainer.log, result)


def learning_rate(recipe, stage, images):
    """Rate after ``images`` of a stage: divided at the milestones in Step 1, constant in Step 2."""
    if STAGES[stage] == "refine":
        return recipe.learning_rate * recipe.refine_rate_factor
    seen = images + (recipe.pose_images if STAGES[stage] == "volume" else 0)
    return recipe.learning_rate * recipe.decay ** sum(seen >= m for m in recipe.milestones)


class _Trainer:
    """Everything a checkpoint holds, and one step of each stage."""

    def __init__(self, recipe, crops, folder, device, identity, volume_loss):
        self.recipe, self.crops, self.folder, self.device = recipe, crops, folder, device
        self.identity = identity
        if volume_loss is None:  # in a short stage, compiling takes longer than it saves
            compiled = None if recipe.volume_images > _WORTH_COMPILING else False
            volume_loss = partial(skeleton_volume_loss, compiled=compiled)
        self.volume_loss = volume_loss
        rows = np.flatnonzero(crops.found)
        held = max(1, round(len(rows) * recipe.validation_share))
        self.train_rows, self.validation_rows = rows[:-held], rows[-held:]
        for name in ("batch", "refine_batch"):
            if len(self.train_rows) < getattr(recipe, name):
                raise ValueError(
                    f"the data set has {len(self.train_rows)} training frames with a hand, "
                    f"wanted at least one batch of {getattr(recipe, name)}"
                )
        torch.manual_seed(recipe.seed)
        bones = joints_to_bones(crops.joints[rows])
        lengths = torch.from_numpy(np.linalg.norm(bones, axis=-1).mean(axis=0))
        self.model = HandPoseNet(recipe, lengths).to(device)
        self.stage = self.images = 0
        self.log = []
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self):
        estimator, refiner = self.model.estimator, self.model.refiner
        groups = [{"params": list(estimator.parameters()), "factor": 1.0}]
        if self.stage < len(STAGES) and STAGES[self.stage] == "refine":
            factor = self.recipe.refiner_rate_factor
            groups.append({"params": list(refiner.parameters()), "factor": factor})
        return torch.optim.RMSprop(groups, lr=self.recipe.learning_rate, alpha=0.99, eps=1e-8)

    def run_stage(self, progress, checkpoint_seconds):
        """From where the stage stands to its end."""
        name, recipe = STAGES[self.stage], self.recipe
        total = getattr(recipe, f"{name}_images")
        batch = recipe.refine_batch if name == "refine" else recipe.batch
        steps = total // batch
        saved = time.monotonic()
        sums, validate = {}, {round(steps * (i + 1) / _VALIDATIONS) for i in range(_VALIDATIONS)}
        bar = tqdm(
            total=steps,
            initial=self.images // batch,
            desc=f"{name:>6}",
            disable=not progress,
            mininterval=1.0,  # a kernel drops messages, the last too, if a client reads them late
        )
        with bar:
            for step in range(self.images // batch, steps):
                for key, value in self._step(step, batch).items():
                    sums.setdefault(key, []).append(value)
                self.images = (step + 1) * batch
                bar.update()
                if step + 1 in validate:
                    self.log.append(self._validate())
                    if progress:  # a line that stays, also where no bar can be shown
                        bar.write(_sentence(self.log[-1], total))
                if (step + 1) % _LOG_STEPS == 0 or step + 1 == steps:
                    means = {k: float(torch.stack(v).mean()) for k, v in sums.items()}
                    self.log.append({"stage": name, "images": self.images, **means})
                    sums = {}
                    bar.set_postfix({k: f"{v:.3g}" for k, v in means.items()}, refresh=False)
                    # Only here, so that a resumed run logs the same means.
                    if time.monotonic() - saved > checkpoint_seconds:
                        self.save()
                        saved = time.monotonic()
        self.stage, self.images = self.stage + 1, 0
        if STAGES[self.stage - 1] != "pose":  # eq. 4 joins Step 1, it does not begin another
            self.optimizer = self._new_optimizer()
        self.save()

    def _step(self, step, batch):
        recipe, name = self.recipe, STAGES[self.stage]
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.stage, step * batch) * group["factor"]
        crops, joints_mm = self.crops.batch(self._rows(step, batch), self.device)
        draws = draw(
            batch,
            torch.Generator().manual_seed(_seed(recipe.seed, self.stage, step)),
            angle=recipe.rotation,
            scale=recipe.scale,
            scale_probability=recipe.scale_probability,
            shift=recipe.shift,
        )
        crops, joints_mm = augment(crops, joints_mm, draws)
        true_uvd = crops.to_uvd(joints_mm)
        if name == "refine":
            losses, loss = self._refine_losses(crops, joints_mm, true_uvd)
        else:
            uvd = self.model.estimate(crops)
            loss = pose_loss(uvd, true_uvd)
            losses = {"L_jt": loss}
            if name == "volume":
                cells = recipe.volume_size
                losses["L_3dske"] = self.volume_loss(
                    cells * uvd - 0.5, cells * true_uvd - 0.5, size=(cells,) * 3, gamma=recipe.gamma
                )
                loss = loss + recipe.volume_weight * losses["L_3dske"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {key: value.detach() for key, value in losses.items()}

    def _refine_losses(self, crops, joints_mm, true_uvd):
        prediction = self.model(crops)
        refined_uvd = crops.to_uvd(prediction.refinement.joints_mm)
        losses = {
            "L_jt": pose_loss(prediction.uvd, true_uvd),
            "L_res_ori": residual_orientation_loss(prediction.refinement, joints_mm),
            "L_jt_ref": pose_loss(refined_uvd, true_uvd),
        }
        outputs = prediction.uvd, prediction.refinement.residual_orientation, refined_uvd
        weights = balance_weights(list(losses.values()), outputs)
        loss = (weights * torch.stack(list(losses.values()))).sum()
        named = zip(("w_jt", "w_res_ori", "w_jt_ref"), weights, strict=True)
        return losses | dict(named), loss

    def _rows(self, step, batch):
        """Rows of a step: each epoch is a permutation; a batch may span two."""
        count = len(self.train_rows)
        places = np.arange(step * batch, (step + 1) * batch)
        rows = np.empty(batch, int)
        for epoch in np.unique(places // count):
            order = np.random.default_rng([self.recipe.seed, self.stage, epoch]).permutation(count)
            here = places // count == epoch
            rows[here] = self.train_rows[order[places[here] % count]]
        return rows

    def _validate(self):
        subset = self.crops.take(self.validation_rows)
        initial, refined = predict_crops(self.model, subset, self.device)
        row = {"stage": STAGES[self.stage], "images": self.images}
        row["validation_initial_mm"] = mean_joint_error(initial, subset.joints)
        if STAGES[self.stage] == "refine":
            row["validation_refined_mm"] = mean_joint_error(refined, subset.joints)
        return row

    def save(self):
        """Write a checkpoint aside, then rename it over the last."""
        state = {
            "recipe": self.recipe.to_json(),
            "data": self.identity,
            "stage": self.stage,
            "images": self.images,
            "log": json.dumps(self.log),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        aside = self.folder / "checkpoint.part"
        torch.save(state, aside)
        os.replace(aside, self.folder / "checkpoint.pt")

    def resume(self):
        """Take up the folder's checkpoint, if it has one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch raises several kinds for a damaged file
            raise ValueError(
                f"{path} is damaged ({type(error).__name__}), wanted a checkpoint: "
                "remove it to start the run anew"
            ) from error
        _want_same(path, json.loads(state["recipe"]), self.recipe, state.get("data"), self.identity)
        self.stage, self.images = state["stage"], state["images"]
        self.log = json.loads(state["log"])
        self.model.load_state_dict(state["model"])
        self.optimizer = self._new_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])


def _sentence(row, total):
    errors = [f"{k.split('_')[1]} {v:.1f} mm" for k, v in row.items() if k.endswith("_mm")]
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


def _seed(*parts):
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
