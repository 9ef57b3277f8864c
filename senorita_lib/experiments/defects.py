"""How often :func:`senorita_lib.diagnosis.check_frame` finds what is wrong, and cries wolf.

``python -m senorita_lib.experiments.defects`` prints the table.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from senorita_lib.camera import SR300, Camera
from senorita_lib.commands import command
from senorita_lib.datasets.hands19 import Frame, hand_box
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.datasets.synthetic.meshtest import TESTS
from senorita_lib.diagnosis import check_frame
from senorita_lib.evaluation import TEST_SPLITS

_SMALL = Camera(215.0, 215.0, 160.0, 120.0, 320, 240)


@dataclass(frozen=True)
class View:
    """What is handed over: the array as it is, its camera, and a box."""

    depth: np.ndarray
    camera: Camera
    box: np.ndarray
    joints: np.ndarray  # (21, 3), camera frame, mm


def good_frames(count: int, seed: int = 0) -> list[View]:
    """About ``count`` right frames: the splits, the open world without things, the mesh sets."""
    each = -(-count // 5)
    frames: list[tuple[Frame, Camera]] = []
    for i in range(each):
        frames.append((SyntheticHand(seed).frame(i, TEST_SPLITS[i % len(TEST_SPLITS)]), SR300))
        for camera in (SR300, _SMALL):
            hands = SyntheticHand(seed, camera, without=("things",))
            frames.append((hands.frame(i, "open"), camera))
        for test in TESTS.values():
            frames.append((replace(test, seed=test.seed + seed).frame(i), test.camera))
    return [View(f.depth, c, f.box, np.asarray(f.joints, float)) for f, c in frames]


def _scaled(factor: float, kind: type = np.uint16) -> Callable[[View], View]:
    def change(view: View) -> View:
        depth = view.depth * factor
        return replace(view, depth=(np.rint(depth) if kind is np.uint16 else depth).astype(kind))

    return change


def _inverse(scale: float, kind: type) -> Callable[[View], View]:
    def change(view: View) -> View:
        inverse = scale / np.maximum(view.depth, 1) * (view.depth > 0)
        return replace(view, depth=inverse.astype(kind))

    return change


def _eight_bit(view: View) -> View:
    return replace(view, depth=(view.depth * (255 / view.depth.max())).astype(np.uint8))


def _widened(view: View) -> View:
    return replace(view, depth=_eight_bit(view).depth.astype(np.uint16))


def _transposed(view: View) -> View:
    return replace(view, depth=view.depth.T)


def _holed(view: View) -> View:
    """Spots without depth, 40 % of the image."""
    noise = np.random.default_rng(0).standard_normal(view.depth.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), view.camera.width / 200)
    return replace(view, depth=view.depth * (noise > np.quantile(noise, 0.4)))


def _plane(view: View, z: float) -> np.ndarray:
    """A wall, slanted by a tenth, mm."""
    across = (np.arange(view.camera.width) - view.camera.cx) / view.camera.fx
    return np.broadcast_to(np.rint(z * (1 + 0.1 * across)), view.depth.shape).astype(np.uint16)


def _wall(view: View) -> View:
    return replace(view, depth=_plane(view, view.joints[:, 2].mean()))


def _background(view: View) -> View | None:
    """A wall that the hand touches; None where only a part of the hand is near it."""
    z = view.joints[:, 2]
    if z.max() - z.mean() > 60:
        return None
    wall = _plane(view, z.max() + 20)
    return replace(view, depth=np.minimum(np.where(view.depth > 0, view.depth, 65535), wall))


def _empty(view: View) -> View:
    """Speckle alone."""
    seen = np.random.default_rng(0).uniform(size=view.depth.shape) < 0.002
    return replace(view, depth=np.where(seen, view.depth.max(), 0).astype(np.uint16))


def _warped(view: View, ratio: float, shift: np.ndarray, by: float) -> View:
    """All pixels moved to ratio * pixel + shift, and farther away by some mm."""
    camera, joints = view.camera, view.joints + [0, 0, by]
    size = camera.width, camera.height
    matrix = np.column_stack([ratio * np.eye(2), shift])
    depth = cv2.warpAffine(view.depth, matrix, size, flags=cv2.INTER_NEAREST).astype(np.int32)
    depth = np.where(depth > 0, depth + round(by), 0).clip(0, 65535).astype(np.uint16)
    box = (ratio * view.box.reshape(2, 2) + shift).clip(0, size).ravel()
    return replace(view, depth=depth, box=box, joints=joints)


def _at(z: float) -> Callable[[View], View]:
    """The hand at another depth, mm, on its line of sight."""

    def change(view: View) -> View:
        u, v, before = view.camera.project(view.joints.mean(axis=0))
        ratio = before / z
        return _warped(view, ratio, (1 - ratio) * np.array([u, v]), z - before)

    return change


def _cut(view: View) -> View:
    """Moved until the middle of the box is at the border that the fingers point to."""
    pixels = view.camera.project(view.joints)[:, :2]
    way, shift = pixels[2:6].mean(axis=0) - pixels[0], np.zeros(2)
    axis = int(np.abs(way).argmax())
    border = (view.camera.width, view.camera.height)[axis] if way[axis] > 0 else 0
    shift[axis] = border - (view.box[axis] + view.box[axis + 2]) / 2
    return _warped(view, 1.0, shift, 0)


def _arm(view: View) -> View | None:
    """The box 150 mm up the arm; None where none is seen there."""
    way = view.joints[0] - view.joints[2:6].mean(axis=0)
    middle = view.joints[0] + 150 * way / np.linalg.norm(way)
    if middle[2] < 150:
        return None
    (u, v, _), half = view.camera.project(middle), 75 * view.camera.fx / middle[2]
    height, width = view.depth.shape
    if not (half < u < width - half and half < v < height - half):
        return None
    seen = np.abs(view.depth[int(v), int(u)] - middle[2]) < 60
    return replace(view, box=np.array([u - half, v - half, u + half, v + half])) if seen else None


def _two_hands(view: View) -> View | None:
    """The hand once more beside itself, and a box around both; None where there is no room."""
    x1, _, x2, _ = view.box
    shift = np.array([x2 - x1, 0.0]) * 1.05
    if x2 + shift[0] > view.camera.width:
        shift = -shift
    if x1 + shift[0] < 0:
        return None
    other = _warped(view, 1.0, shift, 0)
    depth = np.minimum(*(np.where(v.depth > 0, v.depth, 65535) for v in (view, other)))
    box = np.concatenate([np.minimum(view.box, other.box)[:2], np.maximum(view.box, other.box)[2:]])
    return replace(view, depth=depth * (depth < 65535), box=box)


# A defect, what makes it out of a right frame, and the findings that tell it.
DEFECTS: dict[str, tuple[Callable[[View], View | None], str]] = {
    "metres": (_scaled(0.001, np.float32), "units"),
    "centimetres": (_scaled(0.1, np.float32), "units"),
    "units of 0.25 mm": (_scaled(4), "units"),
    "units of 0.125 mm": (_scaled(8), "units"),
    "disparity in 1/32 px": (_inverse(32 * 50 * SR300.fx, np.uint16), "inverted, units"),
    "disparity as fractions": (_inverse(1, np.float32), "inverted, units"),
    "8 bit": (_eight_bit, "8 bit"),
    "8 bit, widened to 16": (_widened, "units"),
    "transposed": (_transposed, "transposed"),
    "holes": (_holed, "holes"),
    "hand at 160 mm": (_at(160), "near"),
    "hand at 1.3 m": (_at(1300), "far"),
    "hand cut by the border": (_cut, "cut"),
    "no hand but speckle": (_empty, "no hand"),
    "wall in place of the hand": (_wall, "wall"),
    "hand against a wall": (_background, "background"),
    "box on the arm": (_arm, "arm"),
    "two hands in the box": (_two_hands, "two hands"),
}


def measure(views: Sequence[View], boxed: bool = True) -> pd.DataFrame:
    """One row for each defect, and of right frames for each finding: frames, and share, %.

    Right frames in which a joint is outside the image are left out: those hands are cut.
    """
    rows: dict[str, tuple[int, float]] = {}
    for name, (change, wanted) in DEFECTS.items():
        changed = [c for view in views if (c := change(view)) is not None]
        found = [bool({*wanted.split(", ")} & _found(c, boxed)) for c in changed]
        rows[name] = len(found), 100 * float(np.mean(found))
    good = []
    for view in views:
        u, v, _ = view.camera.project(view.joints).T
        if (
            min(u.min(), v.min()) > 0
            and u.max() < view.camera.width
            and v.max() < view.camera.height
        ):
            good.append(_found(view, boxed))
    alarms = Counter(name for names in good for name in names)
    rows |= {f"right frames: {n}": (len(good), 100 * k / len(good)) for n, k in alarms.items()}
    rows["right frames: any alarm"] = len(good), 100 * float(np.mean([bool(g) for g in good]))
    return pd.DataFrame(rows, index=["frames", "found, %"]).T


def _found(view: View, boxed: bool) -> set[str]:
    report = check_frame(view.depth, view.camera, view.box if boxed else None)
    return {finding.name for finding in report.findings}


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.experiments.defects", description=__doc__
    )
    parser.add_argument("--count", type=int, default=100, help="frames")
    parser.add_argument("--seed", type=int, default=0, help="of the frames")
    chosen = parser.parse_args(arguments)
    views = good_frames(chosen.count, chosen.seed)
    parts = {f"{name}, %": measure(views, name == "box") for name in ("box", "no box")}
    print(pd.concat([p["found, %"].rename(n) for n, p in parts.items()], axis=1).round(0))


if __name__ == "__main__":
    main()
