"""A data set's frames as crops, made once and kept beside it, or in a folder of one's choice.

::

    ROOT/crops/train_256_otsu_mass/00012_<digest>.npy    512 crops of ``_row_type``

Each such shard is whole or absent. Its digest covers all that its crops depend on, so that a
killed call or a repaired image costs a few shards, not all.
``python -m senorita_lib.datasets.crops ROOT --split train --size 256`` makes them.
"""

import hashlib
import io
import os
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm.auto import tqdm

from senorita_lib.camera import SR300, Camera
from senorita_lib.commands import command
from senorita_lib.cropping import (
    CropBatch,
    HandCrop,
    HandNotFoundError,
    check_options,
    checked_box,
    crop_hand,
)
from senorita_lib.datasets.files import read_depth
from senorita_lib.datasets.hands19 import SPLITS, Hands19
from senorita_lib.datasets.workers import run_tasks
from senorita_lib.files import PathLike, atomic_write, folder_lock, user_path

CROPS = 5  # raise it when the same frame no longer gives the same crop, or the file format changes
_SHARD = 512  # crops
_ARRAYS = ("images", "boxes", "cube_centres", "joints", "found")
_FEW = 1500  # frames that one process crops before several have started


def _row_type(size: int) -> np.dtype[Any]:
    image = ("image", "<f2", (size, size))
    return np.dtype([("found", "?"), ("box", "<f4", 4), ("cube_centre", "<f4", 3), image])


class ShardedImages:
    """Images of several shards as one read-only array (N, S, S), float16, image frame."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = shards
        self.shape = (sum(map(len, shards)), *shards[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = np.arange(len(self))[index]
        images = np.empty((*rows.shape, *self.shape[1:]), np.float16)
        for place in np.ndindex(rows.shape):
            images[place] = self._shards[rows[place] // _SHARD][rows[place] % _SHARD]
        return images


@dataclass(frozen=True)
class CropSet:
    """Crops of one split, with images that stay on disk until they are indexed."""

    names: list[str]
    splits: list[str]
    images: np.ndarray | ShardedImages  # (N, S, S), float16, image frame
    boxes: npt.NDArray[np.float32]  # (N, 4), pixel frame
    cube_centres: npt.NDArray[np.float32]  # (N, 3), camera frame, mm
    joints: npt.NDArray[np.float32]  # (N, 21, 3), camera frame, mm; NaN without labels
    found: npt.NDArray[np.bool_]  # (N,); False, and zeros, where no hand is in the box
    identity: str = ""  # digest of names, images' sizes, boxes and labels: tells data sets apart
    camera: Camera = SR300

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> "CropSet":
        """The crops at ``indices`` as a set of their own, in memory."""
        names, splits = ([values[i] for i in indices] for values in (self.names, self.splits))
        arrays = {name: getattr(self, name)[indices] for name in _ARRAYS}
        return CropSet(names, splits, **arrays, camera=self.camera)

    def batch(
        self, indices: Sequence[int] | npt.NDArray[np.int64], device: str | torch.device = "cpu"
    ) -> tuple[CropBatch, torch.Tensor]:
        """The crops at ``indices`` and their joints (B, 21, 3), mm, on a device."""
        indices = np.asarray(indices)
        rows = (getattr(self, name)[indices].astype(np.float32) for name in _ARRAYS[:4])
        image, box, cube_centre, joints = map(torch.from_numpy, rows)
        crops = CropBatch(image[:, None], box, cube_centre, self.camera)
        return crops.to(device), joints.to(device)


def load_crops(
    dataset: Hands19, *, size: int = 256, foreground: str = "otsu", centre: str = "mass",
    workers: int | None = None, progress: bool = True, cache: PathLike | None = None,
) -> CropSet:  # fmt: skip
    """Crop every frame of a data set, or open the crops of an earlier call.

    Of several processes that want the same crops one makes them and the others wait. The options
    are those of :func:`senorita_lib.cropping.crop_hand`; ``workers`` are by default one for each
    core where frames are many. ``cache``, by default ``ROOT/crops``, may serve several data sets.
    Raises ``UnitsError`` where :meth:`.Hands19.check_depth` does.
    """
    check_options(foreground, centre, size)  # before a folder is made
    dataset.check_depth()
    options = {"size": size, "foreground": foreground, "centre": centre}
    labels = hashlib.sha256("\n".join(dataset.names).encode() + dataset.boxes.tobytes())
    labels.update(_camera_bytes(dataset.camera))
    joints = dataset.joints
    if joints is None:
        joints = np.full((len(dataset), 21, 3), np.nan, np.float32)
    else:
        labels.update(joints.tobytes())
    folder = user_path(cache or dataset.root / "crops")
    folder = folder / f"{dataset.split}_{size}_{foreground}_{centre}"
    files = _files(dataset)
    labels.update(repr((CROPS, [size for size, _ in files])).encode())
    paths = [folder / name for name in _shard_names(dataset, options, files)]
    if any(_open(path, size) is None for path in paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"{folder} cannot be written ({error.strerror})"
            raise OSError(f"{what}, wanted a folder for crops (cache: another one)") from None
        with folder_lock(folder, f"another process is writing {folder}: waiting for it"):
            _make_missing(paths, dataset, options, workers, progress)
    shards = [rows for path in paths if (rows := _open(path, size)) is not None]
    assert len(shards) == len(paths)
    images = ShardedImages([np.asarray(rows["image"]) for rows in shards])
    boxes, cube_centres, found = (
        np.concatenate([rows[name] for rows in shards]) for name in ("box", "cube_centre", "found")
    )
    about = list(dataset.names), list(dataset.splits), images
    return CropSet(*about, boxes, cube_centres, joints, found, labels.hexdigest(), dataset.camera)


def _files(dataset: Hands19) -> list[tuple[int, int]]:
    """Size, bytes, and time of each image; both 0 where it is missing, as reading it will say."""
    found = []
    for name in dataset.names:
        try:
            status = os.stat(dataset.path(name))
            found.append((status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            found.append((0, 0))
    return found


def _shard_names(
    dataset: Hands19, options: dict[str, Any], files: list[tuple[int, int]]
) -> list[str]:
    """Name of each shard, with a digest of its images' names, boxes, sizes and times."""
    names = []
    for number, start in enumerate(range(0, max(len(dataset), 1), _SHARD)):
        rows = slice(start, start + _SHARD)
        digest = hashlib.sha256(repr((CROPS, options)).encode() + dataset.boxes[rows].tobytes())
        digest.update(_camera_bytes(dataset.camera))
        for name, (length, time) in zip(dataset.names[rows], files[rows], strict=True):
            digest.update(f"{name} {length} {time}\n".encode() if length else b"")
        names.append(f"{number:05d}_{digest.hexdigest()[:12]}.npy")
    return names


