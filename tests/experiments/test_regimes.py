import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT

from senorita_lib.experiments import regimes
from senorita_lib.experiments.difficulty import anatomy
from senorita_lib.experiments.regimes import Start
from senorita_lib.experiments.trials import TRIALS, Trial, balanced_volume_loss
from senorita_lib.experiments.uncertainty import holm
from senorita_lib.figures.results import effects_figure
from senorita_lib.losses import pose_loss

STEP = {"batch": 8, "refine_batch": 8, "volume_size": 8, "validation_share": 0.2}
STEP |= {"image_size": 64, "layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "head_channels": 8}
STEP |= {"patch_sizes": (32, 16, 8), "precision": "float32", "pose_images": 0, "volume_images": 0}
SOME = "eq. 3 on", "eq. 4, equal gradients", "lengths of the initial pose", "joint offsets"


def small(name):
    trial = regimes.TRIALS[name]
    images = {"volume_images" if trial.pose == "initial" else "refine_images": 8}
    return Trial(STEP | trial.changes | images, volume_loss=trial.volume_loss)


def test_trials_go_on_from_every_start_and_are_compared(small_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    network = STEP | {"pose_images": 16, "refine_images": 0, "validate_images": 8}
    monkeypatch.setattr(regimes, "NETWORKS", {"long": network, "awr": network | {"head": "awr"}})
    starts = {"end": Start("long", 0, "all"), "early": Start("long", 1e5, "all")}
    starts["awr"] = Start("awr", 0, "few")
    rate = {"awr at a rate of 0.001": network | {"head": "awr", "learning_rate": 1e-3}}
    monkeypatch.setattr(regimes, "RATES", rate)
    monkeypatch.setattr(regimes, "NETWORKS", regimes.NETWORKS | rate)
    own = {name: Start(name, 0, "none") for name in rate}
    monkeypatch.setattr(regimes, "STARTS", starts | own)
    pairs = {k: v for k, v in regimes.COMPARISONS.items() if {v[0][0], v[1][0]} <= set(SOME)}
    assert len(pairs) == 3
    monkeypatch.setattr(regimes, "COMPARISONS", pairs)
    monkeypatch.setattr(regimes, "TRIALS", {name: small(name) for name in SOME})
    monkeypatch.setattr(regimes, "REGIMES", ["end", "early"])
    monkeypatch.setattr(regimes, "SAME_IMAGES", ["awr"])
    lists = {"step_1_trials": SOME[:2], "step_2_trials": SOME[2:], "search_trials": SOME[3:]}
    for key, names in lists.items():
        monkeypatch.setitem(regimes.LISTED, key, dict.fromkeys(names))
    monkeypatch.setitem(regimes.LISTED, "trials", {"few": SOME[2:3]})
    regimes.train_regimes(list(starts), [0, 1], small_data, jobs=1)
    one, other = (regimes.run_folder(s, 0, "eq. 3 on") for s in ("early", "end"))
    one, other = (folder / "predictions.npz" for folder in (one, other))
    assert one.read_bytes() != other.read_bytes()  # they start elsewhere

    errors, why = regimes.collect()
    assert len(errors) == 2 * 20 * (2 * (2 + 2 * 2) + 1 + 1 + 2)
    assert (why[why["trial"] == "joint offsets"]["length"] > 0).all()
    regimes.keep(errors[errors["seed"] == 0], why[why["seed"] == 0])
    regimes.keep(errors, why)
    keys = ["start", "seed", "trial", "pose", "frame"]
    kept = pd.read_csv("results/regimes.csv.gz")
    both = (table.sort_values(keys).reset_index(drop=True)[keys] for table in (kept, errors))
    assert next(both).equals(next(both))

    shutil.copy(ROOT / "results" / "trials.csv.gz", "results")
    found = regimes.effects(regimes.REGIMES)
    drawn = [line for axes in effects_figure(found).axes for line in axes.lines]
    filled = [dot.get_markerfacecolor() != "white" for dot in drawn if dot.get_marker() == "o"]
    assert (len(filled), sum(filled)) == (len(found), (found["p"] < 0.05).sum())
    assert (found.loc[found["start"] == regimes.TINY, "seeds"] == 4).all()
    mm = errors.groupby(["start", "trial", "pose"])["mm"].mean()
    row = found.set_index(["start", "comparison"]).loc["end", "orientations, against joint offsets"]
    wanted = mm["end", "lengths of the initial pose", "refined"]
    wanted -= mm["end", "joint offsets", "refined"]
    assert row["difference"] == pytest.approx(wanted, abs=0.05)
    assert row["low"] <= row["difference"] <= row["high"]
    regimes.main(["--kept", "--starts", "early"])
    text = capsys.readouterr().out.splitlines()
    poses = len(why[why["start"] == "early"].drop_duplicates(["trial", "pose"]))
    assert len(text) == 2 + len(pairs) + 1 + 2 + poses + 2
    assert text[-1].startswith("more seeds wanted from: ")
    regimes.train_regimes(list(rate), [0], small_data, jobs=1, trials=[])
    folder = regimes.run_folder(*rate, 0, regimes.NETWORK)
    for trained in (True, False):  # what is kept stays
        assert folder.exists() == trained
        regimes.main(["--search", "--kept"])
        refiner, heads = capsys.readouterr().out.split("\n\n")
        assert [line.split("|")[1].strip() for line in refiner.splitlines()[2:]] == [SOME[3]]
        head, *columns = heads.splitlines()[2].strip("| ").split("|")
        assert (head.strip(), len([c for c in columns if "–" not in c])) == ("awr", 1)
        if trained:
            shutil.rmtree(folder)
    rows = regimes.heads_table(regimes.measured(["end", "awr"], paired=True)).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["end", "awr"]
    assert rows[2].split("|")[-2].strip() == "–" != rows[3].split("|")[-2].strip()
    moved = folder.parent / "long" / "model.safetensors"
    shutil.copy(folder.parent / "awr" / "model.safetensors", moved)
    with pytest.raises(ValueError, match="has a run from other weights, wanted one from"):
        regimes.collect()
    monkeypatch.setattr(regimes, "STARTS", starts | {"end": Start("awr", 0, "all")})
    with pytest.raises(ValueError, match="has a run of another recipe, wanted that of"):
        regimes.collect()


def test_all_trials_are_known_and_compared_with_a_pose_that_is_trained():
    for pair in regimes.COMPARISONS.values():
        for trial, pose in pair:
            assert pose in ("initial", regimes.TRIALS[trial].pose)
    for start in regimes.STARTS:
        assert (
            regimes.recipe_of(start, 0, "eq. 3 on").head
            == regimes.recipe_of(start, 0, regimes.NETWORK).head
        )


def test_docs_tell_the_effects():
    found = regimes.effects()
    assert set(found["start"]) >= {regimes.TINY, regimes.REGIMES[0]}
    others = regimes.effects(regimes.SAME_IMAGES)
    assert set(others["start"]) >= {"direct regression", "A2J", "AWR"}
    last = regimes.anatomy_table(regimes.REGIMES[-1])
    heads = regimes.heads_table(regimes.measured(regimes.COMPARED, paired=True))
    for name, tables in {
        "lower_errors.md": [regimes.effects_table(found), last],
        "heads.md": [regimes.search_tables()[1], heads, regimes.effects_table(others)],
    }.items():
        page = (ROOT / "docs" / name).read_text()
        assert all(f"\n\n{table}\n\n" in page for table in tables)


def test_holm():
    # Holm (1979): the smallest times N, the next times N - 1, never falling.
    found = holm(np.array([0.04, 0.01, 0.03, 0.5]))
    assert found == pytest.approx([0.09, 0.04, 0.09, 0.5])


def test_anatomy_of_bones_that_are_short_and_turned():
    true = np.zeros((2, 21, 3))
    true[:, :, 1] = np.arange(21)  # every bone along y
    short = anatomy(0.9 * true, true, true)
    assert short["length"] == pytest.approx(0.9)
    assert (short["along"] < 0, short["across"], short["angle"]) == (True, 0, 0)
    turned = anatomy(true, true, true[..., [1, 0, 2]])
    assert (turned["towards"], turned["palm"]) == (1, 0)
    assert short["in_patch"] == 1 > turned["in_patch"]


def test_equal_gradients_at_the_pose():
    torch.manual_seed(0)
    true = torch.rand(2, 21, 3) * 8
    pose = (true + torch.rand_like(true)).requires_grad_()
    eq_4 = balanced_volume_loss(pose, true, size=(8, 8, 8), gamma=0.1)
    eq_3 = pose_loss((pose + 0.5) / 8, (true + 0.5) / 8)
    one, other = (torch.autograd.grad(loss, pose)[0].abs().mean() for loss in (eq_3, eq_4))
    assert one.item() == pytest.approx(other.item(), rel=1e-4)
    assert TRIALS["Step 1, with eq. 4"].volume_loss is None
