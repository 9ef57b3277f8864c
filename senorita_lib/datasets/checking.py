"""What a data set on disk holds, and what is wrong with it.

``python -m senorita_lib.datasets ROOT`` reads every image; with ``--quick`` only the two
ends of each. It looks at people too, with :mod:`senorita_lib.people.checking`.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from tqdm.auto import tqdm

from senorita_lib.camera import SR300
from senorita_lib.datasets.boxes import is_empty
from senorita_lib.datasets.files import HEIGHT, WIDTH, DepthImageError, probe_depth, read_depth
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.datasets.layouts import find_layout

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
_NAMES = 4  # shown of each kind of trouble


@dataclass
class SplitReport:
    """What was found of ``train`` or ``test``.

    Attributes
    ----------
    lines : int
        Frames that the text files list.
    found : int
        Of these, images that exist.
    names : dict of lists of str
        Frames with each kind of trouble, a key of ``FATAL`` or ``ODD``; kinds that were not
        looked at are not there.
    absent : str
        What is missing of the whole split, if that cannot be opened at all.
    """

    lines: int = 0
    found: int = 0
    names: dict = field(default_factory=dict)
    absent: str = ""

    @property
    def counts(self):
        """What the table begins with: words and a number, or None for what has none."""
        return {"frames listed": self.lines, "images found": self.found}


@dataclass(repr=False)
class Report:
    """A :class:`SplitReport` of ``train`` and one of ``test``; prints as a table.

    That of another kind of data set has other columns, and kinds of trouble of its own, each with
    the words for it: those with which no image can be used, and odd ones.
    """

    title: str
    splits: dict
    fatal: dict = field(default_factory=lambda: FATAL)
    odd: dict = field(default_factory=lambda: ODD)

    @property
    def usable(self):
        """Whether no image is missing or unreadable."""
        return not any(s.absent or any(map(s.names.get, self.fatal)) for s in self.splits.values())

    def __str__(self):
        kinds, reports = self.fatal | self.odd, self.splits.values()
        counts = [s.counts for s in reports]
        rows = [(words, [c[words] for c in counts]) for words in counts[0]]
        rows += [(words, [_count(s, kind) for s in reports]) for kind, words in kinds.items()]
        width = max(len(words) for words, _ in rows)
        lines = [self.title, " " * width + "".join(f"{split:>11}" for split in self.splits)]
        for words, counts in rows:
            cells = (f"{c:>11,}" if c is not None else f"{'-':>11}" for c in counts)
            lines.append(f"{words:<{width}}" + "".join(cells))
        for kind, words in kinds.items():
            for split, report in self.splits.items():
                if names := list(dict.fromkeys(report.names.get(kind, ()))):
                    shown = " ".join(names[:_NAMES]) + (" …" if len(names) > _NAMES else "")
                    lines += [f"{words}, {split}:", f"  {shown}"]
        return "\n".join(lines + [s.absent for s in reports if s.absent])

    __repr__ = __str__


def _count(report, kind):
    return len(report.names[kind]) if kind in report.names else None


def check(root, quick=False, progress=True):
    """Look at every frame of a data set in HANDS19's layout, or HANDS17's.

    Parameters
    ----------
    root : path
        As of :class:`~senorita_lib.datasets.Hands19`.
    quick : bool
        Read only the two ends of each image, which tell its kind and whether it is truncated,
        but neither damage between them nor boxes without depth.
    progress : bool

    Returns
    -------
    Report

    Raises
    ------
    FileNotFoundError
        If there is no data set.
    ValueError
        If a text file does not hold what it should.
    """
    folder, layout = find_layout(root)
    splits = {split: _check_split(root, split, quick, progress) for split in ("train", "test")}
    return Report(f"{folder}, laid out as {layout}", splits)


def _check_split(root, split, quick, progress):
    try:
        data = Hands19(root, split, skip_degenerate=False)
    except FileNotFoundError as error:
        return SplitReport(absent=str(error))
    there = {name for name in os.listdir(data.images) if name.endswith(".png")}
    listed = set(data.names)
    names = {kind: [] for kind in FATAL}
    names["missing"] = [name for name in data.names if name not in there]
    names["unlisted"] = sorted(there - listed)
    names |= _odd_boxes(data)
    if data.joints is not None:
        names |= _odd_labels(data)
    if not quick:
        names["bare"] = []
    frames = [(n, b) for n, b in zip(data.names, data.boxes.tolist(), strict=True) if n in there]

    def look(frame):
        name, box = frame
        return _trouble(data.images / name, box, quick)

    for (name, _), kind in in_threads(look, frames, f"checking {split}", progress):
        if kind:
            names[kind].append(name)
    return SplitReport(len(data), len(frames), names)


def in_threads(look, items, what, progress):
    """Look at many things at a time.

    Parameters
    ----------
    look : callable
        Of an item.
    items : list
    what : str
        Is being done; the progress bar says so.
    progress : bool

    Yields
    ------
    item, found
        In order.
    """
    parts = [items[i : i + 64] for i in range(0, len(items), 64)]
    bar = tqdm(total=len(items), desc=what, disable=not progress, mininterval=1.0)
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for part, found in zip(parts, pool.map(lambda p: [*map(look, p)], parts), strict=True):
            bar.update(len(part))
            yield from zip(part, found, strict=True)


def _trouble(path, box, quick):
    """The kind of trouble with an image, or None."""
    try:
        if quick:
            return probe_depth(path)
        depth = read_depth(path)
    except DepthImageError as error:
        return error.kind
    except FileNotFoundError:  # removed this very moment
        return "missing"
    except OSError:
        return "closed"
    x1, y1, x2, y2 = (max(int(v), 0) for v in box)
    bare = x1 < x2 and y1 < y2 and not depth[y1:y2, x1:x2].any()
    return "bare" if bare else None


def _odd_boxes(data):
    empty = is_empty(data.boxes)
    x1, y1, x2, y2 = data.boxes.T
    cut = (x1 <= 0) | (y1 <= 0) | (x2 >= WIDTH) | (y2 >= HEIGHT)
    return {"empty": _pick(data, empty), "cut": _pick(data, cut & ~empty)}


def _odd_labels(data):
    behind = (data.joints[..., 2] <= 0).any(axis=1)
    joints = np.where(behind[:, None, None], 1, data.joints)
    uv = SR300.project(joints)[..., :2]
    # Where the border cuts a box, a joint may well lie beyond.
    corner, size = data.boxes.reshape(-1, 2, 2), [WIDTH, HEIGHT]
    low = np.where(corner[:, 0] <= 0, -np.inf, corner[:, 0] - _TOLERANCE)
    high = np.where(corner[:, 1] >= size, np.inf, corner[:, 1] + _TOLERANCE)
    beyond = ((uv < low[:, None]) | (uv > high[:, None])).any(axis=(1, 2))
    return {
        "behind": _pick(data, behind),
        "outside": _pick(data, beyond & ~behind & ~is_empty(data.boxes)),
    }


def _pick(data, mask):
    return [data.names[i] for i in np.flatnonzero(mask)]


def main(arguments=None):
    """Command line: print the table; exit status 1 where an image is missing or unreadable."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.datasets",
        description="Look for what is missing or wrong in a data set.",
    )
    parser.add_argument("root", help="the folder that holds 'Task 1', or MPII or Human36M")
    parser.add_argument(
        "--quick", action="store_true", help="read only the ends of each image, not all of it"
    )
    chosen = parser.parse_args(arguments)
    try:
        report = _look_for(chosen.root)(chosen.root, chosen.quick)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(1, f"{error}\n")
    print(report)
    parser.exit(0 if report.usable else 1)


def _look_for(root):
    """What checks the data set of a folder: hands, or people where there are only these."""
    from senorita_lib.people.checking import check_body, find_body  # it needs this module

    try:
        find_layout(root)
    except FileNotFoundError as error:
        if find_body(root):
            return check_body
        raise FileNotFoundError(f"{error}; nor does it hold people, MPII or Human36M") from None
    return check
