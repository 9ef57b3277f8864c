"""How far from the hand the box finder, and the pose found without a box, look.

``python -m senorita_lib.experiments.boxfinder small`` prints the table.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from senorita_lib.boxes import find_hand_box
from senorita_lib.commands import command
from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.datasets.synthetic.meshtest import TESTS
from senorita_lib.experiments.generalisation import test_set
from senorita_lib.predictor import Predictor

SETS = "splits", "arms from any side", "walls, tables, second hands", *TESTS
_FAR_MM = 80.0  # a crop there shows less than half of the hand


def distances(predictor: Predictor, name: str, count: int) -> pd.DataFrame:
    """From the joints' mean, mm, beside the optical axis, of ``box`` and ``pose``; inf: none.

    Of about ``count`` frames of one of ``SETS``: persons and walls stand behind in all.
    """
    if name in ("splits", *TESTS):
        frames = test_set(name, count)
    else:
        hands = SyntheticHand(901, without=("things",) if name == SETS[1] else ())
        frames = [hands.frame(index, "open") for index in range(count)]
    rows = []
    for frame in frames:
        middle = np.asarray(frame.joints, float).mean(axis=0)
        row = {"box": np.inf, "pose": np.inf}
        rows.append(row)
        with suppress(HandNotFoundError):
            box = find_hand_box(frame.depth, frame.camera)
            off = (box[:2] + box[2:]) / 2 - frame.camera.project(middle)[:2]
            row["box"] = float(np.linalg.norm(off) * middle[2] / frame.camera.fx)
            pose = predictor.predict(frame.depth, frame.camera, left=False)
            found = pose.joints_mm.mean(axis=0)
            row["pose"] = float(np.linalg.norm((found - middle)[:2]))
    return pd.DataFrame(rows)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table of some weights."""
    parser = ArgumentParser("python -m senorita_lib.experiments.boxfinder", description=__doc__)
    parser.add_argument("weights", help="as for Predictor.load")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--count", type=int, default=200, help="frames of each set")
    chosen = parser.parse_args(arguments)
    predictor, rows = Predictor.load(chosen.weights), {}
    for name in chosen.sets:
        found = distances(predictor, name, chosen.count)
        median = found.median().add_prefix("median mm, ")
        far = (100 * (found > _FAR_MM).mean()).add_prefix(f"beyond {_FAR_MM:.0f} mm %, ")
        rows[name] = pd.concat([pd.Series({"frames": len(found)}), median, far])
    print(pd.DataFrame(rows).T.round(1).to_string())


if __name__ == "__main__":
    main()
