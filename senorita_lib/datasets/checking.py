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
from tqdm.auto import tqdm

from senorita_lib.camera import SR300
from senorita_lib.datasets.files import HEIGHT, WIDTH, DepthImageError, probe_depth, read_depth
from senorita_lib.datasets.hands19 import Hands19, is_empty
from senorita_lib.datasets.layouts import find_layout

# Findings that make an image unusable, and odd ones.
FATAL = {
    "missing": "images missing",
    "truncated": "images unreadable: truncated or damaged",
    "bits": "images unreadable: not one channel of 16 bits",
    "size": f"images unreadable: not {WIDTH}x{HEIGHT}",
    "closed": "images unreadable: cannot be opened",
}
ODD = {
    "unlisted": "images without a line",
    "empty": "boxes that are empty (x1 >= x2 or y1 >= y2)",
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
    absent: str = ""  # why the split cannot be opened at all, if so

    @property
    def found(self) -> int:
        """Listed frames whose image exists."""
        return self.lines - len(self.names.get("missing", ()))


@dataclass(repr=False)
class Report:
    """A :class:`SplitReport` for ``train`` and one for ``test``; prints as a table."""

    title: str
    splits: dict[str, SplitReport]

    @property
    def usable(self) -> bool:
        """Whether every listed image can be used."""
        return not any(s.absent or any(map(s.names.get, FATAL)) for s in self.splits.values())

    def __str__(self) -> str:
        kinds, reports = FATAL | ODD, self.splits.values()
        rows: dict[str, list[int | None]] = {
            "frames listed": [report.lines for report in reports],
            "images found": [report.found for report in reports],
        }
        for kind, words in kinds.items():
            rows[words] = [len(s.names[kind]) if kind in s.names else None for s in reports]
        width = max(map(len, rows))
        lines = [self.title, " " * width + "".join(f"{split:>11}" for split in self.splits)]
        for words, counts in rows.items():
            cells = (f"{'-' if count is None else format(count, ','):>11}" for count in counts)
            lines.append(f"{words:<{width}}" + "".join(cells))
        for kind, words in kinds.items():
            for split, report in self.splits.items():
                if names := report.names.get(kind):
                    shown = " ".join(names[:_NAMES]) + (" …" if len(names) > _NAMES else "")
                    lines += [f"{words}, {split}:", f"  {shown}"]
        return "\n".join(lines + [s.absent for s in reports if s.absent])

    __repr__ = __str__


def check(root: str | os.PathLike[str], quick: bool = False, progress: bool = True) -> Report:
    """Look at every frame of a data set in HANDS19's layout, or HANDS17's.

    ``quick`` reads only both ends of each image. They show its kind and whether it is truncated,
    but neither damage between them nor boxes without depth.
    """
    folder, layout = find_layout(root)
    splits = {split: _check_split(root, split, quick, progress) for split in ("train", "test")}
    return Report(f"{folder}, laid out as {layout}", splits)


def _check_split(root: str | os.PathLike[str], split: str, quick: bool, bar: bool) -> SplitReport:
    try:
        data = Hands19(root, split, skip_degenerate=False)
    except FileNotFoundError as error:
        return SplitReport(absent=str(error))
    names: dict[str, list[str]] = {kind: [] for kind in FATAL}
    there = {name for name in os.listdir(data.images) if name.endswith(".png")}
    names["unlisted"] = sorted(there.difference(data.names))
    masks = _odd_boxes(data) | _odd_labels(data)
    names |= {kind: [data.names[i] for i in np.flatnonzero(masks[kind])] for kind in masks}
    if not quick:
        names["bare"] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kinds = pool.map(lambda i: _trouble(data, i, quick), range(len(data)))
        kinds = tqdm(kinds, f"checking {split}", len(data), disable=not bar, mininterval=1.0)
        for name, kind in zip(data.names, kinds, strict=True):
            if kind:
                names[kind].append(name)
    return SplitReport(len(data), names)


def _trouble(data: Hands19, index: int, quick: bool) -> str | None:
    """The kind of trouble with an image, if any; it is found as the reader finds it."""
    path = data.path(data.names[index])
    try:
        if quick:
            probe_depth(path)
            return None
        depth = read_depth(path)
    except DepthImageError as error:
        return error.kind
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "closed"
    x1, y1, x2, y2 = box = np.maximum(data.boxes[index], 0).astype(int)
    return None if is_empty(box) or depth[y1:y2, x1:x2].any() else "bare"


def _odd_boxes(data: Hands19) -> dict[str, npt.NDArray[np.bool_]]:
    empty = is_empty(data.boxes)
    x1, y1, x2, y2 = data.boxes.T
    cut = (x1 <= 0) | (y1 <= 0) | (x2 >= WIDTH) | (y2 >= HEIGHT)
    return {"empty": empty, "cut": cut & ~empty}


def _odd_labels(data: Hands19) -> dict[str, npt.NDArray[np.bool_]]:
    if data.joints is None:
        return {}
    behind = np.asarray((data.joints[..., 2] <= 0).any(axis=1))
    joints = np.where(behind[:, None, None], 1, data.joints)
    uv = SR300.project(joints)[..., :2]
    # Where the border cuts a box, a joint may lie beyond.
    corner, size = data.boxes.reshape(-1, 2, 2), [WIDTH, HEIGHT]
    low = np.where(corner[:, 0] <= 0, -np.inf, corner[:, 0] - _TOLERANCE)
    high = np.where(corner[:, 1] >= size, np.inf, corner[:, 1] + _TOLERANCE)
    beyond = ((uv < low[:, None]) | (uv > high[:, None])).any(axis=(1, 2))
    return {"behind": behind, "outside": beyond & ~behind & ~is_empty(data.boxes)}


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
    try:
        report = check(chosen.root, chosen.quick)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(report)
    parser.exit(0 if report.usable else 1)
