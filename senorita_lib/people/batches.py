"""Augmented batches of people: half with only 2D labels, half with depths too."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from senorita_lib.augmentation import draw
from senorita_lib.files import user_path
from senorita_lib.people.crops import BodySet, cut_body
from senorita_lib.people.readers import Human36m, Mpii
from senorita_lib.recipes import Recipe
from senorita_lib.training import processes
from senorita_lib.training.batches import Shuffled, seed_of

_COLOUR = 0.2  # each of red, green and blue is multiplied by 1 ± this, as in Sun et al.
_HELD = 1000  # people of a kind to validate on, at most
_FEW = 0.01  # of a set's images may be missing


class People(BodySet):
    """Several sets as one, without the people whose images are missing.

    A few missing images only give a warning, as not every copy of MPII has all that it lists; more
    than 1 % of a set's raise ``FileNotFoundError``.
    """

    def __init__(self, sets: Sequence[BodySet]) -> None:
        self._places: list[tuple[BodySet, int]] = []
        labels, digest = [], hashlib.sha256()
        for people in sets:
            missing, listed = sorted(people.missing()), len(set(people.names))
            words = f"{len(missing):,} of {listed:,} images are missing in {people.images}"
            words += f", first {missing[:3]}"
            if len(missing) > _FEW * listed:
                raise FileNotFoundError(f"{words}, wanted at most {_FEW:.0%} missing")
            if missing:
                warnings.warn(f"{words}: their people are left out", stacklevel=2)
            rows = np.flatnonzero(~np.isin(people.names, missing)).tolist()
            self._places += [(people, row) for row in rows]
            labels.append((people.boxes[rows], people.keypoints[rows], people.cameras[rows]))
            digest.update("\n".join([people.identity, *missing]).encode())
        self.names = [people.names[row] for people, row in self._places]
        self.boxes, self.keypoints, self.cameras = map(np.concatenate, zip(*labels, strict=True))
        self.identity = digest.hexdigest()

    def image(self, index: int) -> np.ndarray:
        """The image of a person, (H, W, 3), uint8; red, green, blue."""
        people, row = self._places[index]
        return people.image(row)

    def split(self, share: float) -> tuple[list[np.ndarray], np.ndarray]:
        """Rows to train on, with 2D labels and with depths, and rows to validate on.

        The latter are the last share of each kind, at most a thousand. One person alone of a kind
        raises ``ValueError``.
        """
        seen, held = [], []
        for spatial, labels in enumerate(("2D labels alone", "depths")):
            rows = np.flatnonzero(self.spatial == spatial)
            if len(rows) == 1:
                raise ValueError(f"there is one person with {labels}, wanted none or at least two")
            cut = len(rows) - min(max(1, round(len(rows) * share)), _HELD, len(rows))
            seen.append(rows[:cut])
            held.append(rows[cut:])
        return seen, np.concatenate(held)


def find_people(root: str | os.PathLike[str]) -> list[BodySet]:
    """The people in the folders ``MPII`` and ``Human36M`` of ``root``; either may be missing."""
    places = (Mpii, user_path(root) / "MPII"), (Human36m, user_path(root) / "Human36M")
    found: list[BodySet] = [reader(place) for reader, place in places if place.is_dir()]
    if not found:
        raise FileNotFoundError(f"{user_path(root)} holds neither MPII nor Human36M, wanted one")
    return found


class BodyBatches:
    """Training batches of people; each is a function of seed and step alone.

    ``rows`` are those to train on, with 2D labels alone and with depths; if there are none of one
    kind, the other fills the batches. Fewer people than a batch takes raise ``ValueError``.
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
        self._ahead: tuple[int, list[Future]] = (-1, [])

    def __call__(self, step: int, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A step's rows for this process: images (B, 3, S, S) in [-1, 1] and uvd (B, 16, 3)."""
        begun, crops = self._ahead
        if begun != step:
            crops = self._begin(step, batch)
        self._ahead = step + 1, self._begin(step + 1, batch)
        parts = zip(*(crop.result() for crop in crops), strict=True)
        images, uvd = (torch.from_numpy(np.stack(part)).to(self.device) for part in parts)
        return images, uvd

    def _begin(self, step: int, batch: int) -> list[Future]:
        """Let threads cut out the people of a step."""
        recipe = self.recipe
        numbers = np.diff(np.linspace(0, batch, len(self.orders) + 1).astype(int))
        orders = zip(self.orders.items(), numbers, strict=True)
        rows = np.concatenate([order(kind, step, number) for (kind, order), number in orders])
        generator = torch.Generator().manual_seed(seed_of(recipe.seed, 16, step))
        draws = draw(
            batch, generator, angle=recipe.rotation, scale=recipe.scale,
            scale_probability=recipe.scale_probability, shift=recipe.shift,
        )  # fmt: skip
        more = torch.rand(batch, 4, generator=generator)
        colour = 1 + _COLOUR * (2 * more[:, 1:] - 1)
        changes = draws.angle, draws.scale, draws.shift, more[:, 0] < 0.5, colour
        people = zip(rows, *(values.tolist() for values in changes), strict=True)

        def cut(row: int, *change: Any) -> tuple[np.ndarray, np.ndarray]:
            return cut_body(self.people[row], recipe.image_size, *change)

        return [self._threads.submit(cut, *own) for own in [*people][processes.rank_slice(batch)]]
