"""For notebooks: parameters are checked before anything runs, and relative paths have one root."""

import ast
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from senorita_lib.files import project_path as project_path
from senorita_lib.files import user_path
from senorita_lib.recipes import Number, explain

_INJECTED = "# Parameters\n"  # first line of the cell that papermill inserts
_PAPERMILLS = {"PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH"}  # from its --inject-paths
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


def check_parameters(namespace: dict[str, Any], **checks: Any) -> None:
    """Refuse wrong values, and names given to papermill that the notebook does not have.

    ``namespace`` is ``globals()`` of the notebook, where texts are replaced by the values that they
    stand for; each check is one of the functions below. Papermill puts what it was given into a
    cell of its own, the kernel's second input if this check is in the third. Raises ValueError.
    """
    if missing := [name for name in checks if name not in namespace]:
        raise ValueError(f"{missing[0]} has no value, run the cell with the parameters first")
    values = {name: namespace[name] for name in checks}
    given = _injected_names(namespace.get("In"))
    values |= dict.fromkeys(given - checks.keys())
    parameters = pydantic.create_model("Parameters", __config__=_STRICT, **checks)
    try:
        checked = parameters.model_validate(values, context=given)
    except pydantic.ValidationError as error:
        raise ValueError(explain(error, "this notebook", values, checks)) from None
    namespace.update({name: getattr(checked, name) for name in checks})


def whole(least: int | None = None, most: int | None = None) -> Any:
    """Check for a whole number; both limits are allowed themselves."""
    return Annotated[int, Field(ge=least, le=most)]


def number(above: float | None = None, below: float | None = None) -> Any:
    """Check for a finite number between two limits, which are not allowed themselves."""
    return Annotated[Number, Field(gt=above, lt=below)]


def one_of(*choices: Any) -> Any:
    """Check for one of some texts or numbers."""
    return Literal[choices]


def truth(*others: Any) -> Any:
    """Check for True, False or one of ``others``; the texts "true" and "false" are taken too.

    Papermill makes a text of ``-p NAME true`` and a truth value of ``-p NAME True``.
    """
    words = {"true": True, "false": False}
    read = BeforeValidator(lambda value: words.get(str(value).lower(), value))
    return Annotated[Literal[True, False, *others], read]


def folder(otherwise: str = "", but: tuple[str, ...] = ()) -> Any:
    """Check for the path of a folder, or one of the words in ``but``.

    ``otherwise`` says what makes the folder if it is missing; without it, it may be missing.
    """

    def problem(path: Path, value: object) -> str:
        above = next(p for p in (path, *path.parents) if p.exists())
        if not above.is_dir():
            return f"a folder, but {above} is a file"
        where = "" if str(path) == str(value) else f", but {path} is none"
        return f"an existing folder{where}: {otherwise}" if otherwise and above != path else ""

    return _path("the path of a folder", but, problem)


def existing(*but: str) -> Any:
    """Check for the path of a file or folder that is there, or one of the words in ``but``."""
    wanted = "an existing file or folder, but {} is none"
    return _path(
        "the path of a file or a folder", but, lambda p, _: "" if p.exists() else wanted.format(p)
    )


def _path(wanted: str, but: tuple[str, ...], problem: Callable[[Path, object], str]) -> Any:
    """Check for a path without a ``problem``, or one of the words in ``but``.

    A relative path that papermill was given counts from where it was started, and is made
    absolute. The notebook's own, or a reader's in JupyterLab, is for :func:`project_path`.
    """

    def check(value: Any, info: pydantic.ValidationInfo) -> Any:
        if isinstance(value, str) and value in but:
            return value
        if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
            raise ValueError(wanted)
        given = info.field_name in (info.context or ())
        path = user_path(value) if given else project_path(value)
        if said := problem(path, value):
            raise ValueError(said)
        return str(path) if given else value

    return Annotated[Any, PlainValidator(check)]


def _injected_names(inputs: object) -> set[str]:
    """Names that papermill assigned, if ``inputs`` are those of a kernel that it runs."""
    # The first input is always empty; the fourth is the check itself.
    if not isinstance(inputs, list) or len(inputs) != 4 or not inputs[2].startswith(_INJECTED):
        return set()
    names = (node for node in ast.walk(ast.parse(inputs[2])) if isinstance(node, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)} - _PAPERMILLS
