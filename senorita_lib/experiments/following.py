"""How often a pose is followed through a clip: good ones, and those of what is no hand.

``python -m senorita_lib.experiments.following small`` prints it for frames of the open world.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from senorita_lib.camera import SR300
from senorita_lib.commands import command
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.predictor import Predictor

_GOOD_MM, _HAND_MM = 30.0, 70.0  # a good pose's mean error; what is closer to a joint is the hand


def without_hand(frame: Frame) -> np.ndarray:
    """The depth image of a labelled SR300 frame whose hand is erased."""
    v, u = np.nonzero(frame.depth)
    xyz = SR300.unproject(np.column_stack([u, v, frame.depth[v, u]]).astype(float))
    apart = np.linalg.norm(xyz[:, None] - np.asarray(frame.joints), axis=-1).min(axis=1)
    depth = frame.depth.copy()
    depth[v, u] = np.where(apart < _HAND_MM, 0, depth[v, u])
    return depth


def followed(predictor: Predictor, count: int, seed: int) -> pd.DataFrame:
    """Share, %, of poses that are followed when the frame comes again, and how many there were."""
    hands = SyntheticHand(seed)
    seen: dict[str, list[bool]] = {"poses within 30 mm": [], "poses where the hand is erased": []}
    for index in range(count):
        frame = hands.frame(index, "open")
        views = (frame.depth, frame.box), (without_hand(frame), None)
        for rows, (depth, box) in zip(seen.values(), views, strict=True):
            with suppress(ValueError):  # no hand, or refused: nothing to follow
                pose = predictor.predict(depth, SR300, box)
                error = np.linalg.norm(pose.joints_mm - np.asarray(frame.joints), axis=1).mean()
                if box is None or error < _GOOD_MM:
                    again = predictor.predict(depth, SR300, last=pose)
                    rows.append(bool(again.evidence_mm[1].max() < 1e-3))  # mm: one crop alone
    shares = {name: 100 * np.mean(rows) for name, rows in seen.items()}
    return pd.DataFrame({"followed, %": shares, "poses": {k: len(v) for k, v in seen.items()}})


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table of some weights."""
    parser = ArgumentParser("python -m senorita_lib.experiments.following", description=__doc__)
    parser.add_argument("weights", help="as for Predictor.load")
    parser.add_argument("--count", type=int, default=200, help="frames")
    parser.add_argument("--seed", type=int, default=4244, help="of the frames")
    chosen = parser.parse_args(arguments)
    table = followed(Predictor.load(chosen.weights), chosen.count, chosen.seed)
    print(table.round(1).to_string())


if __name__ == "__main__":
    main()
