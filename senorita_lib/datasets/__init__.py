"""Data sets: HANDS19 as it lies on disk, and a synthetic one in the same layout."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from senorita_lib.datasets.hands19 import Hands19
    from senorita_lib.datasets.synthetic.frames import SyntheticHand, write_synthetic
    from senorita_lib.datasets.synthetic.stream import SyntheticStream

__all__ = ["Hands19", "SyntheticHand", "SyntheticStream", "write_synthetic"]

# Imported when asked for: a reader of HANDS19 needs no generator, and the generator no torch.
_HOME = {
    "Hands19": "hands19", "SyntheticHand": "synthetic.frames",
    "SyntheticStream": "synthetic.stream", "write_synthetic": "synthetic.frames",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"senorita_lib.datasets.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
