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


def _paths(folder: Path) -> tuple[Path, Path]:
    return folder / "checkpoint.pt", folder / "checkpoint.before.pt"


def save_checkpoint(folder: Path, state: State) -> None:
    """Write a checkpoint; the last one becomes the one before.

    Raises OSError if it cannot be written, on a full disk, say; the earlier ones are still there.
    """
    (last, before), new, held = _paths(folder), folder / "checkpoint.new.pt", io.BytesIO()
    torch.save(state, held)  # torch's own words for a full disk are a riddle
    try:
        with whole_file(new) as file:
            file.write(held.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the content
    except OSError as error:
        raise type(error)(f"{error}; {last_checkpoint(folder)}") from None
    if last.exists():
        os.replace(last, before)
    os.replace(new, last)


def last_checkpoint(folder: Path) -> str:
    """Where a run can go on, in words."""
    last = next(filter(Path.exists, _paths(folder)), None)
    return f"the last whole checkpoint is {last}" if last else "there is no checkpoint yet"


def load_checkpoint(folder: Path, device: str = "cpu") -> State | None:
    """The last checkpoint, None if there is none; if it is damaged, the one before and a warning.

    Numbers that are not finite, which no training can mend, are damage too. Raises ValueError if
    all are damaged.
    """
    damaged = ""
    for path in filter(Path.exists, _paths(folder)):
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
