"""The reader of MPII against the quirks of its MATLAB file, and its complaints."""

import pickle
import sys
import warnings

import cv2
import numpy as np
import pytest
from bodyfiles import NOTHING, encoded, entry, person, struct, write_image, write_mpii
from scipy.io import savemat

from senorita_lib.people.colour import ColourImageError, probe_colour, read_colour
from senorita_lib.people.crops import BodyFrame, BodySet, cut_body
from senorita_lib.people.mpii import Mpii

XY = np.random.default_rng(0).uniform(1, 400, (16, 2)).round(2)
WHOLE = [(i, *XY[i]) for i in range(16)]
MAT = "mpii_human_pose_v1_u12_1.mat"


def bare(row, *names):
    return {name: value for name, value in row.items() if name not in names}


@pytest.fixture
def root(tmp_path):
    """Nothing is wrong with it; three labelled people in two images for training."""
    entries = [
        entry("000000001.jpg", person(WHOLE), person([*WHOLE[::-1]], (100.5, 60.0), 0.5)),
        entry("000000002.jpg"),  # nobody
        entry("000000003.jpg", bare(person([]), "annopoints")),  # for testing
        entry("000000004.jpg", person(WHOLE[3:9], (50.0, 40.0), 2.0)),
    ]
    root = tmp_path / "mpii"
    root.mkdir()
    write_mpii(root, entries, [1, 1, 0, 1])
    return root


def rewrite(root, *people, **more):
    return write_mpii(root, [entry("a.jpg", *people)], [1], **more)


def complaint(error, sentence, function, *arguments):
    with pytest.raises(error, match=sentence) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert "wanted" in message
    return message


# ------------------------------------------------------------------------------------- values
def test_values_and_frames(root):
    data = Mpii(root)
    assert isinstance(data, BodySet)
    assert data.names == ["000000001.jpg", "000000001.jpg", "000000004.jpg"]
    assert len(data) == 3
    assert data.unlabelled == 0
    assert (data.keypoints.shape, data.keypoints.dtype) == ((3, 16, 3), np.float32)
    # From MATLAB's pixels, which count from 1; the order of the points does not matter.
    np.testing.assert_allclose(data.keypoints[0, :, :2], XY - 1, atol=1e-4)
    np.testing.assert_array_equal(data.keypoints[1], data.keypoints[0])
    known = np.isfinite(data.keypoints[2, :, :2])
    assert known[3:9].all() and not known[:3].any() and not known[9:].any()
    np.testing.assert_allclose(data.keypoints[2, 3:9, :2], XY[3:9] - 1, atol=1e-4)
    assert np.isnan(data.keypoints[..., 2]).all()
    assert not data.spatial.any()
    assert (data.cameras.shape, data.cameras.dtype) == ((3, 5), np.float32)
    assert np.isnan(data.cameras).all()


def test_boxes(root):
    """1.25 times the person's height, 200 px a scale, around 15 px a scale below objpos."""
    boxes = Mpii(root).boxes
    assert boxes.dtype == np.float32
    # objpos (320, 240) is pixel (319, 239); scale 1.5: centre (319, 261.5), side 375
    np.testing.assert_allclose(boxes[0], [131.5, 74, 506.5, 449])
    np.testing.assert_allclose(boxes[1], [99.5 - 62.5, 66.5 - 62.5, 99.5 + 62.5, 66.5 + 62.5])
    np.testing.assert_allclose(boxes[2], [49 - 250, 69 - 250, 49 + 250, 69 + 250])


def test_test_images_have_no_keypoints(root):
    complaint(ValueError, "holds no labelled person in its images for test", Mpii, root, "test")
    write_mpii(root, [entry("a.jpg", person(WHOLE)), entry("b.jpg", person(WHOLE))], [0, 1])
    assert Mpii(root, "test").names == ["a.jpg"]  # some have got hold of them
    assert Mpii(root).names == ["b.jpg"]
    complaint(ValueError, "split is 'val', wanted one of train, test", Mpii, root, "val")


@pytest.mark.parametrize("folder", ["", "mpii_human_pose_v1_u12_2", "annotations"])
def test_places_of_the_file(root, folder):
    path = root / MAT
    content = path.read_bytes()
    path.unlink()
    (root / folder).mkdir(exist_ok=True)
    (root / folder / MAT).write_bytes(content)
    assert len(Mpii(root)) == 3


def test_one_entry_and_one_person_and_one_point(root):
    rewrite(root, person([(7, 11.0, 21.0)]), compress=False)
    data = Mpii(root)
    np.testing.assert_array_equal(data.keypoints[0, 7, :2], [10, 20])
    assert np.isfinite(data.keypoints).sum() == 2


