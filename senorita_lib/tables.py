"""Text tables with a name and numbers on each line."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from senorita_lib.files import read_text


def read_table(path: Path, count: int, what: str) -> tuple[list[str], npt.NDArray[np.float32]]:
    """N names and values (N, count), with blanks or TABs between; ``what`` names them in errors."""
    import pandas as pd  # here: it takes half a second, and generated frames do without it

    if not path.is_file():
        found = "a folder" if path.is_dir() else "missing"
        raise FileNotFoundError(f"{path} is {found}, wanted a text with one line for each image")
    kinds = {0: str} | dict.fromkeys(range(1, count + 1), float)
    how: dict[str, Any] = {"sep": r"\s+", "header": None, "quoting": 3, "na_filter": False}
    with suppress(ValueError, OverflowError), np.errstate(over="ignore"):
        table = pd.read_csv(path, dtype=kinds, encoding="utf-8-sig", **how)
        values = table.iloc[:, 1:].to_numpy(np.float32)
        if values.shape[1] == count and np.isfinite(values).all():
            return table[0].tolist(), np.ascontiguousarray(values)
    return _read_lines(path, count, what)


def _read_lines(path: Path, count: int, what: str) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Line by line, slowly, to find the wrong one."""
    names, rows = [], []
    for number, (name, *fields) in lines(path):
        where = f"{path} line {number}"
        if (extra := len(fields) - count) > 0 and fields[extra - 1].lower().endswith(".png"):
            name = " ".join([name, *fields[:extra]])
            raise ValueError(f"{where} has the name {name!r}, wanted a name without blanks")
        if extra:
            has = f"{len(fields)} numbers after the name"
            raise ValueError(f"{where} has {has}, wanted {count} ({what})")
        row = np.array([np.nan], np.float32)
        with suppress(ValueError), np.errstate(over="ignore"):
            row = np.array(fields, np.float64).astype(np.float32)
        if not np.isfinite(row).all():
            wanted = f"a name and {count} numbers ({what})"
            raise ValueError(f"{where} has a field that is not a finite number, wanted {wanted}")
        names.append(name)
        rows.append(row)
    return names, np.array(rows, np.float32).reshape(-1, count)


def lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and fields of the lines that are not blank."""
    try:
        text = read_text(path)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text, wanted one line for each image") from None
    for number, line in enumerate(text.splitlines(), 1):
        if fields := line.split():
            yield number, fields


def check_same_names(path: Path, names: Sequence[str], other: Path, wanted: Sequence[str]) -> None:
    """Refuse the names of one file unless they are those of another, in the same order."""
    if names == wanted:
        return
    if len(names) != len(wanted):
        has = f"{len(names)} lines and {other.name} has {len(wanted)}"
        raise ValueError(f"{path} has {has}, wanted as many")
    number = next(i for i, name in enumerate(names) if name != wanted[i])
    has = f"{names[number]} as frame {number + 1} and {other.name} has {wanted[number]}"
    raise ValueError(f"{path} has {has}, wanted the same frames in the same order")
