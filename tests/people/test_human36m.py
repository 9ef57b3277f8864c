"""The reader of Human3.6M in PoseNet's files: values, both kinds of t, and its complaints."""

import json
import shutil

import numpy as np
import pytest
from bodyfiles import encoded, human36m, seen, write_human36m, write_image

from senorita_lib.people.colour import ColourImageError
from senorita_lib.people.crops import BodySet, cut_body, to_camera
from senorita_lib.people.human36m import Human36m
from senorita_lib.people.keypoints import HUMAN36M_NAMES, KEYPOINT_NAMES, PELVIS, from_human36m

FILES = human36m()


@pytest.fixture
def files():
    """Of subject 1; nothing is wrong with them."""
    return json.loads(json.dumps(FILES))


@pytest.fixture
def root(tmp_path):
    write_human36m(tmp_path / "human36m", FILES)
    return tmp_path / "human36m"


def complaint(error, sentence, function, *arguments, **more):
    with pytest.raises(error, match=sentence) as caught:
        function(*arguments, **more)
    message = str(caught.value)
    assert "\n" not in message
    assert "wanted" in message
    return message


def refused(root, files, sentence, error=ValueError, **more):
    write_human36m(root, files)
    return complaint(error, sentence, Human36m, root, **more)


def place(name):
    """Action, subaction, camera and frame of an image, by its name."""
    words = name.split("/")[1].removesuffix(".jpg").split("_")
    return int(words[3]), int(words[5]), int(words[7]), int(words[8]) - 1


def joints_of(name, files=FILES):
    """17 joints in camera frame and in the image."""
    action, subaction, camera, frame = place(name)
    world = np.array(files["joint_3d"][str(action)][str(subaction)][str(frame)])
    return seen(world, camera)


# ------------------------------------------------------------------------------------- values
def test_values_and_frames(root):
    data = Human36m(root)
    assert isinstance(data, BodySet)
    assert len(data) == 3 * 4 * 3  # 3 sequences, 4 cameras, frames 0, 5 and 10
    assert {place(name)[3] for name in data.names} == {0, 5, 10}
    assert data.names[0] == "s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg"
    assert (data.keypoints.shape, data.keypoints.dtype) == ((36, 16, 3), np.float32)
    assert (data.boxes.shape, data.boxes.dtype) == ((36, 4), np.float32)
    assert (data.cameras.shape, data.cameras.dtype) == ((36, 5), np.float32)
    assert data.spatial.all()
    assert data.subjects == (1,)
    for person, name in enumerate(data.names):
        there, uv = joints_of(name)
        for keypoint in ("right_ankle", "left_hip", "pelvis", "right_wrist", "left_shoulder"):
            row, joint = KEYPOINT_NAMES.index(keypoint), HUMAN36M_NAMES.index(keypoint)
            np.testing.assert_allclose(data.keypoints[person, row, :2], uv[joint], atol=1e-3)
            depth = there[joint, 2] - there[0, 2]
            np.testing.assert_allclose(data.keypoints[person, row, 2], depth, atol=1e-3)
        assert data.keypoints[person, PELVIS, 2] == 0
        np.testing.assert_allclose(data.cameras[person, 4], there[0, 2], rtol=1e-6)
        assert data.cameras[person, 4] > 3000


def test_thorax_is_midway_in_space(root):
    """And so, in perspective, not midway between the shoulders' pixels."""
    data = Human36m(root)
    there, uv = joints_of(data.names[0])
    left, right = (HUMAN36M_NAMES.index(f"{side}_shoulder") for side in ("left", "right"))
    thorax = (there[left] + there[right]) / 2
    fx, fy, cx, cy, _ = data.cameras[0].astype(float)
    wanted = [fx * thorax[0] / thorax[2] + cx, fy * thorax[1] / thorax[2] + cy]
    found = data.keypoints[0, KEYPOINT_NAMES.index("thorax")]
    np.testing.assert_allclose(found[:2], wanted, atol=1e-3)
    np.testing.assert_allclose(found[2], thorax[2] - there[0, 2], atol=1e-3)
    assert np.abs(found[:2] - (uv[left] + uv[right]) / 2).max() > 0.05


