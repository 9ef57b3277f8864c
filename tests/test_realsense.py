"""Frames of a RealSense; no machine that tests has one."""

import importlib.util
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from senorita_lib.realsense import realsense_frames


def test_without_library_or_camera_one_sentence_says_so():
    if importlib.util.find_spec("pyrealsense2"):
        with pytest.raises(OSError, match="No device connected.*, wanted a RealSense with depth"):
            next(realsense_frames(1))
    else:
        with pytest.raises(ImportError, match="pyrealsense2 is not installed here, wanted the ex"):
            next(realsense_frames(1))


def test_a_camera_that_falls_silent_is_an_error_of_the_system(monkeypatch):
    """Its library, of which no test has a camera, raises RuntimeError."""
    lens = SimpleNamespace(fx=600.0, fy=600.0, ppx=320.0, ppy=240.0, width=640, height=480)
    library = MagicMock()
    pipeline = library.pipeline.return_value
    stream = pipeline.start.return_value.get_stream.return_value.as_video_stream_profile
    stream.return_value.get_intrinsics.return_value = lens
    device = pipeline.start.return_value.get_device.return_value.first_depth_sensor.return_value
    device.get_depth_scale.return_value = 0.001
    pipeline.wait_for_frames.side_effect = RuntimeError("Frame didn't arrive within 5000")
    monkeypatch.setitem(sys.modules, "pyrealsense2", library)
    with pytest.raises(OSError, match=r"gives no frame \(Frame didn't arrive.*\), wanted depth"):
        next(realsense_frames(1))
    pipeline.stop.assert_called_once()
