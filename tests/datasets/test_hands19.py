"""The reader against every quirk of HANDS19's files, and its complaints."""

import shutil

import cv2
import numpy as np
import pytest

from senorita_lib import tables
from senorita_lib.camera import SR300
from senorita_lib.datasets import Hands19
from senorita_lib.datasets.files import encode_depth, image_name, probe_depth, write_annotations
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.evaluation import TEST_SPLITS

JOINTS = np.random.default_rng(0).normal([0, 0, 500], 40, (10, 21, 3)).round(4)
NAMES = [image_name(i) for i in range(10)]
BOXES = np.array([[100 + i, 90, 260, 250 + i] for i in range(10)])


def depth(i):
    image = np.zeros((480, 640), np.uint16)
    image[100:200, 120:220] = 500 + i
    return image


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "hands" / "Task 1"
    for kind, short in (("training", "train"), ("test", "test")):
        (folder / f"{kind}_images").mkdir(parents=True)
        for i, name in enumerate(NAMES):
            (folder / f"{kind}_images" / name).write_bytes(encode_depth(depth(i)))
        splits = None if short == "train" else [TEST_SPLITS[i % 5] for i in range(10)]
        write_annotations(folder, short, NAMES, BOXES, JOINTS, splits)
    return folder.parent


def complaint(error, sentence, function, *arguments):
    with pytest.raises(error, match=sentence) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "wanted" in message and "\n" not in message
    return message


def test_frames_and_the_documented_format(root):
    lines = (root / "Task 1" / "training_joint_annotation.txt").read_text().split("\n")
    assert lines[0] == "\t".join(["image_D00000000.png", *(f"{v:.4f}" for v in JOINTS[0].ravel())])
    assert lines[-1] == ""
    boxes = (root / "Task 1" / "test_bbs.txt").read_text().split("\n")
    assert boxes[1] == "image_D00000001.png\t101\t90\t260\t251"
    data = Hands19(root, "train")
    assert len(data) == 10
    frame = data[3]
    assert (frame.name, frame.split) == ("image_D00000003.png", "train")
    assert (frame.depth.shape, frame.depth.dtype) == ((480, 640), np.uint16)
    np.testing.assert_array_equal(frame.depth, depth(3))
    np.testing.assert_array_equal(frame.box, BOXES[3])
    assert (frame.joints.shape, frame.joints.dtype) == ((21, 3), np.float32)
    np.testing.assert_allclose(frame.joints, JOINTS[3], atol=1e-4)
    assert [f.name for f in data] == data.names and data[-1].name == data.names[-1]


@pytest.mark.parametrize("spelling", ["Task 1", "Task1", "Task_1", "."])
def test_folder_spellings(root, spelling):
    if spelling != ".":
        (root / "Task 1").rename(root / spelling)
    assert len(Hands19(root / "Task 1" if spelling == "." else root)) == 10


def test_test_splits(root):
    whole = Hands19(root, "test")
    assert whole.splits == [TEST_SPLITS[i % 5] for i in range(10)]
    for i, split in enumerate(TEST_SPLITS):
        part = Hands19(root, split)
        assert part.names == [image_name(i), image_name(i + 5)]
        assert part.splits == [split, split]
        np.testing.assert_allclose(part.joints, JOINTS[[i, i + 5]], atol=1e-4)
        assert part[1].split == split
    # The challenge gives neither labels nor splits.
    (root / "Task 1" / "test_joint_annotation.txt").unlink()
    (root / "Task 1" / "test_splits.txt").unlink()
    data = Hands19(root, "test")
    assert data.joints is data[0].joints is None and set(data.splits) == {"test"}
    complaint(FileNotFoundError, r"test_splits.txt is missing", Hands19, root, "shape")


