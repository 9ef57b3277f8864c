"""The readers of MPII, with its MATLAB file's quirks, and of Human3.6M in PoseNet's files."""

import json

import cv2
import numpy as np
import pytest
from bodyfiles import (
    NOTHING,
    entry,
    human36m,
    person,
    seen,
    struct,
    write_human36m,
    write_image,
    write_mpii,
)

from senorita_lib.people import Human36m, Mpii
from senorita_lib.people.crops import read_colour
from senorita_lib.people.keypoints import KEYPOINT_NAMES, PELVIS

XY = np.random.default_rng(0).uniform(1, 400, (16, 2)).round(2)
WHOLE = [(i, *XY[i]) for i in range(16)]
MAT = "mpii_human_pose_v1_u12_1.mat"
FILES = human36m()
JOINTS = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "torso", "upper_neck", "nose", "head_top",
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """Both sets, nothing is wrong with them; MPII has three labelled people for training."""
    entries = [
        entry("000000001.jpg", person(WHOLE), person(WHOLE[::-1], (100.5, 60.0), 0.5)),
        entry("000000002.jpg"),  # nobody
        entry("000000003.jpg", person(WHOLE)),  # for testing
        entry("000000004.jpg", person(WHOLE[3:9], (50.0, 40.0), 2.0)),
    ]
    write_mpii(tmp_path, entries, [1, 1, 0, 1])
    write_human36m(tmp_path, FILES)
    return tmp_path


def rewrite(root, *people, **more):
    return write_mpii(root, [entry("a.jpg", *people)], [1], **more)


def test_mpiis_values_and_frames(root):
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
    assert data.missing() == ["000000001.jpg", "000000004.jpg"]  # once, none for testing
    with pytest.raises(FileNotFoundError, match="000000004.jpg"):
        data.image(2)


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


def without(name):
    return {key: value for key, value in person(WHOLE).items() if key != name}


@pytest.mark.parametrize(
    "strange",
    [
        without("annopoints"), without("scale"), without("objpos"),
        person(WHOLE, annopoints=NOTHING), person(WHOLE, annopoints=struct({"other": 1.0})),
        person(WHOLE, scale=0.0), person([(0, NOTHING, 5.0), (1, 5.0, np.nan)]),
        person(WHOLE, (NOTHING, 5.0)),
    ],
)  # fmt: skip
def test_people_without_labels_are_left_out(root, strange):
    """Whether the field is empty, as beside others that have it, or nowhere in the image."""
    entries = [entry("a.jpg", person([(7, 11.0, 21.0)]), strange), entry("b.jpg", strange)]
    entries.append(entry("c.jpg", annorect=np.zeros((1, 0))))
    path = write_mpii(root, entries, [1, 1, 1])
    path.rename(root / "annotations" / MAT)
    assert Mpii(root).names == ["a.jpg"] and np.isfinite(Mpii(root).keypoints).sum() == 2
    (root / "annotations" / MAT).unlink()
    write_mpii(root, entries, [0, 1, 1])
    with pytest.raises(ValueError, match="holds no labelled person, wanted annopoints"):
        Mpii(root)


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
    if suffix == ".jpg":  # cameras note a turn, which the labels do not count, and append bytes
        tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
        part = b"\xff\xe1" + (len(tags) + 2).to_bytes(2, "big") + tags
        path.write_bytes(data[:2] + part + data[2:] + bytes(2000))
        assert cv2.imread(str(path)).shape == (300, 200, 3)  # what would be wrong
        np.testing.assert_array_equal(read_colour(path), found)
    for damaged in (data[:-10], data[: len(data) // 2], data[100:], b"", b"<html>no</html>",
                    data[:20] + bytes(600) + data[620:]):  # fmt: skip
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"image.* is truncated or damaged, wanted a JPEG"):
            read_colour(path)


def test_damaged_or_missing_matlab_file(root):
    path = rewrite(root, *[person(WHOLE)] * 20)
    data = path.read_bytes()
    flipped = data[:999] + bytes([data[999] ^ 0x5A]) + data[1000:]  # all is compressed
    newer = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(5000)
    for damaged in (data[:-1], flipped, newer):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{MAT} is damaged or in another .* wanted the M"):
            Mpii(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"does not hold {MAT}"):
        Mpii(root)


