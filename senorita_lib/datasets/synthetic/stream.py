"""The synthetic hand as an endless stream of crops."""

import atexit
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from senorita_lib.cropping import Centre, CropBatch, Foreground, HandCrop
from senorita_lib.datasets.crops import crop_frame
from senorita_lib.datasets.synthetic.frames import SPLITS, SyntheticHand, want_whole

# Room for crops of 221 mm that are turned and moved; 1.7 mm a pixel.
WINDOW_MM, WINDOW_PX = 320.0, 192

Batch = tuple[CropBatch, torch.Tensor]


class SyntheticStream(IterableDataset[Batch]):
    """Batches of synthetic crops and their joints (B, 21, 3), camera frame, mm, without end.

    Batch i holds the frames ``batch * i`` to ``batch * (i + 1) - 1`` of
    :class:`~senorita_lib.datasets.SyntheticHand`, whatever the number of workers, on the CPU; the
    first is number ``start``. ``part`` are the rows of each to make, for one of several processes
    that share it. ``size``, ``foreground`` and ``centre`` are as for
    :func:`senorita_lib.cropping.crop_hand`. ``workers`` are by default all cores but two.

    Of split "open" the batches are windows of ``WINDOW_PX`` px about the hand: their ``image`` is
    depth, mm, 0 where nothing is, and their ``cube_centre`` the mean of the joints; ``without`` is
    as for :class:`~senorita_lib.datasets.SyntheticHand`.
    """

    def __init__(
        self, batch: int = 64, *, seed: int = 0, split: str = "train", size: int = 256,
        foreground: Foreground = "otsu", centre: Centre = "mass", workers: int | None = None,
        start: int = 0, part: slice = slice(None), without: Collection[str] = (),
    ) -> None:  # fmt: skip
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        want_whole(batch=batch, seed=seed, start=start)
        self.hands, self.split, self.start = SyntheticHand(seed, without=without), split, start
        self.options: dict[str, Any] = {"size": size, "foreground": foreground, "centre": centre}
        self.rows, self.stride = range(batch)[part], batch
        self.workers = max((os.cpu_count() or 1) - 2, 0) if workers is None else workers

    def batch(self, index: int) -> Batch:
        """The batch of a number, which counts from 0."""
        made = [self._crop(self.stride * index + row) for row in self.rows]
        crops, joints = zip(*made, strict=True)
        return CropBatch.stack(crops), torch.stack(joints)

    def _crop(self, index: int) -> tuple[HandCrop, torch.Tensor]:
        if self.split == "open":
            depth, box, joints = self.hands.window(index, WINDOW_MM, WINDOW_PX)
            middle = joints.mean(axis=0)
            window = HandCrop(depth.astype(np.float32), box, middle, self.hands.camera)
            return window, torch.from_numpy(joints)
        frame = self.hands.frame(index, self.split)
        crop = crop_frame(frame.depth, frame.box, self.hands.camera, **self.options)
        if crop is None:  # which is rare: take a frame far beyond
            return self._crop(index + (1 << 60))
        crop.steps.clear()
        return crop, torch.from_numpy(np.asarray(frame.joints))

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        if worker is None and self.workers:
            with _without_main():
                n = self.workers
                return iter(DataLoader(self, None, num_workers=n, multiprocessing_context="spawn"))
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        if worker:
            cv2.setNumThreads(1)
            atexit.register(os._exit, 0)  # threads of native libraries may abort a worker's exit
        return map(self.batch, count(self.start + first, step))


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers started meanwhile do not import the caller's script, which needs no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
