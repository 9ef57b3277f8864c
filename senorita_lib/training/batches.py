"""Where a training run's batches come from: a data set's crops, or the synthetic hand's stream.

A batch depends on seed, stage and step alone, and several processes take each their part of it.
"""

import numpy as np
import torch

from senorita_lib.augmentation import augment, draw
from senorita_lib.datasets.synthetic.stream import SyntheticStream
from senorita_lib.training import processes


class Batches:
    """Augmented training batches of a recipe.

    Parameters
    ----------
    recipe : Recipe
    crops : CropSet
        The data set's training frames.
    rows : array of int
        Those to train on.
    device : str
    progress : bool

    Raises
    ------
    ValueError
        If the data set has fewer rows than a batch, or the processes cannot share one evenly.
    """

    def __init__(self, recipe, crops, rows, device, progress=True):
        self.recipe, self.crops, self.rows, self.device = recipe, crops, rows, device
        self.stream, self._order = None, Shuffled(rows, recipe.seed)
        for name in ("batch", "volume_batch", "refine_batch"):  # not only when its stage begins
            processes.rank_slice(getattr(recipe, name), name)
        if recipe.source == "stream":
            self.stream = SyntheticStream(
                recipe.seed, size=recipe.image_size, device=device, pool=recipe.pool,
                progress=progress,
            )  # fmt: skip
            return
        least = max(recipe.batch, recipe.volume_batch, recipe.refine_batch)
        if len(rows) < least:
            raise ValueError(
                f"the data set has {len(rows)} training frames with a hand, "
                f"wanted at least one batch of {least}"
            )

    def __call__(self, stage, step, batch):
        """The part of a step's batch that falls to this process.

        Parameters
        ----------
        stage, step, batch : int
            Number of the stage and of the step in it, size of the batch in all processes.

        Returns
        -------
        crops : CropBatch
        joints_mm : tensor, (B, 21, 3)
            Camera frame, mm.
        """
        recipe, part = self.recipe, processes.rank_slice(batch)
        if self.stream is not None:
            crops, joints_mm = self.stream.batch((stage << 40) + step, batch, part)
        else:
            rows = self._order(stage, step, batch)[part]
            crops, joints_mm = self.crops.batch(rows, self.device)
        draws = draw(
            batch,
            torch.Generator().manual_seed(seed_of(recipe.seed, stage, step)),
            angle=recipe.rotation,
            scale=recipe.scale,
            scale_probability=recipe.scale_probability,
            shift=recipe.shift,
        )
        return augment(crops, joints_mm, draws.take(part))


class Shuffled:
    """Rows in a new order each epoch: which of them a step takes.

    Parameters
    ----------
    rows : array of int
    seed : int
    """

    def __init__(self, rows, seed):
        self.rows, self.seed, self._order = rows, seed, (None, None)

    def __call__(self, stage, step, batch):
        """Rows of a step, (batch,); it may span two epochs."""
        count = len(self.rows)
        places = np.arange(step * batch, (step + 1) * batch)
        rows = np.empty(batch, int)
        for epoch in np.unique(places // count):
            here = places // count == epoch
            rows[here] = self._epoch(stage, int(epoch))[places[here] % count]
        return rows

    def _epoch(self, stage, epoch):
        if self._order[0] != (stage, epoch):
            rng = np.random.default_rng([self.seed, stage, epoch])
            self._order = (stage, epoch), self.rows[rng.permutation(len(self.rows))]
        return self._order[1]


def seed_of(*parts):
    """One seed for torch of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
