"""What ``check`` says of a data set with one of each trouble."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from senorita_lib.camera import SR300
from senorita_lib.datasets.checking import FATAL, ODD, check, main
from senorita_lib.datasets.files import encode_depth, image_name, write_annotations
from senorita_lib.datasets.hands19 import hand_box

COUNT = 24
NAMES = [image_name(i) for i in range(COUNT)]


@pytest.fixture
def root(tmp_path):
    """Nothing is wrong with it."""
    rng = np.random.default_rng(0)
    joints = rng.uniform([-60, -60, 450], [60, 60, 550], (COUNT, 21, 3)).astype(np.float32)
    boxes = np.array([hand_box(pose, SR300) for pose in joints])
    folder = tmp_path / "hands" / "Task 1"
    image = np.zeros((480, 640), np.uint16)
    image[200:300, 250:400] = rng.integers(400, 600, (100, 150))
    for kind, short in (("training", "train"), ("test", "test")):
        (folder / f"{kind}_images").mkdir(parents=True)
        for name in NAMES:
            (folder / f"{kind}_images" / name).write_bytes(encode_depth(image))
        write_annotations(folder, short, NAMES, boxes, joints)
    return folder.parent


@contextmanager
def edited(root, table):
    """The fields of the lines of a training table, to be changed."""
    path = root / "Task 1" / f"training_{table}.txt"
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    yield rows
    path.write_text("\n".join("\t".join(row) for row in rows))


def spoil(root):
    """One or two of each trouble, in training; returns the names with each."""
    images = root / "Task 1" / "training_images"
    path = {i: images / name for i, name in enumerate(NAMES)}
    data = path[0].read_bytes()
    path[0].unlink()
    path[1].unlink()
    path[2].write_bytes(data[:-100])
    path[3].write_bytes(b"")
    path[4].write_bytes(data[:5000] + bytes(50) + data[5050:])  # a hole
    path[5].write_bytes(cv2.imencode(".png", np.ones((480, 640), np.uint8))[1].tobytes())
    path[6].write_bytes(cv2.imencode(".png", np.ones((480, 640, 3), np.uint16))[1].tobytes())
    path[7].write_bytes(encode_depth(np.ones((240, 320), np.uint16)))
    path[8].unlink()
    path[8].mkdir()  # cannot be opened, whoever tries
    path[9].write_bytes(encode_depth(np.zeros((480, 640), np.uint16)))
    (images / "image_D00000099.png").write_bytes(data)
    (images / "Thumbs.db").write_bytes(b"")
    with edited(root, "bbs") as rows:
        rows[10][1:] = ["300", "200", "300", "250"]
        rows[11][1:] = ["300", "250", "400", "250"]
        rows[12][1:] = ["0", "0", "640", "480"]
        rows[13][1:] = ["0", "0", "20", "480"]  # and nearly all joints lie beside it
    with edited(root, "joint_annotation") as rows:
        rows[14][1], rows[15][3], rows[16][6] = "-150", "-1", "0"
    return {
        "missing": NAMES[0:2], "truncated": NAMES[2:5], "bits": NAMES[5:7], "size": NAMES[7:8],
        "closed": NAMES[8:9], "unlisted": ["image_D00000099.png"], "empty": NAMES[10:12],
        "cut": NAMES[12:14], "bare": [NAMES[9], NAMES[13]], "outside": NAMES[13:15],
        "behind": NAMES[15:17],
    }  # fmt: skip


def test_every_trouble_is_found(root, monkeypatch):
    report = check(root, progress=False)
    for split in report.splits.values():
        assert (split.lines, split.absent) == (COUNT, "")
        assert split.names == {kind: [] for kind in FATAL | ODD}
    for kind in FATAL | ODD:  # each unusable image counts, and odd things do not
        report.splits["test"].names[kind] = [NAMES[0]]
        assert report.usable == (kind in ODD)
        report.splits["test"].names[kind] = []
    assert report.usable
    wanted = spoil(root)
    report = check(root, progress=False)
    assert not report.usable
    assert report.splits["train"].names == wanted
    assert not any(report.splits["test"].names.values())
    lines = str(report).splitlines()
    rows = [line.rsplit(maxsplit=2) for line in lines[2 : 4 + len(FATAL | ODD)]]
    counts = {words: columns for words, *columns in rows}
    assert lines[1].split() == ["train", "test"]
    assert counts["frames listed"] == ["24", "24"]
    assert counts["images found"] == ["22", "24"]
    for kind, words in (FATAL | ODD).items():
        assert counts[words] == [str(len(wanted[kind])), "0"]
        place = lines.index(f"{words}, train:")
        assert lines[place + 1].split()[0] == wanted[kind][0]
    # A quick look is at the ends alone.
    monkeypatch.setattr(cv2, "imdecode", None)
    train = check(root, quick=True, progress=False).splits["train"]
    del wanted["bare"]
    wanted["truncated"] = NAMES[2:4]  # the hole does not show
    assert train.names == wanted


def test_joint_beyond_the_border_is_no_trouble(root):
    """The box that would hold it is cut there; one pixel is rounding."""
    u, v = SR300.project(np.array([0, 0, 500.0]))[:2]
    with edited(root, "bbs") as boxes, edited(root, "joint_annotation") as joints:
        joints[0][1:4], boxes[0][1] = ["-400", "0", "500"], "0"
        joints[1][1:] = joints[2][1:] = ["0", "0", "500"] * 21
        boxes[1][1:] = [str(w) for w in (u + 0.9, v - 20, u + 20, v + 20)]
        boxes[2][1:] = [str(w) for w in (u + 1.1, v - 20, u + 20, v + 20)]
    names = check(root, quick=True, progress=False).splits["train"].names
    assert names["outside"] == [NAMES[2]]
    assert names["cut"] == [NAMES[0]]


def test_table_shows_few_names_thousands_and_what_was_not_looked_at(root):
    (root / "Task 1" / "test_joint_annotation.txt").unlink()
    report = check(root, quick=True, progress=False)
    train = report.splits["train"]
    train.lines, train.names["missing"] = 175_951, NAMES
    text = repr(report)
    assert "175,951" in text and f"  {' '.join(NAMES[:4])} …" in text and NAMES[4] not in text
    for kind, counts in (("bare", ["-", "-"]), ("behind", ["0", "-"])):
        (line,) = (line for line in text.splitlines() if line.startswith(ODD[kind]))
        assert line.split()[-2:] == counts
    # Half a data set.
    shutil.rmtree(root / "Task 1" / "test_images")
    report = check(root, progress=False)
    assert not report.usable
    assert report.splits["train"].names["missing"] == []
    assert "test_images is missing" in report.splits["test"].absent
    assert str(report).splitlines()[-1] == report.splits["test"].absent


def test_bad_text(root):
    (root / "Task 1" / "test_bbs.txt").write_text("image_D00000000.png 1 2 3\n")
    with pytest.raises(ValueError, match="test_bbs.txt line 1 has 3 numbers"):
        check(root, progress=False)


def test_command_line(root, capsys):
    def status(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(root), *arguments])
        return stop.value.code, capsys.readouterr()

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "error", "-m", "senorita_lib.datasets", root]
    assert "images found" in subprocess.check_output(command, env=environment, text=True)
    path = root / "Task 1" / "training_images" / NAMES[7]
    data = path.read_bytes()
    path.write_bytes(data[:5000] + bytes(50) + data[5050:])
    assert status("--quick")[0] == 0
    code, said = status()
    assert code == 1 and NAMES[7] in said.out
    shutil.rmtree(root / "Task 1")
    code, said = status()
    assert code == 1 and "holds neither training_bbs.txt" in said.err
