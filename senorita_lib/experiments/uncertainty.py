"""How sure a mean error is: test frames are resampled, training seeds add Student's t.

All rows of a table are resampled together, so that the difference of two rows is paired: the same
frames, the same seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from senorita_lib.evaluation import SPLITS

Key = TypeVar("Key")


@dataclass(frozen=True)
class Estimate:
    """A mean and its resampled values. The difference of two is one, too, paired draw by draw."""

    mean: float  # mm
    samples: npt.NDArray[np.float64]  # (draws,), mm

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.mean - other.mean, self.samples - other.samples)

    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval, mm: quantiles of the samples."""
        low, high = np.quantile(self.samples, [0.025, 0.975]).tolist()
        return low, high

    def p_value(self) -> float:
        """Of no difference, two-sided: twice the share of samples on the rarer side of 0."""
        rarer = min((self.samples >= 0).sum(), (self.samples <= 0).sum())
        return float(min(1, 2 * (1 + rarer) / (1 + len(self.samples))))


def bootstrap(
    rows: Mapping[Key, npt.ArrayLike], splits: npt.ArrayLike, *, draws: int = 10_000, seed: int = 0
) -> dict[Key, dict[str, Estimate]]:
    """Mean errors of each split, and how much they vary with frames and seeds.

    Frames are drawn with replacement within each split (bootstrap). S seeds are too few for that:
    they add Student's t with S - 1 degrees of freedom, times the standard error of their mean;
    one seed adds nothing. ``benchmarks/coverage.py`` prints how often such intervals hold the
    truth. Frames count as independent; those of one video are not, and there the intervals are
    too narrow.

    ``rows`` has the mean joint error of each frame, (N,) or (seeds, N) mm; ``splits``, (N,), names
    the frames' splits, in either case. Estimates are of the splits that are there, in the paper's
    order, and of "all", the mean over them. Raises ValueError if a row has another number of
    frames or errors that are not finite, or no split is known.
    """
    splits = np.char.upper(np.asarray(splits))
    stacks = {name: np.atleast_2d(np.asarray(row, np.float64)) for name, row in rows.items()}
    for name, row in stacks.items():
        if row.ndim != 2 or row.shape[1] != len(splits) or not np.isfinite(row).all():
            said = f"errors of {name!r} have shape {row.shape}"
            raise ValueError(f"{said}, wanted (seeds, {len(splits)}), finite")
    present = [name for name in SPLITS if (splits == name).any()]
    if not present:
        raise ValueError(f"splits are {sorted(set(splits.tolist()))}, wanted some of {SPLITS}")
    stacked = np.concatenate(list(stacks.values()))
    means, samples = {}, {}
    for split in present:
        part = stacked[:, splits == split]
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        means[split], samples[split] = part.mean(axis=1), _frame_samples(part, draws, rng)
    means["all"] = np.mean(list(means.values()), axis=0)
    samples["all"] = np.mean(list(samples.values()), axis=0)
    estimates: dict[Key, dict[str, Estimate]] = {}
    first = 0
    for name, row in stacks.items():
        used = slice(first, first := first + len(row))
        weights, estimates[name] = _seed_weights(len(row), draws, seed), {}
        for split, drawn in samples.items():
            mean = float(means[split][used].mean())
            estimates[name][split] = Estimate(mean, (drawn[:, used] * weights).sum(axis=1))
    return estimates


def _frame_samples(
    errors: npt.NDArray[np.float64], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Means (draws, rows) of errors (rows, N) over frames drawn with replacement."""
    frames = errors.shape[1]
    means = np.empty((draws, len(errors)))
    for part in np.array_split(np.arange(draws), 1 + draws * frames // 1_000_000):  # fits memory
        drawn = rng.integers(frames, size=(len(part), frames))
        drawn += frames * np.arange(len(part))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means[part] = counts @ errors.T / frames
    return means


def _seed_weights(seeds: int, draws: int, seed: int) -> npt.NDArray[np.float64]:
    """How much each seed counts in each draw, (draws, seeds), 1 in all.

    For any values of the seeds, the weighted means are distributed about their mean like
    Student's t times their standard error. All rows get the same weights, so pairs stay pairs.
    """
    if seeds == 1:
        return np.ones((draws, 1))
    rng = np.random.default_rng([seed, len(SPLITS), seeds])
    normal = rng.normal(size=(draws, seeds))
    normal -= normal.mean(axis=1, keepdims=True)
    heavy = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, size=(draws, 1)))
    return (1 + normal * heavy * np.sqrt(seeds / (seeds - 1))) / seeds


def holm(p: np.ndarray) -> np.ndarray:
    """P values (N,) corrected for their number by Holm's method."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected[order] = np.maximum.accumulate(steps).clip(max=1)
    return corrected
