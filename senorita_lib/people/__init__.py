"""Step 1's pretraining on people (paper, section 3.1): MPII, Human3.6M, a synthetic body."""

from importlib import import_module

__all__ = ["Human36m", "Mpii", "SyntheticBody"]

_MODULES = {"Human36m": "human36m", "Mpii": "mpii", "SyntheticBody": "synthetic"}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"senorita_lib.people.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
