"""The reader of MPII against the quirks of its MATLAB file, and what it refuses."""

import cv2
import numpy as np
import pytest
from bodyfiles import NOTHING, entry, person, struct, write_image, write_mpii

from senorita_lib.people import Mpii
from senorita_lib.people.crops import cut_body, read_colour

XY = np.random.default_rng(0).uniform(1, 400, (16, 2)).round(2)
WHOLE = [(i, *XY[i]) for i in range(16)]
MAT = "mpii_human_pose_v1_u12_1.mat"


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


@pytest.fixture
def root(tmp_path):
    """Nothing is wrong with it; three labelled people in two images for training."""
    entries = [
        entry("000000001.jpg", person(WHOLE), person(WHOLE[::-1], (100.5, 60.0), 0.5)),
        entry("000000002.jpg"),  # nobody
        entry("000000003.jpg", person(WHOLE)),  # for testing
        entry("000000004.jpg", person(WHOLE[3:9], (50.0, 40.0), 2.0)),
    ]
    write_mpii(tmp_path, entries, [1, 1, 0, 1])
    return tmp_path


def rewrite(root, *people, **more):
    return write_mpii(root, [entry("a.jpg", *people)], [1], **more)


# ------------------------------------------------------------------------------------- values
def test_values_and_frames(root):
    data = Mpii(root)
    assert data.names == ["000000001.jpg", "000000001.jpg", "000000004.jpg"]
    assert data.keypoints.dtype == data.boxes.dtype == data.cameras.dtype == np.float32
    # From MATLAB's pixels, which count from 1; the order of the points does not matter.
    np.testing.assert_allclose(data.keypoints[0, :, :2], XY - 1, atol=1e-4)
    np.testing.assert_array_equal(data.keypoints[1], data.keypoints[0])
    known = np.isfinite(data.keypoints[2, :, :2])
    assert known[3:9].all() and not known[:3].any() and not known[9:].any()
    assert np.isnan(data.keypoints[..., 2]).all() and not data.spatial.any()
    assert data.cameras.shape == (3, 5) and np.isnan(data.cameras).all()
    # Boxes: 1.25 times the person's height, 200 px a scale, around 15 px a scale below objpos.
    # objpos (320, 240) is pixel (319, 239); scale 1.5: centre (319, 261.5), side 375
    np.testing.assert_allclose(data.boxes[0], [131.5, 74, 506.5, 449])
    np.testing.assert_allclose(data.boxes[1], [99.5 - 62.5, 66.5 - 62.5, 99.5 + 62.5, 66.5 + 62.5])
    np.testing.assert_allclose(data.boxes[2], [49 - 250, 69 - 250, 49 + 250, 69 + 250])
    assert data.identity == Mpii(root).identity


def test_one_entry_and_one_person_and_one_point_elsewhere(root):
    path = rewrite(root, person([(7, 11.0, 21.0)]))
    (root / "annotations").mkdir()
    path.rename(root / "annotations" / MAT)
    data = Mpii(root)
    np.testing.assert_array_equal(data.keypoints[0, 7, :2], [10, 20])
    assert np.isfinite(data.keypoints).sum() == 2


def test_numbers_of_all_kinds_are_read(root):
    """is_visible is absent, [], a number or a character; few bits must not wrap around."""
    mixed = person([(0, 5.0, 6.0, NOTHING), (1, 7.0, 8.0, 0), (2, 9.0, 1.0, 1), (3, 2.0, 3.0, "0")])
    small = person([(np.uint8(0), np.uint8(0), np.uint16(700)), (np.uint8(1), np.int16(-9), 5.5)])
    small |= {"scale": np.uint8(2), "objpos": struct({"x": np.uint8(0), "y": np.uint16(300)})}
    rewrite(root, mixed, small)
    data = Mpii(root)
    np.testing.assert_array_equal(data.keypoints[0, :4, :2], [[4, 5], [6, 7], [8, 0], [1, 2]])
    np.testing.assert_array_equal(data.keypoints[1, :2, :2], [[-1, 699], [-10, 4.5]])
    assert np.isfinite(data.keypoints[..., 0]).sum(axis=1).tolist() == [4, 2]
    np.testing.assert_array_equal(data.boxes[1], [-251, 79, 249, 579])


