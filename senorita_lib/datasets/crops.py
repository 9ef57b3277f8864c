"""A data set's frames as crops, made once and kept beside it.

``python -m senorita_lib.datasets.crops ROOT --split train --size 256`` makes them.
"""

import argparse
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import CropBatch
from senorita_lib.datasets.crop_writer import HAND, show_bytes, write_crops
from senorita_lib.datasets.hands19 import SPLITS, Hands19

CROPS = 3  # raise it when the same frame no longer gives the same crop, or in other files
_SMALL = ("boxes", "cube_centres", "joints", "found")


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


def load_crops(dataset, *, size=256, foreground="otsu", centre="mass", workers=None, progress=True):
    """Crop every frame of a data set, or open what an earlier call has cropped.

    A call that was killed is taken up where it stood; of several processes one works and the
    others wait for it.

    Parameters
    ----------
    dataset : Hands19
    size, foreground, centre
        As in :func:`senorita_lib.cropping.crop_hand`.
    workers : int, optional
        Processes; by default one a core, or threads where frames are few. The crops do not
        depend on it.
    progress : bool

    Returns
    -------
    CropSet
        Frames in the data set's order.

    Raises
    ------
    OSError
        If an image is missing, or the disk has no room for the crops.
    ValueError
        If an image cannot be used, or the crops are damaged.
    """
    labels = hashlib.sha256("\n".join(dataset.names).encode())
    labels.update(np.ascontiguousarray(dataset.boxes).tobytes())
    if dataset.joints is not None:
        labels.update(np.ascontiguousarray(dataset.joints).tobytes())
    files = labels.copy()
    files.update(str(CROPS).encode())
    files.update(_stamps(dataset))
    options = {"size": size, "foreground": foreground, "centre": centre}
    folder = f"{dataset.split}_{size}_{foreground}_{centre}_{files.hexdigest()[:12]}"
    path = Path(dataset.root) / "crops" / folder
    if not path.is_dir():
        write_crops(path, dataset, options, workers, progress)
    images, rows = _open(path, (len(dataset), size, size))
    joints = dataset.joints
    if joints is None:
        joints = np.full((len(dataset), 21, 3), np.nan, np.float32)
    return CropSet(
        names=list(dataset.names),
        splits=list(dataset.splits),
        images=images,
        boxes=rows["box"].copy(),
        cube_centres=rows["cube_centre"].copy(),
        joints=joints,
        found=rows["state"] == HAND,
        identity=labels.hexdigest(),
    )


def _stamps(dataset):
    """Size and time of each image, as bytes: one that was written anew is cropped anew."""
    stamps = np.zeros((len(dataset), 2), np.int64)
    folder = os.open(dataset.images, os.O_RDONLY)
    try:
        for i, name in enumerate(dataset.names):
            try:
                status = os.stat(name, dir_fd=folder)
            except FileNotFoundError:  # the reader says it better
                continue
            stamps[i] = status.st_size, status.st_mtime_ns
    finally:
        os.close(folder)
    return stamps.tobytes()


def _open(path, shape):
    try:
        images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
        rows = np.load(path / "rows.npy", allow_pickle=False)
        if (images.shape, rows.shape) != (shape, shape[:1]):
            raise ValueError("of another shape")
    except (OSError, ValueError, EOFError):
        raise ValueError(
            f"{path} is damaged, wanted {shape[0]:,} whole crops: remove it to make them anew"
        ) from None
    return images, rows


def main(arguments=None):
    """Command line: crop a split as training does, and say what it holds."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.datasets.crops",
        description="Crop the hands of a data set, once for all runs.",
    )
    parser.add_argument("root", help="the folder that holds 'Task 1'")
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--size", type=int, default=256, help="side of a crop, px")
    chosen = parser.parse_args(arguments)
    start = time.monotonic()
    try:
        dataset = Hands19(chosen.root, chosen.split, skip_degenerate=chosen.split == "train")
        crops = load_crops(dataset, size=chosen.size)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(
        f"{len(crops):,} frames, {crops.found.sum():,} hands found, "
        f"{show_bytes(crops.images.nbytes)}, {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
