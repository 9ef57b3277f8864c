"""Checkpoints of a run: whole or not there, the last two of them.

A file holds tensors, numbers and text; loading it runs no code.
"""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

State = dict[str, Any]  # tensors, numbers, text, and dicts and lists of them
_LAST, _BEFORE = "checkpoint.pt", "checkpoint.before.pt"


def save_checkpoint(folder: str | os.PathLike[str], state: State) -> None:
    """Write a checkpoint; the last one becomes the one before.

    Raises OSError if it cannot be written, on a full disk, say; the earlier ones are still there.
    """
    folder = Path(folder)
    part = folder / "checkpoint.part"
    try:
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the content
    except (OSError, RuntimeError) as error:  # torch's zip writer raises the latter
        part.unlink(missing_ok=True)
        raise OSError(f"{folder / _LAST} cannot be written, wanted room on the disk") from error
    if (folder / _LAST).exists():
        os.replace(folder / _LAST, folder / _BEFORE)
    os.replace(part, folder / _LAST)


def load_checkpoint(folder: str | os.PathLike[str], device: str = "cpu") -> State | None:
    """The last checkpoint, None if there is none; if it is damaged, the one before and a warning.

    Raises ValueError if all are damaged.
    """
    damaged = ""
    for path in (Path(folder) / _LAST, Path(folder) / _BEFORE):
        if not path.exists():
            continue
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself does not check the checksums
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            state: State = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises several kinds for a damaged file
            damaged = damaged or f"{path} is damaged ({type(error).__name__})"
            continue
        if damaged:
            warnings.warn(f"{damaged}: going on from {path.name}", stacklevel=2)
        return state
    if damaged:
        raise ValueError(f"{damaged}, wanted a checkpoint: remove it to start the run anew")
    return None
