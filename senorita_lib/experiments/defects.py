"""How often :func:`senorita_lib.diagnosis.check_frame` finds what is wrong, and cries wolf.

``python -m senorita_lib.experiments.defects`` prints the table; ``--weights small`` that of
:meth:`.Predictor.check`.
"""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd

from senorita_lib.camera import SR300, Camera
from senorita_lib.commands import command
from senorita_lib.cropping import CUBE_MM, box_middle, in_mirror
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.datasets.synthetic.meshtest import TESTS
from senorita_lib.diagnosis import Report, check_frame, refuse_scale
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.predictor import Predictor

_SMALL = Camera(215.0, 215.0, 160.0, 120.0, 320, 240)
_BLIND_MM = 100.0  # no depth from what is nearer


@dataclass(frozen=True)
class View:
    """What is handed over: the array as it is, its camera, and a box."""

    depth: np.ndarray
    camera: Camera
    box: np.ndarray
    joints: np.ndarray  # (21, 3), camera frame, mm


def good_frames(count: int, seed: int = 0) -> list[View]:
    """About ``count`` right frames: the splits, the open world without things, the mesh sets."""
    cameras = SR300, SR300, _SMALL, *(test.camera for test in TESTS.values())
    views = []
    for i in range(-(-count // 5)):
        frames = [SyntheticHand(seed).frame(i, TEST_SPLITS[i % len(TEST_SPLITS)])]
        for camera in cameras[1:3]:
            frames.append(SyntheticHand(seed, camera, without=("things",)).frame(i, "open"))
        frames += [replace(test, seed=test.seed + seed).frame(i) for test in TESTS.values()]
        for frame, camera in zip(frames, cameras, strict=True):
            views.append(View(frame.depth, camera, frame.box, np.asarray(frame.joints, float)))
    return views


def _depth(change: Callable[[View], np.ndarray]) -> Callable[[View], View]:
    return lambda view: replace(view, depth=change(view))


def _disparity(view: View) -> np.ndarray:
    """In steps of 1/32 px, of a camera whose eyes are 50 mm apart."""
    disparity = 32 * 50 * view.camera.fx / np.maximum(view.depth, 1)
    return np.where(view.depth > 0, disparity, 0).astype(np.uint16)


def _eight_bit(view: View) -> np.ndarray:
    """Stretched, or not quite: the largest value is from 180 to 255."""
    largest = 255 - int(view.depth.sum(dtype=np.int64)) % 76
    return np.rint(view.depth * (largest / view.depth.max())).astype(np.uint8)


def _holed(view: View) -> np.ndarray:
    """Spots without depth, 40 % of the image."""
    noise = np.random.default_rng(0).standard_normal(view.depth.shape).astype(np.float32)
    noise[:] = cv2.GaussianBlur(noise, (0, 0), view.camera.width / 200)
    return view.depth * (noise > np.quantile(noise, 0.4))


def _plane(view: View, z: float) -> np.ndarray:
    """A wall, slanted by a tenth, z mm away where the hand is."""
    middle = view.camera.project(view.joints.mean(axis=0))[0]
    across = (np.arange(view.camera.width) - middle) / view.camera.fx
    return np.broadcast_to(np.rint(z * (1 + 0.1 * across)), view.depth.shape).astype(np.uint16)


def _background(view: View) -> View | None:
    """A wall that the hand touches; None where it would not be in the crop's cube."""
    z = view.joints[:, 2].max() + 20
    if z - box_middle(view.depth, view.box, view.camera)[2] > 0.9 * CUBE_MM / 2:
        return None
    wall = _plane(view, z)
    return replace(view, depth=np.minimum(np.where(view.depth > 0, view.depth, 65535), wall))


def _speckle(view: View) -> np.ndarray:
    seen = np.random.default_rng(0).uniform(size=view.depth.shape) < 0.002
    return np.where(seen, view.depth.max(), 0).astype(np.uint16)


def _warped(view: View, scale: np.ndarray, shift: np.ndarray, by: float = 0) -> View:
    """All pixels moved to scale (2,) * pixel + shift, and farther away by some mm."""
    camera, joints = view.camera, view.joints + [0, 0, by]
    size = camera.width, camera.height
    matrix = np.column_stack([np.diag(scale), shift])
    depth = cv2.warpAffine(view.depth, matrix, size, flags=cv2.INTER_NEAREST).astype(np.int32)
    depth = np.where((depth > 0) & (depth + by > _BLIND_MM), depth + round(by), 0)
    box = np.sort(scale * view.box.reshape(2, 2) + shift, axis=0).clip(0, size).ravel()
    return replace(view, depth=depth.clip(0, 65535).astype(np.uint16), box=box, joints=joints)


def _at(z: float) -> Callable[[View], View]:
    """The hand at another depth, mm, on its line of sight."""

    def change(view: View) -> View:
        u, v, before = view.camera.project(view.joints.mean(axis=0))
        ratio = before / z
        return _warped(view, np.full(2, ratio), (1 - ratio) * np.array([u, v]), z - before)

    return change


def _cut(view: View) -> View:
    """The image ends at the middle of the box, where the fingers would begin."""
    pixels = view.camera.project(view.joints)[:, :2]
    way, box = pixels[2:6].mean(axis=0) - pixels[0], view.box
    kept = np.array([0, 0, view.camera.width, view.camera.height])
    axis = int(np.abs(way).argmax())
    kept[axis + 2 * (way[axis] > 0)] = (box[axis] + box[axis + 2]) / 2
    x1, y1, x2, y2 = map(int, kept)
    box = box.clip([x1, y1, x1, y1], [x2, y2, x2, y2]) - [x1, y1, x1, y1]
    camera = view.camera.cropped(x1, y1, x2, y2)
    return replace(view, depth=view.depth[y1:y2, x1:x2], camera=camera, box=box)


def _left(view: View) -> View:
    """The whole image in a mirror: all generated frames have right hands."""
    depth, camera, box = in_mirror(view.depth, view.camera, view.box)
    return View(depth.copy(), camera, box, view.joints * [-1, 1, 1])


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
    """A mirrored hand beside it, the arms apart, and a box around both; None without room."""
    x1, _, x2, _ = view.box
    arm = view.joints[0, 0] - view.joints[2:6, 0].mean()
    mirror = x1 - 0.05 * (x2 - x1) if arm > 0 else x2 + 0.05 * (x2 - x1)
    if not 0 <= 2 * mirror - (x2 if arm > 0 else x1) <= view.camera.width:
        return None
    other = _warped(view, np.array([-1.0, 1.0]), np.array([2 * mirror, 0.0]))
    depth = np.minimum(*(np.where(v.depth > 0, v.depth, 65535) for v in (view, other)))
    box = np.concatenate([np.minimum(view.box, other.box)[:2], np.maximum(view.box, other.box)[2:]])
    return replace(view, depth=depth * (depth < 65535), box=box)


# A defect, what makes it out of a right frame, and the findings that tell it.
DEFECTS: dict[str, tuple[Callable[[View], View | None], str]] = {
    "metres": (_depth(lambda v: v.depth / np.float32(1000)), "units"),
    "centimetres": (_depth(lambda v: v.depth / np.float32(10)), "units"),
    "units of 0.25 mm": (_depth(lambda v: v.depth * np.uint16(4)), "units"),
    "units of 0.125 mm": (_depth(lambda v: v.depth * np.uint16(8)), "units"),
    "disparity": (_depth(_disparity), "inverted, units"),
    "disparity as fractions": (_depth(lambda v: _disparity(v) / np.float32(65535)), "inverted"),
    "8 bit": (_depth(_eight_bit), "8 bit"),
    "8 bit in 16": (_depth(lambda v: _eight_bit(v).astype(np.uint16)), "units"),
    "transposed": (_depth(lambda v: v.depth.T), "transposed"),
    "holes": (_depth(_holed), "holes"),
    "hand at 160 mm": (_at(160), "near"),
    "hand at 1.3 m": (_at(1300), "far"),
    "cut by the border": (_cut, "cut"),
    "speckle alone": (_depth(_speckle), "no hand"),
    "a wall alone": (_depth(lambda v: _plane(v, v.joints[:, 2].mean())), "wall, no hand"),
    "hand against a wall": (_background, "background"),
    "box on the arm": (_arm, "arm"),
    "two hands in the box": (_two_hands, "two hands"),
    "a left hand": (_left, "left hand"),
}

OF_A_POSE = "left hand"  # only Predictor.check finds it


def measure(
    views: Sequence[View], boxed: bool = True, check: Callable[..., Report] = check_frame
) -> pd.Series:
    """Share, %, of spoiled frames whose defect is found, and of right ones with each finding.

    Right ones with a joint outside the image are left out: those hands are cut.
    """

    def found(view: View) -> set[str]:
        report = check(view.depth, view.camera, view.box if boxed else None)
        return {finding.name for finding in report.findings}

    def whole(view: View) -> bool:
        uv = view.camera.project(view.joints)[:, :2]
        return bool(((uv > 0) & (uv < [view.camera.width, view.camera.height])).all())

    rows: dict[str, float] = {}
    for name, (change, wanted) in DEFECTS.items():
        if (boxed or "box" not in name) and (check is not check_frame or wanted != OF_A_POSE):
            spoiled = [found(s) for view in views if (s := change(view)) is not None]
            rows[name] = 100 * float(np.mean([bool({*wanted.split(", ")} & f) for f in spoiled]))
    good = [found(view) for view in views if whole(view)]
    alarms = Counter(name for names in good for name in names)
    rows |= {f"none, but: {name}": 100 * n / len(good) for name, n in alarms.items()}
    rows["none, but any"] = 100 * float(np.mean([bool(names) for names in good]))
    return pd.Series(rows)


def refusals(count: int, seed: int = 0) -> pd.Series:
    """Share, %, of open-world frames that :meth:`.Predictor.predict` refuses as in no mm.

    Right ones, with the right box and with one that lies beside it, on a random side, by a part of
    its size; and disparity.
    """
    hands, rng, rows = SyntheticHand(seed), np.random.default_rng(seed), {}
    frames = [hands.frame(i, "open") for i in range(count)]
    views = [View(f.depth, SR300, np.asarray(f.box, float), np.asarray(f.joints)) for f in frames]
    for name, away in {"right box": 0.0, "box 0.35 of its size away": 0.35,
                       "box 0.7 of its size away": 0.7, "disparity": 0.0}.items():  # fmt: skip
        refused = []
        for view in views:
            depth = _disparity(view) if name == "disparity" else view.depth
            angle = rng.uniform(0, 2 * np.pi)
            step = away * (view.box[2:] - view.box[:2]) * [np.cos(angle), np.sin(angle)]
            box = (view.box + np.tile(step, 2)).clip(0, [639, 479, 639, 479])
            try:
                refuse_scale(depth, SR300, box)
            except ValueError:
                refused.append(True)
            else:
                refused.append(False)
        rows[name] = 100 * float(np.mean(refused))
    return pd.Series(rows)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table."""
    parser = ArgumentParser("python -m senorita_lib.experiments.defects", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="frames")
    parser.add_argument("--seed", type=int, default=0, help="of the frames")
    parser.add_argument("--weights", help="of a network that looks, too")
    chosen = vars(parser.parse_args(arguments))
    weights = chosen.pop("weights")
    check = Predictor.load(weights).check if weights else check_frame
    views = good_frames(**chosen)
    table = {
        name: measure(views, boxed, check)
        for name, boxed in {"with a box, %": True, "without, %": False}.items()
    }
    names = pd.concat(table.values()).index.unique()
    print(pd.DataFrame(table).reindex(names).round(1).to_string())
    print("\nrefused by predict, %", refusals(**chosen).round(1).to_string(), sep="\n")


if __name__ == "__main__":
    main()
