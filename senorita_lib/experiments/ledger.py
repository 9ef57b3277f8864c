"""The ledger: each claim of the paper, each difference of its release, and what training says.

``python -m senorita_lib.experiments.ledger`` trains what is missing (:mod:`.studies`), writes the
rows to ``results/claims.json`` and prints them.
"""

import argparse
import json
import textwrap

import numpy as np

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import SPLITS, joint_errors
from senorita_lib.experiments.claims import CLAIMS, DIFFERENCES
from senorita_lib.experiments.studies import STUDIES, run_study
from senorita_lib.experiments.study_files import load_study, save_study
from senorita_lib.experiments.uncertainty import bootstrap
from senorita_lib.files import atomic_write
from senorita_lib.paths import project_path

VERDICTS = ("supported", "not supported", "cannot be told")
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
        ``claims`` and ``differences``, lists of rows: the words of
        :class:`.Claim` or :class:`.Difference`,
        ``seeds``, ``comparisons`` (study, what with what, split, difference and 95 % interval,
        mm, whether the verdict rests on it) and ``verdict``.
    """
    studies = {name: load_study(name) for name in STUDIES}
    seeds = {name: len(study["seeds"]) for name, (study, _) in studies.items()}
    frames = {name: frames for name, (_, frames) in studies.items()}
    frames["geometry"] = _shifted(data)
    estimates = {
        name: bootstrap({k: v for k, v in arrays.items() if k != "splits"}, arrays["splits"])
        for name, arrays in frames.items()
    }
    rows = {"claims": [], "differences": []}
    for entry in (*CLAIMS, *DIFFERENCES):
        row = entry._asdict()
        tests, words = row.pop("tests"), VERDICTS
        if other := row.pop("other", None):
            words = (f"{other}: better", f"{other}: worse", VERDICTS[-1])
        row["seeds"] = max((seeds.get(test.study, 1) for test in tests), default=0)
        row["comparisons"] = [c for test in tests for c in _compare(test, estimates)]
        row["verdict"] = verdict(row["comparisons"], words)
        rows["claims" if "claim" in row else "differences"].append(row)
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
            "label": test.label,
        }


def verdict(comparisons, words=VERDICTS):
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


def _shifted(data):
    """As a study's frames: true poses that went through the release's shift and not back."""
    frames = Hands19(project_path(data), "test", skip_degenerate=False)
    crops = load_crops(frames, size=64, progress=False)
    kept = np.flatnonzero(crops.found)
    batch, true = crops.batch(kept)
    uvd = batch.to_uvd(true)
    uvd[..., :2] = 0.9765625 * uvd[..., :2] + 3.5 / 256
    off = joint_errors(batch.to_camera(uvd), true).mean(axis=1)
    splits = np.array(crops.splits)[kept]
    return {"shifted true poses": off, "true poses": np.zeros(len(off)), "splits": splits}


def ledger_table(rows, kind="claims"):
    """Claims or differences as a table in Markdown, with what the verdicts rest on.

    Parameters
    ----------
    rows : dict
        Of :func:`ledger`.
    kind : {"claims", "differences"}
    """
    name = "claim" if kind == "claims" else "matter"
    lines = [f"| {name} | difference, mm | verdict |", "|---|---|---|"]
    for row in rows[kind]:
        deciding = [c for c in row["comparisons"] if c["decides"]]
        cells = [comparison_text(c) for c in deciding]
        if len(cells) > 1:
            cells = [f"{c['label']}: {text}" for c, text in zip(deciding, cells, strict=True)]
        if len(cells) > 3:
            below = sum(c["high"] < 0 for c in deciding)
            cells = [f"{below} of {len(cells)} intervals below zero"]
        lines.append(f"| {row[name]} | {'; '.join(cells) or '–'} | {row['verdict']} |")
    return "\n".join(lines)


def ledger_text(rows, width=98):
    """The ledger in full, as text: a paragraph for each row.

    After ± half of the interval's width; a star where the verdict rests on it and zero is not
    in it.

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
        for (one, other), found in grouped(row["comparisons"]).items():
            lines += _hung("measured", f"“{one}” less “{other}”", width)
            for start in range(0, len(found), 3):
                cells = (_short(c) for c in found[start : start + 3])
                lines.append((" " * 14 + "".join(f"{cell:<24}" for cell in cells)).rstrip())
        lines += [*_hung("verdict", row["verdict"].upper(), width), ""]
    return "\n".join(lines[:-1])


def grouped(comparisons):
    """The comparisons of each pair, split by split: {(one, other): list}."""
    pairs = {}
    for comparison in comparisons:
        pairs.setdefault((comparison["one"], comparison["other"]), []).append(comparison)
    return pairs


def _short(row):
    mark = "*" if row["decides"] and (row["low"] > 0 or row["high"] < 0) else ""
    return f"{row['split']:<6} {row['difference']:+.2f} ±{(row['high'] - row['low']) / 2:.2f}{mark}"


def _hung(name, text, width):
    head, blank = f"    {name + ':' if name else '':<10}", " " * 14
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=blank)


def comparison_text(row):
    """A comparison as text: the difference and its interval, mm."""
    return f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def figure_row(row):
    """A claim as :func:`~senorita_lib.figures.results.ledger_figure` takes it.

    A pair has one line: of the split that decides, or of the mean over all if several do.
    """
    lines = []
    for found in grouped(row["comparisons"]).values():
        deciding = [c for c in found if c["decides"]]
        whole = [c for c in found if c["split"] == "all"]
        lines += [c | {"name": c["label"]} for c in (whole if len(deciding) > 1 else deciding)]
    return {"claim": row["claim"], "verdict": row["verdict"], "comparisons": lines}


def find_row(words):
    """The claim of the kept ledger with these words.

    Raises
    ------
    ValueError
        If there is none.
    """
    claims = {row["claim"]: row for row in load_ledger()["claims"]}
    if words not in claims:
        raise ValueError(f"claim is {words!r}, wanted one of {list(claims)}")
    return claims[words]


def load_ledger():
    """The rows that ``results/claims.json`` holds.

    Raises
    ------
    FileNotFoundError
        If there are none.
    """
    path = project_path("results/claims.json")
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing, wanted it from python -m senorita_lib.experiments.ledger"
        )
    return json.loads(path.read_text())


def main(arguments=None):
    """Train what is missing, write the ledger, print it."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.experiments.ledger", description=__doc__
    )
    parser.add_argument(
        "--kept", action="store_true", help="train nothing: from what results/studies holds"
    )
    kept = parser.parse_args(arguments).kept
    write_synthetic(project_path("data/hands19_synthetic"))
    for name in () if kept else STUDIES:
        save_study(*run_study(name))
    rows = ledger()
    path = project_path("results/claims.json")
    atomic_write(path, (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode())
    print(ledger_table(rows), ledger_table(rows, "differences"), sep="\n\n")


if __name__ == "__main__":
    main()
