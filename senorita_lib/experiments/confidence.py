"""How far off a predictor expects its joints to be, against how far off they are.

``python -m senorita_lib.experiments.confidence small`` prints it for generated frames. With
``--calibrate`` the expectation is first fitted, to frames of another seed, and kept in the file of
the weights; the card of weights in the package then has the table too.
"""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.stats import spearmanr

from senorita_lib.camera import SR300
from senorita_lib.commands import command
from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.files import atomic_write, read_json
from senorita_lib.model import HAND_FORMAT, read_weights, write_weights
from senorita_lib.predictor import Predictor, evidence_terms, weights_path
from senorita_lib.weights import file_digest

FIT_SEED, TEST_SEED = 4243, 4244  # no training has them


def readings(predictor: Predictor, count: int, seed: int) -> pd.DataFrame:
    """One row a joint of open-world frames, found in their boxes, the hand not told.

    Columns, mm: ``spread`` and ``apart``, the evidence; ``expected``, and the true ``error``; and
    ``followed``, whether the hand was only looked for where it is, in one crop.
    """
    hands, parts = SyntheticHand(seed), []
    for index in range(count):
        frame = hands.frame(index, "open")
        try:
            pose = predictor.predict(frame.depth, SR300, frame.box)
            poses = [pose, predictor.predict(frame.depth, SR300, frame.box, last=pose)]
        except HandNotFoundError:
            continue
        for followed, pose in enumerate(poses):
            if followed and pose.evidence_mm[1].max() > 1e-3:  # searched for again, in five crops
                continue
            spread, apart = pose.evidence_mm
            error = np.linalg.norm(pose.joints_mm - np.asarray(frame.joints), axis=1)
            columns = {"spread": spread, "apart": apart, "error": error}
            columns |= {"expected": pose.confidence_mm}
            parts.append(pd.DataFrame(columns).assign(frame=index, followed=bool(followed)))
    return pd.concat(parts, ignore_index=True)


def fit(seen: pd.DataFrame) -> tuple[float, ...]:
    """A network's ``calibration``: powers of spread, of its mean, and of disagreement.

    By Poisson regression, whose means are those of the errors; without disagreement for one crop.
    """
    found = []
    for followed, terms in ((False, 4), (True, 3)):
        part = seen[seen["followed"] == followed]
        evidence = part[["spread", "apart"]].to_numpy(float).reshape(-1, 21, 2)
        x = np.concatenate([evidence_terms(e.T) for e in evidence])[:, :terms]
        y = part["error"].to_numpy(float)
        start = np.append(np.log(y.mean()), np.zeros(terms - 1))

        def loss(w: np.ndarray, x: np.ndarray = x, y: np.ndarray = y) -> tuple[float, np.ndarray]:
            expected = np.exp(x @ w)
            return float((expected - y * (x @ w)).mean()), (expected - y) @ x / len(y)

        found += minimize(loss, start, jac=True, method="BFGS").x.tolist()
    return tuple(np.round(found, 4).tolist())


def reliability(seen: pd.DataFrame) -> dict[str, Any]:
    """Means of expected and true errors, mm, in ten bins by expectation, and rank correlations."""
    seen = seen[~seen["followed"]]
    bins = pd.qcut(seen["expected"], 10, labels=False)
    means = seen.groupby(bins)[["expected", "error"]].mean().astype(float).round(2)
    frames = seen.groupby("frame")[["expected", "error"]].mean()
    table: dict[str, Any] = {"frames": len(frames)}
    table |= {name: means[name].tolist() for name in ("expected", "error")}
    for name, part in (("joints", seen), ("frames", frames)):
        rank = float(spearmanr(part["expected"], part["error"]).statistic)
        table[f"rank correlation of {name}"] = round(rank, 3)
    return table


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the reliability of some weights, or calibrate them first."""
    parser = ArgumentParser("python -m senorita_lib.experiments.confidence", description=__doc__)
    parser.add_argument("weights", help="as for Predictor.load")
    parser.add_argument("--count", type=int, default=900, help="frames of each seed")
    parser.add_argument("--calibrate", action="store_true", help="fit, and write into the file")
    chosen = parser.parse_args(arguments)
    path = weights_path(chosen.weights)
    predictor = Predictor.load(path)
    if chosen.calibrate:
        predictor.model.calibration = fit(readings(predictor, chosen.count, FIT_SEED))
    table = reliability(readings(predictor, chosen.count, TEST_SEED))
    if chosen.calibrate:  # nothing is written before all is measured
        kept = {"calibration": json.dumps(predictor.model.calibration)}
        write_weights(path, HAND_FORMAT, *read_weights(path, HAND_FORMAT), kept)
        print(f"calibration {predictor.model.calibration} in {path}")
        if (card := path.with_suffix(".json")).is_file():
            told = {"bytes": path.stat().st_size, "sha256": file_digest(path), "confidence": table}
            atomic_write(card, json.dumps(read_json(card) | told, indent=1) + "\n")
    print(pd.DataFrame({k: table[k] for k in ("expected", "error")}).to_string())
    print({k: v for k, v in table.items() if not isinstance(v, list)})


if __name__ == "__main__":
    main()