def test_hidden_keypoints_are_known(root):
    """is_visible is absent, empty, a number or a character."""
    absent = person([(0, 5.0, 6.0), (1, 7.0, 8.0)])
    mixed = person(
        [(0, 5.0, 6.0, NOTHING), (1, 7.0, 8.0, 0), (2, 9.0, 1.0, 1), (3, 2.0, 3.0, "0"),
         (4, 4.0, 5.0, "1"), (5, 6.0, 7.0, np.uint8(0))]
    )  # fmt: skip
    rewrite(root, absent, mixed)
    data = Mpii(root)
    assert np.isfinite(data.keypoints[..., 0]).sum(axis=1).tolist() == [2, 6]
    np.testing.assert_array_equal(data.keypoints[1, 3, :2], [1, 2])


def test_whole_numbers_come_in_few_bits(root):
    """MATLAB keeps them so, and subtracting from one of these must not wrap around."""
    small = person([(np.uint8(0), np.uint8(0), np.uint16(700)), (np.uint8(1), np.int16(-9), 5.5)])
    small["scale"] = np.uint8(2)
    small["objpos"] = struct({"x": np.uint8(0), "y": np.uint16(300)})
    rewrite(root, small)
    data = Mpii(root)
    np.testing.assert_array_equal(data.keypoints[0, :2, :2], [[-1, 699], [-10, 4.5]])
    np.testing.assert_array_equal(data.boxes[0], [-251, 79, 249, 579])


@pytest.mark.parametrize(
    "strange",
    [
        bare(person(WHOLE), "annopoints"),
        bare(person(WHOLE), "scale"),
        bare(person(WHOLE), "objpos"),
        person(WHOLE, annopoints=NOTHING),
        person(WHOLE, annopoints=np.zeros((1, 0))),
        person(WHOLE, annopoints=struct({"point": NOTHING})),
        person(WHOLE, annopoints=struct({"other": 1.0})),
        person([(0, NOTHING, 5.0), (1, 5.0, NOTHING)]),
        person(WHOLE, scale=NOTHING),
        person(WHOLE, scale=0.0),
        person(WHOLE) | {"objpos": NOTHING},
        person(WHOLE, (NOTHING, 5.0)),
    ],
)
def test_people_without_labels_are_counted(root, strange):
    """Whether the field is empty, as beside others that have it, or nowhere in the image."""
    write_mpii(
        root,
        [entry("a.jpg", person(WHOLE), strange), entry("b.jpg", strange), entry("c.jpg", strange)],
        [1, 1, 0],
    )
    data = Mpii(root)
    assert data.names == ["a.jpg"]
    assert data.unlabelled == 2


@pytest.mark.parametrize("annorect", [NOTHING, np.zeros((1, 0)), struct(person([]))[:, :0]])
def test_images_without_people(root, annorect):
    write_mpii(
        root, [entry("a.jpg", annorect=annorect), entry("b.jpg", person(WHOLE))], [1, 1]
    )  # fmt: skip
    data = Mpii(root)
    assert (data.names, data.unlabelled) == (["b.jpg"], 0)


def test_img_train_of_another_shape(root):
    entries = [entry(f"{i}.jpg", person(WHOLE)) for i in range(3)]
    write_mpii(root, entries, [], img_train=np.array([[1.0], [0.0], [1.0]]))
    assert Mpii(root).names == ["0.jpg", "2.jpg"]


def test_identity(root):
    first = Mpii(root).identity
    assert Mpii(root).identity == first
    entries = [entry("a.jpg", person(WHOLE))]
    found = set()
    for change in ({}, {"scale": 1.6}, {"objpos": (321.0, 240.0)}):
        write_mpii(root, [entry("a.jpg", person(WHOLE, **change))], [1])
        found.add(Mpii(root).identity)
    write_mpii(root, [entry("a.jpg", person(WHOLE[:15]))], [1])
    found.add(Mpii(root).identity)
    write_mpii(root, [entry("b.jpg", person(WHOLE))], [1])
    found.add(Mpii(root).identity)
    assert len({first, *found}) == 6
    write_mpii(root, entries, [1], compress=False)  # the same, written otherwise
    assert Mpii(root).identity in found