def test_trailing_tabs_spaces_floats_blank_lines_and_nothing_else(root):
    path = root / "Task 1" / "training_joint_annotation.txt"
    path.write_text(path.read_text().replace("\n", "\t\n") + "\n")
    path = root / "Task 1" / "training_bbs.txt"
    lines = [f"{image_name(i)}  {b[0]}.5 {b[1]}   {b[2]}.0 {b[3]}" for i, b in enumerate(BOXES)]
    path.write_text("\r\n".join(lines))
    data = Hands19(root)
    assert len(data) == 10
    assert data.boxes[2, 0] == BOXES[2, 0] + 0.5
    assert data.boxes.dtype == np.float32
    np.testing.assert_allclose(data.joints, JOINTS, atol=1e-4)
    for name in ("training_joint_annotation.txt", "training_bbs.txt"):
        (root / "Task 1" / name).write_text("\n")
    data = Hands19(root)
    assert (data.names, data.boxes.shape, data.joints.shape) == ([], (0, 4), (0, 21, 3))


def test_degenerate_boxes_are_left_out(root):
    boxes = BOXES.copy()
    boxes[2] = [300, 10, 300, 50]
    boxes[5] = [300, 90, 340, 50]
    boxes[0] = [0, 0, 640, 480]  # cut by the border, which is fine
    write_annotations(root / "Task 1", "train", NAMES, boxes, JOINTS)
    data = Hands19(root)
    np.testing.assert_array_equal(data.boxes[0], boxes[0])
    assert len(data) == len(data.boxes) == len(data.joints) == len(list(data)) == 8
    assert data.names[2] == image_name(3)
    np.testing.assert_allclose(data.joints[2], JOINTS[3], atol=1e-4)
    assert len(Hands19(root, skip_degenerate=False)) == 10


def test_missing_root_names_the_command(tmp_path):
    for found, root in (("does not exist", tmp_path / "none"), ("holds neither", tmp_path)):
        message = complaint(FileNotFoundError, found, Hands19, root)
        assert f"`python -m senorita_lib.datasets.synthetic {root}`" in message


def test_unknown_split_metres_and_missing_files(root):
    complaint(ValueError, "split is 'val', wanted one of train, test, int", Hands19, root, "val")
    write_annotations(root / "Task 1", "train", NAMES, BOXES, JOINTS / 1000)
    complaint(ValueError, "looks like metres, wanted millimetres", Hands19, root)
    for name in ("training_joint_annotation.txt", "training_bbs.txt"):
        (root / "Task 1" / name).unlink()
        complaint(FileNotFoundError, f"{name} is missing", Hands19, root)
    (root / "Task 1" / "test_images").rename(root / "elsewhere")
    complaint(FileNotFoundError, "test_images is missing", Hands19, root, "test")


WORD = "training_bbs.txt line 8 has a field that is not a finite number"
JOINT_FILE = "training_joint_annotation.txt"


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        *(
            ("training_bbs.txt", lambda text, word=word: text.replace("\t107\t", word), WORD)
            for word in ("\tnan\t", "\tinf\t", "\t12,5\t", "\t-\t")
        ),
        (JOINT_FILE, lambda t: t[:-20], "line 10 has 61 numbers after the name, wanted 63"),
        (JOINT_FILE, lambda t: t[: t.index(NAMES[-1])], "has 9 lines and training_bbs.* has 10"),
        (JOINT_FILE, lambda t: t.replace("0.png", "1.png", 1), "image_D00000001.png as frame 1"),
        ("test_splits.txt", lambda t: t.replace("viewp", "views"), "splits.txt line 4 is .*views"),
    ],
)
def test_texts_that_are_damaged(root, name, change, sentence):
    path = root / "Task 1" / name
    path.write_text(change(path.read_text()))
    complaint(ValueError, sentence, Hands19, root, name[: name.index("_")].removesuffix("ing"))


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (encode_depth(depth(0))[:-30], r"truncated or no PNG \(\d+ bytes\)"),
        (b"not an image, but long enough to be read", "truncated or no PNG"),
        (png(np.zeros((480, 640), np.uint8)), "has 8 bits and 1 channels, wanted 16 bits"),
        (png(np.zeros((480, 640, 3), np.uint16)), "has 16 bits and 3 channels"),
        (png(np.zeros((240, 320), np.uint16)), "is 320x240, wanted 640x480"),
    ],
)
def test_bad_images(root, data, sentence):
    path = root / "Task 1" / "training_images" / image_name(4)
    path.write_bytes(data)
    frames = Hands19(root)
    message = complaint(ValueError, sentence, frames.__getitem__, 4)
    assert str(path) in message
    assert complaint(ValueError, sentence, probe_depth, path) == message  # its ends tell
    assert frames[5].depth.max() == 505  # the others can still be read