@pytest.mark.parametrize(
    "change",
    [
        {"annolist": None}, {"img_train": None}, {"annolist": NOTHING},
        {"annolist": struct({"image": 1.0, "annorect": 1.0})}, {"img_train": np.ones((1, 3))},
        16, -1, 2.5, NOTHING,
    ],
)  # fmt: skip
def test_another_version_or_keypoint(root, change):
    said = r"has \d images in annolist and \d in img_train, wanted"
    if isinstance(change, dict):
        rewrite(root, person(WHOLE), **change)
    else:
        rewrite(root, person([(change, 5.0, 6.0)]))
        said = rf"{MAT}, a.jpg has a keypoint with id \S+, wanted 0 to"
    with pytest.raises(ValueError, match=said):
        Mpii(root)


@pytest.fixture
def files():
    """Of subject 1; nothing is wrong with them."""
    return json.loads(json.dumps(FILES))


def read(root, files):
    write_human36m(root, files)
    return Human36m(root)


def refused(root, files, said):
    said = rf"subject1_\w+.json is damaged or of another form \(.*{said}"
    with pytest.raises(ValueError, match=f"{said}.*wanted PoseNet's annotations"):
        read(root, files)


def place(name):
    """Action, subaction, camera and frame of an image, by its name."""
    words = name.split("/")[1].removesuffix(".jpg").split("_")
    return int(words[3]), int(words[5]), int(words[7]), int(words[8]) - 1


def test_human36ms_values_frames_and_boxes(root):
    data = Human36m(root)
    assert len(data) == 3 * 4 * 3  # 3 sequences, 4 cameras, frames 0, 5 and 10
    assert {place(name)[3] for name in data.names} == {0, 5, 10}
    assert data.names[0] == "s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg"
    assert data.keypoints.dtype == data.boxes.dtype == data.cameras.dtype == np.float32
    assert data.spatial.all() and not data.keypoints[:, PELVIS, 2].any()
    for number, name in enumerate(data.names):
        action, subaction, camera, frame = map(str, place(name))
        world = np.array(FILES["joint_3d"][action][subaction][frame])
        there, uv = seen(world, int(camera))  # 17 joints in camera frame and in the image
        for row, keypoint in enumerate(KEYPOINT_NAMES):
            if keypoint == "thorax":  # midway between the shoulders
                wanted = (there[11, 2] + there[14, 2]) / 2 - there[0, 2]
                np.testing.assert_allclose(data.keypoints[number, row, 2], wanted, atol=1e-3)
            else:
                joint = JOINTS.index(keypoint)
                wanted = [*uv[joint], there[joint, 2] - there[0, 2]]
                np.testing.assert_allclose(data.keypoints[number, row], wanted, atol=1e-3)
        listed = FILES["camera"][camera]
        wanted = [*listed["f"], *listed["c"], there[0, 2]]
        np.testing.assert_allclose(data.cameras[number], wanted, rtol=1e-6)
        # The square around the labelled box, whose larger side is 1.2 times the joints'.
        low, high = uv.min(axis=0), uv.max(axis=0)
        reach, centre = 1.25 * 1.2 * ((high - low).max() - 1) / 2, (low + high) / 2
        box = np.concatenate([centre - reach, centre + reach])
        np.testing.assert_allclose(data.boxes[number], box, atol=1e-3)
        assert data.sizes[number].tolist() == [1000, 1002 if camera in "14" else 1000]
    # The videos' heights differ by 2 px; a set made smaller is of no use.
    assert data.missing() == data.names  # not even their folders are there
    path = root / "images" / data.names[0]
    write_image(path, np.zeros((1000, 1000, 3), np.uint8))  # listed: 1002
    assert data.image(0).shape == (1000, 1000, 3) and data.missing() == data.names[1:]
    write_image(path, np.zeros((500, 500, 3), np.uint8))
    with pytest.raises(ValueError, match=r"000001.jpg is 500x500, wanted 1000x1002 pixels, as lis"):
        data.image(0)


@pytest.mark.parametrize("cams", [(1, 2, 3, 4), (3,)])
def test_both_meanings_of_t_are_the_same_people(tmp_path, cams):
    """Each subject has its own; subject 9 is for testing."""
    for subject in (1, 5, 9):
        write_human36m(tmp_path / "now", human36m(subject, cams=cams), subject)
        write_human36m(tmp_path / "then", human36m(subject, cams=cams, older=subject == 1), subject)
    now, then = Human36m(tmp_path / "now"), Human36m(tmp_path / "then")
    assert now.names == then.names and len(now) == 2 * 9 * len(cams)
    assert {name[:4] for name in now.names} == {"s_01", "s_05"}
    assert (now.cameras[:, 4] > 3000).all()
    np.testing.assert_allclose(now.keypoints, then.keypoints, atol=1e-3)
    np.testing.assert_allclose(now.cameras, then.cameras, rtol=1e-6)


