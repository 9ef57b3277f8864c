"""Data sets: HANDS19 as it lies on disk, and a synthetic one in the same layout."""

from importlib import import_module

from senorita_lib.datasets.checkup import check
from senorita_lib.datasets.hands19 import Frame, Hands19

__all__ = ["Frame", "Hands19", "SyntheticHand", "SyntheticStream", "check", "write_synthetic"]


def __getattr__(name):
    # Late, so that `python -m senorita_lib.datasets.synthetic` does not find itself imported.
    if name in ("SyntheticHand", "write_synthetic"):
        return getattr(import_module("senorita_lib.datasets.synthetic"), name)
    if name == "SyntheticStream":
        return import_module("senorita_lib.datasets.stream").SyntheticStream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
