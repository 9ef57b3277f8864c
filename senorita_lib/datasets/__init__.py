"""Data sets: HANDS19 as it lies on disk, and a synthetic one in the same layout."""

from senorita_lib.datasets.hands19 import Frame, Hands19

__all__ = ["Frame", "Hands19", "SyntheticHand", "SyntheticStream", "write_synthetic"]


def __getattr__(name):
    # Late, so that `python -m senorita_lib.datasets.synthetic` does not find itself imported.
    if name == "SyntheticStream":
        from senorita_lib.datasets.stream import SyntheticStream

        return SyntheticStream
    if name in ("SyntheticHand", "write_synthetic"):
        from senorita_lib.datasets import synthetic

        return getattr(synthetic, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
