"""Step 1's pretraining on people (paper, section 3.1): MPII, Human3.6M, a synthetic body."""

from importlib import import_module

__all__ = ["Human36m", "Mpii", "SyntheticBody", "check_body"]

_LATER = {
    "Human36m": "human36m",
    "Mpii": "mpii",
    "SyntheticBody": "synthetic",
    "check_body": "checking",
}


def __getattr__(name):
    if name in _LATER:
        return getattr(import_module(f"senorita_lib.people.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