# ------------------------------------------------------------------------------------- images
def test_bright_dot_is_where_uvd_says(root):
    """From MATLAB's pixel to the crop's; the image's pixels count from 0."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[252, 352] = 255, 0, 0  # row 253 and column 353 in MATLAB
    write_image(root / "images" / "a.png", image)
    write_mpii(root, [entry("a.png", person([(3, 353.0, 253.0)]))], [1])
    frame = Mpii(root)[0]
    assert isinstance(frame, BodyFrame)
    np.testing.assert_array_equal(frame.image, image)
    crop, uvd = cut_body(frame, 375)  # the box's side: one pixel a pixel
    v, u = np.argwhere(crop[0] > -0.5).mean(axis=0)
    np.testing.assert_allclose((np.array([u, v]) + 0.5) / 375, uvd[3, :2], atol=1 / 375)
    assert np.isnan(uvd[3, 2]) and np.isnan(uvd[:3]).all()


def test_missing(root):
    names = Mpii(root).missing()
    assert names == ["000000001.jpg", "000000004.jpg"]  # each once, and none for testing
    write_image(root / "images" / "000000001.jpg", np.zeros((8, 8, 3), np.uint8))
    data = Mpii(root)
    assert data.missing() == ["000000004.jpg"]
    assert data[1].image.shape == (8, 8, 3)
    complaint(FileNotFoundError, "000000004.jpg is missing", data.image, 2)


def noise():
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_colour_images(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    image = cv2.GaussianBlur(noise(), (0, 0), 5)
    image[..., 0] //= 2  # red is darker: channels swapped would show
    write_image(path, image)
    found = read_colour(path)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)
    assert found.flags.c_contiguous
    assert np.abs(found.astype(int) - image).mean() < (2 if suffix == ".jpg" else 1e-9)
    probe_colour(path)


def test_grey_images_have_three_channels(tmp_path):
    path = tmp_path / "grey.jpg"
    path.write_bytes(cv2.imencode(".jpg", np.full((20, 30), 90, np.uint8))[1].tobytes())
    np.testing.assert_array_equal(read_colour(path), np.full((20, 30, 3), 90))


def test_turned_images_stay_as_stored(tmp_path):
    """The labels are of the pixels as stored, whatever the camera says of its pose."""
    data = encoded(np.zeros((20, 30, 3), np.uint8))
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    part = b"\xff\xe1" + (len(tags) + 2).to_bytes(2, "big") + tags
    path = tmp_path / "turned.jpg"
    path.write_bytes(data[:2] + part + data[2:])
    assert cv2.imread(str(path)).shape == (30, 20, 3)  # what would be wrong
    assert read_colour(path).shape == (20, 30, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-10],
        lambda data: data[: len(data) // 2],
        lambda data: data[100:],
        lambda data: b"",
        lambda data: data[:2],
        lambda data: b"<html>Too many people have viewed or downloaded this file</html>",
        lambda data: data[:-20000] + bytes(20000),  # room made for it, and not filled
    ],
)
def test_truncated_images(tmp_path, suffix, damage):
    path = tmp_path / f"image{suffix}"
    path.write_bytes(damage(encoded(noise(), suffix)))
    said = complaint(ColourImageError, "truncated or neither JPEG nor PNG", read_colour, path)
    assert str(path) in said
    assert complaint(ColourImageError, "truncated", probe_colour, path) == said


@pytest.mark.parametrize(
    ("suffix", "place"),
    [(".jpg", slice(2, 600)), (".png", slice(30, 3000)), (".png", slice(12, 30))],
)
def test_damaged_images(tmp_path, suffix, place):
    path = tmp_path / f"image{suffix}"
    data = bytearray(encoded(noise(), suffix))
    data[place] = bytes(len(data[place]))
    path.write_bytes(data)
    probe_colour(path)  # does not look there
    complaint(ColourImageError, "is damaged, wanted a whole JPEG or PNG", read_colour, path)


def test_image_that_claims_too_many_pixels(tmp_path):
    path = tmp_path / "image.jpg"
    data = encoded(noise())
    place = data.index(b"\xff\xc0") + 5
    path.write_bytes(data[:place] + b"\xff\xdc\xff\xdc" + data[place + 4 :])
    complaint(ColourImageError, "is damaged", read_colour, path)


def test_bytes_behind_a_jpeg_do_no_harm(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(noise()) + bytes(2000))
    probe_colour(path)
    assert read_colour(path).shape == (200, 300, 3)


def test_an_image_error_reaches_another_process(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(b"")
    with pytest.raises(ColourImageError) as caught:
        read_colour(path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.kind) == (str(caught.value), "truncated")


# -------------------------------------------------------------------------------------- errors
def test_missing_file_and_folder(root):
    (root / "images").rmdir()
    complaint(FileNotFoundError, "images is missing, wanted the folder of images", Mpii, root)
    (root / MAT).unlink()
    said = complaint(FileNotFoundError, f"does not hold {MAT}", Mpii, root)
    assert "mpii_human_pose_v1_u12_2 or annotations" in said
    complaint(FileNotFoundError, "does not hold", Mpii, root / "none")


def test_without_scipy(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=f"{MAT} is MATLAB's.*pip install scipy") as caught:
        Mpii(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_truncated_file(root, share, compress):
    path = rewrite(root, *[person(WHOLE)] * 20, compress=compress)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    complaint(ValueError, f"{MAT} is truncated or damaged", Mpii, root)


@pytest.mark.parametrize("share", np.linspace(0.15, 0.99, 15).round(2))
def test_damaged_file(root, share):
    """One byte anywhere in what is compressed, as all of the released file is."""
    path = rewrite(root, *[person(WHOLE)] * 5)
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 0x5A
    path.write_bytes(data)
    complaint(ValueError, f"{MAT} is truncated or damaged", Mpii, root)


def test_what_scipy_only_warns_of(root, monkeypatch):
    """It goes on with a text in place of what it could not read."""

    def goes_on(path, **options):
        warnings.warn('Unreadable variable "RELEASE", because of something', stacklevel=2)
        return {"RELEASE": "Read error"}

    monkeypatch.setattr("scipy.io.loadmat", goes_on)
    complaint(ValueError, f"{MAT} is truncated or damaged", Mpii, root)


def test_no_matlab_file(root):
    (root / MAT).write_bytes(b"<html>no such page</html>" * 100)
    complaint(ValueError, "is truncated or damaged", Mpii, root)


@pytest.mark.parametrize(
    "head",
    [
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(384)
        + b"\x89HDF\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n",
    ],
)  # fmt: skip
def test_newer_matlab_format(root, head):
    (root / MAT).write_bytes(head + bytes(5000))
    complaint(ValueError, r"is of MATLAB 7.3 \(HDF5\)", Mpii, root)


def no_release(path):
    savemat(path, {"annolist": struct(entry("a.jpg", person(WHOLE)))})


def release_is_a_number(path):
    savemat(path, {"RELEASE": 3.0})


def without(name):
    def write(path):
        write_mpii(path.parent, [entry("a.jpg", person(WHOLE))], [1], **{name: None})

    return write


def annolist_is(value):
    def write(path):
        write_mpii(path.parent, [entry("a.jpg", person(WHOLE))], [1], annolist=value)

    return write


@pytest.mark.parametrize(
    "write",
    [
        no_release, release_is_a_number, without("annolist"), without("img_train"),
        annolist_is(NOTHING), annolist_is(struct({"image": struct({"name": "a.jpg"})})),
        annolist_is(struct(entry(NOTHING))), annolist_is(struct({"image": 1.0, "annorect": 1.0})),
    ],
)  # fmt: skip
def test_another_version(root, write):
    write(root / MAT)
    complaint(ValueError, f"{MAT} is of another version", Mpii, root)


def test_counts_that_differ(root):
    write_mpii(root, [entry("a.jpg", person(WHOLE))] * 2, [1, 1, 0])
    sentence = "has 2 images in annolist and 3 in img_train"
    complaint(ValueError, sentence, Mpii, root)


@pytest.mark.parametrize("number", [16, -1, 2.5, NOTHING])
def test_id_of_no_keypoint(root, number):
    rewrite(root, person(WHOLE), person([(number, 5.0, 6.0)]))
    sentence = r"has a keypoint with id \S+ for person 2 of a.jpg, wanted 0 to 15"
    complaint(ValueError, sentence, Mpii, root)


@pytest.mark.parametrize(
    ("strange", "name"),
    [
        (person([(0, np.nan, 6.0)]), "x"),
        (person([(0, 5.0, np.inf)]), "y"),
        (person(WHOLE, (np.nan, 5.0)), "x"),
        (person(WHOLE, scale=np.nan), "scale"),
        (person(WHOLE, scale="large"), "scale"),
    ],
)
def test_numbers_that_are_not_finite(root, strange, name):
    rewrite(root, strange)
    complaint(ValueError, rf"has {name} \S+ for person 1 of a.jpg, wanted a finite", Mpii, root)


def test_nobody_is_labelled(root):
    write_mpii(root, [entry("a.jpg"), entry("b.jpg", bare(person([]), "annopoints"))], [1, 1])
    complaint(ValueError, "holds no labelled person in its images for train", Mpii, root)
