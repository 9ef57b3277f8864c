"""What ``check_body`` says of MPII and Human3.6M with one of each trouble."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bodyfiles import encoded, entry, human36m, person, write_human36m, write_image, write_mpii

from senorita_lib.datasets.checking import main
from senorita_lib.datasets.synthetic.frames import write_synthetic
from senorita_lib.people.checking import FATAL, ODD, check_body, find_body, open_body
from senorita_lib.people.human36m import Human36m
from senorita_lib.people.mpii import Mpii

MPII_NAMES = [f"{number:09d}.jpg" for number in range(9)]


def points(**moved):
    """All 16 keypoints, inside an image of 320x240; those moved are elsewhere, or nowhere."""
    rows = {f"p{i}": (i, 100.0 + 5 * i, 50.0 + 9 * i) for i in range(16)}
    for key, place in moved.items():
        rows[key] = None if place is None else (int(key[1:]), *place)
    return [row for row in rows.values() if row]


def some(shape=(240, 320), seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 3))
    return cv2.GaussianBlur(image.astype(np.uint8), (0, 0), 3)


def write_one_mpii(folder, entries=None):
    one = person(points(), (160.0, 120.0), 0.8)
    entries = entries or [entry(name, one, one) for name in MPII_NAMES]
    folder.mkdir(parents=True, exist_ok=True)
    write_mpii(folder, entries, [1] * len(entries))
    for name in MPII_NAMES:
        write_image(folder / "images" / name, some())


def write_one_human36m(folder, files=None):
    files = files or human36m(frames=30, cams=(1, 3))  # of which six frames are taken
    write_human36m(folder, files)
    high, low = encoded(some((1002, 1000))), encoded(some((1000, 1000)))
    for name in Human36m(folder).names:
        (folder / "images" / name).parent.mkdir(exist_ok=True)
        (folder / "images" / name).write_bytes(high if "_ca_01_" in name else low)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("body")
    write_one_mpii(root / "MPII")
    write_one_human36m(root / "Human36M")
    return root


@pytest.fixture
def root(tmp_path, whole):
    """Nothing is wrong with it."""
    return Path(shutil.copytree(whole, tmp_path / "body"))


def spoil_mpii(root):
    """One or two of each trouble; returns the names with each."""
    one = person(points(), (160.0, 120.0), 0.8)
    bare = {key: value for key, value in one.items() if key != "scale"}
    # (320, 240) in MATLAB is the last pixel; half a pixel further is still in the image.
    edge = person(points(p0=(320.4, 240.4), p1=(0.6, 0.6)), (160.0, 120.0), 0.8)
    beyond = person(points(p0=(320.6, 50.0), p1=(50.0, 0.4)), (160.0, 120.0), 0.8)
    away = person(points(), (1000.0, 120.0), 0.8)
    unknown = person(points(p3=None, p9=None), (160.0, 120.0), 0.8)
    people = [
        [one],
        [one],
        [one],
        [one],
        [one, bare],
        [edge, beyond],
        [one, away],
        [unknown],
        [one],
    ]
    entries = [entry(name, *rows) for name, rows in zip(MPII_NAMES, people, strict=True)]
    write_mpii(root / "MPII", entries, [1] * len(entries))
    images = root / "MPII" / "images"
    (images / MPII_NAMES[0]).unlink()
    data = (images / MPII_NAMES[1]).read_bytes()
    (images / MPII_NAMES[1]).write_bytes(data[:-500])
    (images / MPII_NAMES[2]).write_bytes(data[:2] + bytes(600) + data[602:])
    (images / MPII_NAMES[3]).unlink()
    (images / MPII_NAMES[3]).mkdir()  # cannot be opened, whoever tries
    return {
        "missing": MPII_NAMES[:1],
        "truncated": MPII_NAMES[1:3],
        "closed": MPII_NAMES[3:4],
        "unknown": [MPII_NAMES[7]] * 2,
        "outside": [MPII_NAMES[5]] * 2,
        "away": [MPII_NAMES[6]],
    }


def spoil_human36m(root):
    folder = root / "Human36M"
    files = human36m(frames=30, cams=(1, 3))
    names = Human36m(folder).names
    first = names.index("s_01_act_02_subact_01_ca_01/s_01_act_02_subact_01_ca_01_000001.jpg")
    # The first pose's head is high above the pictures of both cameras.
    files["joint_3d"]["2"]["1"]["0"][10][2] += 2500
    # The second one's head is behind the first camera; the other one sees it, far outside.
    rotation, shift = (np.array(files["camera"]["1"][key]) for key in "Rt")
    behind = -rotation.T @ shift - 300 * rotation[2]
    files["joint_3d"]["2"]["1"]["5"][10] = behind.tolist()
    files["data"]["annotations"][-5]["bbox"][0] += 3000  # frame 25, the last one taken
    write_human36m(folder, files)
    images = [folder / "images" / name for name in names]
    images[4].unlink()
    images[5].write_bytes(images[6].read_bytes()[:-500])
    write_image(images[6], some((500, 500)))
    other = "s_01_act_02_subact_01_ca_03/s_01_act_02_subact_01_ca_03_00000{}.jpg"
    return {
        "missing": names[4:5],
        "truncated": names[5:6],
        "size": names[6:7],
        "closed": [],
        "outside": [names[first], other.format(1)],
        "away": [names[-1]],
        "behind": [names[first + 1]],
    }


# ------------------------------------------------------------------------------------- finding
def test_finding(root, tmp_path):
    mpii, human = ("MPII", root / "MPII"), ("Human3.6M", root / "Human36M")
    assert find_body(root) == [mpii, human]
    assert find_body(root / "MPII") == [mpii]
    assert find_body(root / "Human36M") == [human]
    assert find_body(root / "MPII" / "images") == []
    assert find_body(tmp_path / "none") == []
    assert [type(people) for people in open_body(root)] == [Mpii, Human36m]
    assert [len(people) for people in open_body(root)] == [18, 36]
    shutil.rmtree(root / "MPII")
    assert find_body(root) == [human]
    (people,) = open_body(root)
    assert people.spatial.all()


def test_one_folder_that_holds_both(root):
    for folder in ("MPII", "Human36M"):
        shutil.copytree(root / folder, root / "both", dirs_exist_ok=True)
    assert find_body(root / "both") == [("MPII", root / "both"), ("Human3.6M", root / "both")]
    assert check_body(root / "both", progress=False).usable


@pytest.mark.parametrize("function", [open_body, check_body])
def test_neither_is_there(tmp_path, function):
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match="holds neither the annotations of MPII") as no:
            function(root)
        assert "\n" not in str(no.value) and "wanted" in str(no.value)


def test_half_of_a_set_is_not_passed_over(root):
    """Else a pretraining would go without it, silently."""
    (root / "MPII" / "mpii_human_pose_v1_u12_1.mat").unlink()
    assert len(find_body(root)) == 2
    with pytest.raises(FileNotFoundError, match="does not hold mpii_human_pose_v1_u12_1.mat"):
        open_body(root)
    report = check_body(root, progress=False)
    assert not report.usable
    assert "does not hold mpii_human" in report.splits["MPII"].absent
    assert report.splits["Human3.6M"].found == 36
    assert str(report).splitlines()[-1] == report.splits["MPII"].absent
    (root / "Human36M" / "annotations" / "Human36M_subject1_camera.json").unlink()
    assert "camera.json is missing" in check_body(root).splits["Human3.6M"].absent


# ------------------------------------------------------------------------------------ checking
def test_nothing_wrong(root):
    report = check_body(root, progress=False)
    assert report.usable
    mpii, human = report.splits["MPII"], report.splits["Human3.6M"]
    assert (mpii.people, mpii.unlabelled, mpii.lines, mpii.found) == (18, 0, 9, 9)
    assert (human.people, human.unlabelled, human.lines, human.found) == (36, None, 36, 36)
    assert set(mpii.names) | set(human.names) == set(FATAL | ODD)
    assert not any((*mpii.names.values(), *human.names.values()))


def test_every_trouble_of_mpii_is_found(root):
    wanted = spoil_mpii(root)
    report = check_body(root, progress=False)
    assert not report.usable
    mpii = report.splits["MPII"]
    assert mpii.names == wanted
    assert (mpii.people, mpii.unlabelled, mpii.lines, mpii.found) == (11, 1, 9, 8)
    assert not any(report.splits["Human3.6M"].names.values())


def test_every_trouble_of_human36m_is_found(root):
    wanted = spoil_human36m(root)
    report = check_body(root / "Human36M", progress=False)
    assert not report.usable
    human = report.splits["Human3.6M"]
    other = [name for name in human.names["outside"] if name not in wanted["outside"]]
    assert all("ca_03_000006" in name for name in other)  # sees the head that is behind camera 1
    human.names["outside"] = [n for n in human.names["outside"] if n in wanted["outside"]]
    assert human.names == wanted
    assert (human.people, human.lines, human.found) == (36, 36, 35)


def test_quick_reads_only_the_ends(root, monkeypatch):
    mpii, human = spoil_mpii(root), spoil_human36m(root)
    monkeypatch.setattr(cv2, "imdecode", None)
    found = check_body(root, quick=True, progress=False).splits
    del mpii["outside"], mpii["away"]  # it lists no sizes
    mpii["truncated"] = MPII_NAMES[1:2]  # the hole does not show
    assert found["MPII"].names == mpii
    assert "size" not in found["Human3.6M"].names
    for kind in ("missing", "truncated", "away", "behind"):
        assert found["Human3.6M"].names[kind] == human[kind]


@pytest.mark.parametrize("kind", FATAL)
def test_each_unusable_image_counts(root, kind):
    report = check_body(root / "Human36M", progress=False)
    assert report.usable
    report.splits["Human3.6M"].names[kind].append("a.jpg")
    assert not report.usable


def test_odd_things_leave_it_usable(root):
    report = check_body(root, quick=True, progress=False)
    for kind in ODD:
        report.splits["MPII"].names[kind] = MPII_NAMES
    assert report.usable


def test_table(root):
    wanted = spoil_mpii(root)
    report = check_body(root, progress=False)
    lines = str(report).splitlines()
    assert str(root) in lines[0]
    head = lines[1]
    assert head.split() == ["MPII", "Human3.6M"]
    rows = lines[2 : 6 + len(FATAL | ODD)]
    assert {len(line) for line in [head, *rows]} == {len(head)}  # aligned
    counts = {line[: len(head) - 22].strip(): line.split()[-2:] for line in rows}
    assert counts["people labelled"] == ["11", "36"]
    assert counts["people without labels"] == ["1", "-"]
    assert counts["images listed"] == ["9", "36"]
    assert counts["images found"] == ["8", "36"]
    only = {"size": ("-", "0"), "behind": ("-", "0"), "unknown": ("2", "-")}
    for kind, words in (FATAL | ODD).items():
        expected = only.get(kind) or (str(len(wanted[kind])), "0")
        assert tuple(counts[words]) == expected
    place = lines.index(f"{ODD['outside']}, MPII:")
    assert lines[place + 1] == f"  {MPII_NAMES[5]}"  # once, for both its keypoints


def test_image_removed_meanwhile(root, monkeypatch):
    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr("senorita_lib.people.mpii.read_colour", gone)
    report = check_body(root / "MPII", progress=False)
    assert report.splits["MPII"].names["missing"] == MPII_NAMES


def test_bad_file(root):
    path = root / "MPII" / "mpii_human_pose_v1_u12_1.mat"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is truncated or damaged"):
        check_body(root)


# -------------------------------------------------------------------------------- command line
def status(root, capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(root), *arguments])
    return stop.value.code, capsys.readouterr()


def test_command_line(root, capsys, monkeypatch):
    code, said = status(root, capsys)
    assert code == 0
    assert "people labelled" in said.out
    assert "checking MPII: 100%" in said.err and "checking Human3.6M: 100%" in said.err
    image = root / "MPII" / "images" / MPII_NAMES[2]
    data = image.read_bytes()
    image.write_bytes(data[:2] + bytes(600) + data[602:])
    assert status(root, capsys, "--quick")[0] == 0
    code, said = status(root, capsys)
    assert code == 1
    assert MPII_NAMES[2] in said.out
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    code, said = status(root, capsys)
    assert code == 1
    assert "pip install scipy" in said.err
    shutil.rmtree(root / "MPII")
    shutil.rmtree(root / "Human36M")
    code, said = status(root, capsys)
    assert code == 1
    assert "wanted HANDS19's layout" in said.err


def test_hands_come_first(root, capsys):
    """As where one folder holds all the data there is."""
    write_synthetic(root, train=4, test_per_split=1, workers=1, progress=False)
    code, said = status(root, capsys, "--quick")
    assert code == 0
    assert "frames listed" in said.out and "people" not in said.out


def test_command(root):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "error", "-m", "senorita_lib.datasets", root, "--quick"]
    assert "people labelled" in subprocess.check_output(command, env=environment, text=True)