def test_intrinsics_are_each_cameras_own(root):
    data = Human36m(root)
    for name, found in zip(data.names, data.cameras, strict=True):
        camera = FILES["camera"][str(place(name)[2])]
        np.testing.assert_allclose(found[:4], [*camera["f"], *camera["c"]], rtol=1e-6)


def test_boxes_and_sizes(root):
    """The square around the labelled box, whose larger side is 1.2 times the joints'."""
    data = Human36m(root)
    for person, name in enumerate(data.names):
        uv = joints_of(name)[1]
        low, high = uv.min(axis=0), uv.max(axis=0)
        side = 1.25 * 1.2 * ((high - low).max() - 1)
        centre = (low + high) / 2
        np.testing.assert_allclose(data.boxes[person, :2], centre - side / 2, atol=1e-3)
        np.testing.assert_allclose(data.boxes[person, 2:], centre + side / 2, atol=1e-3)
        assert data.sizes[person].tolist() == [1000, 1002 if place(name)[2] in (1, 4) else 1000]


def test_to_camera_gives_the_joints_back(root):
    data = Human36m(root)
    people = [cut_body(Blank(data, i), 64)[1] for i in range(len(data))]
    found = to_camera(np.stack(people).astype(float), data.boxes, data.cameras)
    found -= found[:, PELVIS, None]
    wanted = np.stack([from_human36m(joints_of(name)[0]) for name in data.names])
    np.testing.assert_allclose(found, wanted - wanted[:, PELVIS, None], atol=0.02)


class Blank:
    """A frame whose image does not count."""

    def __init__(self, data, index):
        self.image = np.zeros((4, 4, 3), np.uint8)
        self.box, self.keypoints = data.boxes[index], data.keypoints[index]


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("cams", [(1, 2, 3, 4), (3,)])
def test_both_kinds_of_t_are_the_same_people(tmp_path, older, cams):
    wanted = human36m(cams=cams)
    write_human36m(tmp_path / "now", wanted)
    files = human36m(cams=cams, older=older)
    assert (files["camera"]["3"]["t"] == wanted["camera"]["3"]["t"]) is not older
    assert files["joint_3d"] == wanted["joint_3d"]
    write_human36m(tmp_path / "then", files)
    now, then = Human36m(tmp_path / "now"), Human36m(tmp_path / "then")
    assert now.names == then.names
    np.testing.assert_allclose(now.keypoints, then.keypoints, atol=1e-3)
    np.testing.assert_allclose(now.cameras, then.cameras, rtol=1e-6)


def test_each_subject_has_its_own_kind_of_t(root):
    write_human36m(root, human36m(5, older=True, first_id=1000), 5)
    data = Human36m(root)
    assert data.subjects == (1, 5)
    assert len(data) == 72
    assert (data.cameras[:, 4] > 3000).all()
    assert {name[:4] for name in data.names[36:]} == {"s_05"}
    wanted = joints_of(data.names[40], human36m(5))
    np.testing.assert_allclose(
        data.keypoints[40, :, :2], project(data, 40, from_human36m(wanted[0])), atol=1e-3
    )


def project(data, person, keypoints):
    fx, fy, cx, cy, _ = data.cameras[person].astype(float)
    x, y, z = keypoints.T
    return np.stack([fx * x / z + cx, fy * y / z + cy], axis=1)


def test_subjects(root):
    for subject in (6, 9):
        write_human36m(root, human36m(subject), subject)
    assert Human36m(root).subjects == (1, 6)  # 9 is not one to train on
    assert Human36m(root, [9]).names[0].startswith("s_09")
    assert Human36m(root, (6, 6, 1)).subjects == (6, 1)
    complaint(FileNotFoundError, "Human36M_subject7_data.json is missing", Human36m, root, [7])
    complaint(ValueError, r"subjects are \(2,\), wanted some of \(1, 5", Human36m, root, [2])
    complaint(ValueError, r"subjects are \(\), wanted some of", Human36m, root, [])


