"""What a data set on disk holds, and what is wrong with it.

``python -m senorita_lib.datasets ROOT`` reads every image; with ``--quick`` only both ends of each.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm.auto import tqdm

from senorita_lib._arguments import check_flags
from senorita_lib.camera import SR300
from senorita_lib.commands import command
from senorita_lib.datasets import files
from senorita_lib.datasets.hands19 import Hands19, UnitsError, is_empty
from senorita_lib.files import PathLike, user_path

# Findings that make an image unusable, and odd ones.
FATAL = {
    "missing": "images missing",
    "truncated": "images unreadable: truncated or damaged",
    "bits": "images unreadable: not one channel of 16 bits",
    "size": "images unreadable: not of the camera's size",
    "closed": "images unreadable: cannot be opened",
}
ODD = {
    "unlisted": "images without a line",
    "empty": "boxes that are empty or outside the image",
    "cut": "boxes cut by the image's border",
    "bare": "boxes without depth in them",
    "outside": "labels outside their box",
    "behind": "labels behind the camera",
}
_TOLERANCE = 1  # px that a joint may lie outside its box, which is rounded
_NAMES = 4  # shown for each kind of finding


@dataclass
class SplitReport:
    """What was found in ``train`` or ``test``."""

    lines: int = 0  # frames that the text files list
    # Frames with each kind of finding, of FATAL or ODD; a kind that was not looked for is absent.
    names: dict[str, list[str]] = field(default_factory=dict)
    absent: str = ""  # why the split as a whole cannot be used, if so
    boxes: str = ""  # how they are written


@dataclass(repr=False)
class Report:
    """A :class:`SplitReport` for ``train`` and one for ``test``; prints as a table."""

    title: str
    splits: dict[str, SplitReport]

    @property
    def usable(self) -> bool:
        """Whether every listed image can be used."""
        return not any(s.absent or any(map(s.names.get, FATAL)) for s in self.splits.values())

    def __repr__(self) -> str:
        kinds, columns, lines = FATAL | ODD, {}, []
        for split, report in self.splits.items():
            found = report.lines - len(report.names.get("missing", ()))
            columns[split] = {"frames listed": report.lines, "images found": found}
            columns[split] |= {kinds[kind]: len(names) for kind, names in report.names.items()}
        for kind, words in kinds.items():
            for split, report in self.splits.items():
                if names := report.names.get(kind):
                    shown = " ".join(names[:_NAMES]) + (" …" if len(names) > _NAMES else "")
                    lines += [f"{words}, {split}:", f"  {shown}"]
        lines += [f"boxes, {name}: {s.boxes}" for name, s in self.splits.items() if s.boxes]
        lines += [report.absent for report in self.splits.values() if report.absent]
        rows = ["frames listed", "images found", *kinds.values()]
        text = pd.DataFrame(columns, rows, dtype=float).to_string(
            na_rep="-", col_space=10, float_format="{:,.0f}".format
        )
        return "\n".join([self.title, text, *lines])


def check(root: PathLike, quick: bool = False, progress: bool = True) -> Report:
    """Look at every frame of a data set in HANDS19's layout, or HANDS17's.

    ``quick`` reads only both ends of each image. They show its kind and whether it is truncated,
    but neither damage between them, nor boxes without depth, nor depth in another unit than labels.
    """
    check_flags(quick=quick, progress=progress)
    folder, layout = files.find_layout(root)
    splits = {split: _check_split(root, split, quick, progress) for split in ("train", "test")}
    camera = files.camera_of(folder, user_path(root))
    seen = f"{camera.width}x{camera.height}, fx {camera.fx:g}"
    title = f"{folder}, laid out as {layout}, camera: {'SR300' if camera == SR300 else seen}"
    return Report(title, splits)


def _check_split(root: PathLike, split: str, quick: bool, bar: bool) -> SplitReport:
    try:
        data = Hands19(root, split, skip_degenerate=False)
        if not quick:
            data.check_depth()
    except (FileNotFoundError, UnitsError) as error:
        return SplitReport(absent=str(error))
    names: dict[str, list[str]] = {kind: [] for kind in FATAL}
    listed = {data.path(name) for name in data.names}
    there = (path for path in data.images.rglob("*.*") if path.suffix.lower() == ".png")
    names["unlisted"] = sorted(str(p.relative_to(data.images)) for p in there if p not in listed)
    for kind, mask in _odd(data).items():
        names[kind] = [data.names[i] for i in np.flatnonzero(mask)]
    if not quick:
        names["bare"] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kinds = pool.map(lambda i: _trouble(data, i, quick), range(len(data)))
        kinds = tqdm(kinds, f"checking {split}", len(data), disable=not bar, mininterval=1.0)
        for name, kind in zip(data.names, kinds, strict=True):
            if kind:
                names[kind].append(name)
    return SplitReport(len(data), names, boxes=data.box_form)


def _trouble(data: Hands19, index: int, quick: bool) -> str | None:
    """The kind of trouble with an image, if any, as the reader finds it."""
    path = data.path(data.names[index])
    try:
        if quick:
            files.probe_depth(path, data.camera)
            return None
        depth = files.read_depth(path, data.camera)
    except files.DepthImageError as error:
        return error.kind
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "closed"
    x1, y1, x2, y2 = box = np.maximum(data.boxes[index], 0).astype(int)
    return None if is_empty(box) or depth[y1:y2, x1:x2].any() else "bare"


def _odd(data: Hands19) -> dict[str, npt.NDArray[np.bool_]]:
    """Which frames have odd boxes and labels."""
    size, corner = np.array([data.camera.width, data.camera.height]), data.boxes.reshape(-1, 2, 2)
    empty = is_empty(corner.clip(0, size).reshape(-1, 4))
    before, after = corner[:, 0] <= 0, corner[:, 1] >= size
    odd = {"empty": empty, "cut": (before | after).any(axis=1) & ~empty}
    if data.joints is None:
        return odd
    behind = np.asarray((data.joints[..., 2] <= 0).any(axis=1))
    uv = data.camera.project(np.where(behind[:, None, None], 1, data.joints))[..., :2]
    # Where the border cuts a box, a joint may lie beyond.
    low = np.where(before, -np.inf, corner[:, 0] - _TOLERANCE)
    high = np.where(after, np.inf, corner[:, 1] + _TOLERANCE)
    beyond = ((uv < low[:, None]) | (uv > high[:, None])).any(axis=(1, 2))
    return odd | {"behind": behind, "outside": beyond & ~behind & ~empty}


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: print the table; exit status 1 if an image is missing or unreadable."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.datasets",
        description="Look for missing or damaged files in a data set of hands.",
        epilog="For MPII and Human3.6M: python -m senorita_lib.people ROOT",
    )
    parser.add_argument("root", help="the folder that holds 'Task 1', or HANDS17's folder")
    parser.add_argument("--quick", action="store_true", help="read only both ends of each image")
    chosen = parser.parse_args(arguments)
    report = check(chosen.root, chosen.quick)
    print(report)
    parser.exit(0 if report.usable else 1)
