import json

import cv2
import numpy as np
import pytest
from conftest import ROOT, SHARED

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets import Hands19, SyntheticHand
from senorita_lib.predictor import Predictor, find_hand_box

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor.load(trained.folder)


def test_predicts_a_frame_as_the_evaluation_did(predictor, trained):
    arrays = np.load(trained.folder / "predictions.npz")
    frames = Hands19(ROOT / "data" / "hands19_synthetic", "test")
    for index in (0, 7):
        frame = frames[index]
        pose = predictor.predict(frame.depth, SR300, frame.box)
        # The evaluation's crops are kept in half precision.
        assert np.abs(pose.joints_mm - arrays["refined"][index]).max() < 1.0
        np.testing.assert_allclose(pose.pixels, SR300.project(pose.joints_mm)[:, :2], rtol=1e-5)


def test_finds_the_hand_without_a_box(predictor):
    hits = 0
    for index in range(50):
        frame = SyntheticHand(seed=5).frame(index)
        box = find_hand_box(frame.depth, SR300)
        centre = (box[:2] + box[2:]) / 2
        hits += bool(((centre > frame.box[:2]) & (centre < frame.box[2:])).all())
    assert hits >= 45
    pose = predictor.predict(frame.depth, SR300)
    boxed = predictor.predict(frame.depth, SR300, box)
    np.testing.assert_array_equal(pose.joints_mm, boxed.joints_mm)


def test_frames_without_a_hand_are_refused(predictor):
    speckle = np.zeros((480, 640), np.uint16)
    speckle[::40, ::20] = 500
    with pytest.raises(HandNotFoundError, match="pixels nearest, at 500 mm, wanted a hand"):
        find_hand_box(speckle, SR300)
    with pytest.raises(HandNotFoundError, match="wanted a hand"):
        predictor.predict(np.zeros((480, 640), np.uint16), SR300)
    with pytest.raises(ValueError, match="shape"):
        predictor.predict(np.full((10, 10), 500, np.uint16), SR300)
    with pytest.raises(FileNotFoundError, match="not there"):
        Predictor.load(ROOT / "runs" / "nowhere")


def test_real_frames_give_a_hand_inside_their_cube():
    predictor = Predictor.load("small")
    folder = SHARED / "real" / "sr305"
    if not folder.exists():
        pytest.skip("the real SR305 frames are not at hand")
    intrinsics = json.loads((folder / "intrinsics.json").read_text())
    camera = Camera(*(intrinsics[k] for k in ("fx", "fy", "cx", "cy", "width", "height")))
    lines = [line.split() for line in (folder / "hand_bbs_by_eye.txt").read_text().splitlines()]
    boxes = {name: [float(v) for v in box] for name, *box in filter(None, lines)}
    assert len(boxes) == 19
    for name, box in boxes.items():
        raw = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        pose = predictor.predict(raw * intrinsics["depth_unit_mm"], camera, box)
        assert pose.joints_mm.shape == (21, 3)
        uvd = pose.crop.to_uvd(pose.joints_mm)  # in [0, 1] across the box and through the cube
        assert ((uvd >= 0) & (uvd <= 1)).all(), name
