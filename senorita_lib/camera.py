"""Pinhole camera: camera frame (x right, y down, z forward, mm) to pixel frame and back.

Pixel frame: u right, v down, whole numbers at pixel centres; u = fx x / z + cx, v = fy y / z + cy.
"""

import json
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from senorita_lib._arguments import number, show
from senorita_lib._arrays import Array, given, plain, stack_last
from senorita_lib.files import read_text

CAMERA_FILE = "camera.json"  # of a data set: fx, fy, cx, cy, width and height


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

    @classmethod
    def from_matrix(cls, matrix: object, width: int, height: int) -> Self:
        """The camera of a matrix K (3, 3), px, pixel centres at whole numbers, as in OpenCV."""
        k = plain("matrix", matrix)
        if k.shape != (3, 3):
            raise ValueError(f"matrix has shape {k.shape}, wanted (3, 3)")
        if k[0, 1] or k[1, 0]:
            raise ValueError(f"matrix has a skew of {k[0, 1] or k[1, 0]:g}, wanted 0")
        if k[2].tolist() != [0, 0, 1]:
            raise ValueError(f"matrix has the last row {k[2].tolist()}, wanted 0 0 1")
        fx, fy, cx, cy = map(float, (k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
        return cls(fx, fy, cx, cy, width, height)

    def resized(self, width: int, height: int) -> Self:
        """The camera of the image resized, as ``cv2.resize`` does with areas or linearly.

        A pixel's centre u goes to (u + 1/2) s - 1/2; who takes ``[::2]`` has to halve cx instead.
        """
        new = replace(self, width=width, height=height)
        across, down = new.width / self.width, new.height / self.height
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return replace(new, fx=self.fx * across, fy=self.fy * down, cx=cx, cy=cy)

    def cropped(self, x1: int, y1: int, x2: int, y2: int) -> Self:
        """The camera of the part ``[y1:y2, x1:x2]`` of the image."""
        corners = [number("crop", v) for v in (x1, y1, x2, y2)]
        whole = all(v % 1 == 0 for v in corners)
        if not (whole and 0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height):
            wanted = f"whole x1, y1, x2, y2 within {self.width}x{self.height} pixels"
            raise ValueError(f"crop is {show(tuple(corners))}, wanted {wanted}")
        return replace(self, cx=self.cx - x1, cy=self.cy - y1, width=x2 - x1, height=y2 - y1)

    @property
    def square(self) -> bool:
        """Whether its pixels are about square, as those that networks see."""
        return abs(self.fx / self.fy - 1) <= 0.01

    def mirrored(self) -> Self:
        """The camera of the image ``[:, ::-1]``."""
        return replace(self, cx=self.width - 1 - self.cx)

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

# One unit of each kind; others of the same kind differ by a few per cent, so that one's own
# calibration is better. Kinects' lenses distort: undistort their frames first.
CAMERAS: dict[str, Camera] = {
    "sr300": SR300,  # and its successor SR305; HANDS19's readme
    # github.com/plaif/lib-sfm, python/stereo_example.py, at 1280x720; 640x480 is its middle.
    "d415": Camera(896.095459, 896.095459, 637.025879, 363.901672, 1280, 720)
    .cropped(160, 0, 1120, 720).resized(640, 480),
    # github.com/realsenseai/realsense-ros/issues/2935
    "d435": Camera(385.240, 385.240, 319.218, 236.774, 640, 480),
    # github.com/ihmcrobotics/ihmc-open-robotics-software, RDXRapidRegionsExtractionDemo.java
    "l515": Camera(730.7891, 731.0859, 528.6094, 408.1602, 1024, 768).resized(640, 480),
    # github.com/CodingTrain/website-archive, sketch_12_3_PointCloud2/CameraParams.pde
    "kinect_v2": Camera(365.456, 365.456, 254.878, 205.395, 512, 424),
    # github.com/microsoft/Azure-Kinect-Sensor-SDK/issues/1617, in shares of 1024 pixels counted
    # from their corner; "NFOV unbinned" is cut out of them at (192, 180).
    "azure_kinect": Camera(
        1024 * 0.4920381308, 1024 * 0.4919316173,
        1024 * 0.5014757514 - 192.5, 1024 * 0.4970487058 - 180.5, 640, 576,
    ),
    # github.com/orbbec/ros_astra_camera/issues/147
    "astra": Camera(579.654, 579.654, 323.620, 236.543, 640, 480),
    # Data sets, as github.com/xinghaochen/Pose-REN reads them (src/utils/util.py); NYU's with all
    # digits of its own convert_xyz_to_uvd.m. Others take MSRA's lengths for ICVL, 0.2 % more.
    "nyu": Camera(588.036865, 587.075073, 320, 240, 640, 480),
    "icvl": Camera(240.99, 240.96, 160, 120, 320, 240),
    "msra": Camera(241.42, 241.42, 160, 120, 320, 240),
}  # fmt: skip


def find_camera(text: str) -> Camera:
    """One of :data:`CAMERAS` by its name, or the camera of "fx,fy,cx,cy,width,height"."""
    if (name := text.strip().lower()) in CAMERAS:
        return CAMERAS[name]
    numbers: list[float] = []
    with suppress(ValueError):
        numbers = [float(part) for part in text.split(",")]
    if len(numbers) != 6:
        known = f"fx,fy,cx,cy,width,height or one of {', '.join(CAMERAS)}"
        raise ValueError(f"camera is {show(text)}, wanted {known}")
    return Camera(*numbers)  # type: ignore[arg-type] # it takes whole numbers of any kind


def read_camera(*folders: Path) -> Camera:
    """The camera of the first ``camera.json`` in these folders; the SR300 without that file.

    Raises ValueError if it holds no camera, or one whose pixels are not square.
    """
    paths = [folder / CAMERA_FILE for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return SR300
    try:
        camera = Camera(**json.loads(read_text(path)))
    except (TypeError, ValueError) as error:
        wanted = "wanted fx, fy, cx, cy, width and height"
        raise ValueError(f"{path} holds no camera ({error}), {wanted}") from None
    if not camera.square:
        has = f"fx = {camera.fx:g} and fy = {camera.fy:g}"
        raise ValueError(f"{path} has {has}, wanted square pixels: resize images and boxes")
    return camera
