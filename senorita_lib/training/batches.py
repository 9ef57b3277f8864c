"""Where a training run's batches come from: a data set's crops, or the synthetic hand's stream.

A batch depends on seed, stage and step alone. Each of several processes takes its part of it; of
the open world each sees its windows in ways of its own.
"""

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from senorita_lib.augmentation import Draws, augment, draw
from senorita_lib.cropping import CropBatch
from senorita_lib.datasets.crops import CropSet
from senorita_lib.datasets.synthetic.stream import Batch, SyntheticStream
from senorita_lib.recipes import Recipe
from senorita_lib.training import processes
from senorita_lib.training.views import look

WORLD = 2  # raise it when what sources other than files show changes
_BEYOND = 1 << 50  # where streams begin: data sets have the first frames, to validate on

Rows = npt.NDArray[np.int64]


class Batches:
    """Augmented training batches of a recipe, from some ``rows`` of a data set's training frames.

    Raises ValueError if there are fewer rows than a batch, or processes cannot share one evenly.
    """

    def __init__(
        self, recipe: Recipe, crops: CropSet, rows: Rows, device: str | torch.device
    ) -> None:
        self.recipe, self.crops, self.device = recipe, crops, device
        self._order = Shuffled(rows, recipe.seed)
        # Stage, step and batch at which the stream stands, and the stream.
        self._stream: tuple[tuple[int, int, int], Iterator[Batch]] | None = None
        self._last: Batch | None = None  # the open world's, of which the next batch has half
        for name in ("batch", "volume_batch", "refine_batch"):  # not only when its stage begins
            size = getattr(recipe, name)
            processes.rank_slice(size // 2 if recipe.source == "open" else size, name)
        least = max(recipe.batch, recipe.volume_batch, recipe.refine_batch)
        if recipe.source == "files" and len(rows) < least:
            found = f"the data set has {len(rows)} training frames with a hand"
            raise ValueError(f"{found}, wanted at least one batch of {least}")

    def __call__(self, stage: int, step: int, batch: int) -> tuple[CropBatch, torch.Tensor]:
        """Part of a step's batch for this process: crops, and joints (B, 21, 3), camera frame, mm.

        ``batch`` is the size in all processes together.
        """
        recipe, part = self.recipe, processes.rank_slice(batch)
        if recipe.source == "open":
            rng = torch.Generator().manual_seed(seed_of(recipe.seed, stage, step, part.start))
            windows = self._next_of_stream(stage, step, batch)
            return look(*windows, recipe.image_size, rng, recipe.without)
        if recipe.source == "stream":
            crops, joints_mm = self._next_of_stream(stage, step, batch)
        else:
            crops, joints_mm = self.crops.batch(self._order(stage, step, batch)[part], self.device)
        rng = torch.Generator().manual_seed(seed_of(recipe.seed, stage, step))
        draws = Draws(*(values[part] for values in draw(batch, rng, recipe)))
        return augment(crops, joints_mm, draws)

    def _next_of_stream(self, stage: int, step: int, batch: int) -> Batch:
        """The stream goes on from step to step; elsewhere a new one starts.

        Of windows of the open world half of a batch is also in the next, seen otherwise.
        """
        place, recipe = (stage, step, batch), self.recipe
        is_open = recipe.source == "open"
        if self._stream is None or self._stream[0] != place:
            made = batch // 2 if is_open else batch
            # Windows take as long to draw as to learn from: also of two cores one draws.
            workers = max((os.cpu_count() or 1) - 2, int(is_open))
            stream = SyntheticStream(
                made, seed=recipe.seed, split="open" if is_open else "train",
                size=recipe.image_size, foreground=recipe.foreground, centre=recipe.centre,
                start=(stage << 40) + step + _BEYOND * (not is_open),
                part=processes.rank_slice(made), workers=workers, without=recipe.without,
            )  # fmt: skip
            self._stream = place, iter(stream)
            self._last = next(self._stream[1]) if is_open else None
        batches, before = self._stream[1], self._last
        crops, joints_mm = new = next(batches)
        self._stream = (stage, step + 1, batch), batches
        if before is not None:
            self._last, both = new, zip(_parts(before), _parts(new), strict=True)
            image, box, centre, joints_mm = map(torch.cat, both)
            crops = CropBatch(image, box, centre, crops.camera)
        return crops.to(self.device), joints_mm.to(self.device)


def _parts(batch: Batch) -> tuple[torch.Tensor, ...]:
    crops, joints_mm = batch
    return crops.image, crops.box, crops.cube_centre, joints_mm


class Shuffled:
    """Rows in a new order in each epoch: which of them a step takes."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self._order: tuple[tuple[int, int], Rows] = (-1, -1), rows

    def __call__(self, stage: int, step: int, batch: int) -> Rows:
        """Rows of a step, (batch,); it may span two epochs."""
        epochs, places = np.divmod(np.arange(step * batch, (step + 1) * batch), len(self.rows))
        parts = [self._epoch(stage, int(e))[places[epochs == e]] for e in np.unique(epochs)]
        return np.concatenate(parts)

    def _epoch(self, stage: int, epoch: int) -> Rows:
        if self._order[0] != (stage, epoch):
            rng = np.random.default_rng([self.seed, stage, epoch])
            self._order = (stage, epoch), self.rows[rng.permutation(len(self.rows))]
        return self._order[1]


def seed_of(*parts: int) -> int:
    """One seed for torch from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
