"""A training run: stages of steps, a log, validation, checkpoints, and how it resumes.

A subclass says what a stage trains and on what: :mod:`senorita_lib.training.stages` for hands,
:mod:`senorita_lib.people.pretraining` for people.
"""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from tqdm.auto import tqdm

from senorita_lib.files import atomic_write, folder_lock
from senorita_lib.losses import Losses
from senorita_lib.recipes import Recipe
from senorita_lib.training import processes
from senorita_lib.training.checkpoints import last_checkpoint, load_checkpoint, save_checkpoint

Row = dict[str, Any]  # of a log: "stage", "images" seen in it, and means of losses or errors
R = TypeVar("R")

STAGES = ("pose", "volume", "refine")
_LOG_STEPS = 10
_CPU_INFO = Path("/proc/cpuinfo")
_ELSEWHERE = "choose another run folder or remove this one"


def learning_rate(recipe: Recipe, stage: int, images: int) -> float:
    """Learning rate of the estimator in ``STAGES[stage]``.

    ``images`` are those seen in Step 1, where the rate is divided at the milestones; in Step 2 it
    is constant.
    """
    if STAGES[stage] == "refine":
        return recipe.learning_rate * recipe.refine_rate_factor
    factor = recipe.volume_rate_factor if STAGES[stage] == "volume" else 1.0
    drops = sum(images >= milestone for milestone in recipe.milestones)
    return recipe.learning_rate * factor * recipe.decay**drops


def has_converged(errors: list[float], share: float, patience: int) -> bool:
    """Whether none of the last ``patience`` errors is less by a share than the least before."""
    before, last = errors[:-patience], errors[-patience:]
    return bool(before) and min(last) > (1 - share) * min(before)


def pose_converged(log: list[Row], recipe: Recipe) -> bool:
    """Whether eq. 4 may join Step 1: validation has converged since the rate was last divided.

    Only validations after the last milestone before ``pose_images`` count: an error may also stand
    still because the rate is too high, until it is divided.
    """
    last = max((m for m in recipe.milestones if m < recipe.pose_images), default=0)
    key = "validation_initial_mm"
    rows = [row for row in log if row["stage"] == "pose" and key in row]
    errors = [row[key] for row in rows if row["images"] > last]
    return has_converged(errors, recipe.converged, recipe.patience)


def images_seen(log: list[Row]) -> dict[str, int]:
    """Images that each stage has seen."""
    return {row["stage"]: row["images"] for row in log}  # the last row of each


def counted(log: list[Row]) -> list[Row]:
    """The log with the images ``seen`` since the start of the run, not of the stage."""
    totals = images_seen(log)
    before = dict(zip(totals, accumulate(totals.values(), initial=0), strict=False))
    return [row | {"seen": before[row["stage"]] + row["images"]} for row in log]


def training_precision(wanted: str, device: str | torch.device) -> str:
    """The precision in which networks train here: "float32" or "bfloat16".

    ``wanted`` is a recipe's. "auto" is bfloat16 where the processor computes it, which is several
    times faster; elsewhere it is emulated, which is slower than float32.
    """
    if wanted != "auto":
        return wanted
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    flags = _CPU_INFO.read_text().split() if _CPU_INFO.exists() else ()
    return "bfloat16" if {"amx_bf16", "avx512_bf16"}.intersection(flags) else "float32"


def run_once(
    folder: Path, recipe: Recipe, identity: str, read: Callable[[], R | None],
    run: Callable[[], None], progress: bool,
) -> R:  # fmt: skip
    """What ``read`` reads from a folder; if that is None, ``run`` trains first.

    One process at a time, or one group of processes, trains in a folder. A group must agree on
    recipe and identity of the data; its first process writes what ``read`` reads.
    """
    processes.assert_equal_across_ranks("recipe", recipe.to_json())
    processes.assert_equal_across_ranks("data set", identity)
    waiting = f"another process trains in {folder}: waiting for it" if progress else ""
    with folder_lock(folder, waiting) if processes.is_first() else nullcontext():
        if not processes.broadcast(read() is not None):
            run()
            processes.broadcast(None)  # the others wait for the first one's files
        finished = read()
        assert finished is not None
        return finished


