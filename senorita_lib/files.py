"""Files written whole or not at all, folders that one process writes, relative paths."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write a file such that, whatever happens, a file of that name is a whole one.

    Its folder must exist; text becomes UTF-8. After an OSError what was there is still there.
    """
    part = Path(f"{path}.{os.getpid()}.part")
    try:
        part.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read_text(path: str | os.PathLike[str]) -> str:
    """A file's text, UTF-8 on every machine, without the mark that Windows puts at its start."""
    return Path(path).read_text(encoding="utf-8-sig")


@contextmanager
def folder_lock(folder: str | os.PathLike[str], waiting: str = "") -> Iterator[None]:
    """Have a folder for oneself; another process that has it is waited for.

    The folder is made if it is missing, and a file ``.lock`` is left in it. ``waiting`` is
    printed once if there is another process to wait for.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(folder) / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if waiting:
            print(waiting, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def project_path(path: str | os.PathLike[str]) -> Path:
    """A relative path counted from this project's clone, else from the working folder.

    JupyterLab runs a notebook in ``notebooks/`` and papermill where it was called: both mean the
    same ``data/``. The clone is the nearest folder at or above the working one that has
    ``notebooks/01_data_cropping.ipynb``. Absolute paths stay, ``~`` is the home folder.
    """
    here, sign = Path.cwd(), "notebooks/01_data_cropping.ipynb"
    clones = (p for p in (here, *here.parents) if (p / sign).is_file())
    return next(clones, here) / Path(path).expanduser()
