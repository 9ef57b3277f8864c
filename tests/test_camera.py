import dataclasses

import cv2
import numpy as np
import pytest

from senorita_lib.camera import CAMERAS, SR300, Camera, find_camera
from senorita_lib.datasets import SyntheticHand
from senorita_lib.predictor import Predictor


def test_axes_are_right_down_forward():
    xyz = np.array([[0.0, 0, 500], [10, 0, 500], [0, 10, 500]])
    u, v, z = SR300.project(xyz).T
    assert u[0] == SR300.cx and v[0] == SR300.cy
    assert u[1] > u[0] and v[2] > v[0] and (z == 500).all()


def test_matches_the_authors_pinhole(golden):
    data = golden("geometry")
    np.testing.assert_allclose(SR300.project(data["joints"])[..., :2], data["pinhole"], atol=1e-3)


POINTS = np.random.default_rng(0).uniform([-300, -200, 300], [300, 200, 900], (50, 3))


def test_resized_and_cropped_images_show_a_point_at_its_resized_and_cropped_pixel():
    rng = np.random.default_rng(1)
    uv = SR300.project(POINTS)[:, :2]
    for width, height in rng.integers(1, 2000, (20, 2)):
        resized = SR300.resized(width, height)
        wanted = (uv + 0.5) * [width / 640, height / 480] - 0.5  # corners stay corners
        np.testing.assert_allclose(resized.project(POINTS)[:, :2], wanted)
        assert (resized.width, resized.height) == (width, height)
        x, y = np.sort(rng.choice(480, (2, 2), replace=False))
        cropped = SR300.cropped(x[0], y[0], x[1], y[1])
        np.testing.assert_allclose(cropped.project(POINTS)[:, :2], uv - [x[0], y[0]])
        assert (cropped.width, cropped.height) == (np.diff(x), np.diff(y))
    back = SR300.cropped(0, 0, 320, 240).resized(640, 480).resized(320, 240)
    wanted = dataclasses.replace(SR300, width=320, height=240)
    np.testing.assert_allclose(*map(dataclasses.astuple, (back, wanted)))
    np.testing.assert_allclose(SR300.mirrored().project(POINTS * [-1, 1, 1])[:, 0], 639 - uv[:, 0])


def test_a_frame_cropped_or_of_half_the_size_shows_the_same_hand():
    predictor, moved = Predictor.load("small"), []
    for index in range(5):
        frame = SyntheticHand(seed=11).frame(index, "interp")
        full = predictor.predict(frame.depth, SR300, frame.box, left=False)
        x, y = np.maximum(frame.box[:2].astype(int) - 101, 0)
        part = SR300.cropped(x, y, 640, 480)
        box = frame.box - [x, y, x, y]
        cut = predictor.predict(frame.depth[y:, x:], part, box, left=False)
        assert np.linalg.norm(cut.joints_mm - full.joints_mm, axis=1).mean() < 0.5
        both = np.dstack([frame.depth, frame.depth > 0]).astype(np.float32)
        total, share = cv2.split(cv2.resize(both, (320, 240), interpolation=cv2.INTER_AREA))
        small = np.where(share > 0.49, total / np.maximum(share, 0.49), 0)  # of pixels with depth
        pose = predictor.predict(small, SR300.resized(320, 240), frame.box / 2, left=False)
        moved.append(np.linalg.norm(pose.joints_mm - full.joints_mm, axis=1).mean())
    assert np.mean(moved) < 2


def test_cameras_by_name_matrix_or_numbers():
    for name, camera in CAMERAS.items():
        assert find_camera(name.upper()) == camera
        assert find_camera(",".join(map(str, dataclasses.astuple(camera)))) == camera
        matrix = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        assert Camera.from_matrix(matrix, camera.width, camera.height) == camera
        # A field of view that a depth camera has, seen from near the middle.
        assert 50 < np.degrees(2 * np.arctan(camera.width / 2 / camera.fx)) < 80
        assert abs(camera.fx / camera.fy - 1) < 0.01
        assert np.hypot(camera.cx - camera.width / 2, camera.cy - camera.height / 2) < 50
    # Another unit, whose owner printed both its shares and what Microsoft's software makes of them.
    printed = 503.927643, 332.064270, 325.880615
    shares = 0.4921168386936188, 0.5122697949409485, 0.49451231956481934
    raw = Camera(*(1024 * shares[0],) * 2, *(1024 * s - 0.5 for s in shares[1:]), 1024, 1024)
    mode = raw.cropped(192, 180, 832, 756)
    np.testing.assert_allclose((mode.fx, mode.cx, mode.cy), printed, atol=1e-5)
    assert (mode.width, mode.height) == (CAMERAS["azure_kinect"].width, 576)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [(lambda: dataclasses.replace(SR300, fx=0), "not positive"),
     (lambda: dataclasses.replace(SR300, width=0), "not positive"),
     (lambda: dataclasses.replace(SR300, fy=np.inf), "not finite"),
     (lambda: dataclasses.replace(SR300, cy=np.nan), "not finite"),
     (lambda: find_camera("sr400"), "camera is 'sr400', wanted .* one of sr300, d415"),
     (lambda: find_camera("500,500,320,240,640"), "wanted fx,fy,cx,cy,width,height or"),
     (lambda: find_camera("500,500,320,240,640.5,480"), "width is 640.5, wanted a whole number"),
     (lambda: Camera.from_matrix(np.eye(4), 640, 480), r"shape \(4, 4\), wanted \(3, 3\)"),
     (lambda: Camera.from_matrix([[500, 1, 320], [0, 500, 240], [0, 0, 1]], 640, 480), "skew of 1"),
     (lambda: Camera.from_matrix([[500, 0, 320], [0, 500, 240], [0, 0, 2]], 640, 480), "last row"),
     (lambda: Camera.from_matrix("K", 640, 480), "matrix is .*, wanted"),
     (lambda: SR300.resized(0, 480), "not positive"),
     (lambda: SR300.resized(320.5, 240), "width is 320.5, wanted a whole number"),
     (lambda: SR300.cropped(0, 0, 641, 480), "wanted whole x1, y1, x2, y2 within 640x480"),
     (lambda: SR300.cropped(0, 0, 10.5, 480), "wanted whole"),
     (lambda: SR300.cropped(10, 0, 10, 480), "wanted whole"),
     (lambda: SR300.cropped(0, 0, np.nan, 480), "wanted whole")],
)  # fmt: skip
def test_what_makes_no_camera_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