@pytest.mark.parametrize(
    "strange",
    [
        without(person(WHOLE), "annopoints"), without(person(WHOLE), "scale"),
        without(person(WHOLE), "objpos"), person(WHOLE, annopoints=NOTHING),
        person(WHOLE, annopoints=struct({"other": 1.0})), person(WHOLE, scale=0.0),
        person([(0, NOTHING, 5.0), (1, 5.0, np.nan)]), person(WHOLE, (NOTHING, 5.0)),
    ],
)  # fmt: skip
def test_people_without_labels_are_left_out(root, strange):
    """Whether the field is empty, as beside others that have it, or nowhere in the image."""
    entries = [entry("a.jpg", person(WHOLE), strange), entry("b.jpg", strange)]
    entries.append(entry("c.jpg", annorect=np.zeros((1, 0))))
    write_mpii(root, entries, [1, 1, 1])
    assert Mpii(root).names == ["a.jpg"]
    write_mpii(root, entries, [0, 1, 1])
    with pytest.raises(ValueError, match="holds no labelled person, wanted annopoints"):
        Mpii(root)


# ------------------------------------------------------------------------------------- images
def test_bright_dot_is_where_uvd_says(root):
    """From MATLAB's pixel to the crop's; the image's pixels count from 0."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[252, 352] = 255, 0, 0  # row 253 and column 353 in MATLAB
    write_image(root / "images" / "a.png", image)
    write_mpii(root, [entry("a.png", person([(3, 353.0, 253.0)]))], [1])
    frame = Mpii(root)[0]
    np.testing.assert_array_equal(frame.image, image)
    crop, uvd = cut_body(frame, 375)  # the box's side: one pixel a pixel
    v, u = np.argwhere(crop[0] > -0.5).mean(axis=0)
    np.testing.assert_allclose((np.array([u, v]) + 0.5) / 375, uvd[3, :2], atol=1 / 375)
    assert np.isnan(uvd[3, 2]) and np.isnan(uvd[:3]).all()


def test_missing(root):
    assert Mpii(root).missing() == ["000000001.jpg", "000000004.jpg"]  # once, none for testing
    write_image(root / "images" / "000000001.jpg", np.zeros((8, 8, 3), np.uint8))
    assert Mpii(root).missing() == ["000000004.jpg"]
    with pytest.raises(FileNotFoundError, match="000000004.jpg"):
        Mpii(root).image(2)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_colour_images(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 5)
    image[..., 0] //= 2  # red is darker: channels swapped would show
    write_image(path, image)
    data = path.read_bytes()
    found = read_colour(path)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert np.abs(found.astype(int) - image).mean() < (2 if suffix == ".jpg" else 1e-9)
    for damaged in (data[:-10], data[: len(data) // 2], data[100:], b"", b"<html>no</html>",
                    data[:20] + bytes(600) + data[620:]):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"image.* is truncated or damaged, wanted a JPEG"):
            read_colour(path)


def test_colour_images_that_cameras_write(tmp_path):
    """Turned by a note in the file, which the labels do not count; with bytes behind the end."""
    path = tmp_path / "turned.jpg"
    write_image(path, np.zeros((200, 300, 3), np.uint8))
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    part = b"\xff\xe1" + (len(tags) + 2).to_bytes(2, "big") + tags
    data = path.read_bytes()
    path.write_bytes(data[:2] + part + data[2:] + bytes(2000))
    assert cv2.imread(str(path)).shape == (300, 200, 3)  # what would be wrong
    assert read_colour(path).shape == (200, 300, 3)


# -------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:999] + bytes([data[999] ^ 0x5A]) + data[1000:],  # all is compressed
        lambda data: b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(5000),
    ],
)
def test_damaged_or_missing_file(root, damage):
    path = rewrite(root, *[person(WHOLE)] * 20)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{MAT} is damaged or in another format .* wanted the M"):
        Mpii(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"does not hold {MAT}"):
        Mpii(root)


@pytest.mark.parametrize(
    "change",
    [
        {"annolist": None}, {"img_train": None}, {"annolist": NOTHING},
        {"annolist": struct({"image": 1.0, "annorect": 1.0})}, {"img_train": np.ones((1, 3))},
    ],
)  # fmt: skip
def test_another_version(root, change):
    rewrite(root, person(WHOLE), **change)
    with pytest.raises(ValueError, match=r"has \d images in annolist and \d in img_train, wanted"):
        Mpii(root)


@pytest.mark.parametrize("number", [16, -1, 2.5, NOTHING])
def test_id_of_no_keypoint(root, number):
    rewrite(root, person([(number, 5.0, 6.0)]))
    with pytest.raises(ValueError, match=rf"{MAT}, a.jpg has a keypoint with id \S+, wanted 0 to"):
        Mpii(root)
