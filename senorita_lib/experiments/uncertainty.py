"""How sure a mean error is: test frames resampled, training seeds by Student's t.

All rows of a table are resampled together, so that the difference of two of them is paired:
the same frames, the same seeds.
"""

from dataclasses import dataclass

import numpy as np

from senorita_lib.evaluation import SPLITS


@dataclass(frozen=True)
class Estimate:
    """A mean and what it is in resampled data.

    Attributes
    ----------
    mean : float
        mm.
    samples : array, (draws,)
        mm. The difference of two estimates is one, too, paired draw by draw.
    """

    mean: float
    samples: np.ndarray

    def __sub__(self, other):
        return Estimate(self.mean - other.mean, self.samples - other.samples)

    def interval(self):
        """The lower and upper end of the middle 95 % of the samples, mm."""
        return tuple(np.quantile(self.samples, [0.025, 0.975]).tolist())


def bootstrap(rows, splits, *, draws=1000, seed=0):
    """Mean errors of each split, and how much they vary with frames and seeds.

    Frames are drawn with replacement within each split (bootstrap). S seeds are too few for that,
    so what they add is Student's t with S - 1 degrees of freedom, times the standard error of
    their mean; of one seed the frames alone tell. ``benchmarks/coverage.py`` prints how often
    such intervals hold the truth. Frames count as independent, which those of one video are not:
    there the intervals are too narrow.

    Parameters
    ----------
    rows : dict
        Name to the mean joint error of each frame, (N,) or (seeds, N) mm.
    splits : array of str, (N,)
        Of each frame, in either case.
    draws : int
    seed : int

    Returns
    -------
    dict
        Name to {split: Estimate}, of the splits that are there in the paper's order; "all" is
        the mean over them.

    Raises
    ------
    ValueError
        If a row has another number of frames or errors that are not finite, or no split is known.
    """
    splits = np.char.upper(np.asarray(splits))
    rows = {name: np.atleast_2d(np.asarray(row, np.float64)) for name, row in rows.items()}
    for name, row in rows.items():
        if row.ndim != 2 or row.shape[1] != len(splits) or not np.isfinite(row).all():
            raise ValueError(
                f"errors of {name!r} have shape {row.shape}, wanted (seeds, {len(splits)}), finite"
            )
    present = [name for name in SPLITS if (splits == name).any()]
    if not present:
        raise ValueError(f"splits are {sorted(set(splits.tolist()))}, wanted some of {SPLITS}")
    stacked = np.concatenate(list(rows.values()))
    means, samples = {}, {}
    for split in present:
        part = stacked[:, splits == split]
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        means[split], samples[split] = part.mean(axis=1), _frame_samples(part, draws, rng)
    means["all"] = np.mean(list(means.values()), axis=0)
    samples["all"] = np.mean(list(samples.values()), axis=0)
    estimates, first = {}, 0
    for name, row in rows.items():
        used = slice(first, first := first + len(row))
        weights = _seed_weights(len(row), draws, seed)
        estimates[name] = {
            split: Estimate(
                float(means[split][used].mean()), (samples[split][:, used] * weights).sum(axis=1)
            )
            for split in means
        }
    return estimates


def _frame_samples(errors, draws, rng):
    """Means (draws, rows) of errors (rows, N) over frames drawn with replacement."""
    frames = errors.shape[1]
    means = np.empty((draws, len(errors)))
    for draw in range(draws):  # at 125,000 frames all draws at once would take a gigabyte
        counts = np.bincount(rng.integers(frames, size=frames), minlength=frames)
        means[draw] = errors @ counts.astype(np.float64) / frames
    return means


def _seed_weights(seeds, draws, seed):
    """How much each seed counts in each draw, (draws, seeds), 1 in all.

    Of any values of the seeds, the weighted means are distributed about their mean as Student's
    t times their standard error; of all rows by the same weights, so that pairs stay pairs.
    """
    if seeds == 1:
        return np.ones((draws, 1))
    rng = np.random.default_rng([seed, len(SPLITS), seeds])
    normal = rng.normal(size=(draws, seeds))
    normal -= normal.mean(axis=1, keepdims=True)
    heavy = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, size=(draws, 1)))
    return (1 + normal * heavy * np.sqrt(seeds / (seeds - 1))) / seeds
