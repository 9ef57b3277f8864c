"""What weights do with other flesh, sensors, rolls and hands than the protocol's.

``python -m senorita_lib.experiments.generalisation small`` prints the table.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from senorita_lib.camera import Camera
from senorita_lib.commands import command
from senorita_lib.cropping import HandNotFoundError, in_mirror
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.synthetic.frames import SyntheticTest
from senorita_lib.datasets.synthetic.handmodel import palm_frame
from senorita_lib.datasets.synthetic.meshtest import TESTS
from senorita_lib.datasets.synthetic.openworld import Block, grip, rests
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.predictor import Predictor

_AWAY = 0.5  # least part of a palm's direction along the optical axis
_DIRECTIONS = {"up": 45.0, "sideways": 135.0, "down": 181.0}  # fingers' angle to up, at most

SETS = "splits", *TESTS


def turned(frame: Frame) -> Frame:
    """A frame of a camera that is rolled by 90 degrees: what was right is up."""
    camera, (x1, y1, x2, y2) = frame.camera, frame.box
    depth, last = np.rot90(frame.depth), camera.width - 1
    seen_by = Camera(camera.fy, camera.fx, camera.cy, last - camera.cx, camera.height, camera.width)
    joints = np.asarray(frame.joints)[:, [1, 0, 2]] * np.array([1, -1, 1], np.float32)
    box = np.array([y1, last - x2 + 1, y2, last - x1 + 1])
    return replace(frame, depth=depth, box=box, joints=joints, camera=seen_by)


def mirrored(frame: Frame) -> Frame:
    """A frame of a right hand as one of a left hand."""
    depth, seen_by, box = in_mirror(frame.depth, frame.camera, frame.box)
    joints = np.asarray(frame.joints) * np.array([-1, 1, 1], np.float32)
    return replace(frame, depth=depth, box=box, joints=joints, camera=seen_by)


def halved(frame: Frame) -> Frame:
    """A frame of a camera with half as many pixels a side."""
    camera = frame.camera
    parts = camera.fx / 2, camera.fy / 2, camera.cx / 2, camera.cy / 2
    seen_by = Camera(*parts, camera.width // 2, camera.height // 2)
    return replace(frame, depth=frame.depth[::2, ::2], box=frame.box / 2, camera=seen_by)


def holding(frame: Frame) -> Frame:
    """The hand holds a box with sharp edges: the largest that fits its grip, 100 x 70 mm at most.

    The box has no noise. Where not even one of 20 x 14 mm fits, the frame stays as it is.
    """
    joints = np.asarray(frame.joints, float)
    middle, axes, room = grip(joints)
    for size in (1.0, 0.8, 0.6, 0.4, 0.2):
        half = np.array([50 * size, 35 * size, min(room, 35 * size)])
        box, fits = rests(Block(middle, axes, half, 0.5), joints)
        if fits:
            near = render_depth(*box.spheres(), frame.camera)
            near = np.where(near < 65535, np.rint(near), 0).astype(np.uint16)
            seen = (near > 0) & ((near < frame.depth) | (frame.depth == 0))
            return replace(frame, depth=np.where(seen, near, frame.depth))
    return frame


CONDITIONS: dict[str, Callable[[Frame], Frame]] = {
    "": lambda frame: frame,
    "rolled by 90°": turned,
    "rolled by 180°": lambda frame: turned(turned(frame)),
    "half resolution": halved,
    "holding a box": holding,
    "left hands": mirrored,
}


def measure(predictor: Predictor, frames: Sequence[Frame], left: bool = False) -> pd.DataFrame:
    """Errors of labelled frames, all of right or all of ``left`` hands, one row each.

    Columns: ``split``; ``fingers``, where they point: up, sideways or down; ``arm``, whether it
    comes towards the camera; ``error_mm``, mean over the joints, and ``initial_mm`` before
    refinement, the hand told; ``outside``, the share of joints outside the network's cube, and
    ``centre_mm``, from its middle to the joints' mean. Of weights that tell hands, too, ``left``,
    the probability of a left one, and ``own_mm``, the error with the hand that they take it for.
    Without a prediction all are NaN.
    """

    def error(found: np.ndarray, joints: np.ndarray) -> float:
        return float(np.linalg.norm(found - joints, axis=1).mean())

    rows = []
    for frame in frames:
        joints = np.asarray(frame.joints, float)
        axes = palm_frame(joints)
        angle = np.degrees(np.arccos(np.clip(-axes[1, 1], -1, 1)))
        fingers = next(name for name, most in _DIRECTIONS.items() if angle < most)
        # The fingers point away from the camera, and the arm comes from its side.
        arm = "towards the camera" if axes[2, 1] > _AWAY else ""
        row: dict[str, str | float] = {"split": frame.split, "fingers": fingers, "arm": arm}
        rows.append(row)
        with suppress(HandNotFoundError):
            pose = predictor.predict(frame.depth, frame.camera, frame.box, left=left)
            uvd, middle = pose.crop.to_uvd(joints), pose.crop.to_camera(np.full(3, 0.5))
            row |= {
                "error_mm": error(pose.joints_mm, joints),
                "initial_mm": error(pose.initial_mm, joints),
                "outside": float(((uvd < 0) | (uvd > 1)).any(axis=-1).mean()),
                "centre_mm": float(np.linalg.norm(middle - joints.mean(axis=0))),
            }
            if predictor.model.recipe.handedness:
                pose = predictor.predict(frame.depth, frame.camera, frame.box)
                assert pose.left_probability is not None
                row |= {"left": pose.left_probability, "own_mm": error(pose.joints_mm, joints)}
    return pd.DataFrame(rows)


def test_set(name: str, count: int) -> list[Frame]:
    """About ``count`` frames of ``splits``, all five, or of a set of the mesh hand."""
    if name == "splits":
        frames = SyntheticTest(-(-count // len(TEST_SPLITS)))
        return [frames[i] for i in range(len(frames))]
    return [TESTS[name].frame(i) for i in range(count)]


def table(predictor: Predictor, name: str, frames: Sequence[Frame]) -> pd.DataFrame:
    """Means of :func:`measure` by condition, and of the plain frames by split and direction."""

    def summary(errors: pd.DataFrame, left: bool) -> pd.Series:
        means = errors.drop(columns=["split", "fingers", "arm", "left"], errors="ignore").mean()
        counts = {"frames": float(len(errors)), "missing": errors["error_mm"].isna().sum()}
        if "left" in errors:  # hands that look more like the other one
            counts["other, %"] = 100 * ((errors["left"].dropna() > 0.5) != left).mean()
        counts["outside, %"] = 100 * means.pop("outside")
        return pd.concat([pd.Series(counts), means])

    rows: dict[str, pd.Series] = {}
    for condition, change in CONDITIONS.items():
        left = condition == "left hands"
        errors = measure(predictor, [*map(change, frames)], left)
        rows[f"{name} {condition}".strip()] = summary(errors, left)
        if not condition:
            for column, before in ("split", ""), ("fingers", "fingers "), ("arm", "arm "):
                for value, some in errors.groupby(column):
                    if value and 0 < len(some) < len(errors):
                        rows[f"{name}, {before}{value!s}"] = summary(some, left)
    return pd.DataFrame(rows).T


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table of some weights."""
    parser = ArgumentParser(
        prog="python -m senorita_lib.experiments.generalisation", description=__doc__
    )
    parser.add_argument("weights", help="as for Predictor.load")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["splits", "mesh"])
    parser.add_argument("--count", type=int, default=200, help="frames of each set")
    chosen = parser.parse_args(arguments)
    predictor = Predictor.load(chosen.weights)
    for name in chosen.sets:
        print(table(predictor, name, test_set(name, chosen.count)).round(1).to_string())


if __name__ == "__main__":
    main()
