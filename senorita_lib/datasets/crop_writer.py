"""Crops every frame of a data set into one file, with several processes, and takes up a killed run.

::

    FOLDER.part/images.npy   (N, S, S), float16, image frame
    FOLDER.part/rows.npy     state, box and cube centre of each row
    FOLDER                   the same, when all is done

``rows.npy`` is written aside and renamed, and only after the images that it speaks of have reached
the disk: it may know of less than was done, never of more.
"""

import fcntl
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from senorita_lib.camera import SR300
from senorita_lib.cropping import HandNotFoundError, crop_hand
from senorita_lib.datasets.files import read_depth
from senorita_lib.datasets.workers import gather

TODO, HAND, NO_HAND = range(3)
ROW = np.dtype([("state", "u1"), ("box", "<f4", 4), ("cube_centre", "<f4", 3)])
_RECORD = np.dtype([("index", "<i8"), ("row", ROW)])
_SAVE_SECONDS = 5  # of work are lost at most
# Up to so many frames threads are as quick: processes take seconds to start. Beyond, and with more
# than two cores, threads wait for the interpreter's lock.
_FEW = 5000


def write_crops(path, dataset, options, workers=None, progress=True):
    """Write the folder ``path``, or finish what a killed process has begun.

    Of several processes that want the same folder one writes it and the others wait.

    Parameters
    ----------
    path : pathlib.Path
    dataset : Hands19
    options : dict
        ``size``, ``foreground`` and ``centre`` of :func:`senorita_lib.cropping.crop_hand`.
    workers : int, optional
        Processes; as many as there are cores, or threads where frames are few. The crops do not
        depend on it.
    progress : bool

    Raises
    ------
    OSError
        If an image is missing, or the disk has no room.
    ValueError
        If an image cannot be used.
    """
    aside = path.with_name(f"{path.name}.part")
    while not path.is_dir():
        lock = _lock(aside, progress)
        if lock is None:
            continue
        with lock:
            if path.is_dir():  # another process was done before this one made the folder
                shutil.rmtree(aside)
                continue
            rows = _take_up(aside, len(dataset), options["size"])
            try:
                _fill(aside, rows, dataset, options, workers, progress)
            except BaseException:
                if not rows["state"].any():
                    shutil.rmtree(aside)
                raise
            os.replace(aside, path)


def _lock(aside, progress):
    """Make the folder and lock it; a file to be closed, or None where it is no longer there.

    The system drops the lock of a process that is killed.
    """
    try:
        aside.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"{aside.parent} cannot be written ({error.strerror}), wanted a folder for crops"
        ) from None
    try:
        file = open(aside / "images.npy", "ab")  # noqa: SIM115
    except FileNotFoundError:  # renamed this very moment
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if progress:
            tqdm.write(f"another process is writing {aside}: waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
            return file
    except FileNotFoundError:
        pass
    file.close()
    return None


def _take_up(aside, count, size):
    """The rows that a killed process has left, or new ones."""
    try:
        images = np.load(aside / "images.npy", mmap_mode="r", allow_pickle=False)
        rows = np.load(aside / "rows.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.zeros(count, ROW)
    fits = (images.shape, images.dtype) == ((count, size, size), np.float16)
    return rows if fits and (rows.shape, rows.dtype) == ((count,), ROW) else np.zeros(count, ROW)


def _fill(aside, rows, dataset, options, workers, progress):
    """Crop what is left to do."""
    images, count, size = aside / "images.npy", len(rows), options["size"]
    todo = np.flatnonzero(rows["state"] == TODO)
    need, free = 2 * size * size * len(todo), shutil.disk_usage(aside).free
    if need > free:
        raise OSError(
            f"{aside.parent} has {show_bytes(free)} free, wanted {show_bytes(need)} for "
            f"{len(todo):,} crops of {size}x{size}"
        )
    if not rows["state"].any():
        _save(aside, rows)  # an older one may know of images that are overwritten now
        np.lib.format.open_memmap(images, "w+", np.float16, (count, size, size))
    work = _Work(
        images=str(dataset.images),
        frames=[(int(i), dataset.names[i], dataset.boxes[i].tolist()) for i in todo],
        file=str(images),
        start=images.stat().st_size - 2 * size * size * count,
        options=options,
    )
    title = f"{count:,} crops, {show_bytes(2 * size * size * count)} in {aside.parent}"
    bar = tqdm(
        desc=title, total=count, initial=count - len(todo), disable=not progress, mininterval=1.0
    )
    saved = time.monotonic()
    try:
        with bar, closing(_run(work, workers)) as results:
            for records in results:
                rows[records["index"]] = records["row"]
                bar.update(len(records))
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save(aside, rows)
                    saved = time.monotonic()
    except BaseException:
        with suppress(OSError):  # of a full disk, which is what is being told
            _save(aside, rows)
        raise
    _save(aside, rows)


def _save(aside, rows):
    with open(aside / "images.npy", "rb") as images:
        os.fsync(images.fileno())  # what other processes wrote as well
    with open(aside / "rows.npy.part", "wb") as part:
        np.save(part, rows)
        part.flush()
        os.fsync(part.fileno())
    os.replace(part.name, aside / "rows.npy")


@dataclass(frozen=True)
class _Work:
    """What a worker needs."""

    images: str  # folder
    frames: list  # (row, name, box)
    file: str  # images.npy
    start: int  # where its first row begins, bytes
    options: dict

    def crop(self, frame):
        """Crop a frame into its row of the file; returns its record, (1,)."""
        index, name, (x1, y1, x2, y2) = frame
        record = np.zeros(1, _RECORD)
        record["index"], record["row"]["state"] = index, NO_HAND
        path = os.path.join(self.images, name)
        depth = read_depth(path)
        if x1 >= x2 or y1 >= y2:  # HANDS19 has such boxes
            return record
        try:
            hand = crop_hand(depth, (x1, y1, x2, y2), SR300, **self.options)
        except HandNotFoundError:
            return record
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        data = hand.image.astype(np.float16).tobytes()
        try:
            with open(self.file, "rb+") as file:
                file.seek(self.start + index * len(data))
                file.write(data)
        except OSError as error:
            raise OSError(
                f"{self.file} cannot be written ({error.strerror}), wanted room for more crops"
            ) from None
        record["row"] = (HAND, hand.box, hand.cube_centre)
        return record


def _run(work, workers):
    """Yield records of all frames, from threads of this process or from others."""
    cores = os.cpu_count() or 1
    if workers == 1 or (workers is None and len(work.frames) < _FEW):
        with ThreadPoolExecutor(workers or cores) as pool:
            yield from pool.map(work.crop, work.frames)
        return
    count = workers or cores
    tasks = [(replace(work, frames=work.frames[k::count]),) for k in range(count)]
    yield from gather(crop_frames, tasks, _RECORD)


def crop_frames(work):
    """Records of a worker's frames."""
    return map(work.crop, work.frames)


def show_bytes(number):
    """A number of bytes as people say it."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"
