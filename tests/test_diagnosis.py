"""What is said of spoiled frames, and that nothing is said of right ones."""

from dataclasses import replace

import numpy as np
import pytest

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets.synthetic.clip import moving_hand
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.diagnosis import check_frame, refuse_scale
from senorita_lib.experiments.defects import (
    DEFECTS,
    OF_A_POSE,
    View,
    good_frames,
    measure,
    refusals,
)
from senorita_lib.predictor import Predictor

VIEWS = good_frames(10, seed=77)
PREDICTOR = Predictor.load("small")


def names(view, box=True, check=check_frame):
    report = check(view.depth, view.camera, view.box if box else None)
    return [finding.name for finding in report.findings]


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_are_found(name):
    change, wanted = DEFECTS[name]
    spoiled = [view for view in map(change, VIEWS) if view is not None]
    check = PREDICTOR.check if wanted == OF_A_POSE else check_frame
    for box in (True, False):
        if box or "box" not in name:
            least = 0.4 if name == "cut by the border" and not box else 0.7
            found = [bool({*wanted.split(", ")} & {*names(view, box, check)}) for view in spoiled]
            assert found and np.mean(found) >= least


def test_right_frames_raise_no_alarm():
    for box in (True, False):
        for check, most in ((check_frame, 1), (PREDICTOR.check, 2)):
            assert sum(bool(names(view, box, check)) for view in VIEWS) <= most


def test_units_are_told_in_loose_boxes():
    for share in (0.1, 0.3, 1.0):  # of the image, beyond the hand
        for change in (lambda depth: depth // 10, lambda depth: depth * np.uint16(4)):
            told = []
            for view in VIEWS:
                size = np.array([view.camera.width, view.camera.height] * 2) * share
                box = (view.box + size * [-1, -1, 1, 1]).clip(0, size / share)
                spoiled = View(change(view.depth), view.camera, box, view.joints)
                told.append("units" in names(spoiled))
            assert np.mean(told) >= 0.7


def test_what_is_refused_is_an_error_of_the_frame():
    view = VIEWS[0]
    holes = np.where(view.depth > 0, view.depth.astype(np.int64) * 4, 10**6)
    for depth in (view.depth * 4.0, view.depth / 10, holes, view.depth * np.uint16(8)):
        for box in (view.box, None):
            report = PREDICTOR.check(depth, view.camera, box)
            with pytest.raises(ValueError, match="depth_mm"):
                PREDICTOR.predict(depth, view.camera, box)
            assert not report.ok
            assert report.findings == check_frame(depth, view.camera, box).findings


def test_odd_boxes_and_cameras_raise_nothing_else():
    view = VIEWS[0]
    for box in ((0, 0, 2e5, 2e5), (-1e6, -1e6, 1e6, 1e6)):
        assert check_frame(view.depth, view.camera, box).findings
    narrow = Camera(475.0, 475.0, 320.0, 1.0, 640, 2)
    assert not check_frame(np.full((2, 640), 500, np.uint16), narrow).ok


def test_joints_at_the_border_are_a_cut_hand():
    cut, _ = DEFECTS["cut by the border"]
    views = [view for view in map(cut, VIEWS) if view and "cut" not in names(view, box=False)]
    found = [PREDICTOR.check(view.depth, view.camera).findings for view in views]
    told = [finding.message for findings in found for finding in findings if finding.name == "cut"]
    assert told and all(text.endswith("joints are at the image's border") for text in told)


def test_a_report_reads_well():
    view = VIEWS[0]
    report = check_frame(view.depth, view.camera, view.box)
    assert report.ok and str(report) == "nothing found wrong with this frame"
    report = check_frame(view.depth * np.uint16(8), view.camera, view.box)
    assert not report.ok and (report.box == view.box).all()
    units = "error (units): depth_mm looks like camera units of 0.125 mm (SR300, SR305) or 0.1 mm"
    assert str(report).startswith(units) and str(report).endswith("depth scale, 0.125 mm or so")


def test_whatever_it_is_it_is_reported():
    speckle = np.zeros((480, 640))
    speckle[::40, ::40] = np.inf
    box = (200, 100, 400, 300)
    for depth, corners, name in (
        (np.zeros((480, 640), np.uint16), None, "no hand"),
        (np.zeros((480, 640), np.uint16), box, "no hand"),
        (speckle, box, "no hand"),
        (np.full((480, 640), 1e9), box, "values"),
        (np.where(np.arange(640) < 9, -5, VIEWS[0].depth.astype(int)), VIEWS[0].box, "values"),
        (np.full((480, 640, 3), 500.0), box, "shape"),
        (VIEWS[0].depth, (9, 9, 3, 3), "box"),
    ):
        assert [f.name for f in check_frame(depth, SR300, corners).findings] == [name]
    with pytest.raises(ValueError, match="camera is 5"):
        check_frame(VIEWS[0].depth, 5)
    with pytest.raises(ValueError, match="depth_mm"):
        check_frame("frame.png", SR300)


def test_the_predictor_says_what_is_wrong():
    predictor, frame = PREDICTOR, SyntheticHand(9).frame(2)
    for factor in (4, 8):
        for box in (frame.box, None):
            with pytest.raises(ValueError, match=r"looks like camera units of 0\.[12]2?5 mm"):
                predictor.predict(frame.depth * np.uint16(factor), SR300, box)
    with pytest.raises(ValueError, match=r"as its camera says; pass its transpose"):
        predictor.predict(frame.depth.T, SR300, frame.box)
    with pytest.raises(ValueError, match=r"m or cm, wanted mm; .* scale, 1000 mm or so$"):
        predictor.predict(frame.depth / 1000, SR300, frame.box)
    with pytest.raises(HandNotFoundError, match="wanted a hand; hold the hand nearer"):
        predictor.predict(np.zeros_like(frame.depth), SR300)
    with pytest.raises(ValueError, match="'left', 'right' or 'auto'$"):
        predictor.predict(frame.depth, SR300, frame.box, left="neither")


def test_the_table_has_a_row_for_each_defect_and_alarm():
    rows = measure(VIEWS[:5], boxed=False)
    wanted = {name for name, (_, told) in DEFECTS.items() if told != OF_A_POSE}
    assert {name for name in wanted if "box" not in name} <= set(rows.index)
    assert rows["8 bit"] == 100 and rows["none, but any"] <= 20


def test_real_frames_are_right_and_are_told_in_raw_units(real_frames):
    for raw, frame in zip(*real_frames, strict=True):
        assert names(frame) == []
        assert names(replace(frame, depth=raw)) == ["units"]


def test_a_box_beside_the_hand_is_not_refused_as_disparity():
    clip = moving_hand(24)  # the hand leaves the box of its fourth frame, before a person
    box = np.asarray(clip[3].box, np.float32)
    for frame in clip:
        refuse_scale(frame.depth, SR300, box)
    refused = refusals(40, seed=5)
    assert refused["right box"] == 0 and refused["box 0.35 of its size away"] < 5
    assert refused["box 0.7 of its size away"] < 8 and refused["disparity"] > 60
