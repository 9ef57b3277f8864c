import dataclasses

import cv2
import numpy as np
import pytest

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch, HandNotFoundError, crop_hand, otsu_threshold
from senorita_lib.release.foreground import valley_threshold

BOX = (250, 170, 390, 310)


@pytest.fixture
def scene():
    """A ball of 60 mm radius at 500 mm before a wall at 900 mm."""
    depth = np.full((480, 640), 900, np.uint16)
    v, u = np.mgrid[:480, :640]
    radius = np.hypot(u - 320, v - 240)
    ball = 60**2 - (radius * 500 / SR300.fx) ** 2
    depth[ball > 0] = (500 - np.sqrt(ball[ball > 0])).astype(np.uint16)
    return depth


@pytest.mark.parametrize("scene_number", range(5))
def test_released_crop_is_matched_bit_for_bit(golden, scene_number):
    data = {name: values[scene_number] for name, values in golden("crop").items()}
    crop = crop_hand(data["images_u16"], data["bbx"], foreground="valley", centre="box")
    side = data["out_crop_size"]
    np.testing.assert_array_equal(crop.box, data["out_box_xyxy"])
    np.testing.assert_array_equal(crop.steps["hand_depth"], data["out_crop_u16"][:side, :side])
    np.testing.assert_allclose(crop.cube_centre, data["out_avg_XYZUV"][:3], rtol=1e-6)
    # Their image: 8 bits that wrap around, then resized.
    depth = crop.steps["hand_depth"].astype(np.float64)
    level = np.trunc((1 - (depth - np.float64(crop.cube_centre[2])) / 100) / 2 * 255)
    wrapped = np.where(depth > 0, level, 0).astype(np.int64).astype(np.uint8)
    image = cv2.resize(wrapped, (256, 256)) / 255
    difference = np.abs(image - data["out_depth256"])
    # Half-way cases of the 8-bit rounding may fall either way between versions of OpenCV.
    assert difference.max() <= 1.5 / 255 and (difference > 1e-6).mean() < 1e-3


@pytest.mark.parametrize("foreground", ["otsu", "valley"])
@pytest.mark.parametrize("centre", ["mass", "box"])
def test_crop_holds_the_ball_and_no_wall(scene, foreground, centre):
    crop = crop_hand(scene, BOX, foreground=foreground, centre=centre)
    assert crop.image.shape == (256, 256) and crop.image.dtype == np.float32
    assert crop.image.min() == -1 and crop.image.max() <= 1
    kept = crop.steps["hand_depth"][crop.steps["hand_depth"] > 0]
    assert kept.max() < 520
    uvd = crop.to_uvd(crop.cube_centre)
    np.testing.assert_allclose(uvd, [0.5, 0.5, 0.5], atol=0.02)
    # The nearest point of the ball is the brightest, at the middle of the image.
    v, u = np.unravel_index(crop.image.argmax(), crop.image.shape)
    assert abs(u - 128) < 20 and abs(v - 128) < 20
    side = 210 * 500 / crop.steps["coarse_z"]
    assert crop.box[2] - crop.box[0] == pytest.approx(side, abs=1)


def test_another_camera_gets_the_same_crop_in_mm(scene):
    double = Camera(*(2 * value for value in dataclasses.astuple(SR300)))
    large = cv2.resize(scene, (1280, 960), interpolation=cv2.INTER_NEAREST)
    one, two = crop_hand(scene, BOX), crop_hand(large, np.array(BOX) * 2, double)
    np.testing.assert_allclose(two.box, one.box * 2, atol=3)
    np.testing.assert_allclose(two.cube_centre, one.cube_centre, atol=1)
    assert np.abs(two.image - one.image).mean() < 0.02


def test_box_past_the_border_is_padded(scene):
    crop = crop_hand(np.roll(scene, (200, -290), axis=(0, 1)), (-60, 370, 120, 520))
    assert crop.box[0] < 0 and crop.box[3] > 480 and (crop.steps["box_depth"][-1] == 0).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth_mm": np.zeros((10, 10), np.uint16)}, "shape"),
        ({"depth_mm": np.ones((480, 640), np.uint8)}, "16 bits"),
        ({"depth_mm": np.ones((480, 640), np.uint16)}, "looks like m"),
        ({"depth_mm": np.full((480, 640), -5)}, "below 0"),
        ({"depth_mm": np.full((480, 640), "x")}, "wanted numbers"),
        ({"box_xyxy": (10, 10, 10, 50)}, "empty"),
        ({"box_xyxy": (700, 10, 800, 50)}, "outside"),
        ({"box_xyxy": (np.nan, 0, 1, 1)}, "finite"),
        ({"depth_mm": np.full((480, 640), 0)}, "no depth"),
        ({"depth_mm": np.full((480, 640), 60_000)}, "nearer"),
        ({"depth_mm": np.full((480, 640), 25)}, "farther"),
        ({"foreground": "valey"}, "wanted .otsu. or .valley."),
        ({"centre": "middle"}, "wanted 'mass'"),
        ({"size": 0}, "size is 0, wanted"),
        ({"size": 256.0}, "wanted a whole number"),
    ],
)
def test_unusable_arguments_get_one_sentence(scene, change, sentence):
    arguments = {"depth_mm": scene, "box_xyxy": BOX} | change
    kind = HandNotFoundError if sentence in ("no depth", "nearer", "farther") else ValueError
    with pytest.raises(kind, match=sentence):
        crop_hand(**arguments)


def test_crops_that_do_not_fit_together_are_refused(scene):
    crop = crop_hand(scene, BOX)
    for others, sentence in (
        ([], "empty"),
        ([crop, crop_hand(scene, BOX, size=64)], "several sizes"),
        ([crop, dataclasses.replace(crop, camera=dataclasses.replace(SR300, cx=0))], "cameras"),
    ):
        with pytest.raises(ValueError, match=sentence):
            CropBatch.stack(others)


def test_whole_joints_float16_and_missing_depths_are_read_as_floats_are(scene):
    crop, half = crop_hand(scene, BOX), crop_hand(scene.astype(np.float16), BOX)
    joints = np.array([[10, 20, 480], [-7, 3, 510]])
    np.testing.assert_allclose(crop.to_uvd(joints), crop.to_uvd(joints.astype(float)))
    np.testing.assert_array_equal(half.image, crop.image)
    missing = crop_hand(np.where(scene == 900, np.nan, scene.astype(np.float32)), BOX)
    np.testing.assert_allclose(missing.cube_centre, crop.cube_centre, atol=1)


@pytest.mark.parametrize("threshold", [otsu_threshold, valley_threshold])
def test_thresholds_lie_between_hand_and_wall(scene, threshold):
    window = scene[150:330, 230:410]
    assert window[window < 900].max() <= threshold(window) < 900
    assert threshold(np.zeros((5, 5), np.uint16)) == 0
    assert threshold(np.full((5, 5), 500, np.uint16)) == 0
    ramp = np.linspace(450, 550, 100 * 100).reshape(100, 100).astype(np.uint16)
    assert otsu_threshold(ramp) == 0  # one surface


@pytest.mark.parametrize("size", [64, 256])
def test_silhouettes_get_no_depths_of_their_own(scene, size):
    """Mixed with the background, a resized border would hold points where there is nothing."""
    crop = crop_hand(scene, BOX, size=size)
    hand = crop.steps["hand_depth"]
    near = (crop.cube_centre[2] - hand[hand > 0]) / 100
    shown = crop.image[crop.image > -1]
    assert near.min() - 1e-6 <= shown.min() and shown.max() <= near.max() + 1e-6
