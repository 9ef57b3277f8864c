"""Where the hand is, when nobody says so."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from senorita_lib.boxes import find_hand_box, hand_candidates
from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import HandNotFoundError
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.experiments import boxfinder


def frames(count, **options):
    hands = SyntheticHand(seed=31, **options)
    return [hands.frame(index, "open") for index in range(count)]


def away(points, frame):
    return np.linalg.norm(points - np.asarray(frame.joints).mean(axis=0), axis=-1)


def test_the_hand_is_among_three_places_whatever_else_is_in_the_picture():
    near = [away(hand_candidates(f.depth, SR300)[:3], f).min() < 80 for f in frames(60)]
    assert np.mean(near) > 0.92


def test_the_first_place_is_mostly_the_hand_on_arms_from_any_side():
    first = [away(hand_candidates(f.depth, SR300)[0], f) for f in frames(60, without=("things",))]
    assert np.median(first) < 35 and np.mean(np.array(first) > 80) < 0.1


@pytest.mark.parametrize("slant", [0.0, 0.5])
def test_a_wall_that_comes_nearer_than_the_hand_is_none(slant):
    hands = SyntheticHand(seed=8)
    for index in range(4):
        hand = hands.surface(hands.pose(index))
        behind = hand[hand < np.inf].max() + 60
        wall = behind / (1 + slant * (np.arange(640) - 320) / SR300.fx * np.ones((480, 1)))
        depth = np.minimum(hand, wall).astype(np.uint16)
        alone = np.where(hand < np.inf, hand, 0).astype(np.uint16)
        np.testing.assert_allclose(*(hand_candidates(d, SR300)[0] for d in (depth, alone)), atol=12)


def test_fewer_pixels_and_another_lens_find_the_same_place():
    for frame in frames(8, without=("things",)):
        whole = hand_candidates(frame.depth, SR300)[0]
        half = Camera(SR300.fx / 2, SR300.fy / 2, SR300.cx / 2, SR300.cy / 2, 320, 240)
        np.testing.assert_allclose(hand_candidates(frame.depth[::2, ::2], half)[0], whole, atol=15)
        lens = replace(SR300, cx=639 - SR300.cx)
        mirror = hand_candidates(np.ascontiguousarray(frame.depth[:, ::-1]), lens) * [-1, 1, 1]
        assert np.linalg.norm(mirror - whole, axis=1).min() < 15  # ends may be equally likely


def test_the_box_is_as_wide_as_the_papers_crop_at_the_hand():
    frame = frames(1, without=("things",))[0]
    box, (_, _, z) = find_hand_box(frame.depth, SR300), hand_candidates(frame.depth, SR300)[0]
    assert np.allclose(box[2:] - box[:2], 210 * 500 / z)


def test_what_is_too_small_for_a_hand_is_refused():
    dot = cv2.circle(np.zeros((480, 640), np.uint16), (320, 240), 12, 500, -1)
    with pytest.raises(HandNotFoundError, match="no surface as large as a hand, nearest at 500 mm"):
        hand_candidates(dot, SR300)


@pytest.mark.slow
def test_the_command_prints_a_row_for_each_set(capsys):
    boxfinder.main(["small", "--sets", "splits", "mesh", "--count", "5"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "beyond 80 mm %, pose" in lines[0] and lines[2].startswith("mesh")
