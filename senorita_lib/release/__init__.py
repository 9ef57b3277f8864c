"""What the authors' release does differently, as variants built on the paper's method."""

from senorita_lib.release import losses, patches

__all__ = ["losses", "patches"]