def test_every(root):
    assert len(Human36m(root, every=1)) == 3 * 4 * 12
    assert {place(name)[3] for name in Human36m(root, every=100).names} == {0}
    for every in (0, -5, 2.5):
        complaint(
            ValueError, f"every is {every}, wanted a whole number", Human36m, root, None, every
        )


def test_order_of_images_does_not_matter(root, files):
    wanted = Human36m(root)
    files["data"]["images"].reverse()
    for image in files["data"]["images"]:
        image["id"] = 7 * image["id"] % 1009  # neither sorted nor without gaps
    for row in files["data"]["annotations"]:
        row["image_id"] = 7 * row["image_id"] % 1009
    write_human36m(root, files)
    found = Human36m(root)
    assert found.names == wanted.names
    np.testing.assert_array_equal(found.keypoints, wanted.keypoints)
    assert found.identity == wanted.identity


def test_images_without_annotation_are_left_out(root, files):
    del files["data"]["annotations"][0]
    write_human36m(root, files)
    assert len(Human36m(root)) == 35


def test_identity(root, files):
    found = [Human36m(root).identity, Human36m(root, every=4).identity]
    files["joint_3d"]["2"]["1"]["0"][3][0] += 1
    write_human36m(root, files)
    found.append(Human36m(root).identity)
    files["data"]["annotations"][0]["bbox"][0] -= 1
    write_human36m(root, files)
    found.append(Human36m(root).identity)
    assert len(set(found)) == 4
    assert Human36m(root).identity == found[-1]


def test_joint_behind_its_camera_has_no_pixel(root, files):
    """Nor does it hinder the others; the wrist is no keypoint that anything depends on."""
    rotation, centre = np.array(files["camera"]["1"]["R"]), np.array([4510.5, 1641.7, 1600])
    assert np.abs(-rotation @ centre - files["camera"]["1"]["t"]).max() < 1  # it is there
    files["joint_3d"]["2"]["1"]["5"][16] = (centre - 500 * rotation[2]).tolist()
    write_human36m(root, files)
    data = Human36m(root)
    person = data.names.index("s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000006.jpg")
    wrist = KEYPOINT_NAMES.index("right_wrist")
    assert np.argwhere(np.isnan(data.keypoints)).tolist() == [
        [person, wrist, 0],
        [person, wrist, 1],
    ]
    depth = data.keypoints[person, wrist, 2] + data.cameras[person, 4]
    np.testing.assert_allclose(depth, -500, atol=2)


# ------------------------------------------------------------------------------------- images
def test_bright_dot_is_where_uvd_says(root):
    data = Human36m(root)
    elbow = KEYPOINT_NAMES.index("left_elbow")
    u, v = data.keypoints[4, elbow, :2].round().astype(int)
    image = np.zeros((data.sizes[4, 1], data.sizes[4, 0], 3), np.uint8)
    image[v - 2 : v + 3, u - 2 : u + 3] = 0, 255, 0
    write_image(root / "images" / data.names[4], image)
    frame = data[4]
    assert frame.image[v, u].tolist() == pytest.approx([0, 255, 0], abs=30)
    crop, uvd = cut_body(frame, 256)
    inside = np.argwhere(crop[1] > 0).mean(axis=0)[::-1]
    np.testing.assert_allclose((inside + 0.5) / 256, uvd[elbow, :2], atol=1 / 256)
    assert (crop[0] < 0).all()  # green it is


def test_images_of_another_size(root):
    """The videos' heights differ by 2 px; a set made smaller is of no use."""
    data = Human36m(root)
    path = root / "images" / data.names[0]
    write_image(path, np.zeros((1000, 1000, 3), np.uint8))  # listed: 1002
    assert data.image(0).shape == (1000, 1000, 3)
    write_image(path, np.zeros((500, 500, 3), np.uint8))
    message = complaint(ColourImageError, "is 500x500, wanted 1000x1002 pixels", data.image, 0)
    assert str(path) in message
    with pytest.raises(ColourImageError) as caught:
        data.image(0)
    assert caught.value.kind == "size"
    path.write_bytes(encoded(np.zeros((1002, 1000, 3), np.uint8))[:-30])
    complaint(ColourImageError, "is truncated", data.image, 0)


