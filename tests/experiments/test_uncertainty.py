import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.uncertainty import Estimate, _seed_weights, bootstrap


@settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 4))
def test_equals_resampling_in_a_loop(seed, seeds):
    """The brute-force twin draws the same frames and averages them one by one."""
    a, b = np.random.default_rng(seed).gamma(4, 5, (2, seeds, 20))
    rows, splits = {"a": a, "b": b}, np.tile(SPLITS, 4)
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


def test_frames_alone_are_scipys_bootstrap():
    """Of a mean, and of a difference of paired means, which is much surer."""
    rng = np.random.default_rng(0)
    hard = rng.gamma(4, 5, 400)
    a, b = hard + rng.normal(0, 1, 400), hard + rng.normal(1, 1, 400)
    off = bootstrap({"a": a, "b": b}, ["interp"] * 400, draws=10_000)
    difference = off["b"]["INTERP"] - off["a"]["INTERP"]
    for ours, values in ((off["a"]["INTERP"], a), (difference, b - a)):
        theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000)
        width = np.ptp(theirs.confidence_interval)
        assert ours.samples.std() == pytest.approx(theirs.standard_error, rel=0.05)
        np.testing.assert_allclose(ours.interval(), theirs.confidence_interval, atol=0.05 * width)
    assert np.ptp(difference.interval()) < 0.3 * np.ptp(off["a"]["INTERP"].interval())


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_add_students_t(seeds):
    """Frames alike: what is left is t times the standard error of the seeds' mean."""
    means = np.array([1.0, 2.0, 6.0, 4.0, 2.5])[:seeds]
    errors = np.repeat(means[:, None], 5, axis=1)
    found = bootstrap({"a": errors}, SPLITS, draws=50_000)["a"]["all"]
    scale = means.std(ddof=1) / seeds**0.5
    wanted = stats.t.interval(0.95, seeds - 1, means.mean(), scale)
    np.testing.assert_allclose(found.interval(), wanted, atol=0.1 * np.ptp(wanted) / 2)
    assert stats.kstest((found.samples - means.mean()) / scale, "t", (seeds - 1,)).pvalue > 0.01


def test_p_value_is_twice_the_share_on_the_rarer_side():
    samples = np.array([-1.0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert Estimate(3.9, samples).p_value() == pytest.approx(2 * 2 / 10)
    assert Estimate(-3.9, -samples).p_value() == pytest.approx(2 * 2 / 10)
    assert Estimate(0, np.array([-1.0, 1])).p_value() == 1


def test_what_cannot_be_resampled_is_refused():
    for errors, splits, sentence in (
        (np.ones(4), SPLITS, r"errors of 'a' have shape \(1, 4\), wanted \(seeds, 5\)"),
        ([1, 2, 3, 4, np.nan], SPLITS, "wanted .* finite"),
        (np.ones(1), ["OTHER"], r"splits are \['OTHER'\], wanted some of"),
    ):
        with pytest.raises(ValueError, match=sentence):
            bootstrap({"a": errors}, splits)