def _camera_bytes(camera: Camera) -> bytes:
    """What digests take of a camera: nothing of the SR300, which all data sets once had."""
    return b"" if camera == SR300 else repr(camera).encode()


def _open(path: Path, size: int) -> np.ndarray | None:
    """A shard as a memory map; None if it is missing or damaged."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.dtype == _row_type(size) else None


def _make_missing(
    paths: list[Path], dataset: Hands19, options: dict[str, Any], workers: int | None,
    progress: bool,
) -> None:  # fmt: skip
    size = options["size"]
    frames = zip(map(dataset.path, dataset.names), dataset.boxes, strict=True)
    camera = dataset.camera
    tasks = [(path, list(islice(frames, _SHARD)), camera, options) for path in paths]
    tasks = [task for task in tasks if _open(task[0], size) is None]
    if not tasks:  # another process has made them
        return
    left = sum(len(frames) for _, frames, *_ in tasks)
    folder, need = paths[0].parent, left * _row_type(size).itemsize
    if need > (free := shutil.disk_usage(folder).free):
        wanted = f"{_show_bytes(need)} for {left:,} crops of {size}x{size}"
        raise OSError(f"{folder} has {_show_bytes(free)} free, wanted {wanted}")
    if workers is None:
        workers = 1 if left < _FEW else os.cpu_count() or 1
    title = f"{left:,} crops, {_show_bytes(need)} in {folder}, boxes: {dataset.box_form}"
    with tqdm(desc=title, total=left, disable=not progress, mininterval=1.0) as bar:
        for done in run_tasks(_make_shard, tasks, workers):
            bar.update(done)


def crop_frame(
    depth: np.ndarray, box: np.ndarray, camera: Camera, **options: Any
) -> HandCrop | None:
    """A frame's crop by :func:`.crop_hand`; None if there is no hand in its box, or no such box."""
    try:
        checked_box(box, camera)
    except ValueError:  # empty, or beside the image
        return None
    try:
        return crop_hand(depth, box, camera, **options)
    except HandNotFoundError:
        return None


def _make_shard(
    path: Path, frames: list[tuple[Path, np.ndarray]], camera: Camera, options: dict[str, Any]
) -> int:
    """Crop a shard's frames and write it; returns how many they are."""
    rows = np.zeros(len(frames), _row_type(options["size"]))
    for i, (image, box) in enumerate(frames):
        depth = read_depth(image, camera)
        try:
            hand = crop_frame(depth, box, camera, **options)
        except ValueError as error:
            raise ValueError(f"{image}: {error}") from None
        if hand is not None:
            rows[i] = True, hand.box, hand.cube_centre, hand.image
    data = io.BytesIO()
    np.save(data, rows)
    atomic_write(path, data.getvalue())
    return len(frames)


def _show_bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: crop a split as training does, and print what it holds."""
    parser = ArgumentParser(
        "python -m senorita_lib.datasets.crops",
        description="Crop the hands of a data set, once for all runs.",
    )
    parser.add_argument("root", help="the folder that holds 'Task 1'")
    parser.add_argument("--split", choices=SPLITS, default="train", help="by default train")
    parser.add_argument("--size", type=int, default=256, help="side of a crop, px")
    parser.add_argument("--cache", help="folder for crops (default: ROOT/crops)")
    chosen = parser.parse_args(arguments)
    dataset = Hands19(chosen.root, chosen.split, skip_degenerate=chosen.split == "train")
    crops = load_crops(dataset, size=chosen.size, cache=chosen.cache)
    found, room = f"{crops.found.sum():,} hands found", 2 * len(crops) * chosen.size**2
    print(f"{len(crops):,} frames, {found}, {_show_bytes(room)}, boxes: {dataset.box_form}")


if __name__ == "__main__":
    main()