class Loop:
    """Trains the network of a run through all its stages.

    A subclass sets ``model`` and then calls :meth:`begin_stage`; it defines :meth:`plan`,
    :meth:`groups`, :meth:`loss` and :meth:`validate`. A run resumes only with the same
    ``identity``, which is that of the data set and of the initial weights.
    """

    stages: tuple[str, ...] = STAGES
    model: nn.Module

    def __init__(
        self, recipe: Recipe, folder: Path, device: str, identity: str = "", *,
        progress: bool = False, checkpoint_seconds: float = 20.0,
        watch: Callable[[list[Row]], object] | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.folder, self.device = recipe, folder, device
        self.identity, self.progress, self.watch = identity, progress, watch or (lambda log: None)
        self.precision = training_precision(recipe.precision, device)
        for stage, name in enumerate(STAGES):
            rate = learning_rate(recipe, stage, 0)
            rate *= max(1, recipe.refiner_rate_factor) if name == "refine" else 1
            if not rate <= torch.finfo(torch.float32).max:
                said = f"the learning rate of stage {name!r} is {rate:.3g} with its factors"
                raise ValueError(f"{said}, wanted a finite number in float32")
        self.checkpoint_seconds = checkpoint_seconds
        self.next_save = time.monotonic() + checkpoint_seconds
        self.stage = self.images = 0  # index of the stage, and images seen in it
        self.log: list[Row] = []
        self.timing: dict[str, float] = {}  # seconds of each stage

    def plan(self) -> tuple[int, int]:
        """Images and batch size of the stage."""
        raise NotImplementedError

    def groups(self) -> list[dict[str, Any]]:
        """Parameters that the stage trains, in groups, each with a ``factor`` on its rate."""
        raise NotImplementedError

    def loss(self, step: int, batch: int) -> tuple[Losses, torch.Tensor]:
        """What the log keeps of a step, and the loss that it minimises."""
        raise NotImplementedError

    def settle(self) -> None:
        """What all processes do before a validation; nothing if a subclass does not say more."""

    def validate(self) -> Row:
        """Errors for the log, ``validation_WHAT_UNIT``; only the first process is asked."""
        raise NotImplementedError

    def run(self) -> None:
        """Train from where the run stands to its end."""
        while self.stage < len(self.stages):
            self.run_stage()
            self.stage, self.images = self.stage + 1, 0
            self.begin_stage()
            self.save()

    def begin_stage(self) -> None:
        """Make the network, shared by all processes, and the optimizer: RMSprop as released."""
        if self.stage == len(self.stages) or self.stages[self.stage] == "volume":
            return  # eq. 4 joins Step 1, whose optimizer goes on
        groups = self.groups()
        self.network = self.model  # the hooks of an earlier stage go first
        self.network = processes.parallel(self.model)
        rate = self.recipe.learning_rate
        self.optimizer = torch.optim.RMSprop(groups, lr=rate, alpha=0.99, eps=1e-8)

    def run_stage(self) -> None:
        """Train from where the stage stands to its end: steps, validations, log, checkpoints."""
        name, interval = self.stages[self.stage], self.recipe.validate_images
        total, batch = self.plan()
        steps = total // batch
        before, start = self.timing.get(name, 0.0), time.monotonic()
        sums: dict[str, list[torch.Tensor]] = {}
        todo = range(self.images // batch, steps)
        bar = tqdm(
            desc=f"{name:>6}", total=steps, initial=todo.start, disable=not self.progress,
            mininterval=1.0,  # a kernel drops messages, the last too, if a client reads them late
        )  # fmt: skip
        with bar:
            for step in todo:
                try:
                    losses = self.step(step, batch)
                except (ValueError, RuntimeError):  # such as that of a loss that NaN reached
                    self.want_finite(self.model.state_dict())
                    raise
                for key, value in losses.items():
                    sums.setdefault(key, []).append(value)
                seen, self.images = self.images, (step + 1) * batch
                bar.update()
                last = step + 1 == steps
                if last or self.images // interval > seen // interval:
                    self.want_finite(self.mean_losses(sums))
                    self.settle()
                    self.want_finite(self.model.state_dict())  # a validation of NaN is a riddle
                    row = self.validate() if processes.is_first() else {}
                    row = {"stage": name, "images": self.images, **processes.broadcast(row)}
                    self.log.append(row)
                    self.watch(self.log)
                    if self.progress:  # a line that stays, also where no bar can be shown
                        what = f"{name:>6} {self.images:>7} of {total} images, validation"
                        bar.write(f"{what}: {format_errors(row)}")
                    last |= name == "pose" and pose_converged(self.log, self.recipe)
                if (step + 1) % _LOG_STEPS == 0 or last:
                    means = self.mean_losses(sums)
                    self.want_finite(means)
                    self.log.append({"stage": name, "images": self.images, **means})
                    sums = {}
                    bar.set_postfix({k: f"{v:.3g}" for k, v in means.items()}, refresh=False)
                    self.watch(self.log)
                    self.timing[name] = before + time.monotonic() - start
                    # Only here, so that a resumed run logs the same means.
                    if not last and time.monotonic() > self.next_save:
                        self.want_finite(self.model.state_dict())
                        self.save()
                if last:
                    break

    def mean_losses(self, sums: Mapping[str, list[torch.Tensor]]) -> dict[str, float]:
        """Means over steps and processes."""
        stacked = {key: torch.stack(values) for key, values in sums.items()}
        return {k: float(processes.mean(v.mean())) for k, v in stacked.items()}

    def want_finite(self, values: Mapping[str, float | torch.Tensor]) -> None:
        """Stop a run that training cannot mend; raises ValueError."""
        for name, value in values.items():
            if not torch.as_tensor(value).isfinite().all():
                at = f"in stage {self.stages[self.stage]!r} by image {self.images:,}"
                rate = max(group["lr"] for group in self.optimizer.param_groups)
                wanted = "wanted finite numbers, as with a lower rate"
                said = f"{name} is not finite {at} at the learning rate {rate:.3g}, {wanted}"
                raise ValueError(f"{said}; {last_checkpoint(self.folder)}")

    def step(self, step: int, batch: int) -> Losses:
        """Train on one batch; its losses, detached."""
        seen = step * batch
        if self.stages[self.stage] == "volume":
            seen += images_seen(self.log).get("pose", 0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.stage, seen) * group["factor"]
        self.model.train()
        losses, loss = self.loss(step, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {key: value.detach() for key, value in losses.items()}

    def autocast(self) -> torch.autocast:
        """The context in which networks train, in the precision of this run."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def save(self) -> None:
        """Write a checkpoint; the first process alone does."""
        if not processes.is_first():
            return
        state = {
            "recipe": self.recipe.to_json(), "data": self.identity,
            "stage": self.stage, "images": self.images, "precision": self.precision,
            "log": json.dumps(self.log), "timing": json.dumps(self.timing),
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        start = time.monotonic()
        save_checkpoint(self.folder, state)
        now = time.monotonic()
        self.next_save = now + max(self.checkpoint_seconds, 19 * (now - start))

    def resume(self) -> bool:
        """Load the folder's checkpoint; whether it has one."""
        state = load_checkpoint(self.folder, self.device)
        at = (state["stage"], state["images"]) if state else None
        processes.assert_equal_across_ranks(f"checkpoint in {self.folder}", at)
        if state is None:
            return False
        path, stored = self.folder / "checkpoint.pt", json.loads(state["recipe"])
        want_same(path, stored, self.recipe, state.get("data"), self.identity)
        if (before := state.get("precision", self.precision)) != self.precision:
            warnings.warn(f"{path} is in {before}, going on in {self.precision}", stacklevel=2)
        self.stage, self.images = state["stage"], state["images"]
        self.log, self.timing = json.loads(state["log"]), json.loads(state["timing"])
        self.model.load_state_dict(state["model"])
        self.begin_stage()
        if self.stage < len(self.stages):
            self.optimizer.load_state_dict(state["optimizer"])
        return True

    def write_records(self) -> None:
        """Write ``log.json`` and ``timing.json``."""
        for name in ("log", "timing"):
            atomic_write(self.folder / f"{name}.json", f"{json.dumps(getattr(self, name))}\n")


def format_errors(row: Row) -> str:
    """The errors of a validation: ``validation_initial_mm`` as ``initial 12.3 mm``."""
    found = [(k.split("_")[1:], v) for k, v in row.items() if k.startswith("validation_")]
    return ", ".join(" ".join([*what, f"{value:.1f}", unit]) for (*what, unit), value in found)


def want_same(path: Path, stored: Row, recipe: Recipe, data: str | None, identity: str) -> None:
    """Refuse to go on with a run of another recipe, or on another data set: raises ValueError."""
    wanted = json.loads(recipe.to_json())
    stored = json.loads(Recipe().to_json()) | stored  # an old recipe may lack some names
    stored.pop("pool", None)  # and had one more
    other = [name for name in wanted | stored if stored.get(name) != wanted.get(name)]
    if other:
        found = f"{other[0]} = {stored.get(other[0])!r}, wanted {wanted.get(other[0])!r}"
        raise ValueError(f"{path} is of another recipe, with {found}: {_ELSEWHERE}")
    if data != identity:
        what = "another data set (or other image files), start or synthetic world"
        raise ValueError(f"{path} is of {what}: {_ELSEWHERE}")
