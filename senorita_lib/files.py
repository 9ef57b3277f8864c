"""Paths as users give them, files written whole or not at all, folders that one process writes."""

import errno
import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

PathLike = str | os.PathLike[str]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def user_path(path: PathLike) -> Path:
    """A path that somebody gave, absolute: ``~`` is a home folder, others count from this one."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path is {path!r}, wanted that of a file or folder")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        wanted = "wanted a user of this machine after ~, or ./~ for a folder of that name"
        raise ValueError(f"{path} is in nobody's home folder, {wanted}") from None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An OSError in here becomes one sentence, of the same type, that names the path."""
    try:
        yield
    except OSError as error:
        what = f" ({error.strerror or error}), wanted a folder that can be written"
        if error.errno in _FULL:
            what = f": no space left in {path.parent}, wanted room for it"
        raise type(error)(f"{path} cannot be written{what}") from None


@contextmanager
def whole_file(path: PathLike) -> Iterator[BinaryIO]:
    """A file to write that gets its name when all is written; else what was there still is.

    A link stays one, and what is no file, such as a pipe, is written to as it is.
    """
    path = user_path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        with _naming(path), open(path, "wb") as stream:
            yield stream
        return
    path = Path(os.path.realpath(path))
    part = Path(f"{path}.{os.getpid()}.part")
    with _naming(path):
        try:
            with open(part, "wb") as file:
                yield file
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def atomic_write(path: PathLike, data: bytes | str) -> None:
    """Write a :func:`whole_file` at once; text becomes UTF-8."""
    with whole_file(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def read_text(path: PathLike) -> str:
    """A file's text, UTF-8 on every machine, without the mark that Windows puts at its start."""
    return Path(path).read_text(encoding="utf-8-sig")


def read_toml(beside: str, name: str = "") -> dict[str, Any]:
    """The TOML file of that name, or of the module's own, beside a module (its ``__file__``)."""
    path = Path(beside)
    return tomllib.loads(read_text(path.with_name(name) if name else path.with_suffix(".toml")))


def read_json(path: PathLike, *wanted: str) -> Any:
    """What a JSON file holds; if names are ``wanted``, an object that has them."""
    try:
        value = json.loads(read_text(path))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted a file that this kit wrote") from None
    except ValueError:
        raise ValueError(f"{path} is damaged or no JSON, wanted it whole") from None
    if missing := [name for name in wanted if not isinstance(value, dict) or name not in value]:
        raise ValueError(f"{path} has no {missing[0]}, wanted a file that this kit wrote")
    return value


@contextmanager
def folder_lock(folder: PathLike, waiting: str = "") -> Iterator[None]:
    """Have a folder, which is made if missing, for oneself; who has it is waited for.

    What a killed process left half written is removed. ``waiting`` is printed once when waiting.
    """
    folder = user_path(folder)
    with _naming(folder / ".lock"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if waiting:
                print(waiting, flush=True)
            lock.acquire()
    try:
        for left in folder.glob("*.[0-9]*.part"):
            left.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def project_path(path: PathLike) -> Path:
    """One of the project's own paths, counted from its clone, else from the working folder.

    JupyterLab runs a notebook in ``notebooks/`` and papermill where it was called: both mean the
    same ``data/``. A path that somebody gave is a :func:`user_path`.
    """
    here, sign = Path.cwd(), "notebooks/01_data_cropping.ipynb"
    clones = (p for p in (here, *here.parents) if (p / sign).is_file())
    return user_path(next(clones, here) / Path(path).expanduser())