def test_missing_image_and_image_with_a_hole(root):
    """A hole as an interrupted download leaves it: both ends are there."""
    path = root / "Task 1" / "training_images" / image_name(4)
    noise = np.random.default_rng(0).integers(400, 900, (480, 640)).astype(np.uint16)
    data = bytearray(encode_depth(noise))
    data[200_000:204_096] = bytes(4096)
    path.write_bytes(data)
    complaint(ValueError, "is damaged", Hands19(root).__getitem__, 4)
    probe_depth(path)  # does not look there
    path.unlink()
    sentence = "image_D00000004.png is missing"
    complaint(FileNotFoundError, sentence, Hands19(root).__getitem__, 4)


def test_quick_parser_reads_what_the_line_by_line_one_does(tmp_path, root, monkeypatch):
    rng = np.random.default_rng(1)
    words = [f"{v:.{rng.integers(0, 9)}f}" for v in rng.normal(0, 400, 4 * 200)]
    words[:8] = ["1e2", "-3.5E-2", "+7", "0", "-0.0", ".5", "12.", "123456789.123456789"]
    names = [f"image#{i}.png" for i in range(197)] + ["NA", '"quoted', "c" * 200]
    rows = zip(names, zip(*[iter(words)] * 4, strict=True), strict=True)
    text = (f" {name}\t {'  '.join(row)}\t\r\n\n" for name, row in rows)
    path = tmp_path / "table.txt"
    path.write_text("\ufeff" + "".join(text), encoding="utf-8")  # as Windows begins a text
    quick, slow = (parse(path, 4, "four") for parse in (tables.read_table, tables._read_lines))
    assert quick[0] == slow[0] == names
    np.testing.assert_array_equal(quick[1], slow[1])
    assert quick[1].dtype == slow[1].dtype == np.float32
    monkeypatch.setattr(tables, "_read_lines", None)
    assert len(Hands19(root)) == 10  # which it parses quickly


def test_hands17(root):
    """Its names, its numbers from 1, and boxes drawn around the joints."""
    for new, old in {"training/images": "training_images", "frame/images": "test_images"}.items():
        (root / new).parent.mkdir()
        (root / "Task 1" / old).rename(root / new)
        (root / new / NAMES[0]).rename(root / new / image_name(10))
    shutil.rmtree(root / "Task 1")
    names = [image_name(i) for i in range(1, 11)]
    rows = ["\t".join(map(str, [n, *j.ravel()])) for n, j in zip(names, JOINTS, strict=True)]
    path, boxes = root / "training/Training_Annotation.txt", root / "frame/BoundingBox.txt"
    path.write_text("\t\n".join(rows))
    lines = (" ".join([n, *map(str, b)]) for n, b in zip(names, BOXES, strict=True))
    boxes.write_text("\n".join(lines))
    data = Hands19(root)
    assert data.names == names
    for frame, joints in zip(data, JOINTS, strict=True):
        np.testing.assert_allclose(frame.joints, joints, atol=1e-4)
        np.testing.assert_array_equal(frame.box, hand_box(joints, SR300))
        uv = SR300.project(joints)[:, :2]
        assert ((uv > frame.box[:2]) & (uv < frame.box[2:])).all()
    data = Hands19(root, "test")
    assert data.joints is None and set(data.splits) == {"test"}
    np.testing.assert_array_equal(data.boxes, BOXES)
    complaint(FileNotFoundError, "test_splits.txt is missing", Hands19, root, "extrap")
    boxes.unlink()
    complaint(FileNotFoundError, "BoundingBox.txt is missing", Hands19, root, "test")
    fields = rows[0].split("\t")
    path.write_text("\n".join(["\t".join([*fields[:3], "-3", *fields[4:]]), *rows[1:]]))
    assert Hands19(root).names == names[1:]  # a joint behind the camera: no box
    path.write_text(rows[0].replace("\t", " x ", 1))
    complaint(ValueError, "Training_Annotation.txt line 1 has 64 numbers", Hands19, root)
