import json
from pathlib import Path

import pytest
import torch

from senorita_lib import studies
from senorita_lib.evaluation import SPLITS
from senorita_lib.model import HandPoseNet
from senorita_lib.released import released_volume_loss


@pytest.fixture
def small_study(monkeypatch, tmp_path):
    """Of two steps, in a folder of its own."""
    shared = {"batch": 8, "pose_images": 8, "volume_images": 8, "refine_images": 0}
    shared |= {"volume_size": 8, "validation_share": 0.2}
    variants = {
        "without": ({"volume_weight": 0.0}, None),
        "with": ({}, None),
        "released": ({}, released_volume_loss),
    }
    monkeypatch.setitem(studies.STUDIES, "small", studies.Study(shared, variants))
    monkeypatch.setattr(studies, "SEEDS", (0, 1))
    monkeypatch.chdir(tmp_path)


def test_runs_differ_in_what_they_say_and_are_not_trained_twice(small_study, small_data):
    study = studies.run_study("small", small_data, progress=False)
    assert {name: len(seeds) for name, seeds in study["errors"].items()} == {
        "without": 2, "with": 2, "released": 2,
    }  # fmt: skip
    first, other, released = (study["errors"][name] for name in ("without", "with", "released"))
    assert first[0] != first[1] and first[0] != other[0] != released[0]
    assert all(0 < length < 2 for runs in study["bone_lengths"].values() for length in runs)
    again = studies.run_study("small", small_data, progress=False)
    assert json.dumps(again) == json.dumps(study)


def test_all_begin_with_step_1_of_their_seed(small_study, small_data, monkeypatch):
    shared = {"batch": 8, "pose_images": 8, "volume_images": 8, "volume_size": 8}
    shared |= {"refine_batch": 8, "refine_images": 8, "validation_share": 0.2}
    variants = {"paper": ({}, None), "raw": ({"orientation": "raw"}, None)}
    monkeypatch.setitem(studies.STUDIES, "second", studies.Study(shared, variants, "Step 1"))
    study = studies.run_study("second", small_data, progress=False)
    assert list(study["errors"]) == ["Step 1", "paper", "raw"]
    folder = Path("runs/studies/tiny/second")
    assert {path.name for path in folder.iterdir()} == {
        f"{name}, seed {seed}" for name in study["errors"] for seed in (0, 1)
    }
    for seed in (0, 1):
        initial, paper, raw = (
            HandPoseNet.load(folder / f"{name}, seed {seed}" / "model.safetensors").state_dict()
            for name in study["errors"]
        )
        # One step moves the estimator's weights a little.
        name = "estimator.backbone.conv1.weight"
        assert not torch.equal(initial[name], paper[name])
        assert (initial[name] - paper[name]).abs().max() < 0.01
        assert not torch.equal(paper["refiner.residual.weight"], raw["refiner.residual.weight"])


def test_table_has_means_and_the_difference_of_the_same_seeds():
    def errors(*values):
        return [dict.fromkeys(SPLITS, value) for value in values]

    study = {"errors": {"a": errors(10.0, 20.0, 30.0), "bb": errors(12.0, 21.0, 30.0)}}
    study["bone_lengths"] = {"a": [1.0, 1.0, 1.0], "bb": [0.8, 0.9, 1.0]}
    head, first, second = studies.study_table(study).splitlines()
    assert head.split() == [*SPLITS, "all", "difference", "bones"]
    assert first.split() == ["a", *["20.00"] * 6, "+0.00", "±", "0.00", "1.00"]
    assert second.split() == ["bb", *["21.00"] * 6, "+1.00", "±", "1.00", "0.90"]


def test_unknown_and_missing_studies_are_named(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="study is 'volumes', wanted one of"):
        studies.run_study("volumes")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"python -m senorita_lib.studies volume_loss"):
        studies.load_study("volume_loss")
