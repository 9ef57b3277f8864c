"""What the authors' release does differently, as variants built on the paper's method."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name in ("foreground", "gradient", "losses", "patches", "refiner", "stems"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
