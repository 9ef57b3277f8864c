"""Checkpoints of a run: whole or not there, the last two of them.

A file holds tensors, numbers and text; loading it runs no code.
"""

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from senorita_lib.files import whole_file

State = dict[str, Any]  # tensors, numbers, text, and dicts and lists of them
_LAST, _BEFORE, _NEW = "checkpoint.pt", "checkpoint.before.pt", "checkpoint.new.pt"


def save_checkpoint(folder: str | os.PathLike[str], state: State) -> None:
    """Write a checkpoint; the last one becomes the one before.

    Raises OSError if it cannot be written, on a full disk, say; the earlier ones are still there.
    """
    folder, held = Path(folder), io.BytesIO()
    torch.save(state, held)  # torch's own words for a full disk are a riddle
    try:
        with whole_file(folder / _NEW) as file:
            file.write(held.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the content
    except OSError as error:
        raise type(error)(f"{error}; {last_checkpoint(folder)}") from None
    if (folder / _LAST).exists():
        os.replace(folder / _LAST, folder / _BEFORE)
    os.replace(folder / _NEW, folder / _LAST)


def last_checkpoint(folder: str | os.PathLike[str]) -> str:
    """Where a run can go on, in words."""
    paths = (Path(folder) / name for name in (_LAST, _BEFORE))
    last = next((path for path in paths if path.exists()), None)
    return f"the last whole checkpoint is {last}" if last else "there is no checkpoint yet"


def load_checkpoint(folder: str | os.PathLike[str], device: str = "cpu") -> State | None:
    """The last checkpoint, None if there is none; if it is damaged, the one before and a warning.

    Numbers that are not finite, which no training can mend, are damage too. Raises ValueError if
    all are damaged.
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
            tensors = (leaf for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))
            if not all(tensor.isfinite().all() for tensor in tensors):
                raise FloatingPointError
        except Exception as error:  # torch raises several kinds for a damaged file
            damaged = damaged or f"{path} is damaged ({type(error).__name__})"
            continue
        if damaged:
            warnings.warn(f"{damaged}: going on from {path.name}", stacklevel=2)
        return state
    if damaged:
        raise ValueError(f"{damaged}, wanted a checkpoint: remove it to start the run anew")
    return None
