"""The reader of Human3.6M in PoseNet's files: values, both meanings of t, what it refuses."""

import json

import numpy as np
import pytest
from bodyfiles import human36m, seen, write_human36m, write_image

from senorita_lib.people import Human36m
from senorita_lib.people.keypoints import KEYPOINT_NAMES, PELVIS

FILES = human36m()
JOINTS = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "torso", "upper_neck", "nose", "head_top",
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


@pytest.fixture
def files():
    """Of subject 1; nothing is wrong with them."""
    return json.loads(json.dumps(FILES))


@pytest.fixture
def root(tmp_path):
    write_human36m(tmp_path / "human36m", FILES)
    return tmp_path / "human36m"


def read(root, files):
    write_human36m(root, files)
    return Human36m(root)


def refused(root, files, sentence):
    with pytest.raises(ValueError, match=f"{sentence}.*wanted PoseNet's annotations"):
        read(root, files)


def place(name):
    """Action, subaction, camera and frame of an image, by its name."""
    words = name.split("/")[1].removesuffix(".jpg").split("_")
    return int(words[3]), int(words[5]), int(words[7]), int(words[8]) - 1


def joints_of(name):
    """17 joints in camera frame and in the image."""
    action, subaction, camera, frame = map(str, place(name))
    return seen(np.array(FILES["joint_3d"][action][subaction][frame]), int(camera))


# ------------------------------------------------------------------------------------- values
def test_values_and_frames(root):
    data = Human36m(root)
    assert len(data) == 3 * 4 * 3  # 3 sequences, 4 cameras, frames 0, 5 and 10
    assert {place(name)[3] for name in data.names} == {0, 5, 10}
    assert data.names[0] == "s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg"
    assert data.keypoints.dtype == data.boxes.dtype == data.cameras.dtype == np.float32
    assert data.spatial.all() and not data.keypoints[:, PELVIS, 2].any()
    for person, name in enumerate(data.names):
        there, uv = joints_of(name)
        for row, keypoint in enumerate(KEYPOINT_NAMES):
            if keypoint == "thorax":  # midway between the shoulders
                wanted = (there[11, 2] + there[14, 2]) / 2 - there[0, 2]
                np.testing.assert_allclose(data.keypoints[person, row, 2], wanted, atol=1e-3)
            else:
                joint = JOINTS.index(keypoint)
                wanted = [*uv[joint], there[joint, 2] - there[0, 2]]
                np.testing.assert_allclose(data.keypoints[person, row], wanted, atol=1e-3)
        camera = FILES["camera"][str(place(name)[2])]
        wanted = [*camera["f"], *camera["c"], there[0, 2]]
        np.testing.assert_allclose(data.cameras[person], wanted, rtol=1e-6)


def test_boxes_and_sizes(root):
    """The square around the labelled box, whose larger side is 1.2 times the joints'."""
    data = Human36m(root)
    for person, name in enumerate(data.names):
        uv = joints_of(name)[1]
        low, high = uv.min(axis=0), uv.max(axis=0)
        reach, centre = 1.25 * 1.2 * ((high - low).max() - 1) / 2, (low + high) / 2
        box = np.concatenate([centre - reach, centre + reach])
        np.testing.assert_allclose(data.boxes[person], box, atol=1e-3)
        assert data.sizes[person].tolist() == [1000, 1002 if place(name)[2] in (1, 4) else 1000]


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
    person = data.names.index("s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000006.jpg")
    wrist = KEYPOINT_NAMES.index("right_wrist")
    unknown = np.argwhere(np.isnan(data.keypoints)).tolist()
    assert unknown == [[person, wrist, 0], [person, wrist, 1]]
    depth = data.keypoints[person, wrist, 2] + data.cameras[person, 4]
    np.testing.assert_allclose(depth, -500, atol=2)


# ------------------------------------------------------------------------------------- images
def test_images_of_another_size_and_missing_ones(root):
    """The videos' heights differ by 2 px; a set made smaller is of no use."""
    data = Human36m(root)
    assert data.missing() == data.names  # not even their folders are there
    path = root / "images" / data.names[0]
    write_image(path, np.zeros((1000, 1000, 3), np.uint8))  # listed: 1002
    assert data.image(0).shape == (1000, 1000, 3) and data.missing() == data.names[1:]
    write_image(path, np.zeros((500, 500, 3), np.uint8))
    with pytest.raises(ValueError, match=r"000001.jpg is 500x500, wanted 1000x1002 pixels, as lis"):
        data.image(0)


# -------------------------------------------------------------------------------------- refused
def test_missing_files(root):
    for kind, sentence in (
        ("camera", "subject1_camera.json is missing, wanted all three"),
        ("joint_3d", "subject1_joint_3d.json is missing, wanted all three"),
        ("data", "holds no annotations/Human36M_subject1_data.json or another subject's"),
    ):
        (root / "annotations" / f"Human36M_subject1_{kind}.json").unlink()
        with pytest.raises(FileNotFoundError, match=sentence):
            Human36m(root)


@pytest.mark.parametrize("kind", ["data", "camera", "joint_3d"])
@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"\xff" + data, lambda data: b"[]",
               lambda data: b"{}"],
)  # fmt: skip
def test_damaged_files(root, kind, damage):
    path = root / "annotations" / f"Human36M_subject1_{kind}.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{path.name} is damaged or of another form"):
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
    refused(root, files, rf"subject1_{kind}.json is damaged or of another form \(.*{said}")


def test_cameras_of_another_form(root, files):
    cameras = files["camera"]
    turned = {n: camera | {"R": np.array(camera["R"]).T.tolist()} for n, camera in cameras.items()}
    nowhere = {n: camera | {"t": [0.0, 0.0, 0.0]} for n, camera in cameras.items()}
    swapped = cameras | {"1": cameras["3"], "3": cameras["1"]}
    for strange in (turned, nowhere, swapped):
        refused(root, files | {"camera": strange}, r"camera.json .* neither R X \+ t nor R \(X - t")
    files["joint_3d"]["2"]["1"]["0"][16][0] += 2000  # one strange joint does no harm
    assert len(read(root, files)) == 36


def test_metres(root, files):
    """Also where the cameras are in metres too."""
    for poses in (p for subactions in files["joint_3d"].values() for p in subactions.values()):
        poses.update({frame: (np.array(pose) / 1000).tolist() for frame, pose in poses.items()})
    for camera in files["camera"].values():
        camera["t"] = (np.array(camera["t"]) / 1000).tolist()
    refused(root, files, "joint_3d.json .* median size is .* metres, not millimetres")
