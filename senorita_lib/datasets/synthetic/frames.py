"""The synthetic HANDS19: frames on demand, and a data set in HANDS19's exact layout.

``python -m senorita_lib.datasets.synthetic ROOT`` writes one.
"""

import argparse
import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from senorita_lib.camera import SR300
from senorita_lib.datasets.boxes import hand_box
from senorita_lib.datasets.files import encode_depth, image_name, is_whole_png
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.layouts import find_layout, write_annotations
from senorita_lib.datasets.synthetic import posing
from senorita_lib.datasets.synthetic.handmodel import (
    HAND_WEDGES,
    N_HAND_SPHERES,
    PILLS,
    SHAPES,
    WEDGES,
    hand_spheres,
)
from senorita_lib.datasets.synthetic.sensor import MOST_PIXELS, background, sense
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.datasets.workers import gather
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.files import atomic_write

GENERATOR = 2  # raise it when the same seed no longer gives the same frames
STAMP = "synthetic.json"
SPLITS = ("train", *TEST_SPLITS)
_SPLIT_IDS = {name: i for i, name in enumerate(SPLITS)}
_SEEN = (posing.SEEN_SHAPES, posing.SEEN_VIEWS, posing.SEEN_PATTERNS)
_UNSEEN = (posing.UNSEEN_SHAPES, posing.UNSEEN_VIEWS, posing.UNSEEN_PATTERNS)
# Which of shape, viewpoint, articulation a split takes from those that training never sees.
_HELD_BACK = {
    "train": (0, 0, 0), "interp": (0, 0, 0), "shape": (1, 0, 0), "viewp": (0, 1, 0),
    "artic": (0, 0, 1), "extrap": (1, 1, 1),
}  # fmt: skip


class SyntheticHand:
    """Synthetic frames of a right hand, each a function of seed, split and index alone.

    Parameters
    ----------
    seed : int
    camera : Camera
        Of up to 1024 pixels a side.

    Raises
    ------
    ValueError
        If the camera has more.
    """

    def __init__(self, seed=0, camera=SR300):
        if max(camera.width, camera.height) > MOST_PIXELS:
            raise ValueError(
                f"camera is {camera.width}x{camera.height}, wanted up to {MOST_PIXELS} px a side"
            )
        self.seed, self.camera = seed, camera

    def _draw(self, index, split):
        if split not in _SPLIT_IDS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(_SPLIT_IDS)}")
        rng = np.random.default_rng([self.seed, _SPLIT_IDS[split], index])
        bins = [(_SEEN, _UNSEEN)[held][i] for i, held in enumerate(_HELD_BACK[split])]
        return rng, posing.draw_pose(rng, self.camera, *bins)

    def pose(self, index, split="train"):
        """The pose of a frame, a :class:`~senorita_lib.datasets.synthetic.posing.HandPose`."""
        return self._draw(index, split)[1]

    def frame(self, index, split="train"):
        """One frame.

        Parameters
        ----------
        index : int
            From 0, without end.
        split : str
            ``train``, ``interp``, ``shape``, ``artic``, ``viewp`` or ``extrap``.

        Returns
        -------
        Frame

        Raises
        ------
        ValueError
            If there is no such split.
        """
        rng, pose = self._draw(index, split)
        hand = self.surface(pose)
        scene = background(rng, self.camera, pose.joints, hand)
        return self._frame(pose, sense(rng, hand, scene), image_name(index), split)

    def alone(self, pose):
        """The frame of a pose, in front of nothing."""
        rng = np.random.default_rng(self.seed)
        return self._frame(pose, sense(rng, self.surface(pose)))

    def _frame(self, pose, depth, name="", split="train"):
        return Frame(
            name=name,
            depth=depth,
            box=hand_box(pose.joints, self.camera),
            joints=pose.joints.astype(np.float32),
            split=split,
            shape=pose.shape,
            view=pose.view,
            pattern=pose.pattern,
        )

    def surface(self, pose):
        """Exact depth (height, width), mm, of hand and arm; ``inf`` where they are not."""
        centres, radii = pose_spheres(pose)
        return render_depth(centres, radii, PILLS, WEDGES, self.camera)

    def mask(self, pose):
        """Pixels (height, width), bool, that show the hand itself, not its arm."""
        centres, radii = pose_spheres(pose)
        hand = render_depth(
            centres[:N_HAND_SPHERES], radii[:N_HAND_SPHERES], PILLS, HAND_WEDGES, self.camera
        )
        return (hand < np.inf) & (hand <= self.surface(pose))


