"""A run of training: stages of steps, a log, validation, checkpoints, and how it goes on.

What a step is, and on what, a subclass says: :mod:`senorita_lib.training.stages` for hands,
:mod:`senorita_lib.people.pretraining` for people.
"""

import json
import math
import time

import torch
from tqdm.auto import tqdm

from senorita_lib.files import atomic_write
from senorita_lib.recipes import Recipe
from senorita_lib.training import processes
from senorita_lib.training.checkpoints import load_checkpoint, save_checkpoint

_LOG_STEPS = 10
ELSEWHERE = "choose another run folder or remove this one"


class Loop:
    """Everything a checkpoint holds, and the way from one to the next.

    A subclass makes ``model`` and ``optimizer``, and :meth:`begin_stage`, :meth:`plan`,
    :meth:`step`, :meth:`validate` and :meth:`sentence`.

    Parameters
    ----------
    recipe : Recipe
    folder : pathlib.Path
        Where checkpoints go.
    device : str
    identity : str
        Of the data.
    progress : bool

    Attributes
    ----------
    stages : tuple of str
    counters : tuple of str
        Attributes that a checkpoint holds besides.
    stage, images : int
        Number of the stage, and images seen in it.
    log : list of dict
    timing : dict
        Seconds of each stage.
    """

    stages = ()
    counters = ()

    def __init__(self, recipe, folder, device, identity="", progress=False):
        self.recipe, self.folder, self.device = recipe, folder, device
        self.identity, self.progress = identity, progress
        self.stage = self.images = 0
        self.log, self.timing = [], {}
        self.pace()

    def pace(self, checkpoint_seconds=20.0, watch=None):
        """Say how often to write checkpoints, and who is told when the log has grown."""
        self.checkpoint_seconds, self.watch = checkpoint_seconds, watch or (lambda log: None)
        self.next_save = time.monotonic() + checkpoint_seconds

    def begin_stage(self):
        """Network and optimizer as the stage wants them."""
        raise NotImplementedError

    def plan(self):
        """Images and batch size of the stage."""
        raise NotImplementedError

    def step(self, step, batch):
        """Train on one batch; its losses, detached."""
        raise NotImplementedError

    def validate(self):
        """What the log says of a validation; the first process alone is asked."""
        raise NotImplementedError

    def sentence(self, row):
        """That in words."""
        raise NotImplementedError

    def is_over(self):
        """Whether the stage may end before its last image; asked after a validation."""
        return False

    def run_stage(self, seconds=None):
        """From where the stage stands to its end.

        Parameters
        ----------
        seconds : dict, optional
            Time that each stage may take.
        """
        name, recipe = self.stages[self.stage], self.recipe
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
                    self.log.append(self._validated(name))
                    self.watch(self.log)
                    if self.progress:  # a line that stays, also where no bar can be shown
                        what = f"{name:>6} {self.images:>7} of {total} images"
                        bar.write(f"{what}, validation: {self.sentence(self.log[-1])}")
                    last |= self.is_over()
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

    def _validated(self, name):
        if not processes.is_first():
            return processes.from_first(None)
        return processes.from_first({"stage": name, "images": self.images, **self.validate()})

    def save(self):
        """Write a checkpoint."""
        if not processes.is_first():
            return
        state = {
            "recipe": self.recipe.to_json(),
            "data": self.identity,
            "stage": self.stage,
            "images": self.images,
            **{name: getattr(self, name) for name in self.counters},
            "log": json.dumps(self.log),
            "timing": json.dumps(self.timing),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        start = time.monotonic()
        save_checkpoint(self.folder, state)
        now = time.monotonic()
        self.next_save = now + max(self.checkpoint_seconds, 19 * (now - start))

    def write_records(self):
        """Write ``log.json`` and ``timing.json``."""
        for name in ("log", "timing"):
            data = f"{json.dumps(getattr(self, name))}\n".encode()
            atomic_write(self.folder / f"{name}.json", data)

    def resume(self):
        """Take up the folder's checkpoint; whether it has one."""
        state = load_checkpoint(self.folder, self.device)
        at = (state["stage"], state["images"]) if state else None
        want_same_everywhere(f"checkpoint in {self.folder}", at)
        if state is None:
            return False
        path = self.folder / "checkpoint.pt"
        stored = json.loads(state["recipe"])
        want_same(path, stored, self.recipe, state.get("data"), self.identity)
        for name in ("stage", "images", *self.counters):
            setattr(self, name, state[name])
        self.log, self.timing = json.loads(state["log"]), json.loads(state["timing"])
        self.model.load_state_dict(state["model"])
        self.begin_stage()
        self.optimizer.load_state_dict(state["optimizer"])
        return True


def counted(log):
    """The log with the images ``seen`` since the run began, not the stage."""
    before = dict.fromkeys(row["stage"] for row in log)
    start = 0
    for stage in before:
        before[stage] = start
        start += max(row["images"] for row in log if row["stage"] == stage)
    return [row | {"seen": before[row["stage"]] + row["images"]} for row in log]


def rmsprop(groups, recipe):
    """The paper's solver, as the release has it."""
    return torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=0.99, eps=1e-8)


def want_same(path, stored, recipe, data, identity):
    """Refuse to go on with a run of another recipe or on another data set."""
    wanted = json.loads(recipe.to_json())
    stored = json.loads(Recipe().to_json()) | stored  # one from before a value came to be
    other = [name for name in wanted | stored if stored.get(name) != wanted.get(name)]
    if other:
        found = f"{other[0]} = {stored.get(other[0])!r}, wanted {wanted.get(other[0])!r}"
        raise ValueError(f"{path} is of another recipe, with {found}: {ELSEWHERE}")
    if data != identity:
        raise ValueError(f"{path} is of another data set than the one given: {ELSEWHERE}")


def want_same_everywhere(what, value):
    """Refuse processes that would not train together."""
    if processes.from_first(value) != value:
        raise ValueError(f"{what} is another one here than in the first process, wanted the same")
