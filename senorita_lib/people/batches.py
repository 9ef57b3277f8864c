"""Augmented batches of people, half of them with 2D labels alone, half with depths too."""

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from senorita_lib.augmentation import draw
from senorita_lib.people.crops import Change, cut_body
from senorita_lib.training import processes
from senorita_lib.training.batches import Shuffled, seed_of

_COLOUR = 0.2  # each of red, green and blue is multiplied by 1 ± this, as by Sun et al.
_HELD = 1000  # people of a kind to validate on, at most
_FEW = 0.01  # of a set's images may be missing


class People:
    """Several sets as one, without the people whose images are missing.

    Parameters
    ----------
    sets : list of BodySet

    Attributes
    ----------
    boxes, keypoints, cameras, spatial
        As of :class:`~senorita_lib.people.crops.BodySet`, of all of them.
    identity : str
        Digest of who they are.

    Raises
    ------
    FileNotFoundError
        If more than one in a hundred images of a set is missing. A few are warned of: MPII lists
        some that not every copy of it has.
    """

    def __init__(self, sets):
        self.sets, digest = sets, hashlib.sha256()
        places = []
        for number, people in enumerate(sets):
            missing = set(_want_nearly_all(people))
            there = [index for index, name in enumerate(people.names) if name not in missing]
            places.extend((number, index) for index in there)
            digest.update("\n".join([people.identity, *sorted(missing)]).encode())
        self._set, self._index = np.array(places, int).reshape(-1, 2).T
        self.identity = digest.hexdigest()
        for name in ("boxes", "keypoints", "cameras", "spatial"):
            parts = [
                getattr(people, name)[self._index[self._set == number]]
                for number, people in enumerate(sets)
            ]
            setattr(self, name, np.concatenate(parts))

    def __len__(self):
        return len(self.boxes)

    def __getitem__(self, row):
        return self.sets[self._set[row]][int(self._index[row])]

    def split(self, share):
        """Rows to train on and to validate on: the last share of each kind, a thousand at most.

        Raises
        ------
        ValueError
            If there is but one person of a kind.
        """
        kinds = [np.flatnonzero(self.spatial == kind) for kind in (False, True)]
        for rows, labels in zip(kinds, ("2D labels alone", "depths"), strict=True):
            if len(rows) == 1:
                raise ValueError(f"there is one person with {labels}, wanted none or two and more")
        held = [min(max(1, round(len(r) * share)), _HELD) if len(r) else 0 for r in kinds]
        parts = [np.split(rows, [len(rows) - n]) for rows, n in zip(kinds, held, strict=True)]
        return [seen for seen, _ in parts], np.concatenate([held for _, held in parts])


def _want_nearly_all(people):
    """Names of the few images that are missing."""
    missing, listed = people.missing(), len(set(people.names))
    if missing:
        words = f"{len(missing):,} of {listed:,} images are missing, {missing[0]} first"
        if len(missing) > _FEW * listed:
            raise FileNotFoundError(
                f"{words}, wanted nearly all: python -m senorita_lib.datasets lists them"
            )
        warnings.warn(f"{words}: their people are left out", stacklevel=3)
    return missing


class BodyBatches:
    """Training batches of people; one is a function of seed and step alone.

    Parameters
    ----------
    recipe : Recipe
    people : People
    rows : two arrays of int
        Those to train on, with 2D labels alone and with depths. If one has none, all of a batch
        are of the other.
    device : str

    Raises
    ------
    ValueError
        If there are fewer people than a batch takes.
    """

    def __init__(self, recipe, people, rows, device):
        self.recipe, self.people, self.device = recipe, people, device
        self.orders = {kind: Shuffled(own, recipe.seed) for kind, own in enumerate(rows)}
        self.orders = {kind: order for kind, order in self.orders.items() if len(order.rows)}
        fewest = min((len(order.rows) for order in self.orders.values()), default=0)
        if fewest * len(self.orders) < recipe.batch:
            raise ValueError(
                f"there are {fewest} people of a kind to train on, "
                f"wanted at least their part of a batch of {recipe.batch}"
            )
        # As many as torch has, which a study gives one each: OpenCV reads and warps without
        # Python's lock.
        self._threads = ThreadPoolExecutor(torch.get_num_threads())
        self._ahead = {}

    def __call__(self, step, batch):
        """The part of a step's batch that falls to this process.

        Returns
        -------
        images : tensor, (B, 3, S, S)
            From -1 to 1.
        uvd : tensor, (B, 16, 3)
            Not a number where not known.
        """
        here = self._ahead.pop(step, None) or self._begin(step, batch)
        self._ahead = {step + 1: self._begin(step + 1, batch)}
        images, uvd = zip(*(sample.result() for sample in here), strict=True)
        return tuple(torch.from_numpy(np.stack(part)).to(self.device) for part in (images, uvd))

    def _begin(self, step, batch):
        """Let threads cut out the people of a step."""
        recipe, kinds = self.recipe, list(self.orders)
        numbers = np.diff(np.linspace(0, batch, len(kinds) + 1).astype(int))
        rows = [
            self.orders[kind](kind, step, number)
            for kind, number in zip(kinds, numbers, strict=True)
        ]
        generator = torch.Generator().manual_seed(seed_of(recipe.seed, 16, step))
        draws = draw(
            batch, generator, angle=recipe.rotation, scale=recipe.scale,
            scale_probability=recipe.scale_probability, shift=recipe.shift,
        )  # fmt: skip
        more = torch.rand(batch, 4, generator=generator)
        order = np.concatenate(rows)
        places = range(batch)[processes.rank_slice(batch, "batch")]
        return [
            self._threads.submit(_sample, self.people, order[i], recipe.image_size, draws, more, i)
            for i in places
        ]


def _sample(people, row, size, draws, more, i):
    colour = 1 + _COLOUR * (2 * more[i, 1:] - 1)
    change = Change(
        angle=float(draws.angle[i]),
        scale=float(draws.scale[i]),
        shift=tuple(draws.shift[i].tolist()),
        mirror=bool(more[i, 0] < 0.5),
        colour=tuple(colour.tolist()),
    )
    return cut_body(people[row], size, change)
