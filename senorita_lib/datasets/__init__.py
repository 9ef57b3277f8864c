"""Data sets: HANDS19 as it lies on disk, a synthetic one in the same layout, and people."""

from importlib import import_module

from senorita_lib.datasets.checkup import check
from senorita_lib.datasets.hands19 import Frame, Hands19

__all__ = [
    "Frame", "Hands19", "Human36m", "Mpii", "SyntheticBody", "SyntheticHand", "SyntheticStream",
    "check", "check_body", "write_synthetic",
]  # fmt: skip

# Imported when asked for, also so that `python -m senorita_lib.datasets.synthetic` does not find
# itself imported.
_LATER = {
    "Human36m": "human36m",
    "Mpii": "mpii",
    "SyntheticBody": "synthetic_body",
    "SyntheticHand": "synthetic",
    "SyntheticStream": "stream",
    "check_body": "bodycheck",
    "write_synthetic": "synthetic",
}


def __getattr__(name):
    if name in _LATER:
        return getattr(import_module(f"senorita_lib.datasets.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
