"""What the authors' release does differently, as variants built on the paper's method."""

from senorita_lib.release import foreground, gradient, losses, patches, refiner, stems

__all__ = ["foreground", "gradient", "losses", "patches", "refiner", "stems"]
