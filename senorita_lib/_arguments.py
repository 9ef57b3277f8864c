"""What callers pass by mistake gets one sentence: flags, numbers, tensors and devices."""

import math
from contextlib import suppress
from functools import cache

import torch


def flag(name: str, value: object, wanted: str = "True or False") -> bool:
    """A boolean of Python, NumPy or torch. Anything else, say a text, might count as true."""
    if isinstance(value, bool):
        return value
    kind = str(getattr(value, "dtype", ""))
    if kind in ("bool", "torch.bool") and getattr(value, "ndim", None) == 0:
        return bool(value)
    raise ValueError(f"{name} is {show(value)}, wanted {wanted}")


def check_flags(**flags: object) -> None:
    """``ValueError`` if one is no boolean."""
    for name, value in flags.items():
        flag(name, value)


def is_left(left: object) -> bool | None:
    """Whether a hand is a left one: a boolean, or the word that hand trackers give.

    None for "auto".
    """
    if isinstance(left, str) and (word := left.strip().lower()) in ("left", "right", "auto"):
        return None if word == "auto" else word == "left"
    return flag("left", left, "True or False, 'left', 'right' or 'auto'")


def number(name: str, value: object) -> float:
    """An int or float, also out of an array or tensor that holds nothing else."""
    item = getattr(value, "item", None)
    if item and math.prod(getattr(value, "shape", ())) == 1 and not getattr(value, "mask", False):
        with suppress(RuntimeError):  # under torch.vmap, say
            value = item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {show(value)}, wanted a number")
    return value


def want_tensor(name: str, value: object) -> None:
    """``ValueError`` if it is none."""
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} is {type(value).__name__}, wanted a tensor")


def check_device(device: object) -> None:
    """``ValueError`` if torch has no such device here."""
    _use(str(device))


@cache
def _use(device: str) -> None:
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError):
        wanted = "'cpu' or another that torch can use here"
        raise ValueError(f"device is {device!r}, wanted {wanted}") from None


def show(value: object) -> str:
    """The beginning of a value's ``repr``, on one line."""
    return " ".join(repr(value).split())[:60]
