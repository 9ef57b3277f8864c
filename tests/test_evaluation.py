import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senorita_lib.evaluation import (
    SPLITS,
    bone_angles,
    ensemble,
    mean_joint_error,
    split_errors,
    spread,
    success_curve,
)
from senorita_lib.hand import bones_to_joints


@pytest.fixture
def true():
    return np.random.default_rng(0).uniform(-100, 100, (40, 21, 3)) + [0, 0, 500]


@given(st.integers(0, 1000), st.sampled_from(["frame_max", "frame_mean", "joint"]))
def test_curves_equal_a_count(seed, by):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(7, 21, 3))
    predicted = true + rng.normal(size=true.shape)
    errors = np.sqrt(((predicted - true) ** 2).sum(axis=2)).tolist()
    values = {
        "frame_max": [max(f) for f in errors],
        "frame_mean": [sum(f) / 21 for f in errors],
        "joint": [e for f in errors for e in f],
    }[by]
    thresholds = [0, 0.5, 1.5, 2.5, 9]
    wanted = [sum(v <= t for v in values) / len(values) for t in thresholds]
    np.testing.assert_allclose(success_curve(predicted, true, thresholds, by=by), wanted)
    assert mean_joint_error(predicted, true) == pytest.approx(np.mean(errors))


def test_split_errors_are_the_means_of_their_frames(true):
    splits = np.array([name.lower() for name in SPLITS] * 8)
    predicted = true.copy()
    for i, split in enumerate(SPLITS):
        predicted[splits == split.lower(), :, 0] += i + 1
    wanted = {name: i + 1 for i, name in enumerate(SPLITS)}
    assert split_errors(predicted, true, splits) == pytest.approx(wanted)


def test_ensemble_is_the_mean_or_the_median_and_spread_the_distance_from_it(true):
    np.testing.assert_allclose(spread([true + [3, 0, 4], true - [3, 0, 4]]), 5)
    np.testing.assert_allclose(spread([true] * 4), 0, atol=1e-9)
    poses = [true, true + 2, true + 10]
    np.testing.assert_allclose(ensemble(poses), true + 4)
    np.testing.assert_allclose(ensemble(poses, "median"), true + 2)
    with pytest.raises(ValueError, match="empty"):
        ensemble([])
    with pytest.raises(ValueError, match=r"\(40, 21, 3\) and \(39, 21, 3\), wanted the same"):
        ensemble([true, true[1:]])
    with pytest.raises(ValueError, match="merge is 'mode', wanted 'mean' or 'median'"):
        ensemble(poses, "mode")


def test_bad_poses_are_refused(true):
    with pytest.raises(ValueError, match="wanted the same"):
        mean_joint_error(true, true[1:])
    with pytest.raises(ValueError, match="not finite"):
        mean_joint_error(true * np.nan, true)
    with pytest.raises(ValueError, match="wanted 'frame_max'"):
        success_curve(true, true, [1], by="max")


def test_angles_between_bones():
    rng = np.random.default_rng(0)
    wrist, bones = rng.normal(size=(2, 3)), rng.normal(size=(2, 20, 3))
    turned = bones.copy()
    turned[0, 3] = np.cross(bones[0, 3], [1, 2, 3])
    turned[0, 4], turned[1, 5] = -2 * bones[0, 4], 3 * bones[1, 5]
    angles = bone_angles(bones_to_joints(wrist, bones), bones_to_joints(wrist, turned))
    assert angles.shape == (2, 20)
    np.testing.assert_allclose(angles[0, [3, 4]], [90, 180], atol=1e-4)
    np.testing.assert_allclose(np.delete(angles[0], [3, 4]), 0, atol=1e-4)
    np.testing.assert_allclose(angles[1], 0, atol=1e-4)
    # A bone without length has no angle.
    joints = np.zeros((21, 3))
    assert np.isnan(bone_angles(joints, joints + np.arange(21)[:, None])).all()