class SyntheticTest:
    """The test frames that :func:`write_synthetic` writes, in its order, made when asked for.

    Parameters
    ----------
    test_per_split, seed : int
        As of the data set.
    """

    def __init__(self, test_per_split=100, seed=0):
        self.hands = SyntheticHand(seed)
        tests = [(split, i) for split in TEST_SPLITS for i in range(test_per_split)]
        # Shuffled, as in the challenge.
        order = np.random.default_rng([seed, len(_SPLIT_IDS)]).permutation(len(tests))
        self.places = [tests[i] for i in order]

    def __len__(self):
        return len(self.places)

    def __getitem__(self, place):
        split, index = self.places[place]
        return replace(self.hands.frame(index, split), name=image_name(place))


def describe_splits():
    """A table, as text, of how many values of each axis a split draws from, seen or unseen."""
    axes = ("shapes", "viewpoints", "bent fingers")
    lines = [f"{'':<8}" + "".join(f"{axis:>16}" for axis in axes)]
    for split, held_back in _HELD_BACK.items():
        cells = [
            f"{len((_SEEN, _UNSEEN)[held][i])} {('seen', 'unseen')[held]}"
            for i, held in enumerate(held_back)
        ]
        lines.append(f"{split:<8}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def pose_spheres(pose):
    """Sphere centres (n, 3), camera frame, and radii (n,), mm, of a posed hand."""
    centres, radii = hand_spheres(
        SHAPES[pose.shape],
        pose.local,
        pose.wrist,
        pose.forearm,
        pose.upper_arm @ pose.rotation,
        pose.sleeve,
    )
    return centres @ pose.rotation.T + pose.translation, radii


# ---------------------------------------------------------------------------------- data set
# What a worker sends of each frame.
_RECORD = np.dtype([("job", "<i4"), ("box", "<i4", 4), ("joints", "<f4", (21, 3))])


def write_synthetic(root, train=4000, test_per_split=100, seed=0, workers=None, progress=True):
    """Write a synthetic data set in HANDS19's layout, or finish one that was interrupted.

    Parameters
    ----------
    root : path
        Becomes the folder that holds ``Task 1``.
    train, test_per_split : int
        Numbers of frames: for training, and for each of the five test splits.
    seed : int
    workers : int, optional
        Processes; as many as there are cores, unless there is little to do. The files do not
        depend on it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pathlib.Path
        ``root``.

    Raises
    ------
    ValueError
        If root holds something else already, or a number makes no sense.
    OSError
        If something cannot be written.
    """
    for name, value, least in (
        ("train", train, 1), ("test_per_split", test_per_split, 1), ("seed", seed, 0),
        ("workers", 1 if workers is None else workers, 1),
    ):  # fmt: skip
        if int(value) != value or value < least:
            raise ValueError(f"{name} is {value}, wanted a whole number from {least}")
    train, test_per_split, seed = int(train), int(test_per_split), int(seed)
    settings = {
        "train": train, "test_per_split": test_per_split, "seed": seed, "generator": GENERATOR,
    }  # fmt: skip
    root = Path(root)
    folder = root / "Task 1"
    _finished(root, folder, settings)  # refuses before anything is made
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be writing: wait for it
        _write(root, folder, settings, workers and int(workers), progress)
    finally:
        os.close(lock)
    return root


def _write(root, folder, settings, workers, progress):
    jobs, train = _jobs(folder, settings), settings["train"]
    if _finished(root, folder, settings) and all(_present(folder, jobs)):
        return
    for part in ("training_images", "test_images"):
        (folder / part).mkdir(exist_ok=True)
        for left in (folder / part).glob("*.part"):
            left.unlink()
    atomic_write(folder / STAMP, _stamp(settings, complete=False))
    if workers is None:
        workers = min(os.cpu_count() or 1, 1 + len(jobs) // 200)
    bar = tqdm(total=len(jobs), desc="synthetic frames", unit="frame", disable=not progress)
    labels = np.zeros(len(jobs), dtype=_RECORD)
    with bar:
        tasks = [(folder, settings, start, workers) for start in range(workers)]
        for records in gather(_make, tasks, _RECORD):
            labels[records["job"]] = records
            bar.update(len(records))
    names = [path.name for path, _, _ in jobs]
    splits = [split for _, split, _ in jobs]
    for kind, rows in (("train", slice(train)), ("test", slice(train, None))):
        write_annotations(
            folder, kind, names[rows], labels["box"][rows], labels["joints"][rows],
            splits[rows] if kind == "test" else None,
        )  # fmt: skip
    atomic_write(folder / STAMP, _stamp(settings, complete=True))


def _jobs(folder, settings):
    """(path, split, index) of every image."""
    jobs = [
        (folder / "training_images" / image_name(i), "train", i) for i in range(settings["train"])
    ]
    places = SyntheticTest(settings["test_per_split"], settings["seed"]).places
    jobs += [(folder / "test_images" / image_name(i), *test) for i, test in enumerate(places)]
    return jobs


def _present(folder, jobs):
    found = {
        part: set(os.listdir(folder / part)) if (folder / part).is_dir() else set()
        for part in ("training_images", "test_images")
    }
    return [path.name in found[path.parent.name] for path, _, _ in jobs]


def _stamp(settings, complete):
    return (json.dumps({"settings": settings, "complete": complete}, indent=2) + "\n").encode()


def _finished(root, folder, settings):
    """Whether the data set of these settings is there; refuses what is there of others."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        found, complete = stamp["settings"], stamp["complete"]
    except FileNotFoundError:
        try:
            other, _ = find_layout(root)
        except FileNotFoundError:
            return False
        raise ValueError(
            f"{other} holds a data set that is not synthetic, wanted an empty folder"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{folder / STAMP} is damaged, wanted the settings of a synthetic data set; remove "
            "that data set first"
        ) from None
    if found != settings:
        raise ValueError(
            f"{folder} holds a synthetic data set with {_words(found)}, wanted {_words(settings)}: "
            "remove it or choose another folder"
        )
    return complete


def _words(settings):
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _make(folder, settings, start, step):
    """Make every ``step``-th frame that is missing; yields the records of all of them."""
    hands = SyntheticHand(settings["seed"])
    for number, (path, split, index) in enumerate(_jobs(folder, settings)):
        if number % step != start:
            continue
        record = np.zeros(1, dtype=_RECORD)
        if is_whole_png(path):
            joints = hands.pose(index, split).joints
            record[0] = (number, hand_box(joints, hands.camera), joints)
        else:
            frame = hands.frame(index, split)
            atomic_write(path, encode_depth(frame.depth))
            record[0] = (number, frame.box, frame.joints)
        yield record


def main(arguments=None):
    """Command line: make a data set, and say what it is and how big."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.datasets.synthetic",
        description="Write a synthetic data set in HANDS19's layout.",
    )
    parser.add_argument("root", help="becomes the folder that holds 'Task 1'")
    parser.add_argument("--train", type=int, default=4000, help="training frames")
    parser.add_argument("--test-per-split", type=int, default=100, help="frames a test split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes, by default one a core")
    chosen = parser.parse_args(arguments)
    try:
        root = write_synthetic(**vars(chosen))
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    size = sum(file.stat().st_size for file in (root / "Task 1").rglob("*") if file.is_file())
    print(
        f"{root}: {chosen.train} training frames, {chosen.test_per_split} of each of the test "
        f"splits {', '.join(TEST_SPLITS)}, seed {chosen.seed}, {size / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
