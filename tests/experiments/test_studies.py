import json
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from senorita_lib.evaluation import SPLITS, ensemble, joint_errors
from senorita_lib.experiments import studies, tables
from senorita_lib.experiments.trials import SEEDS, STUDIES, TRIALS, Trial
from senorita_lib.model import HandPoseNet
from senorita_lib.release.gradient import released_volume_loss

SMALL = {"batch": 8, "volume_size": 8, "validation_share": 0.2, "refine_batch": 8}
SMALL |= {"layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "head_channels": 8}
STEP_1 = SMALL | {"pose_images": 8, "volume_images": 8, "refine_images": 0}
STEP_2 = SMALL | {"pose_images": 0, "volume_images": 0, "refine_images": 8}
RUNS = Path("runs/studies/tiny")
SMALL_TRIALS = {
    "without": Trial(STEP_1 | {"volume_weight": 0.0}),
    "with": Trial(STEP_1),
    "released": Trial(STEP_1, volume_loss=released_volume_loss),
    "Model 1": Trial(STEP_2, "with"),
    "raw": Trial(STEP_2 | {"orientation": "raw"}, "with"),
    "Model 2": Trial(STEP_2 | STEP_1 | {"refine_images": 8, "model": 2}),
    "both": Trial(members=(("Model 1", 0), ("Model 2", 0))),
    "three": Trial(members=tuple(("Model 1", i) for i in range(3))),
}
SMALL_STUDIES = {
    "first": ["without", "with", "released"],
    "second": ["with", "Model 1", "raw"],
    "chain": ["Model 1"],
    "models": ["Model 1", "Model 2", "both", "three"],
}


@pytest.fixture(scope="module")
def small_studies(small_data, tmp_path_factory):
    """Runs studies of two steps, in one folder for all: a trial is trained once."""
    root = tmp_path_factory.mktemp("studies")
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for module in (studies, tables):
            patch.setattr(module, "TRIALS", SMALL_TRIALS)
            patch.setattr(module, "STUDIES", SMALL_STUDIES)
        patch.setattr(studies, "SEEDS", (0, 1))
        patch.chdir(root)
        torch.set_num_threads(1)  # as each of two processes has; else rounding differs and grows
        yield partial(studies.run_study, data=small_data, jobs=1, progress=False)
        torch.set_num_threads(threads)


def predictions(trial, seed):
    with np.load(RUNS / f"{trial}, seed {seed}" / "predictions.npz") as arrays:
        return dict(arrays)


def rows(table, trial, pose="initial"):
    """(seeds, N) mm."""
    table = table[(table["trial"] == trial) & (table["pose"] == pose)]
    return table.pivot(index="seed", columns="frame", values="mm").to_numpy()


def test_trials_differ_in_what_they_say_and_are_not_trained_twice(small_studies):
    table, notes = small_studies("first")
    poses = table[["trial", "pose", "seed"]].drop_duplicates().to_numpy()
    wanted = [*product(("without", "with", "released"), ["initial"], (0, 1))]
    assert [*map(tuple, poses)] == wanted
    errors = np.concatenate([rows(table, name) for name in ("without", "with", "released")])
    assert len(np.unique(errors, axis=0)) == len(wanted)
    assert all(0 < length < 2 for note in notes.values() for length in note["bone_lengths"])
    assert set(notes["with"]["constant"]) == set(SPLITS)
    for seed in (0, 1):
        arrays = predictions("with", seed)
        off = joint_errors(arrays["initial"], arrays["joints"]).mean(axis=1)
        own = table[(table["trial"] == "with") & (table["seed"] == seed)]
        assert np.array_equal(np.char.upper(arrays["splits"]), own["split"])
        np.testing.assert_allclose(own["mm"], off)
    times = {path: path.stat().st_mtime_ns for path in RUNS.glob("*/model.safetensors")}
    again, same = small_studies("first")
    assert json.dumps(same) == json.dumps(notes) and again.equals(table)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    tables.save_trials(table, notes)
    assert tables.load_notes() == notes and len(tables.load_trials()) == len(table)
    assert tables.study_table("first").splitlines()[3].startswith("released ")


def test_trials_begin_with_what_they_name(small_studies):
    table, notes = small_studies("second")
    assert list(notes) == ["with", "Model 1", "raw"]
    assert len(rows(table, "Model 1")) == len(rows(table, "Model 1", "refined")) == 2
    assert not len(rows(table, "with", "refined"))
    for seed in (0, 1):
        files = (RUNS / f"{name}, seed {seed}" / "model.safetensors" for name in notes)
        initial, paper, raw = (HandPoseNet.load(file).state_dict() for file in files)
        # One step moves the estimator's weights a little.
        name = "estimator.backbone.conv1.weight"
        assert not torch.equal(initial[name], paper[name])
        assert (initial[name] - paper[name]).abs().max() < 0.01
        assert not torch.equal(paper["refiner.residual.weight"], raw["refiner.residual.weight"])


def test_models_have_their_ensembles(small_studies):
    table, _ = small_studies("models")
    poses = {}
    for model, seed in product((1, 2), (0, 1)):
        arrays = predictions(f"Model {model}", seed)
        poses[model, seed], true = arrays["refined"], arrays["joints"]
    models = table.groupby("trial")["model"].unique().map(list).to_dict()
    assert models == {"Model 1": [1], "Model 2": [2], "both": [0], "three": [0]}
    for seed, turns in enumerate(((0, 1, 0), (1, 0, 1))):  # of two seeds, by turns
        members = {"both": [(1, seed), (2, seed)], "three": [(1, turn) for turn in turns]}
        for name, runs in members.items():
            wanted = joint_errors(ensemble([poses[run] for run in runs]), true).mean(axis=1)
            np.testing.assert_allclose(rows(table, name, "refined")[seed], wanted)


def test_two_processes_train_the_same_as_one(small_studies, monkeypatch, tmp_path):
    alone, _ = small_studies("chain")
    monkeypatch.chdir(tmp_path)
    together, _ = small_studies("chain", jobs=2)
    assert together.equals(alone)


def test_every_trial_belongs_to_a_study_and_names_a_known_start():
    assert {name for names in STUDIES.values() for name in names} == set(TRIALS)
    for trial in TRIALS.values():
        assert {trial.start, *(name for name, _ in trial.members)} - {""} <= set(TRIALS)
    assert len(SEEDS) >= 3
    with pytest.raises(ValueError, match="study is 'volumes', wanted one of"):
        studies.run_study("volumes")
