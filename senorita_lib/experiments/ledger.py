"""The ledger: each claim of the paper, each difference of its release, and what training says.

``claims.toml`` has the words and the trials that decide. ``python -m
senorita_lib.experiments.ledger`` trains what is missing (:mod:`.studies`), writes the rows to
``results/claims.json`` and prints them.
"""

import argparse
import itertools
import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from senorita_lib.commands import command
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments import ensembles, regimes, tables
from senorita_lib.experiments.sizing import added_costs
from senorita_lib.experiments.studies import run_study
from senorita_lib.experiments.trials import STUDIES
from senorita_lib.experiments.uncertainty import Estimate
from senorita_lib.files import PathLike, atomic_write, project_path, read_json, read_toml
from senorita_lib.recipes import find_recipe

VERDICTS = ("supported", "not supported", "inconclusive")
NOT_MEASURED = "not measured"
_WIDTH = 98  # characters of a line of text
Row: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal["claims", "differences"]
_TITLE = {"claims": "claim", "differences": "matter"}


def load_claims() -> dict[Kind, list[Row]]:
    """The claims and differences of ``claims.toml``; its head says what each key means."""
    return read_toml(__file__, "claims.toml")  # type: ignore[return-value]


def ledger(data: PathLike = "data/hands19_synthetic") -> dict[Kind, list[Row]]:
    """The rows of the ledger, from ``results/trials.csv.gz``.

    The test poses of the labelled data set ``data`` show the shift at test time. Rows have the
    words of ``claims.toml``, ``seeds``, ``verdict`` and ``comparisons``, a list of dicts: ``one``,
    ``other``, ``split``, ``difference`` of their errors and its 95 % interval from ``low`` to
    ``high``, mm, whether it ``decides``, and its ``label``. Claims also have ``nearer``, a dict for
    each start of :mod:`.regimes` that was measured: its ``error``, mm, ``seeds`` and ``verdict``.
    """
    table = tables.load_trials()
    measured = tables.estimates(table) | tables.estimates(shifted_poses(data))
    seeds = table.groupby("trial")["seed"].nunique()
    rows, near = load_claims(), regimes.effects()
    for row in rows["claims"]:
        row["nearer"] = _nearer(row.pop("regimes", []), near)
        row["nearer"] += _merged() if row.pop("merged", False) else []
    for row in (row for kind in rows.values() for row in kind):
        words, pairs = VERDICTS, row.pop("compare", [])
        if "matter" in row:
            variant = row.pop("variant", "the release's")
            words = (f"{variant}: better", f"{variant}: worse", VERDICTS[-1])
        row["seeds"] = max((int(seeds.get(pair["one"][0], 1)) for pair in pairs), default=0)
        row["comparisons"] = [found for pair in pairs for found in _compare(pair, measured)]
        if add_ons := row.pop("add_ons", None):
            row["comparisons"] += _of_heads(add_ons)
        row["verdict"] = verdict(row["comparisons"], words)
        for found in row["comparisons"]:  # what is written down, once it has been judged
            found |= {name: round(found[name], 2) for name in ("difference", "low", "high")}
        if most := row.pop("costs_at_most", None):
            row["costs"] = {k: round(v, 3) for k, v in added_costs(find_recipe("paper")).items()}
            row["verdict"] = VERDICTS[max(row["costs"].values()) > most]
    return rows


def _compare(pair: Row, measured: dict[tuple[str, str], dict[str, Estimate]]) -> Iterator[Row]:
    one, other = tuple(pair["one"]), tuple(pair["other"])
    decides = pair.get("decides", ["all"])
    for split in (*SPLITS, "all"):
        difference = measured[one][split] - measured[other][split]
        low, high = difference.interval()
        yield {
            "one": ", ".join(one), "other": ", ".join(other), "split": split,
            "difference": difference.mean, "low": low, "high": high,
            "decides": split in (SPLITS if decides == "each" else decides),
            "label": pair.get("label", "all splits"),
        }  # fmt: skip


def _of_heads(add_ons: dict[str, str]) -> Iterator[Row]:
    """Comparisons of :mod:`.regimes`, by their labels, with each other head that was measured."""
    heads = regimes.measured([head for head in regimes.SAME_IMAGES if head != regimes.OWN])
    for (head, errors), (label, name) in itertools.product(heads.items(), add_ons.items()):
        pair = regimes.COMPARISONS[name]
        one, other = ((f"{head}: {trial}", pose) for trial, pose in pair)
        named = {one: errors[pair[0]], other: errors[pair[1]]}
        yield from _compare({"one": one, "other": other, "label": f"{head}, {label}"}, named)


def _nearer(names: Sequence[str], found: pd.DataFrame) -> list[Row]:
    """Verdicts of a claim with the networks of each start."""
    own = found[found["comparison"].isin(names) & (found["start"] != regimes.TINY)]
    own = own.assign(decides=True)
    return [
        {
            "error": round(rows["error"].iloc[0], 1), "seeds": int(rows["seeds"].iloc[0]),
            "verdict": verdict([dict(row) for _, row in rows.iterrows()]),
        }
        for _, rows in own.groupby("start", sort=False)
    ]  # fmt: skip


def _merged() -> list[Row]:
    """The verdict of four models against each of them, of recipe ``small``."""
    found = ensembles.table()
    gains = {name: gain for name, gain in ensembles.gains(found).items() if name != "four seeds"}
    if not gains:
        return []
    kept = found["seed"].isin(found["seed"][found["trial"] == "four models"])
    ends = [gain.interval() for _, row in gains.values() for gain in row.values()]
    error = found["mm"][kept & found["trial"].isin(gains)].mean()
    said = verdict([{"low": low, "high": high, "decides": True} for low, high in ends])
    return [{"error": round(error, 1), "seeds": min(n for n, _ in gains.values()), "verdict": said}]


