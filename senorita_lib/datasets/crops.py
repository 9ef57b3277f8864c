"""A data set's frames as crops, made once and kept beside it."""

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.camera import SR300
from senorita_lib.cropping import CropBatch, HandNotFoundError, crop_hand


@dataclass(frozen=True)
class CropSet:
    """Crops of one split, the images in a memory map, float16.

    Attributes
    ----------
    names, splits : lists of str
    images : array, (N, S, S)
        Image frame.
    boxes : array, (N, 4)
        Pixel frame.
    cube_centres : array, (N, 3)
        Camera frame, mm.
    joints : array, (N, 21, 3)
        Camera frame, mm; not a number where the data set has no labels.
    found : array, (N,), bool
        False where the frame has no hand in its box; such rows hold nothing.
    identity : str
        Digest of names, boxes and labels: which data set this is.
    """

    names: list
    splits: list
    images: np.ndarray
    boxes: np.ndarray
    cube_centres: np.ndarray
    joints: np.ndarray
    found: np.ndarray
    identity: str = ""

    def __len__(self):
        return len(self.names)

    def take(self, indices):
        """The crops at ``indices`` as a set of their own, in memory."""
        return CropSet(
            names=[self.names[i] for i in indices],
            splits=[self.splits[i] for i in indices],
            **{name: getattr(self, name)[indices] for name in ("images", *_SMALL)},
        )

    def batch(self, indices, device="cpu"):
        """The crops at ``indices`` and their joints (B, 21, 3), mm, on a device."""
        indices = np.asarray(indices)
        tensor = {
            "image": torch.from_numpy(self.images[indices].astype(np.float32))[:, None],
            "box": torch.from_numpy(self.boxes[indices]),
            "cube_centre": torch.from_numpy(self.cube_centres[indices]),
        }
        crops = CropBatch(**tensor, camera=SR300).to(device)
        return crops, torch.from_numpy(self.joints[indices]).to(device)


def load_crops(dataset, *, size=256, foreground="otsu", centre="mass", progress=True):
    """Crop every frame of a data set, or open what an earlier call has cropped.

    Parameters
    ----------
    dataset : Hands19
    size, foreground, centre
        As in :func:`senorita_lib.cropping.crop_hand`.
    progress : bool

    Returns
    -------
    CropSet
        Frames in the data set's order.
    """
    labels = hashlib.sha256("\n".join(dataset.names).encode())
    labels.update(np.ascontiguousarray(dataset.boxes).tobytes())
    if dataset.joints is not None:
        labels.update(np.ascontiguousarray(dataset.joints).tobytes())
    files = labels.copy()
    files.update(str(CROPS).encode())
    for name in dataset.names:  # an image that was written anew is cropped anew
        image = dataset.images / name
        if image.exists():  # the reader says it better where one is missing
            status = image.stat()
            files.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    folder = f"{dataset.split}_{size}_{foreground}_{centre}_{files.hexdigest()[:12]}"
    path = Path(dataset.root) / "crops" / folder
    if not path.is_dir():
        _write(path, dataset, size, foreground, centre, progress)
    return CropSet(
        names=list(dataset.names),
        splits=list(dataset.splits),
        images=np.load(path / "images.npy", mmap_mode="r"),
        identity=labels.hexdigest(),
        **{name: np.load(path / f"{name}.npy") for name in _SMALL},
    )


CROPS = 1  # raise it when the same frame no longer gives the same crop
_SMALL = ("boxes", "cube_centres", "joints", "found")


def _write(path, dataset, size, foreground, centre, progress):
    """Write into a folder aside and rename it, so that a whole name means whole contents."""
    count = len(dataset)
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    for left in path.parent.glob("*.part"):
        if not _alive(int(left.name.split(".")[-2])):
            shutil.rmtree(left)
    aside.mkdir(parents=True)
    images = np.lib.format.open_memmap(aside / "images.npy", "w+", np.float16, (count, size, size))
    options = {"foreground": foreground, "centre": centre}
    small = {
        "boxes": np.zeros((count, 4), np.float32),
        "cube_centres": np.zeros((count, 3), np.float32),
        "joints": np.full((count, 21, 3), np.nan, np.float32),
        "found": np.zeros(count, bool),
    }

    def crop(index):
        frame = dataset[index]
        if frame.joints is not None:
            small["joints"][index] = frame.joints
        x1, y1, x2, y2 = frame.box
        if x1 >= x2 or y1 >= y2:  # HANDS19 has such boxes
            return
        try:
            hand = crop_hand(frame.depth, frame.box, SR300, size=size, **options)
        except HandNotFoundError:
            return
        except ValueError as error:
            raise ValueError(f"{dataset.images / frame.name}: {error}") from None
        images[index] = hand.image
        small["boxes"][index] = hand.box
        small["cube_centres"][index] = hand.cube_centre
        small["found"][index] = True

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work, title = pool.map(crop, range(count)), f"crops of {dataset.split}"
        for _ in tqdm(work, title, count, disable=not progress, mininterval=1.0):
            pass
    images.flush()
    for name, values in small.items():
        np.save(aside / f"{name}.npy", values)
    try:
        os.replace(aside, path)
    except OSError:  # another process was first
        if not path.is_dir():
            raise
        shutil.rmtree(aside)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process != os.getpid()
