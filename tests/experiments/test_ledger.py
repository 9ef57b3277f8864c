import itertools
import json

import pandas as pd
import pytest
import torch
from conftest import ROOT

from senorita_lib.evaluation import PAPER, SPLITS
from senorita_lib.experiments import ledger, regimes
from senorita_lib.experiments.ledger import NOT_MEASURED, load_claims, load_ledger
from senorita_lib.experiments.tables import load_trials
from senorita_lib.experiments.trials import TRIALS
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe

SHIFT = "shift at test time"


@pytest.mark.parametrize(
    ("intervals", "word"),
    [
        ([(-2, -1)], "yes"), ([(-2, -1), (-3, -0.1)], "yes"), ([(-2, -1), (1, 2, False)], "yes"),
        ([(-2, 1)], "perhaps"), ([(-2, -1), (-1, 1)], "perhaps"), ([(-2, -1), (1, 2)], "no"),
        ([(1, 2, False)], NOT_MEASURED), ([], NOT_MEASURED),
    ],
)  # fmt: skip
def test_verdicts_follow_the_intervals(intervals, word):
    rows = [dict(zip(("low", "high", "decides"), (*i, True), strict=False)) for i in intervals]
    assert ledger.verdict(rows, ("yes", "no", "perhaps")) == word


def test_the_kept_ledger_is_what_the_trials_say(small_data):
    """All but the shift, which is of the test frames: here other ones."""
    kept, again = load_ledger(), json.loads(json.dumps(ledger.ledger(small_data)))
    assert kept["claims"] == again["claims"]
    for old, new in zip(kept["differences"], again["differences"], strict=True):
        if old["matter"] == SHIFT:
            assert [c["split"] for c in old["comparisons"]] == [*SPLITS, "all"]
            assert all(1 < c["low"] < c["difference"] < c["high"] < 1.5 for c in old["comparisons"])
            old["comparisons"] = new["comparisons"]
        assert old == new


def test_the_shift_is_that_of_the_pixels(small_data):
    """Half a pixel of 256 in u and in v, and 2.3 % of the way from the crop's middle."""
    table, width = ledger.shifted_poses(small_data), 221  # mm
    errors = table[table["trial"] == "shifted true poses"]["mm"]
    assert not table[table["trial"] == "true poses"]["mm"].any()
    assert errors.between(0, 0.024 * width * 0.71 + 0.5**0.5 * width / 256, "neither").all()
    assert 1 < errors.mean() < 1.5


def test_a_difference_is_of_one_change():
    """But for the release's Step 2 as a whole, which says so, and its volumes."""
    for entry in load_claims()["differences"]:
        for pair in entry.get("compare", []):
            names = pair["one"][0], pair["other"][0]
            if not set(names) <= set(TRIALS) or entry["matter"] == "Step 2 as released":
                continue
            one, other = (TRIALS[name] for name in names)
            keys = one.changes.keys() | other.changes.keys()
            changed = {key for key in keys if one.changes.get(key) != other.changes.get(key)}
            assert one.start == other.start
            assert len(changed) <= 1 or changed == {"gamma", "distance", "ends"}
            assert changed or (one[2:] != other[2:])


def test_differences_are_those_of_the_plain_means():
    """Recomputed without resampling."""
    keys = ["trial", "pose", "split"]
    means = load_trials().astype({"mm": float}).groupby(keys)["mm"].mean()
    table = pd.read_csv(ROOT / "results" / "regimes.csv.gz")
    of_heads = table.groupby(["start", *keys])["mm"].mean()
    heads = [head for head in ("direct regression", "A2J", "AWR") if head in of_heads]
    assert len(heads) > 1
    listed, kept = (rows["claims"] + rows["differences"] for rows in (load_claims(), load_ledger()))
    for words, row in zip(listed, kept, strict=True):
        assert (row["verdict"] == NOT_MEASURED) == (not {"compare", "costs_at_most"} & set(words))
        if words.get("matter") == SHIFT:
            continue
        assert row["seeds"] >= 3 or "compare" not in words
        ends = [(tuple(p["one"]), tuple(p["other"])) for p in words.get("compare", [])]
        pairs = [tuple(means[end] for end in pair) for pair in ends]
        for head, name in itertools.product(heads, words.get("add_ons", {}).values()):
            pairs.append(tuple(of_heads[head, *end] for end in regimes.COMPARISONS[name]))
        pairs = [pair for pair in pairs for _ in range(6)]
        for (one, other), found in zip(pairs, row["comparisons"], strict=True):
            change = (one - other).get(found["split"], (one - other).mean())  # of "all"
            assert found["difference"] == pytest.approx(change, abs=0.0051)


def test_the_refiners_cost_is_that_of_the_papers_networks():
    (row,) = (row for row in load_ledger()["claims"] if "costs" in row)
    networks = HandPoseNet(find_recipe("paper"), torch.ones(20))
    one, other = (
        sum(p.numel() for p in part.parameters()) for part in (networks.refiner, networks.estimator)
    )
    assert row["costs"]["parameters"] == pytest.approx(one / other, abs=5e-4)
    assert (row["verdict"] == "supported") == (max(row["costs"].values()) <= 0.25)


def test_the_papers_numbers_are_the_papers():
    models = PAPER["table1"].values()
    evidence = {row["claim"]: row["evidence"] for row in load_claims()["claims"]}
    extrap = ", ".join(f"{row['EXTRAP']:.2f}" for row in models)
    assert extrap in evidence["Model 1 is the best single model on EXTRAP."]
    gains = [row[s] - PAPER["table2"]["Ours"][s] for row in models for s in SPLITS]
    words = f"by {min(gains):.2f} to {max(gains):.2f} mm"
    assert words in evidence["The ensemble beats each model on every split."]


def test_docs_and_text_tell_all_of_the_ledger(monkeypatch, tmp_path):
    rows, docs = load_ledger(), ROOT / "docs"
    for kind, page in (("claims", "results"), ("differences", "release")):
        table, text = ledger.ledger_table(rows, kind), ledger.ledger_text(rows[kind])
        assert len(table.splitlines()) == 2 + len(rows[kind])
        assert f"\n\n{table}\n\n" in (docs / f"{page}.md").read_text()
        flat = " ".join(text.split())
        assert all(len(line) <= 98 for line in text.splitlines())
        for row in rows[kind]:
            words = [row.get(k, "") for k in ("claim", "matter", "evidence", "test", "paper")]
            assert all(" ".join(w.split()) in flat for w in (*words, row["verdict"].upper()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"claims.json is missing, wanted it from python"):
        load_ledger()
