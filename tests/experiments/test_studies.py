import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from senorita_lib.evaluation import SPLITS, ensemble, joint_errors, mean_joint_error
from senorita_lib.experiments import studies, study_files
from senorita_lib.experiments.trials import SEEDS, STUDIES, TRIALS, Trial
from senorita_lib.model import HandPoseNet
from senorita_lib.release.gradient import released_volume_loss

SMALL = {"batch": 8, "volume_size": 8, "validation_share": 0.2, "refine_batch": 8}
STEP_1 = SMALL | {"pose_images": 8, "volume_images": 8, "refine_images": 0}
STEP_2 = SMALL | {"pose_images": 0, "volume_images": 0, "refine_images": 8}


@pytest.fixture
def small_studies(monkeypatch, tmp_path):
    """Of two steps, in a folder of its own."""
    trials = {
        "without": Trial(STEP_1 | {"volume_weight": 0.0}),
        "with": Trial(STEP_1),
        "released": Trial(STEP_1, volume_loss=released_volume_loss),
        "Model 1": Trial(STEP_2, "with"),
        "raw": Trial(STEP_2 | {"orientation": "raw"}, "with"),
        "Model 2": Trial(STEP_2 | STEP_1 | {"refine_images": 8, "model": 2}),
    }
    names = {
        "first": ["without", "with", "released"],
        "second": ["with", "Model 1", "raw"],
        "models": ["Model 1", "Model 2"],
    }
    monkeypatch.setattr(studies, "TRIALS", trials)
    monkeypatch.setattr(studies, "STUDIES", names)
    monkeypatch.setattr(studies, "SEEDS", (0, 1))
    monkeypatch.chdir(tmp_path)
    return Path("runs/studies/tiny")


@pytest.fixture
def run(small_data):
    return partial(studies.run_study, data=small_data, jobs=1, progress=False)


def test_trials_differ_in_what_they_say_and_are_not_trained_twice(small_studies, run):
    study, frames = run("first")
    assert {name: len(seeds) for name, seeds in study["errors"].items()} == {
        "without": 2, "with": 2, "released": 2,
    }  # fmt: skip
    first, other, released = (study["errors"][name] for name in ("without", "with", "released"))
    assert first[0] != first[1] and first[0] != other[0] != released[0]
    assert all(0 < length < 2 for runs in study["bone_lengths"].values() for length in runs)
    assert set(frames) == {"splits", "without, initial", "with, initial", "released, initial"}
    for seed in (0, 1):
        with np.load(small_studies / f"with, seed {seed}" / "predictions.npz") as arrays:
            off = joint_errors(arrays["initial"], arrays["joints"]).mean(axis=1)
            assert np.array_equal(np.char.upper(arrays["splits"]), frames["splits"])
        np.testing.assert_allclose(frames["with, initial"][seed], off, atol=0.0051)
        for split in SPLITS:
            mean = off[frames["splits"] == split].mean()
            assert other[seed][split] == pytest.approx(mean)
    times = {path: path.stat().st_mtime_ns for path in small_studies.glob("*/model.safetensors")}
    again, same = run("first")
    assert json.dumps(again) == json.dumps(study)
    assert all(np.array_equal(frames[name], same[name]) for name in frames)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_trials_begin_with_what_they_name(small_studies, run):
    study, frames = run("second")
    assert list(study["errors"]) == ["with", "Model 1", "raw"]
    assert {"Model 1, initial", "Model 1, refined", "with, initial"} < set(frames)
    assert "with, refined" not in frames
    for seed in (0, 1):
        folders = [small_studies / f"{name}, seed {seed}" for name in study["errors"]]
        initial, paper, raw = (
            HandPoseNet.load(folder / "model.safetensors").state_dict() for folder in folders
        )
        # One step moves the estimator's weights a little.
        name = "estimator.backbone.conv1.weight"
        assert not torch.equal(initial[name], paper[name])
        assert (initial[name] - paper[name]).abs().max() < 0.01
        assert not torch.equal(paper["refiner.residual.weight"], raw["refiner.residual.weight"])


def test_models_have_their_ensembles(small_studies, run):
    study, frames = run("models")
    poses = {}
    for model in (1, 2):
        for seed in (0, 1):
            path = small_studies / f"Model {model}, seed {seed}" / "predictions.npz"
            with np.load(path) as arrays:
                poses[model, seed], true = arrays["refined"], arrays["joints"]
    for seed in (0, 1):
        merged = ensemble([poses[1, seed], poses[2, seed]])
        wanted = joint_errors(merged, true).mean(axis=1)
        np.testing.assert_allclose(frames["mean of four, refined"][seed], wanted, atol=0.0051)
    found = frames["mean of three seeds of Model 1, refined"]
    for row, seeds in zip(found, ((0, 1, 0), (1, 0, 1)), strict=True):  # of two, by turns
        merged = ensemble([poses[1, seed] for seed in seeds])
        assert row.mean() == pytest.approx(mean_joint_error(merged, true), abs=0.01)
    assert set(study["constant"]) == set(SPLITS)


def test_what_is_kept_is_read_again(small_studies, run):
    study, frames = run("first")
    study_files.save_study(study, frames)
    again, same = study_files.load_study("first")
    assert again == json.loads(json.dumps(study))
    assert all(np.array_equal(frames[name], same[name]) for name in frames)
    path = Path("results/studies/first.npz")
    path.write_bytes(path.read_bytes() + b"1")
    with pytest.raises(ValueError, match=r"first.npz is not the one that first.json was written"):
        study_files.load_study("first")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"first.npz is missing, wanted it from python"):
        study_files.load_study("first")


@pytest.mark.slow
def test_two_processes_train_the_same_as_one(small_studies, run, monkeypatch, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each process has; with more, rounding differs and grows
    try:
        _, alone = run("second")
    finally:
        torch.set_num_threads(threads)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    _, together = run("second", jobs=2)
    for name in set(alone) - {"splits"}:
        np.testing.assert_array_equal(alone[name], together[name])


def test_table_has_means_and_the_difference_of_the_same_seeds():
    def errors(*values):
        return [dict.fromkeys(SPLITS, value) for value in values]

    study = {"errors": {"a": errors(10.0, 20.0, 30.0), "bb": errors(12.0, 21.0, 30.0)}}
    study["bone_lengths"] = {"a": [1.0, 1.0, 1.0], "bb": [0.8, 0.9, 1.0]}
    head, first, second = study_files.study_table(study).splitlines()
    assert head.split() == [*SPLITS, "all", "difference", "bones"]
    assert first.split() == ["a", *["20.00"] * 6, "+0.00", "±", "0.00", "1.00"]
    assert second.split() == ["bb", *["21.00"] * 6, "+1.00", "±", "1.00", "0.90"]


def test_every_trial_belongs_to_a_study_and_names_a_known_start():
    assert {name for names in STUDIES.values() for name in names} == set(TRIALS)
    assert all(trial.start in TRIALS for trial in TRIALS.values() if trial.start)
    assert len(SEEDS) >= 3


def test_unknown_and_missing_studies_are_named(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="study is 'volumes', wanted one of"):
        studies.run_study("volumes")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"python -m senorita_lib.experiments.studies volume_loss"
    ):
        study_files.load_study("volume_loss")
