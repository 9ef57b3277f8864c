"""Depth frames from an Intel RealSense camera, through its own library (the extra ``camera``)."""

from collections.abc import Iterator

import numpy as np

from senorita_lib.camera import Camera


def realsense_frames(
    count: int, width: int = 640, height: int = 480
) -> Iterator[tuple[np.ndarray, Camera]]:
    """``count`` depth frames (height, width), float32 mm, as they come, each with its camera.

    Raises ``ImportError`` without pyrealsense2, ``OSError`` where no camera gives such frames.
    """
    try:
        import pyrealsense2 as rs
    except ImportError:
        wanted = "wanted the extra camera: pip install 'senorita-lib[camera]'"
        raise ImportError(f"pyrealsense2 is not installed here, {wanted}") from None
    pipeline, config = rs.pipeline(), rs.config()
    config.enable_stream(rs.stream.depth, width, height, rs.format.z16, 30)
    try:
        profile = pipeline.start(config)
    except RuntimeError as error:  # its own message is short: No device connected
        wanted = f"wanted a RealSense with depth of {width}x{height}"
        raise OSError(f"no camera can be read ({error}), {wanted}") from None

    def next_depth() -> np.ndarray:
        try:
            return np.asanyarray(pipeline.wait_for_frames().get_depth_frame().get_data())
        except RuntimeError as error:
            raise OSError(f"the camera gives no frame ({error}), wanted depth") from None

    try:
        scale = np.float32(1000 * profile.get_device().first_depth_sensor().get_depth_scale())
        lens = profile.get_stream(rs.stream.depth).as_video_stream_profile().get_intrinsics()
        camera = Camera(lens.fx, lens.fy, lens.ppx, lens.ppy, lens.width, lens.height)
        for _ in range(count):
            yield next_depth() * scale, camera
    finally:
        pipeline.stop()
