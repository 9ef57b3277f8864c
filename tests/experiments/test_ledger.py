import json

import numpy as np
import pytest
from conftest import ROOT

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.claims import CLAIMS, DIFFERENCES
from senorita_lib.experiments.ledger import (
    NOT_MEASURED,
    _shifted,
    figure_row,
    find_row,
    ledger,
    ledger_table,
    ledger_text,
    load_ledger,
    verdict,
)
from senorita_lib.experiments.study_files import load_study
from senorita_lib.experiments.trials import TRIALS


def row(low, high, decides=True):
    return {"low": low, "high": high, "decides": decides}


def test_verdicts_follow_the_intervals():
    words = ("yes", "no", "untold")
    assert verdict([row(-2, -1)], words) == "yes"
    assert verdict([row(-2, -1), row(-3, -0.1)], words) == "yes"
    assert verdict([row(-2, 1)], words) == verdict([row(-2, -1), row(-1, 1)], words) == "untold"
    assert verdict([row(-2, -1), row(1, 2)], words) == "no"
    assert verdict([row(-2, -1), row(1, 2, decides=False)], words) == "yes"
    assert verdict([row(1, 2, decides=False)], words) == verdict([], words) == NOT_MEASURED


def test_the_kept_ledger_is_what_its_studies_say(small_data):
    """All but the shift, which is of the test frames: here other ones."""
    kept, again = load_ledger(), json.loads(json.dumps(ledger(small_data)))
    assert kept["claims"] == again["claims"]
    for old, new in zip(kept["differences"], again["differences"], strict=True):
        if old["matter"] == "shift at test time":
            assert [c["split"] for c in old["comparisons"]] == [*SPLITS, "all"]
            assert all(1 < c["low"] < c["difference"] < c["high"] < 1.5 for c in old["comparisons"])
            old["comparisons"] = new["comparisons"]
        assert old == new


def test_the_shift_is_that_of_the_pixels(small_data):
    """Half a pixel of 256 in u and in v, and 2.3 % of the way from the crop's middle."""
    found = _shifted(small_data)
    assert set(np.char.upper(found["splits"])) == set(SPLITS)
    assert not found["true poses"].any()
    width = 221  # mm
    least, most = 0.0, 0.024 * width * 0.71 + 0.5**0.5 * width / 256
    errors = found["shifted true poses"]
    assert (errors > least).all() and (errors < most).all() and 1 < errors.mean() < 1.5


def test_every_claim_and_difference_is_answered():
    kept = load_ledger()
    assert [r["claim"] for r in kept["claims"]] == [c.claim for c in CLAIMS]
    assert [r["matter"] for r in kept["differences"]] == [d.matter for d in DIFFERENCES]
    for row, entry in zip(kept["claims"] + kept["differences"], CLAIMS + DIFFERENCES, strict=True):
        assert (row["verdict"] == NOT_MEASURED) == (not entry.tests)
        named = row.get("matter")
        assert row["seeds"] >= 3 or not entry.tests or named == "shift at test time"


def test_a_claim_names_first_what_should_be_better():
    """Known: the ensemble is better than its members, and a shift is worse than none."""
    kept = load_ledger()
    signs = {
        row.get("claim", row.get("matter")): [c["difference"] for c in row["comparisons"]]
        for row in kept["claims"] + kept["differences"]
    }
    assert max(signs["The ensemble beats each model on every split."][:24]) < 0
    assert min(signs["shift at test time"]) > 0


def test_a_difference_is_of_one_change():
    """But for the release's Step 2 as a whole, which says so, and its volumes."""
    for entry in DIFFERENCES:
        for test in entry.tests:
            names = [name.rpartition(", ")[0] for name in (test.one, test.other)]
            if not set(names) <= set(TRIALS) or entry.matter == "Step 2 as released":
                continue
            one, other = (TRIALS[name] for name in names)
            keys = one.changes.keys() | other.changes.keys()
            changed = {key for key in keys if one.changes.get(key) != other.changes.get(key)}
            assert one.start == other.start
            assert len(changed) <= 1 or changed == {"gamma", "distance", "ends"}
            assert changed or one.volume_loss is not other.volume_loss


def test_differences_are_those_of_the_studies_errors():
    """Recomputed from each study's own JSON, without frames or resampling."""
    for entry in load_ledger()["claims"] + load_ledger()["differences"]:
        for found in entry["comparisons"]:
            if found["study"] == "geometry" or found["split"] == "all":
                continue
            study, _ = load_study(found["study"])
            sides = [found[side].rpartition(", ")[::2] for side in ("one", "other")]
            if any(name in TRIALS and TRIALS[name].pose != pose for name, pose in sides):
                continue  # the JSON has only the pose that a trial is about
            means = [
                np.mean([seed[found["split"]] for seed in study["errors"][name]])
                for name, _ in sides
            ]
            assert found["difference"] == pytest.approx(means[0] - means[1], abs=0.011)


def test_readme_shows_the_ledger():
    rows, text = load_ledger(), (ROOT / "README.md").read_text()
    for kind, entries in (("claims", CLAIMS), ("differences", DIFFERENCES)):
        table = ledger_table(rows, kind)
        assert len(table.splitlines()) == 2 + len(entries)
        assert f"\n\n{table}\n\n" in text


def test_a_ledger_that_was_not_made_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"claims.json is missing, wanted it from python"):
        load_ledger()


def test_text_tells_all_of_a_row():
    rows = load_ledger()
    for kind in ("claims", "differences"):
        text = ledger_text(rows[kind])
        flat = " ".join(text.split())
        assert all(len(line) <= 98 for line in text.splitlines())
        for row in rows[kind]:
            words = [row.get(k, "") for k in ("claim", "matter", "evidence", "test", "paper")]
            assert all(" ".join(w.split()) in flat for w in words)
            assert row["verdict"].upper() in text


def test_figure_has_one_line_for_each_pair_that_decides():
    lines = {row["claim"]: figure_row(row)["comparisons"] for row in load_ledger()["claims"]}
    assert [c["name"] for c in lines["The ensemble beats each model on every split."]] == [
        f"Model {m}, mean of splits" for m in (1, 2, 3, 4)
    ]
    assert all(len(row) == 1 or len({c["name"] for c in row}) == len(row) for row in lines.values())
    with pytest.raises(ValueError, match="claim is 'The moon', wanted one of"):
        find_row("The moon")
