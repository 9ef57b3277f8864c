import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from senorita_lib.people.crops import CUBE_MM, BodyFrame, cut_body
from senorita_lib.people.keypoints import BODY_BONES, KEYPOINT_NAMES, MIRRORED, PELVIS

CHANGES = st.fixed_dictionaries(
    {
        "angle": st.floats(-180, 180), "scale": st.floats(0.7, 1.4), "mirror": st.booleans(),
        "shift": st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    }
)  # fmt: skip


def frame_of(u, v, box):
    """A black image with one round bright spot about a pixel, and a keypoint there."""
    rows, columns = np.mgrid[:200, :200]
    spot = 255 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / 50)
    keypoints = np.full((16, 3), np.nan, np.float32)
    keypoints[0] = u, v, 250
    image = np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)
    return BodyFrame(image, np.array(box, np.float32), keypoints)


@settings(max_examples=60)
@given(CHANGES, st.floats(80, 120), st.floats(80, 120), st.sampled_from([40, 64, 150]))
def test_what_is_seen_at_a_keypoint_stays_there(change, u, v, size):
    """Turned, scaled, moved, mirrored, made smaller or larger."""
    image, uvd = cut_body(frame_of(u, v, (30, 25, 170, 165)), size, **change)
    keypoint = uvd[MIRRORED[0] if change["mirror"] else 0]
    weight = (image[0] + 1).astype(float)
    rows, columns = np.mgrid[:size, :size]
    seen = [(weight * (i + 0.5)).sum() / weight.sum() / size for i in (columns, rows)]
    np.testing.assert_allclose(seen, keypoint[:2], atol=0.006)
    assert keypoint[2] == pytest.approx(0.5 - 250 / CUBE_MM)
    assert np.isnan(uvd).sum() == 15 * 3


def test_crop_has_the_image_frames_range_and_nothing_outside():
    image, _ = cut_body(frame_of(100, 100, (-100, 0, 100, 200)), 64)
    assert image.shape == (3, 64, 64) and image.dtype == np.float32
    assert (image[:, :, :31] == -1).all()  # where the box reaches out of the image
    assert image.max() > 0.5
    red, _ = cut_body(frame_of(100, 100, (0, 0, 200, 200)), 64, colour=(1.3, 0.5, 1.0))
    assert red[0].max() == 1 and red[1].max() < 0.1 < red[2].max()
    # A coarse crop is a mean of pixels: stripes of one pixel become grey instead of a pattern.
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 200
    frame = BodyFrame(stripes, np.array([0, 0, 200, 200.0]), np.zeros((16, 3), np.float32))
    crop, _ = cut_body(frame, 50)
    np.testing.assert_allclose(crop[:, 2:-2, 2:-2], 2 * 100 / 255 - 1, atol=0.01)


def test_bones_are_a_tree_that_hangs_on_the_pelvis_and_has_two_sides():
    parents = dict(BODY_BONES)
    assert len(parents) == len(BODY_BONES) == 15 and PELVIS not in parents
    for keypoint in range(16):
        steps = 0
        while keypoint != PELVIS:
            keypoint, steps = parents[keypoint], steps + 1
            assert steps < 16
    for name, other in zip(KEYPOINT_NAMES, MIRRORED, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert KEYPOINT_NAMES[other] == swapped
    assert {(MIRRORED[child], MIRRORED[parent]) for child, parent in BODY_BONES} == set(BODY_BONES)
