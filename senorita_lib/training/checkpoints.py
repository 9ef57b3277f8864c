"""Checkpoints of a run: whole or not there, the last two of them.

A file holds tensors, numbers and text; loading runs no code of it.
"""

import fcntl
import os
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm.auto import tqdm

_LAST, _BEFORE = "checkpoint.pt", "checkpoint.before.pt"


@contextmanager
def alone_in(folder, progress=True):
    """Keep other processes out of a run's folder; if one is at work there, wait for its end.

    The system frees the folder of a process that is killed.

    Parameters
    ----------
    folder : path
    progress : bool
        Say so when there is something to wait for.
    """
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress:
                tqdm.write(f"another process trains in {folder}: waiting for it")
            fcntl.flock(place, fcntl.LOCK_EX)
        except OSError:  # a file system that cannot lock
            pass
        yield
    finally:
        os.close(place)


def save_checkpoint(folder, state):
    """Write a checkpoint aside, keep the last one as the one before, and take its place.

    Parameters
    ----------
    folder : path
    state : dict
        Tensors, numbers, text, and dicts and lists of them.
    """
    folder = Path(folder)
    aside = folder / "checkpoint.part"
    with open(aside, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())  # a machine that stops may not keep the name alone
    if (folder / _LAST).exists():
        os.replace(folder / _LAST, folder / _BEFORE)
    os.replace(aside, folder / _LAST)


def load_checkpoint(folder, device="cpu"):
    """The last checkpoint, or with a warning the one before if the last is damaged.

    Parameters
    ----------
    folder : path
    device : str

    Returns
    -------
    dict or None
        None if there is no checkpoint.

    Raises
    ------
    ValueError
        If none of them is whole.
    """
    damaged = None
    for path in (Path(folder) / _LAST, Path(folder) / _BEFORE):
        if not path.exists():
            continue
        try:
            state = _load(path, device)
        except Exception as error:  # torch raises several kinds for a damaged file
            damaged = damaged or f"{path} is damaged ({type(error).__name__})"
            continue
        if damaged:
            warnings.warn(f"{damaged}: going on from {path.name}", stacklevel=2)
        return state
    if damaged:
        raise ValueError(f"{damaged}, wanted a checkpoint: remove it to start the run anew")
    return None


def _load(path, device):
    with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
        if archive.testzip() is not None:
            raise zipfile.BadZipFile
    return torch.load(path, map_location=device, weights_only=True)
