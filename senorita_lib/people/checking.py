"""Where MPII and Human3.6M lie, what they hold, and what is wrong with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from senorita_lib.datasets.checking import Report, SplitReport, in_threads
from senorita_lib.people.colour import ColourImageError, probe_colour
from senorita_lib.people.human36m import FILES, Human36m
from senorita_lib.people.mpii import Mpii, find_mat

SETS = {"MPII": Mpii, "Human3.6M": Human36m}
FOLDERS = {"MPII": "MPII", "Human3.6M": "Human36M"}
FATAL = {
    "missing": "images missing",
    "truncated": "images unreadable: truncated or damaged",
    "size": "images of another size than listed",
    "closed": "images unreadable: cannot be opened",
}
ODD = {
    "unknown": "keypoints not labelled",
    "outside": "keypoints outside their image",
    "away": "people whose box lies outside their image",
    "behind": "keypoints behind the camera",
}


@dataclass
class BodyReport(SplitReport):
    """What was found of one set of people.

    Attributes
    ----------
    lines, found, names, absent
        As of :class:`~senorita_lib.datasets.checking.SplitReport`; ``lines`` are the images listed.
        For each kind of trouble there are the names of the images; one is there as often as it has
        keypoints, or people, of that kind.
    people : int
        Those with keypoints.
    unlabelled : int or None
        People left out; None where a set tells nothing of them.
    """

    people: int = 0
    unlabelled: int | None = None

    @property
    def counts(self):
        """What the table begins with: words and a number, or None for what has none."""
        return {
            "people labelled": self.people,
            "people without labels": self.unlabelled,
            "images listed": self.lines,
            "images found": self.found,
        }


def find_body(root):
    """Find MPII and Human3.6M.

    Parameters
    ----------
    root : path
        The folder of one of them, or the one that holds ``MPII`` or ``Human36M`` or both.

    Returns
    -------
    list of (str, pathlib.Path)
        Name, a key of ``SETS``, and folder of each; a folder of its own counts whatever it holds.
    """
    root, found = Path(root), []
    if find_mat(root):
        found.append(("MPII", root))
    if next(root.glob(FILES), None):
        found.append(("Human3.6M", root))
    for name, folder in FOLDERS.items():
        if (root / folder).is_dir() and name not in dict(found):
            found.append((name, root / folder))
    return found


def open_body(root):
    """Open what :func:`find_body` finds, for training.

    Parameters
    ----------
    root : path

    Returns
    -------
    list of BodySet

    Raises
    ------
    FileNotFoundError
        If there is neither of the two, or a file is missing.
    ImportError
        If scipy is missing, which reads MPII.
    ValueError
        If a file does not hold what it should.
    """
    return [SETS[name](folder) for name, folder in _want_body(root)]


def _want_body(root):
    if found := find_body(root):
        return found
    raise FileNotFoundError(
        f"{root} holds neither the annotations of MPII nor those of Human3.6M, nor does a folder "
        "MPII or Human36M in it, wanted one of the two"
    )


def check_body(root, quick=False, progress=True):
    """Look at every person and every image of MPII and of Human3.6M that training takes.

    Parameters
    ----------
    root : path
        As of :func:`find_body`.
    quick : bool
        Read only the two ends of each image, which tell whether it is truncated, but neither
        damage in its header nor its size.
    progress : bool

    Returns
    -------
    ~senorita_lib.datasets.checking.Report
        One column for each set.

    Raises
    ------
    FileNotFoundError
        If there is neither of the two.
    ImportError
        If scipy is missing, which reads MPII.
    ValueError
        If a file does not hold what it should.
    """
    found = _want_body(root)
    reports = {name: _check_set(name, folder, quick, progress) for name, folder in found}
    return Report(f"{root}, people that training takes", reports, FATAL, ODD)


def _check_set(name, folder, quick, progress):
    try:
        data = SETS[name](folder)
    except FileNotFoundError as error:
        return BodyReport(absent=str(error))
    persons = {}  # the first one in each image
    for person, image in enumerate(data.names):
        persons.setdefault(image, person)
    missing = set(data.missing())
    names = {kind: [] for kind in FATAL}
    if quick or name == "MPII":  # which does not list any
        del names["size"]
    there = [image for image in persons if image not in missing]
    names["missing"] = [image for image in persons if image in missing]
    sizes = {}

    def look(image):
        return _look(data, image, persons[image], quick)

    for image, (kind, size) in in_threads(look, there, f"checking {name}", progress):
        if kind:
            names[kind].append(image)
        if size:
            sizes[image] = size
    if name == "Human3.6M":
        names |= _odd_places(data, data.sizes) | _odd_depths(data)
    else:
        names["unknown"] = _each(data, np.isnan(data.keypoints[..., 0]))
        if not quick:
            unread = (np.nan, np.nan)
            sizes = np.array([sizes.get(image, unread) for image in data.names])
            names |= _odd_places(data, sizes)
    return BodyReport(
        len(persons), len(there), names,
        people=len(data), unlabelled=getattr(data, "unlabelled", None),
    )  # fmt: skip


def _look(data, image, person, quick):
    """The kind of trouble with an image, or None; and its width and height, or None."""
    try:
        if quick:
            return probe_colour(data.images / image), None
        height, width = data.image(person).shape[:2]
        return None, (width, height)
    except ColourImageError as error:
        return error.kind, None
    except FileNotFoundError:  # removed this very moment
        return "missing", None
    except OSError:
        return "closed", None


def _odd_places(data, sizes):
    """Keypoints and boxes outside images of these sizes (N, 2); where not a number, none is."""
    uv, low, high = data.keypoints[..., :2], data.boxes[:, :2], data.boxes[:, 2:]
    # A pixel reaches half a pixel around its centre. What is not a number is not outside.
    outside = ((uv < -0.5) | (uv > sizes[:, None] - 0.5)).any(axis=-1)
    away = ((high < -0.5) | (low > sizes - 0.5)).any(axis=-1)
    return {"outside": _each(data, outside), "away": _each(data, away)}


def _odd_depths(data):
    return {"behind": _each(data, data.keypoints[..., 2] + data.cameras[:, 4:] <= 0)}


def _each(data, mask):
    """The image's name for each person, or each keypoint, that is meant."""
    return [data.names[person] for person in np.nonzero(mask)[0]]
