"""The ledger: each claim of the paper, each difference of its release, and what training says.

``python -m senorita_lib.ledger`` trains what is missing (:mod:`senorita_lib.studies`), writes the
rows to ``results/claims.json`` and prints them.
"""

import argparse
import json
import textwrap

import numpy as np

from senorita_lib.claims import CLAIMS, DIFFERENCES, SHIFT
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import write_aside
from senorita_lib.evaluation import SPLITS, mean_joint_error
from senorita_lib.paths import project_path
from senorita_lib.studies import STUDIES, load_study, run_study, save_study
from senorita_lib.uncertainty import bootstrap

# Verdicts: of claims, of differences, of what no training tells.
CLAIM = ("supported", "not supported", "cannot be told")
DIFFERENCE = ("the release's is better", "the release's is worse", "cannot be told")
NOT_MEASURED = "not measured"


def ledger(data="data/hands19_synthetic"):
    """The rows of the ledger, from ``results/studies``.

    Parameters
    ----------
    data : path
        The labelled data set whose test poses show the shift at test time.

    Returns
    -------
    dict
        ``claims`` and ``differences``, lists of rows: the words of :class:`Claim` or
        :class:`Difference`, ``seeds``, ``comparisons`` (study, what with what, split,
        difference and 95 % interval, mm, whether the verdict rests on it) and ``verdict``.
    """
    studies = {name: load_study(name) for name in STUDIES}
    estimates = {
        name: bootstrap({k: v for k, v in frames.items() if k != "splits"}, frames["splits"])
        for name, (_, frames) in studies.items()
    }
    rows = {"claims": [], "differences": []}
    for kind, entries in (("claims", CLAIMS), ("differences", DIFFERENCES)):
        words = CLAIM if kind == "claims" else DIFFERENCE
        for entry in entries:
            row = entry._asdict()
            tests = row.pop("tests")
            if tests == SHIFT:
                row |= {"seeds": 0, "comparisons": [_shift(data)]}
            else:
                seeds = max((len(studies[t.study][0]["seeds"]) for t in tests), default=0)
                found = [c for test in tests for c in _compare(test, estimates)]
                row |= {"seeds": seeds, "comparisons": found}
            row["verdict"] = verdict(row["comparisons"], words)
            rows[kind].append(row)
    return rows


def _compare(test, estimates):
    one, other = (estimates[test.study][name] for name in (test.one, test.other))
    for split in (*SPLITS, "all"):
        off = one[split] - other[split]
        low, high = off.interval()
        yield {
            "study": test.study,
            "one": test.one,
            "other": test.other,
            "split": split,
            "difference": round(off.mean, 2),
            "low": round(low, 2),
            "high": round(high, 2),
            "decides": split in test.splits,
        }


def verdict(comparisons, words=CLAIM):
    """One of three words.

    The first if every interval that decides is wholly below zero; the second if one is wholly
    above; else the third. Without comparisons, "not measured".
    """
    deciding = [row for row in comparisons if row["decides"]]
    if not deciding:
        return NOT_MEASURED
    if all(row["high"] < 0 for row in deciding):
        return words[0]
    return words[1] if any(row["low"] > 0 for row in deciding) else words[2]


def _shift(data):
    """Mean error of true poses that went through the release's shift and not back."""
    frames = Hands19(project_path(data), "test", skip_degenerate=False)
    crops = load_crops(frames, size=64, progress=False)
    batch, true = crops.batch(np.flatnonzero(crops.found))
    uvd = batch.to_uvd(true)
    uvd[..., :2] = 0.9765625 * uvd[..., :2] + 3.5 / 256
    off = round(mean_joint_error(batch.to_camera(uvd), true), 2)
    names = {"study": "geometry", "one": "shifted true poses", "other": "true poses"}
    return names | {"split": "all", "difference": off, "low": off, "high": off, "decides": True}


def ledger_table(rows):
    """The ledger as text: claims, then differences, with what the verdicts rest on."""
    lines = []
    for kind, name in (("claims", "claim"), ("differences", "matter")):
        width = max(len(row[name]) for row in rows[kind]) + 2
        lines += ["", f"{name.ljust(width)}{'difference, mm'.ljust(24)}verdict"]
        for row in rows[kind]:
            cells = [comparison_text(c) for c in row["comparisons"] if c["decides"]]
            if len(cells) > 3:
                lower = sum(c["high"] < 0 for c in row["comparisons"] if c["decides"])
                cells = [f"{lower} of {len(cells)} below zero"]
            for i, cell in enumerate(cells or ["–"]):
                words = ("", "") if i else (row[name], row["verdict"])
                lines.append(f"{words[0].ljust(width)}{cell.ljust(24)}{words[1]}".rstrip())
    return "\n".join(lines[1:])


def ledger_text(rows, width=98):
    """The ledger in full, as text: a paragraph for each row.

    Parameters
    ----------
    rows : list of dict
        Claims or differences of :func:`ledger`.
    width : int
        Characters in a line.
    """
    heads = ("evidence", "test"), ("paper", "release", "changes")
    names = {"evidence": "paper", "test": "our test"}
    lines = []
    for number, row in enumerate(rows, start=1):
        title = f"{row['claim']} (§ {row['where']})" if "claim" in row else row["matter"]
        lines.append(f"{number:2}. {title}")
        for key in heads["claim" not in row]:
            lines += _hung(names.get(key, key), row[key], width)
        for comparison in row["comparisons"]:
            if comparison["decides"]:
                text = f"{comparison_text(comparison)} mm: {comparison['one']}"
                text += f" against {comparison['other']}, {comparison['split']}"
                lines += _hung("measured", text, width)
        lines += [*_hung("verdict", row["verdict"].upper(), width), ""]
    return "\n".join(lines[:-1])


def _hung(name, text, width):
    head, blank = f"    {name + ':':<10}", " " * 14
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=blank)


def comparison_text(row):
    """A comparison as text: the difference and its interval, mm."""
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def load_ledger():
    """The rows that ``results/claims.json`` holds."""
    return json.loads(project_path("results/claims.json").read_text())


def main(arguments=None):
    """Train what is missing, write the ledger, print it."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.ledger", description=__doc__)
    parser.parse_args(arguments)
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in STUDIES:
        save_study(*run_study(name))
    rows = ledger()
    path = project_path("results/claims.json")
    write_aside(path, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    print(ledger_table(rows))


if __name__ == "__main__":
    main()