def verdict(comparisons: Sequence[Row], words: Sequence[str] = VERDICTS) -> str:
    """The first word if every deciding interval is below 0, the second if one is above, or else
    the third; "not measured" if no interval decides.
    """
    deciding = [row for row in comparisons if row["decides"]]
    if not deciding:
        return NOT_MEASURED
    if all(row["high"] < 0 for row in deciding):
        return words[0]
    return words[1] if any(row["low"] > 0 for row in deciding) else words[2]


def shifted_poses(data: PathLike) -> pd.DataFrame:
    """The long table of true poses, and of those shifted as by the release at test time."""
    frames = Hands19(project_path(data), "test", skip_degenerate=False)
    crops = load_crops(frames, size=64, progress=False)
    kept = np.flatnonzero(crops.found)
    batch, true = crops.batch(kept)
    uvd = batch.to_uvd(true)
    uvd[..., :2] = 0.9765625 * uvd[..., :2] + 3.5 / 256
    truth = {"joints": np.asarray(true), "splits": np.array(crops.splits)[kept]}
    poses = {"shifted true poses": batch.to_camera(uvd), "true poses": true}
    own = [tables.long_table(name, 0, 0, truth, {"true": pose}) for name, pose in poses.items()]
    return pd.concat(own)


def ledger_table(rows: dict[Kind, list[Row]], kind: Kind = "claims") -> str:
    """Claims or differences as a table in Markdown, with what the verdicts rest on."""
    heads = [
        _TITLE[kind],
        "difference, mm",
        "verdict",
        *["at lower errors"] * (kind == "claims"),
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows[kind]:
        deciding = [c for c in row["comparisons"] if c["decides"]]
        cells = [comparison_text(c) for c in deciding]
        if len(cells) > 1:
            cells = [f"{c['label']}: {text}" for c, text in zip(deciding, cells, strict=True)]
        cells += [f"{name} +{share:.0%}" for name, share in row.get("costs", {}).items()]
        if len(deciding) > 3:
            below = sum(c["high"] < 0 for c in deciding)
            cells = [f"{below} of {len(cells)} intervals below 0"]
        line = [row[_TITLE[kind]], "; ".join(cells) or "–", row["verdict"]]
        if kind == "claims":
            line.append("; ".join(map(_near_text, row["nearer"])) or "–")
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join(lines)


def ledger_text(rows: Sequence[Row]) -> str:
    """Claims or differences in full, a paragraph for each row.

    ± is half the width of the interval; a star marks an interval that decides and is on one side
    of 0.
    """
    names = {"evidence": "paper", "test": "our test"}
    lines = []
    for number, row in enumerate(rows, start=1):
        title = f"{row['claim']} (§ {row['where']})" if "claim" in row else row["matter"]
        lines.append(f"{number:2}. {title}")
        for key in ("evidence", "test") if "claim" in row else ("paper", "release", "changes"):
            lines += _hung(names.get(key, key), row[key])
        for (one, other), found in grouped(row["comparisons"]).items():
            lines += _hung("measured", f"“{one}” − “{other}”")
            cells = [f"{_short(c):<24}" for c in found]
            lines += [" " * 14 + "".join(cells[i : i + 3]).rstrip() for i in (0, 3)]
        for name, share in row.get("costs", {}).items():
            lines += _hung("counted", f"{name} +{share:.1%}")
        lines += _hung("verdict", row["verdict"].upper())
        if row.get("nearer"):
            lines += _hung("nearer", "; ".join(map(_near_text, row["nearer"])))
        lines.append("")
    return "\n".join(lines[:-1])


def _near_text(row: Row) -> str:
    seeds = "" if row["seeds"] > 1 else " (one seed)"
    return f"at {row['error']:.1f} mm {row['verdict']}{seeds}"


def _hung(name: str, text: str) -> list[str]:
    head = f"    {name + ':':<10}"
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * 14)


def _short(row: Row) -> str:
    mark = "*" if row["decides"] and (row["low"] > 0 or row["high"] < 0) else ""
    return f"{row['split']:<6} {row['difference']:+.2f} ±{(row['high'] - row['low']) / 2:.2f}{mark}"


def grouped(comparisons: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """The comparisons of each pair, split by split: {(one, other): list}."""
    pairs: dict[tuple[str, str], list[Row]] = {}
    for comparison in comparisons:
        pairs.setdefault((comparison["one"], comparison["other"]), []).append(comparison)
    return pairs


def comparison_text(row: Row) -> str:
    """A comparison as text: the difference and its interval, mm."""
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def load_ledger() -> dict[Kind, list[Row]]:
    """The rows that ``results/claims.json`` holds; raises FileNotFoundError if there are none."""
    rows: dict[Kind, list[Row]] = read_json(tables.results_file("claims.json", "ledger"))
    return rows


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, write the ledger, print it."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.ledger", description=__doc__
    )
    words = "train nothing: use what results/ holds"
    parser.add_argument("--kept", action="store_true", help=words)
    kept = parser.parse_args(arguments).kept
    if kept:
        tables.load_trials()  # nothing is made where there are none
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in () if kept else STUDIES:
        tables.save_trials(*run_study(name))
    rows = ledger()
    atomic_write(
        project_path("results/claims.json"), json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    )
    print(ledger_table(rows), ledger_table(rows, "differences"), sep="\n\n")


if __name__ == "__main__":
    main()
