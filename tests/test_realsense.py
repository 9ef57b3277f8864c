"""Frames of a RealSense; no machine that tests has one."""

import importlib.util

import pytest

from senorita_lib.realsense import realsense_frames


def test_without_library_or_camera_one_sentence_says_so():
    if importlib.util.find_spec("pyrealsense2"):
        with pytest.raises(OSError, match="No device connected.*, wanted a RealSense with depth"):
            next(realsense_frames(1))
    else:
        with pytest.raises(ImportError, match="pyrealsense2 is not installed here, wanted the ex"):
            next(realsense_frames(1))