def test_missing(root):
    data = Human36m(root)
    assert data.missing() == data.names  # not even their folders are there
    for name in (data.names[0], data.names[1], data.names[-1]):
        write_image(root / "images" / name, np.zeros((8, 8, 3), np.uint8))
    assert data.missing() == data.names[2:-1]
    complaint(FileNotFoundError, "000011.jpg is missing", data.image, 2)
    shutil.rmtree(root / "images")
    complaint(FileNotFoundError, "images is missing, wanted the folder of", Human36m, root)


# -------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("kind", ["data", "camera", "joint_3d"])
def test_missing_files(root, kind):
    path = root / "annotations" / f"Human36M_subject1_{kind}.json"
    path.unlink()
    complaint(FileNotFoundError, f"{path.name} is missing, wanted all", Human36m, root, [1])
    sentence = "holds no Human36M_subject1_data" if kind == "data" else f"{path.name} is missing"
    complaint(FileNotFoundError, sentence, Human36m, root)


def test_nothing_there(tmp_path):
    complaint(FileNotFoundError, "holds no Human36M_subject1_data.json", Human36m, tmp_path)


@pytest.mark.parametrize("kind", ["data", "camera", "joint_3d"])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: b"", "is truncated or damaged"),
        (lambda data: data[: len(data) // 2], "is truncated or damaged"),
        (lambda data: data[:-1], "is truncated or damaged"),
        (lambda data: data.replace(b"1", b"\xff", 1), r"is truncated or damaged \(no UTF-8\)"),
        (lambda data: b"[]", "holds a list, wanted keys and values"),
        (lambda data: b"{}", "has no (list|'images'|'1'|joints)"),
    ],
)
def test_damaged_files(root, kind, damage, sentence):
    path = root / "annotations" / f"Human36M_subject1_{kind}.json"
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in complaint(ValueError, sentence, Human36m, root)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("images", "id"), ("images", "file_name"), ("images", "width"), ("images", "height"),
        ("images", "action_idx"), ("images", "subaction_idx"), ("images", "cam_idx"),
        ("images", "frame_idx"), ("annotations", "image_id"), ("annotations", "bbox"),
    ],
)  # fmt: skip
def test_missing_keys_of_data(root, files, key, what):
    del files["data"][key][0][what]
    refused(root, files, f"subject1_data.json has {key} without '{what}'")


@pytest.mark.parametrize("key", ["images", "annotations"])
def test_missing_lists_of_data(root, files, key):
    files["data"][key] = []
    refused(root, files, f"subject1_data.json has no list of {key}")
    del files["data"][key]
    refused(root, files, f"subject1_data.json has no '{key}'")


@pytest.mark.parametrize("key", ["R", "t", "f", "c"])
def test_missing_keys_of_camera(root, files, key):
    del files["camera"]["3"][key]
    refused(root, files, f"subject1_camera.json has cameras without '{key}'")


def test_missing_camera(root, files):
    del files["camera"]["4"]
    refused(root, files, "subject1_camera.json has no '4'")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_missing_joints(root, files, depth):
    level = files["joint_3d"]
    for key in ("3", "1", "5")[: depth - 1]:
        level = level[key]
    level.pop(("3", "1", "5")[depth - 1])
    refused(root, files, "joint_3d.json has no joints for action 3 subaction 1 frame [05]")


@pytest.mark.parametrize(("joints", "count"), [([[0, 0, 0]] * 16, 16), ([], 0), (3.5, "no")])
def test_wrong_number_of_joints(root, files, joints, count):
    files["joint_3d"]["2"]["2"]["10"] = joints
    sentence = f"joint_3d.json has {count} joints for action 2 subaction 2 frame 10, wanted 17"
    refused(root, files, sentence)


