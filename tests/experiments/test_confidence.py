"""What a predictor expects of its joints, and what is true."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from senorita_lib.camera import SR300
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.experiments import confidence, following
from senorita_lib.experiments.following import without_hand
from senorita_lib.model import weights_digest
from senorita_lib.predictor import Predictor, evidence_terms
from senorita_lib.weights import FOLDER


def made(noise: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    seen = pd.DataFrame(rng.uniform(1, 30, (200 * 21, 2)), columns=["spread", "apart"])
    seen["frame"] = np.arange(len(seen)) // 21
    seen["followed"] = seen["frame"] % 2 > 0
    mean = seen.groupby("frame")["spread"].transform("mean")
    apart = (seen["apart"] + 0.5) ** 0.8 / 8
    seen["error"] = 0.5 * seen["spread"] ** 0.3 * mean**0.9 * apart.where(~seen["followed"], 1)
    seen["error"] += noise * rng.exponential(size=len(seen))
    return seen


def test_fit_finds_how_errors_were_made():
    wanted = (np.log(0.5 / 8), 0.3, 0.9, 0.8, np.log(0.5), 0.3, 0.9)
    np.testing.assert_allclose(confidence.fit(made()), wanted, atol=5e-3)


def test_what_is_expected_is_right_in_the_mean_though_errors_scatter():
    seen = made(noise=6)
    powers = np.array(confidence.fit(seen))
    alone = seen[seen["followed"]]
    evidence = alone[["spread", "apart"]].to_numpy().reshape(-1, 21, 2)
    terms = np.concatenate([evidence_terms(e.T) for e in evidence])
    expected = np.exp(terms[:, :3] @ powers[4:])
    assert abs(expected.mean() / alone["error"].mean() - 1) < 0.01


def test_reliability_of_a_true_expectation_is_its_diagonal():
    seen = made()
    table = confidence.reliability(seen.assign(expected=seen["error"]))
    np.testing.assert_allclose(table["expected"], table["error"])
    assert table["rank correlation of joints"] == 1
    backwards = confidence.reliability(seen.assign(expected=-seen["error"]))
    assert backwards["rank correlation of joints"] == -1


def test_packaged_weights_expect_what_they_do():
    card = json.loads((FOLDER / "small.json").read_text())["confidence"]
    expected, error = (np.array(card[name]) for name in ("expected", "error"))
    assert np.all(np.abs(expected - error) < 0.25 * error + 1)
    assert card["rank correlation of joints"] > 0.55
    frame = SyntheticHand(seed=3).frame(2, "open")
    pose = Predictor.load("small").predict(frame.depth, SR300, frame.box)
    assert pose.confidence_mm.shape == (21,) and (pose.confidence_mm > 0).all()


@pytest.mark.slow
def test_calibration_is_written_into_a_copy_and_changes_no_weight(tmp_path, capsys):
    copy = shutil.copy(FOLDER / "small.safetensors", tmp_path / "own.safetensors")
    before = weights_digest(copy)
    confidence.main([str(copy), "--count", "8", "--calibrate"])
    assert "rank correlation of joints" in capsys.readouterr().out
    assert weights_digest(copy) == before
    assert len(Predictor.load(copy).model.calibration) == 7
    assert not copy.with_suffix(".json").exists() and len(list(tmp_path.iterdir())) == 1


def test_good_poses_are_followed_and_what_is_no_hand_is_not(capsys):
    following.main(["small", "--count", "12"])
    head, good, erased = capsys.readouterr().out.splitlines()
    assert "followed, %" in head
    assert float(good.split()[-2]) > 80 > 50 > float(erased.split()[-2])
    frame = SyntheticHand(seed=4).frame(1, "interp")
    left = without_hand(frame)
    assert ((left == frame.depth) | (left == 0)).all() and (left > 0).any()
    u, v = SR300.project(np.asarray(frame.joints)[8])[:2].round().astype(int)
    assert frame.depth[v, u] > 0 == left[v, u]
