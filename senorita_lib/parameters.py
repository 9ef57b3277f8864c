"""A notebook's parameters, looked at before anything runs: what is wrong is said in a sentence."""

import ast
import difflib
import math
import numbers
import os

from senorita_lib.paths import project_path

_INJECTED = "# Parameters\n"  # the first line of the cell that papermill writes
_PAPERMILLS = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}  # its --inject-paths


def check_parameters(namespace, **checks):
    """Refuse wrong values, and names that papermill was given and the notebook does not have.

    Such a name, a slip in ``-p``, would else run the whole notebook with its defaults.
    Papermill writes what it was given into a cell of its own, behind the defaults. Here that
    is a kernel's second input, where this check is the third, and begins with ``# Parameters``:
    so one's own cells in a live kernel are not looked at, and cells may be run again.

    Parameters
    ----------
    namespace : dict
        The notebook's ``globals()``.
    **checks : callable
        For each parameter :func:`whole`, :func:`number`, :func:`one_of`, :func:`truth` or
        :func:`folder`.

    Raises
    ------
    ValueError
        If a name is unknown, or a value is missing or not as wanted.
    FileNotFoundError
        If a folder is missing.

    Examples
    --------
    >>> check_parameters({"seed": 0, "centre": "mass"}, seed=whole(0), centre=one_of("mass", "box"))
    """
    for name in _injected_names(namespace.get("In", ())):
        if name not in checks:
            near = difflib.get_close_matches(name, checks, n=1)
            meant = f", did you mean {near[0]}?" if near else "."
            raise ValueError(
                f"{name} is no parameter of this notebook{meant} It has {_listed(checks, 'and')}"
            )
    for name, check in checks.items():
        if name not in namespace:
            raise ValueError(f"{name} has no value, run the cell with the parameters first")
        taken = check(name, namespace[name])
        if taken is not None:
            namespace[name] = taken


def whole(least=None, most=None):
    """Check for a whole number, both limits among those allowed."""

    def check(name, value):
        fine = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        _want(name, value, fine and _lies(value, least=least, most=most), wanted)

    wanted = _range("a whole number", least=least, most=most)
    return check


def number(*, above=None, below=None, least=None, most=None):
    """Check for a finite number; ``above`` and ``below`` are themselves not allowed."""
    limits = {"above": above, "below": below, "least": least, "most": most}

    def check(name, value):
        fine = isinstance(value, numbers.Real) and not isinstance(value, bool)
        _want(name, value, fine and math.isfinite(value) and _lies(value, **limits), wanted)

    wanted = _range("a number", **limits)
    return check


def one_of(*choices):
    """Check for one of some texts or numbers; a text that is nearly one is told which."""

    def check(name, value):
        near = difflib.get_close_matches(value, texts, n=1) if isinstance(value, str) else ()
        meant = f" (did you mean {near[0]!r}?)" if near else ""
        fine = any(type(value) is type(choice) and value == choice for choice in choices)
        _want(name, value, fine, wanted + meant)

    texts = [choice for choice in choices if isinstance(choice, str)]
    wanted = _listed(map(repr, choices), "or")
    return check


def truth(*others):
    """Check for true, false or one of some others; a text ``true`` or ``false`` becomes it.

    Of what it is given papermill takes ``-p NAME True`` for a truth and ``true`` for a text.
    """
    words, choice = {"true": True, "false": False}, one_of(True, False, *others)

    def check(name, value):
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        return choice(name, value)

    return check


def folder(otherwise=None, but=()):
    """Check for the path of a folder, counted as :func:`~senorita_lib.paths.project_path` does.

    Parameters
    ----------
    otherwise : str, optional
        What makes the folder, for the error if it is not there. Without it the folder need
        not be there: the notebook makes it.
    but : tuple of str
        Words that are no folder's and fine too.
    """

    def check(name, value):
        if value in but:
            return
        # An empty path would be the project itself; one with a NUL is none.
        fine = isinstance(value, str | os.PathLike) and str(value) and "\0" not in str(value)
        _want(name, value, fine, "the path of a folder")
        path = project_path(value)
        above = next(p for p in (path, *path.parents) if p.exists())
        _want(name, str(value), above.is_dir(), f"a folder, and {above} is a file")
        if otherwise and above != path:
            raise FileNotFoundError(f"{name} is {str(value)!r}, which is not there: {otherwise}")

    return check


def _want(name, value, fine, wanted):
    if not fine:
        raise ValueError(f"{name} is {value!r}, wanted {wanted}")


def _lies(value, *, above=None, below=None, least=None, most=None):
    return (
        (above is None or value > above)
        and (below is None or value < below)
        and (least is None or value >= least)
        and (most is None or value <= most)
    )


def _range(what, *, above=None, below=None, least=None, most=None):
    """The limits in words."""
    if least is not None and most is not None:
        return f"{what} from {least} to {most}"
    limits = {"above": above, "from": least, "below": below, "up to": most}
    said = [f"{word} {limit}" for word, limit in limits.items() if limit is not None]
    on = " on" if said == [f"from {least}"] else ""
    return " ".join([what, " and ".join(said)]).strip() + on


def _listed(names, word):
    """``1, 2 or 3``."""
    *first, last = map(str, names)
    return f"{', '.join(first)} {word} {last}" if first else last


def _injected_names(inputs):
    """Names that papermill assigned, where ``inputs`` are those of a kernel that it runs."""
    if not isinstance(inputs, list) or len(inputs) != 4:  # the first is always empty
        return []
    if not inputs[2].startswith(_INJECTED):
        return []
    targets = [
        t
        for node in ast.parse(inputs[2]).body
        if isinstance(node, ast.Assign)
        for t in node.targets
    ]
    return [t.id for t in targets if isinstance(t, ast.Name) and t.id not in _PAPERMILLS]
