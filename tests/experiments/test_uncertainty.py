import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.uncertainty import _seed_weights, bootstrap


def rows_of(seed, seeds=3, frames=50):
    rng = np.random.default_rng(seed)
    rows = {"a": rng.gamma(4, 5, (seeds, 5 * frames)), "b": rng.gamma(4, 5, (seeds, 5 * frames))}
    return rows, np.tile(SPLITS, frames)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_equals_resampling_in_a_loop(seed, seeds):
    """The brute-force twin draws the same frames and averages them one by one."""
    rows, splits = rows_of(seed, seeds, frames=4)
    estimates = bootstrap(rows, splits, draws=20, seed=seed)
    weights = _seed_weights(seeds, 20, seed)
    for name, errors in rows.items():
        overall = np.zeros(20)
        for i, split in enumerate(SPLITS):
            part = errors[:, splits == split]
            rng = np.random.default_rng([seed, i])
            for draw in range(20):
                frames = rng.integers(4, size=4)
                means = [sum(part[s, f] for f in frames) / 4 for s in range(seeds)]
                mean = sum(w * m for w, m in zip(weights[draw], means, strict=True))
                assert estimates[name][split].samples[draw] == pytest.approx(mean)
                overall[draw] += mean / 5
            assert estimates[name][split].mean == pytest.approx(part.mean())
        np.testing.assert_allclose(estimates[name]["all"].samples, overall)


def test_a_constant_shift_is_certain():
    rows, splits = rows_of(0)
    rows["b"] = rows["a"] + 10
    off = bootstrap(rows, splits)
    for split in (*SPLITS, "all"):
        difference = off["b"][split] - off["a"][split]
        assert difference.mean == pytest.approx(10)
        assert difference.interval() == pytest.approx((10, 10))
        low, high = off["a"][split].interval()
        assert low < off["a"][split].mean < high and high - low > 1


def test_paired_intervals_are_narrower_than_of_unlike_frames():
    """What both models find hard falls out of their difference."""
    rng = np.random.default_rng(0)
    hard = rng.gamma(4, 5, 500)
    rows = {"a": hard + rng.normal(0, 1, 500), "b": hard + rng.normal(1, 1, 500)}
    estimates = bootstrap(rows, np.tile(SPLITS, 100))
    low, high = (estimates["b"]["all"] - estimates["a"]["all"]).interval()
    assert 0.7 < low < 1 < high < 1.3
    low, high = estimates["b"]["all"].interval()
    assert high - low > 1.5


def test_frames_alone_give_the_textbook_width():
    errors = np.random.default_rng(0).normal(30, 8, 4000)
    low, high = bootstrap({"a": errors}, np.full(4000, "interp"), draws=4000)["a"][
        "INTERP"
    ].interval()
    assert high - low == pytest.approx(2 * 1.96 * errors.std() / 4000**0.5, rel=0.06)


@pytest.mark.parametrize(("seeds", "quantile"), [(3, 4.303), (5, 2.776)])
def test_seeds_add_students_t(seeds, quantile):
    """Frames alike: what is left is t times the standard error of the seeds' mean."""
    means = np.array([1.0, 2.0, 6.0, 4.0, 2.5])[:seeds]
    errors = np.repeat(means[:, None], 5, axis=1)
    low, high = bootstrap({"a": errors}, SPLITS, draws=50_000)["a"]["all"].interval()
    reach = quantile * means.std(ddof=1) / seeds**0.5
    assert (low, high) == pytest.approx(
        (means.mean() - reach, means.mean() + reach), abs=0.1 * reach
    )


def test_splits_are_drawn_independently():
    """Else the mean over five equal ones would vary as much as one of them."""
    errors = np.tile(np.random.default_rng(0).normal(size=100), 5)
    found = bootstrap({"a": errors}, np.repeat(SPLITS, 100))["a"]
    assert found["all"].samples.std() < 0.6 * found["SHAPE"].samples.std()


@pytest.mark.parametrize(
    ("row", "splits", "sentence"),
    [
        (np.ones(4), SPLITS, r"errors of 'a' have shape \(1, 4\), wanted \(seeds, 5\)"),
        (np.array([1, 2, 3, 4, np.nan]), SPLITS, "wanted .* finite"),
        (np.ones(2), ["OBJECT", "OTHER"], r"splits are \['OBJECT', 'OTHER'\], wanted some of"),
    ],
)
def test_what_cannot_be_resampled_is_refused(row, splits, sentence):
    with pytest.raises(ValueError, match=sentence):
        bootstrap({"a": row}, splits)
