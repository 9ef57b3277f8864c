import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK

from senorita_lib import weights
from senorita_lib.camera import SR300
from senorita_lib.datasets import Hands19, SyntheticHand
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import SPLITS, mean_joint_error
from senorita_lib.model import HandPoseNet
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import Recipe
from senorita_lib.training.evaluate import predict_crops
from senorita_lib.training.stages import train
from senorita_lib.weights import describe, pack


def test_card_tells_the_file(predictor):
    card = json.loads((weights.FOLDER / "small.json").read_text())
    path = weights.find_weights("small")
    assert path.stat().st_size == card["bytes"] <= 16_000_000
    assert predictor.model.recipe == Recipe.from_json(json.dumps(card["recipe"]))
    errors = card["errors"]
    assert set(errors["refined"]) == set(SPLITS)
    # It beats the best constant pose by far.
    assert all(errors["refined"][split] < 0.6 * errors["constant"][split] for split in SPLITS)
    text = (weights.FOLDER / "small.md").read_text()
    assert re.search(r"```text\n(.*?)\n```", text, re.S)[1] == describe("small")


def test_small_predicts_frames_that_it_never_saw(predictor):
    """From another seed than its training and test frames."""
    frames = [SyntheticHand(seed=11).frame(i, "interp") for i in range(20)]
    poses = [predictor.predict(frame.depth, SR300, frame.box).joints_mm for frame in frames]
    card = json.loads((weights.FOLDER / "small.json").read_text())
    error = mean_joint_error(np.stack(poses), np.stack([frame.joints for frame in frames]))
    assert error < 1.5 * card["errors"]["refined"]["INTERP"]


def test_a_folder_of_the_same_name_is_only_meant_by_its_path(small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    HandPoseNet(QUICK, torch.ones(20)).save("small/model.safetensors")
    assert Predictor.load("small").model.recipe.name == "small"
    for folder in ("./small", Path("small")):
        assert Predictor.load(folder).model.recipe == QUICK


def test_unknown_names_and_damaged_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"huge is not there, wanted .* \['small'\]"):
        Predictor.load("huge")
    for name in ("small.json", "small.safetensors"):
        shutil.copy(weights.FOLDER / name, tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    path = tmp_path / "small.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="small.safetensors is missing or damaged, wanted"):
        Predictor.load("small")


def test_packed_run_is_the_run_in_float16(small_data, tmp_path):
    run = train(QUICK, small_data, tmp_path / "run", progress=False)
    card = pack(run.folder, "mine", tmp_path)
    assert card["images"] == {"pose": 48, "volume": 40, "refine": 48}
    assert "EXTRAP" in describe("mine", tmp_path)
    half = HandPoseNet.load(tmp_path / "mine.safetensors").state_dict()
    for name, tensor in run.model.state_dict().items():
        np.testing.assert_allclose(half[name], tensor, rtol=1e-3, atol=1e-6)
    assert (half["refiner.bone_lengths"] == run.model.refiner.bone_lengths).all()
    crops = load_crops(Hands19(small_data, "interp"), size=32, progress=False)
    poses = predict_crops(run.model, crops)
    halved = predict_crops(HandPoseNet.load(tmp_path / "mine.safetensors"), crops)
    for one, two in zip(poses, halved, strict=True):
        assert mean_joint_error(one, two) < 0.5  # mm, of a network that has hardly been trained
