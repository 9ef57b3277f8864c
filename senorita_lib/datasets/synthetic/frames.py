"""The synthetic HANDS19: frames on demand, and a data set in HANDS19's exact layout.

``python -m senorita_lib.datasets.synthetic ROOT`` writes one.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from senorita_lib._arguments import check_flags
from senorita_lib.camera import CAMERA_FILE, SR300, Camera
from senorita_lib.commands import command
from senorita_lib.datasets import files
from senorita_lib.datasets.hands19 import Frame, hand_box
from senorita_lib.datasets.synthetic import handmodel, openworld, posing
from senorita_lib.datasets.synthetic.posing import HandPose, pose_spheres
from senorita_lib.datasets.synthetic.sensor import MOST_PIXELS, background, sense
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.datasets.workers import run_tasks
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.files import PathLike, atomic_write, folder_lock, read_json, user_path

GENERATOR = 2  # of written data sets: raise it when their frames change
STAMP = "synthetic.json"
# "open" holds nothing back (:mod:`.openworld`): for weights that people use, not for tables.
SPLITS = ("train", *TEST_SPLITS, "open")
_BINS = (
    (posing.SEEN_SHAPES, posing.SEEN_VIEWS, posing.SEEN_PATTERNS),
    (posing.UNSEEN_SHAPES, posing.UNSEEN_VIEWS, posing.UNSEEN_PATTERNS),
)
# Which of shape, viewpoint and articulation a split takes from those that training never sees.
_HELD_BACK = {
    "train": (0, 0, 0), "interp": (0, 0, 0), "shape": (1, 0, 0), "viewp": (0, 1, 0),
    "artic": (0, 0, 1), "extrap": (1, 1, 1),
}  # fmt: skip


def labelled(
    name: str, depth: np.ndarray, joints: np.ndarray, camera: Camera, split: str, *bins: int
) -> Frame:
    """A frame with its box; ``bins`` are those of a pose."""
    box = hand_box(joints, camera)
    return Frame(name, depth, box, joints.astype(np.float32), split, camera, *bins)


class SyntheticHand:
    """Synthetic frames of a right hand; each depends on seed, split and index alone.

    The camera has up to 1024 pixels a side. ``without`` is what split "open" leaves out: see
    :class:`senorita_lib.recipes.Recipe`.
    """

    def __init__(
        self, seed: int = 0, camera: Camera = SR300, without: Collection[str] = ()
    ) -> None:
        want_whole(seed=seed)
        if max(camera.width, camera.height) > MOST_PIXELS:
            has = f"{camera.width}x{camera.height}"
            raise ValueError(f"camera is {has}, wanted up to {MOST_PIXELS} px a side")
        self.seed, self.camera, self.without = int(seed), camera, without

    def _draw(self, index: int, split: str) -> tuple[np.random.Generator, HandPose]:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        rng = np.random.default_rng([self.seed, SPLITS.index(split), index])
        if split == "open":
            return rng, openworld.draw_pose(rng, self.camera, self.without)
        bins = [_BINS[held][i] for i, held in enumerate(_HELD_BACK[split])]
        return rng, posing.draw_pose(rng, self.camera, *bins)

    def pose(self, index: int, split: str = "train") -> HandPose:
        """The pose of a frame."""
        return self._draw(index, split)[1]

    def frame(self, index: int, split: str = "train") -> Frame:
        """One frame; the index counts from 0, and there is no last one.

        The split is ``train``, ``interp``, ``shape``, ``artic``, ``viewp``, ``extrap`` or ``open``.
        """
        rng, pose = self._draw(index, split)
        if split == "open":
            depth = openworld.sensed(rng, self.camera, pose, self.without)
        else:
            hand = self.surface(pose)
            depth = sense(rng, hand, background(rng, self.camera, pose.joints, hand))
        return labelled(files.image_name(index), depth, pose.joints, self.camera, split, *pose.bins)

    def window(
        self, index: int, width_mm: float, size: int
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """A window of split "open" about the hand: depth (size, size), its box, the joints."""
        rng, pose = self._draw(index, "open")
        depth, box = openworld.window(rng, self.camera, pose, width_mm, size, self.without)
        return depth, box, pose.joints.astype(np.float32)

    def alone(self, pose: HandPose) -> Frame:
        """The frame of a pose, without a background."""
        depth = sense(np.random.default_rng(self.seed), self.surface(pose))
        return labelled("", depth, pose.joints, self.camera, "train", *pose.bins)

    def surface(self, pose: HandPose) -> npt.NDArray[np.float32]:
        """Exact depth (height, width), mm, of hand and arm; ``inf`` elsewhere."""
        return openworld.surface(pose, self.camera)

    def mask(self, pose: HandPose) -> npt.NDArray[np.bool_]:
        """Pixels (height, width) that show the hand itself, not its arm; of spheres only."""
        if pose.mesh is not None:
            raise ValueError("pose is of the mesh hand, wanted one of spheres")
        hulls = handmodel.PILLS, handmodel.HAND_WEDGES
        centres, radii = (values[: handmodel.N_HAND_SPHERES] for values in pose_spheres(pose))
        hand = render_depth(centres, radii, *hulls, self.camera)
        return (hand < np.inf) & (hand <= self.surface(pose))


class SyntheticTest:
    """The test frames of :func:`write_synthetic`, in its order, made when asked for."""

    def __init__(self, test_per_split: int = 100, seed: int = 0) -> None:
        self.hands = SyntheticHand(seed)
        tests = [(split, i) for split in TEST_SPLITS for i in range(test_per_split)]
        # Shuffled, as in the challenge.
        # 6: as many splits as there were when the order was fixed.
        order = np.random.default_rng([seed, 6]).permutation(len(tests))
        self.places = [tests[i] for i in order]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: int) -> Frame:
        split, index = self.places[place]
        return replace(self.hands.frame(index, split), name=files.image_name(place))


def want_whole(**numbers: float) -> None:
    """Refuse a seed or start that is not a whole number from 0, and another not from 1."""
    for name, value in numbers.items():
        least = 0 if name in ("seed", "start") else 1
        real = isinstance(value, int | float | np.integer | np.floating)
        if not real or value % 1 or value < least:
            raise ValueError(f"{name} is {value!r}, wanted a whole number from {least}")


def describe_splits() -> str:
    """A text table: how many shapes, viewpoints and finger patterns each split draws from."""
    rows = {"": ["shapes", "viewpoints", "bent fingers"]}
    for split, held_back in _HELD_BACK.items():
        bins = ((_BINS[held][i], held) for i, held in enumerate(held_back))
        rows[split] = [f"{len(values)} {('seen', 'unseen')[held]}" for values, held in bins]
    return "\n".join(f"{name:<8}" + "".join(f"{c:>16}" for c in row) for name, row in rows.items())


_Job = tuple[Path, tuple[Any, ...]]  # image file, and which frame it is
_PARTS = ("training_images", "test_images")
_TASK = 32  # frames that a worker makes at a time
_LABEL = np.dtype([("box", "<i4", 4), ("joints", "<f4", (21, 3))])


def write_synthetic(
    root: PathLike, train: int = 4000, test_per_split: int = 100, seed: int = 0,
    workers: int | None = None, progress: bool = True,
) -> Path:  # fmt: skip
    """Write a synthetic data set in HANDS19's layout, or finish an interrupted one.

    Parameters
    ----------
    root
        Becomes the folder that holds ``Task 1``. If another process writes it, wait for that.
    train, test_per_split
        Numbers of frames: for training, and for each of the five test splits.
    workers
        Processes, by default one for each core unless there is little to do. The files do not
        depend on it.

    Raises
    ------
    ValueError
        If root holds something else already, or a number makes no sense.
    """
    check_flags(progress=progress)
    settings = {"train": train, "test_per_split": test_per_split, "seed": seed}
    want_whole(**settings, workers=1 if workers is None else workers)
    settings = {name: int(value) for name, value in settings.items()} | {"generator": GENERATOR}
    root = user_path(root)
    if not _is_finished(root, settings):  # refuses before anything is made
        with folder_lock(root, f"another process is writing {root}: waiting for it"):
            if not _is_finished(root, settings):
                _write(root / "Task 1", settings, workers and int(workers), progress)
    return root


def _write(folder: Path, settings: dict[str, int], workers: int | None, progress: bool) -> None:
    jobs, train = _jobs(folder, settings), settings["train"]
    for part in _PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*/*.part"):
        left.unlink()
    stamp = {"settings": settings, "complete": False}
    atomic_write(folder / STAMP, json.dumps(stamp, indent=2) + "\n")
    labels = make_images(SyntheticHand(settings["seed"]), jobs, workers, progress)
    names, splits = [path.name for path, _ in jobs], [split for _, (_, split) in jobs]
    boxes, joints = labels["box"], labels["joints"]
    write = partial(files.write_annotations, folder)
    write("train", names[:train], boxes[:train], joints[:train])
    write("test", names[train:], boxes[train:], joints[train:], splits[train:])
    atomic_write(folder / STAMP, json.dumps(stamp | {"complete": True}, indent=2) + "\n")


def _jobs(folder: Path, settings: dict[str, int]) -> list[_Job]:
    train, test = (folder / part for part in _PARTS)
    places = SyntheticTest(settings["test_per_split"], settings["seed"]).places
    frames = [(train, i, "train", i) for i in range(settings["train"])]
    frames += [(test, i, *place) for i, place in enumerate(places)]
    return [
        (part / files.image_name(number), (index, split)) for part, number, split, index in frames
    ]


def _is_finished(root: Path, settings: dict[str, int]) -> bool:
    """Whether the data set of these settings is there; refuses a different data set."""
    folder = root / "Task 1"
    if not (folder / STAMP).is_file():
        try:
            other, _ = files.find_layout(root)
        except FileNotFoundError:
            there = (root / CAMERA_FILE, *folder.rglob("*"))
            held = next((p for p in there if p.is_file() and p.suffix != ".part"), None)
            if held:
                raise ValueError(f"{root} holds {held.name}, wanted an empty folder") from None
            return False
        raise ValueError(f"{other} holds a data set that is not synthetic, wanted an empty folder")
    try:
        stamp = read_json(folder / STAMP, "settings", "complete")
    except ValueError:
        what = "wanted the settings of a synthetic data set; remove that data set first"
        raise ValueError(f"{folder / STAMP} is damaged, {what}") from None
    if (found := stamp["settings"]) != settings:
        has, wanted = (", ".join(f"{k}={v}" for k, v in s.items()) for s in (found, settings))
        what = f"{folder} holds a synthetic data set with {has}, wanted {wanted}"
        raise ValueError(f"{what}: remove it or choose another folder")
    return bool(stamp["complete"]) and all(path.is_file() for path, _ in _jobs(folder, settings))


def make_images(
    hands: Any, jobs: Sequence[_Job], workers: int | None = None, progress: bool = False
) -> np.ndarray:
    """Write the frames ``hands.frame(*which)`` of the jobs; returns ``box`` and ``joints`` of all.

    Whole images of an interrupted call are kept where ``hands.pose`` knows their labels.
    """
    tasks = [(hands, i, jobs[i : i + _TASK]) for i in range(0, len(jobs), _TASK)]
    if workers is None:
        workers = min(os.cpu_count() or 1, 1 + len(jobs) // 200)
    labels = np.zeros(len(jobs), _LABEL)
    with tqdm(total=len(jobs), desc="synthetic frames", unit="frame", disable=not progress) as bar:
        for start, made in run_tasks(_make, tasks, workers):
            labels[start : start + len(made)] = made
            bar.update(len(made))
    return labels


def _make(hands: Any, start: int, jobs: Sequence[_Job]) -> tuple[int, np.ndarray]:
    labels = np.zeros(len(jobs), _LABEL)
    for label, (path, which) in zip(labels, jobs, strict=True):
        whole = False
        if hasattr(hands, "pose"):
            with suppress(ValueError, OSError):
                files.probe_depth(path)
                whole = True
        if whole:
            joints = hands.pose(*which).joints
            label["box"], label["joints"] = hand_box(joints, hands.camera), joints
        else:
            frame = hands.frame(*which)
            atomic_write(path, files.encode_depth(frame.depth))
            label["box"], label["joints"] = frame.box, frame.joints
    return start, labels


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: make a data set, and print what it is and how big."""
    parser = ArgumentParser(
        prog="python -m senorita_lib.datasets.synthetic",
        description="Write a synthetic data set in HANDS19's layout.",
    )
    parser.add_argument("root", help="becomes the folder that holds 'Task 1'")
    parser.add_argument("--train", type=int, default=4000, help="training frames")
    parser.add_argument("--test-per-split", type=int, default=100, help="frames per test split")
    parser.add_argument("--seed", type=int, default=0, help="seed of all frames")
    parser.add_argument("--workers", type=int, help="processes, by default one for each core")
    chosen = parser.parse_args(arguments)
    root = write_synthetic(**vars(chosen))
    size = sum(file.stat().st_size for file in (root / "Task 1").rglob("*") if file.is_file())
    tests = f"{chosen.test_per_split} of each of the test splits {', '.join(TEST_SPLITS)}"
    made = f"{chosen.train} training frames, {tests}, seed {chosen.seed}"
    print(f"{root}: {made}, {size / 1e6:.0f} MB")
