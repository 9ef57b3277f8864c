"""Pinhole camera: camera frame (x right, y down, z forward, mm) to pixel frame and back.

Pixel frame: u right, v down, whole numbers at pixel centres; u = fx x / z + cx, v = fy y / z + cy.
"""

import math
from dataclasses import dataclass

from senorita_lib._arguments import number, show
from senorita_lib._arrays import Array, given, stack_last


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: focal lengths, principal point, image size, all px."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy", "width", "height"):
            value = number(name, getattr(self, name))
            if name in ("width", "height") and math.isfinite(value):
                if value != int(value):
                    raise ValueError(f"{name} is {show(value)}, wanted a whole number of pixels")
                value = int(value)
            object.__setattr__(self, name, value)
        if not (self.fx > 0 and self.fy > 0 and self.width > 0 and self.height > 0):
            raise ValueError(f"{self} has a focal length or an image size that is not positive")
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy))):
            raise ValueError(f"{self} has a focal length or a principal point that is not finite")

    def project(self, xyz: Array) -> Array:
        """Camera frame (..., 3), mm, z > 0, to pixel frame: u, v in px, and z in mm unchanged."""
        xyz = _points("xyz", xyz)
        x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
        return stack_last((self.fx * x / z + self.cx, self.fy * y / z + self.cy, z))

    def unproject(self, uvz: Array) -> Array:
        """Pixel frame (..., 3), u, v in px and z in mm, to camera frame, mm."""
        uvz = _points("uvz", uvz)
        return stack_last(self.lift(uvz[..., 0], uvz[..., 1], uvz[..., 2]))

    def lift(self, u: Array, v: Array, z: Array) -> tuple[Array, Array, Array]:
        """:meth:`unproject` of separate u, v and z, which may broadcast: x, y, z in mm."""
        return (u - self.cx) * z / self.fx, (v - self.cy) * z / self.fy, z


def _points(name: str, values: Array) -> Array:
    values = given(name, values)
    if tuple(values.shape[-1:]) != (3,):
        raise ValueError(f"{name} has shape {tuple(values.shape)}, wanted (..., 3)")
    return values


# The Intel RealSense SR300 that recorded HANDS19.
SR300 = Camera(475.065948, 475.065857, 315.944855, 245.287079, 640, 480)
