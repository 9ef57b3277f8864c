"""Text tables, a name and numbers a line, and an index that spares the next reader the parsing."""

import io
import warnings

import numpy as np

from senorita_lib.files import atomic_write

_FORMAT = 1  # of the index; raise it when the same text gives other arrays
_LONGEST = 32  # names that fill this many characters may have been cut


def read_table(path, count, what, index):
    """Read a text file with a name and ``count`` numbers a line.

    Fields are separated by blanks or TABs; a trailing TAB and blank lines do not count. What was
    read is kept in ``index``, where that can be written, for as long as the text keeps its size
    and time.

    Parameters
    ----------
    path : pathlib.Path
    count : int
    what : str
        What the numbers are, for complaints.
    index : pathlib.Path
        Folder; made if need be.

    Returns
    -------
    names : list of str
    values : array, (N, count), float32

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    ValueError
        For the first line that is wrong: its number, what it has, what was wanted.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing, wanted one line for each image") from None
    key = np.array([_FORMAT, count, status.st_size, status.st_mtime_ns], np.int64)
    kept = index / f"{path.stem}.npz"
    table = _load(kept, key)
    if table is None:
        table = _parse(path, count, what)
        _keep(kept, key, *table)
    return table


def _load(kept, key):
    """What the index holds, or None if it is missing, stale or damaged."""
    _, count, _, written = key
    try:
        # A text as young as its index may have been written anew in the same tick of the clock.
        if kept.stat().st_mtime_ns <= written:
            return None
        # The file is opened here because NumPy leaves one open that is no whole zip. In a zip
        # each array has a checksum, which reading it whole tests.
        with open(kept, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["key"], key):
                return None
            names, values = arrays["names"], arrays["values"]
    except Exception:  # NumPy and zipfile raise many kinds for a damaged file
        return None
    if names.dtype.kind != "U" or values.dtype != np.float32:
        return None
    return (names.tolist(), values) if values.shape == (len(names), count) else None


def _keep(kept, key, names, values):
    data = io.BytesIO()
    np.savez(data, key=key, names=np.array(names, str), values=values)
    try:
        kept.parent.mkdir(exist_ok=True)
        atomic_write(kept, data.getbuffer())
    except OSError:  # a folder that cannot be written is parsed each time
        pass


def _parse(path, count, what):
    row = np.dtype([("name", str, _LONGEST), ("values", np.float32, count)])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an empty file is only warned of
            table = np.loadtxt(str(path), dtype=row, comments=None, encoding="utf-8", ndmin=1)
    except (ValueError, UserWarning):
        return _parse_line_by_line(path, count, what)
    if np.char.str_len(table["name"]).max() == _LONGEST or not np.isfinite(table["values"]).all():
        return _parse_line_by_line(path, count, what)
    return table["name"].tolist(), np.ascontiguousarray(table["values"])


def _parse_line_by_line(path, count, what):
    """Slowly, to say which line is wrong."""
    names, rows = [], []
    for number, fields in lines(path):
        if len(fields) != count + 1:
            raise ValueError(
                f"{path} line {number} has {len(fields) - 1} numbers after the name, wanted "
                f"{count} ({what})"
            )
        try:
            with np.errstate(over="ignore"):
                row = np.array(fields[1:], np.float64).astype(np.float32)
        except ValueError:
            row = np.array([np.nan])
        if not np.isfinite(row).all():
            raise ValueError(
                f"{path} line {number} has something that is no finite number, wanted a name and "
                f"{count} numbers ({what})"
            )
        names.append(fields[0])
        rows.append(row)
    return names, np.array(rows, np.float32).reshape(-1, count)


def lines(path):
    """Numbers and fields of the lines that are not blank."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text, wanted one line for each image") from None
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if fields:
            yield number, fields


def want_same_names(path, names, other, wanted):
    """Refuse the names of one file unless they are those of another, in their order."""
    if names == wanted:
        return
    if len(names) != len(wanted):
        raise ValueError(
            f"{path} has {len(names)} lines and {other.name} has {len(wanted)}, wanted as many"
        )
    number = next(i for i, name in enumerate(names) if name != wanted[i])
    raise ValueError(
        f"{path} has {names[number]} as frame {number + 1} and {other.name} has "
        f"{wanted[number]}, wanted the same frames in the same order"
    )
