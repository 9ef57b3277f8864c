"""Data sets: HANDS19 as it lies on disk, and a synthetic one in the same layout."""

from importlib import import_module

from senorita_lib.datasets.checking import check
from senorita_lib.datasets.hands19 import Frame, Hands19

__all__ = ["Frame", "Hands19", "SyntheticHand", "SyntheticStream", "check", "write_synthetic"]

# Imported when asked for: readers of HANDS19 need no generator.
_LATER = {
    "SyntheticHand": "synthetic.frames",
    "SyntheticStream": "synthetic.stream",
    "write_synthetic": "synthetic.frames",
}


def __getattr__(name):
    if name in _LATER:
        return getattr(import_module(f"senorita_lib.datasets.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
