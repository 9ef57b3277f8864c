import json

import numpy as np
import pytest
from conftest import ROOT, told

from senorita_lib.evaluation import PAPER, SPLITS
from senorita_lib.experiments import tables
from senorita_lib.experiments.tables import load_notes, load_results, load_trials, results_table
from senorita_lib.experiments.trials import RECIPE as STUDIED
from senorita_lib.experiments.trials import SEEDS, STUDIES, TRIALS
from senorita_lib.recipes import find_recipe

RECIPE = {"name": "tiny", "model": 1, "seed": 0, "batch": 16}
CONSTANT = dict.fromkeys(SPLITS, 50.0)


def write_run(folder, model, seed, offset, frames=20, **changes):
    """A run whose poses are off by ``offset`` mm, by 4 mm less where they are refined."""
    true = np.random.default_rng(0).uniform(-100, 100, (frames, 21, 3)) + [0, 0, 500]
    arrays = {"names": np.arange(frames), "joints": true, "initial": true + [0, 0, offset]}
    arrays |= {"splits": np.array(SPLITS * (frames // 5)), "refined": true + [0, 0, offset - 4]}
    folder.mkdir(parents=True)
    np.savez(folder / "predictions.npz", **arrays)
    errors = dict.fromkeys(("constant", "initial", "refined"), CONSTANT)
    result = {"recipe": RECIPE | {"model": model, "seed": seed} | changes, "errors": errors}
    (folder / "result.json").write_text(json.dumps(result))


def test_seeds_are_merged_and_the_ensemble_takes_those_that_all_models_have(tmp_path):
    for model, seed, offset in ((1, 1, 14), (1, 0, 10), (2, 0, -10), (2, 5, -6), (2, 1, -2)):
        write_run(tmp_path / f"{model}_{seed}" / "run", model, seed, offset)
    table = results_table(load_results(tmp_path))
    assert list(table) == tables.COLUMNS
    assert table.groupby("trial")["seed"].unique().map(list).to_dict() == {
        "Model 1": [0, 1], "Model 2": [0, 1, 5],
        "ensemble of 2, mean": [0, 1], "ensemble of 2, median": [0, 1],
    }  # fmt: skip
    first, second = tables.paper_tables(table, CONSTANT)
    for split in SPLITS:
        rows = (first[f"Model {name}"] for name in ("1, initial", "1, refined", "2, refined"))
        assert [row[split].mean for row in rows] == pytest.approx([12, 8, 10])
        # Of refined poses off by 6 and -14 mm, then by 10 and -6.
        assert second["ensemble of 2, mean"][split].mean == pytest.approx((4 + 2) / 2)
    assert first["  paper's Model 1"] == PAPER["table1"]["Model 1"]
    low, high = first["Model 1, refined"]["SHAPE"].interval()
    assert low < 6 and high > 10  # seeds at 6 and 10 mm: two tell little
    write_run(tmp_path / "3_7", 3, 7, 0)
    assert set(results_table(load_results(tmp_path))["trial"]) == {f"Model {m}" for m in (1, 2, 3)}


def test_runs_that_cannot_stand_in_one_table_are_refused(tmp_path):
    for number, (changes, sentence) in enumerate((
        ({"model": 2, "batch": 8}, r"b/result.json has another batch than .*a/result.json"),
        ({"model": 1}, r"b/result.json is model 1 with seed 0 once more"),
        ({"model": 2, "frames": 25}, r"b/result.json was tested on other frames than .*a/"),
    )):  # fmt: skip
        write_run(tmp_path / f"{number}/a", model=1, seed=0, offset=10)
        write_run(tmp_path / f"{number}/b", seed=0, offset=10, **changes)
        with pytest.raises(ValueError, match=sentence):
            load_results(tmp_path / f"{number}")
    table = load_trials()
    with pytest.raises(ValueError, match="trials were tested on different frames, wanted the same"):
        tables.estimates(table[(table["trial"] == "Model 1") | (table["frame"] < 400)])


def test_a_recipe_with_rates_of_each_model_stands_in_one_table(tmp_path):
    for model in (1, 2):
        own = json.loads(find_recipe("released", model=model).to_json())
        write_run(tmp_path / str(model), offset=10, **own | {"seed": 0})
    assert list(load_results(tmp_path)) == [1, 2]


def test_the_kept_table_has_every_trial_and_seed():
    table, notes = load_trials(), load_notes()
    assert list(table) == tables.COLUMNS and list(notes) == list(TRIALS)
    groups = table.groupby(["trial", "pose", "seed"], sort=False).size()
    assert (groups == 500).all()
    poses = {n: {t.pose} if t.members else {"initial", t.pose} for n, t in TRIALS.items()}
    assert set(groups.index) == {(n, p, seed) for n in TRIALS for p in poses[n] for seed in SEEDS}
    assert STUDIED == "tiny" and table["mm"].between(1, 300).all()


def test_saving_replaces_the_rows_of_its_trials_alone(tmp_path, monkeypatch):
    table, notes = load_trials(), load_notes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"trials.csv.gz is missing, wanted it from python"):
        load_trials()
    tables.save_trials(table.sample(frac=1, random_state=0), notes)
    for name in ("trials.csv.gz", "trials.json"):  # rows in another order are the same bytes
        assert (tmp_path / "results" / name).read_bytes() == (ROOT / "results" / name).read_bytes()
    one = table[table["trial"] == "Model 3"]
    tables.save_trials(one.assign(mm=one["mm"] + 1), {"Model 3": {"bone_lengths": [2.0]}})
    again, same = load_trials(), table["trial"] != "Model 3"
    np.testing.assert_array_equal(again[same]["mm"], table[same]["mm"])
    np.testing.assert_allclose(again[~same]["mm"], one["mm"] + 1, atol=1e-3)
    assert load_notes() == notes | {"Model 3": {"bone_lengths": [2.0]}}
    known = {name: trial for name, trial in TRIALS.items() if name != "Model 3"}
    monkeypatch.setattr(tables, "TRIALS", known)
    tables.save_trials(one[:0], {})
    assert {*load_trials()["trial"]} == {*load_notes()} == {*notes} - {"Model 3"}


def test_a_studys_table_compares_seed_by_seed():
    table = load_trials()
    table = table[(table["pose"] == "initial")].groupby(["trial", "seed", "split"])["mm"].mean()
    mm = {name: table[name].groupby("seed").mean() for name in STUDIES["inputs"]}
    head, *lines = tables.study_table("inputs").splitlines()
    assert head.split() == [*SPLITS, "all", "difference", "bones"]
    for name, line in zip(STUDIES["inputs"], lines, strict=True):
        change = mm[name] - mm[STUDIES["inputs"][0]]
        *means, mean, difference, _, deviation, bones = line.removeprefix(name).split()
        assert len(means) == 5 and mean == f"{mm[name].mean():.2f}"
        assert (difference, deviation) == (f"{change.mean():+.2f}", f"{change.std():.2f}")
        assert bones == f"{np.mean(load_notes()[name]['bone_lengths']):.2f}"


def test_the_docs_show_what_the_command_prints(capsys):
    """And it prints a folder of runs, too."""
    tables.main([])
    printed = capsys.readouterr().out
    assert f"```\n{printed}```" in (ROOT / "docs" / "results.md").read_text()
    assert len(printed.splitlines()) > 15
    tables.main([str(ROOT / "results" / "tiny")])
    printed = capsys.readouterr().out
    assert "one run each" in printed and "ensemble of 4, median" in printed
    assert "holds no result.json" in told(tables.main, capsys, ROOT / "notebooks")