@pytest.mark.parametrize("joint", [[1.0, 2.0], [], ["a", "b", "c"], None, [1.0, 2.0, None]])
def test_joints_that_are_no_points(root, files, joint):
    files["joint_3d"]["2"]["2"]["10"][4] = joint
    refused(root, files, "joint_3d.json has joints of another kind, wanted numbers, 17x3 each")


def test_frames_that_are_not_taken_are_not_looked_at(root, files):
    files["joint_3d"]["2"]["2"]["11"] = []
    write_human36m(root, files)
    assert len(Human36m(root)) == 36
    complaint(ValueError, "has 0 joints", Human36m, root, every=1)


def test_unknown_image(root, files):
    files["data"]["annotations"][7]["image_id"] = 5000
    refused(root, files, "has an annotation with image_id 5000, wanted the id of one")
    files["data"]["annotations"][7]["image_id"] = -1
    refused(root, files, "has an annotation with image_id -1")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(root, files, value):
    number = files["joint_3d"]["3"]["1"]["0"][2][1]
    files["joint_3d"]["3"]["1"]["0"][2][1] = value
    refused(root, files, "joint_3d.json has joints that are not finite")
    files["joint_3d"]["3"]["1"]["0"][2][1] = number
    files["camera"]["2"]["t"][1], number = value, files["camera"]["2"]["t"][1]
    refused(root, files, "camera.json has t of cameras that are not finite")
    files["camera"]["2"]["t"][1] = number
    files["data"]["annotations"][0]["bbox"][3] = value
    refused(root, files, "data.json has bbox of annotations that are not finite")


@pytest.mark.parametrize(
    ("key", "what", "value", "wanted"),
    [
        ("images", "id", "1", "whole numbers"), ("images", "frame_idx", 0.5, "whole numbers"),
        ("images", "width", None, "whole numbers"), ("annotations", "image_id", [1], "whole"),
        ("annotations", "bbox", [1, 2, 3], "numbers, 4 each"),
        ("annotations", "bbox", "none", "numbers, 4 each"),
    ],
)  # fmt: skip
def test_values_of_another_kind(root, files, key, what, value, wanted):
    files["data"][key][0][what] = value
    refused(root, files, f"has {what} of {key} of another kind, wanted {wanted}")


def test_cameras_of_another_shape(root, files):
    for key, value in (("R", [1, 2, 3]), ("t", [[1], [2], [3]]), ("f", 1145.0), ("c", [1, 2, 3])):
        broken = {n: c | {key: value} for n, c in files["camera"].items()}
        refused(root, files | {"camera": broken}, f"has {key} of cameras of another kind")


@pytest.mark.parametrize("side", [2, 3])
def test_empty_box(root, files, side):
    files["data"]["annotations"][0]["bbox"][side] = 0
    refused(root, files, "data.json has an empty bbox")


def test_another_version(root, files):
    for camera in files["camera"].values():
        camera["t"] = [0.0, 0.0, 0.0]
    message = refused(root, files, "camera.json is of another version: it puts")
    assert "as R X + t" in message and "as R (X - t)" in message


def test_cameras_that_were_swapped(root, files):
    files["camera"]["1"], files["camera"]["3"] = files["camera"]["3"], files["camera"]["1"]
    refused(root, files, "camera.json is of another version")


def test_rotation_that_was_turned_over(root, files):
    for camera in files["camera"].values():
        camera["R"] = np.array(camera["R"]).T.tolist()
    refused(root, files, "camera.json is of another version")


def test_few_strange_joints_do_not_make_another_version(root, files):
    files["joint_3d"]["2"]["1"]["0"][16][0] += 2000
    write_human36m(root, files)
    assert len(Human36m(root)) == 36


@pytest.mark.parametrize("both", [False, True])
def test_metres(root, files, both):
    """Whether the cameras are in metres too."""
    for poses in (p for subactions in files["joint_3d"].values() for p in subactions.values()):
        poses.update({frame: (np.array(pose) / 1000).tolist() for frame, pose in poses.items()})
    if both:
        for camera in files["camera"].values():
            camera["t"] = (np.array(camera["t"]) / 1000).tolist()
    refused(root, files, "joint_3d.json has people of a median size of .*, which looks like metres")