def test_images_need_no_order_and_no_annotation(root, files):
    wanted = Human36m(root)
    files["data"]["images"].reverse()
    assert read(root, files).identity == wanted.identity
    files["joint_3d"]["2"]["1"]["0"][3][0] += 1
    other = read(root, files).identity
    files["data"]["annotations"][1]["bbox"][0] -= 1
    assert len({wanted.identity, other, read(root, files).identity}) == 2  # frame 1 is left out
    files["data"]["annotations"][0]["bbox"][0] -= 1
    assert len({wanted.identity, other, read(root, files).identity}) == 3
    del files["data"]["annotations"][0]
    assert read(root, files).names == wanted.names[1:]


def test_joint_behind_its_camera_has_no_pixel(root, files):
    """Nor does it hinder the others; the wrist is no keypoint that anything depends on."""
    rotation, centre = np.array(files["camera"]["1"]["R"]), np.array([4510.5, 1641.7, 1600])
    files["joint_3d"]["2"]["1"]["5"][16] = (centre - 500 * rotation[2]).tolist()
    data = read(root, files)
    number = data.names.index("s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000006.jpg")
    wrist = KEYPOINT_NAMES.index("right_wrist")
    unknown = np.argwhere(np.isnan(data.keypoints)).tolist()
    assert unknown == [[number, wrist, 0], [number, wrist, 1]]
    depth = data.keypoints[number, wrist, 2] + data.cameras[number, 4]
    np.testing.assert_allclose(depth, -500, atol=2)


@pytest.mark.parametrize("kind", ["camera", "joint_3d", "data"])
def test_damaged_and_missing_files(root, kind):
    path = root / "annotations" / f"Human36M_subject1_{kind}.json"
    data = path.read_bytes()
    for damaged in (data[:-1], b"\xff" + data, b"[]", b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path.name} is damaged or of another form"):
            Human36m(root)
    path.unlink()
    sentence = f"{path.name} (or another subject's|is missing, wanted all three)"
    with pytest.raises(FileNotFoundError, match=sentence):
        Human36m(root)


GONE = object()


@pytest.mark.parametrize(
    ("kind", "keys", "value", "said"),
    [
        ("data", ["images", 0, "width"], None, "TypeError"),
        ("data", ["images", 0, "file_name"], GONE, "KeyError: 'file_name'"),
        ("data", ["annotations", 7, "image_id"], 5, "KeyError: 5"),
        ("data", ["annotations", 0, "bbox"], [1, 2, 3], "ValueError"),
        ("data", ["annotations", 0, "bbox", 2], 0, "a bbox is empty"),
        ("data", ["annotations", 0, "bbox", 3], np.nan, "bbox is not 4 finite numbers"),
        ("camera", ["2", "t", 1], np.inf, "a camera's t is not 3 finite numbers"),
        ("joint_3d", ["2", "2", "10"], [[0, 0, 0]] * 16, "ValueError"),
        ("joint_3d", ["3", "1", "0", 2, 1], np.nan, "a pose is not 17x3 finite numbers"),
        ("joint_3d", ["3", "1", "5"], GONE, "KeyError: '5'"),
    ],
)
def test_values_that_make_no_sense_or_are_missing(root, files, kind, keys, value, said):
    *place, last = keys
    inner = files[kind]
    for key in place:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    refused(root, files, said)


def test_cameras_of_another_form(root, files):
    cameras = files["camera"]
    turned = {n: camera | {"R": np.array(camera["R"]).T.tolist()} for n, camera in cameras.items()}
    nowhere = {n: camera | {"t": [0.0, 0.0, 0.0]} for n, camera in cameras.items()}
    swapped = cameras | {"1": cameras["3"], "3": cameras["1"]}
    for strange in (turned, nowhere, swapped):
        refused(root, files | {"camera": strange}, r"neither R X \+ t nor R \(X - t")
    files["joint_3d"]["2"]["1"]["0"][16][0] += 2000  # one strange joint does no harm
    assert len(read(root, files)) == 36
    # Joints in metres are told also where the cameras are in metres too.
    for poses in (p for subactions in files["joint_3d"].values() for p in subactions.values()):
        poses.update({frame: (np.array(pose) / 1000).tolist() for frame, pose in poses.items()})
    for camera in files["camera"].values():
        camera["t"] = (np.array(camera["t"]) / 1000).tolist()
    refused(root, files, "median size is .* metres, not millimetres")
