import json
import re
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
from conftest import ROOT, shared, told
from hypothesis import given
from hypothesis import strategies as st

from senorita_lib import evaluation
from senorita_lib.camera import Camera
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.files import image_name
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.submission import check_submission, main, write_submission

RUNS = sorted((ROOT / "results" / "tiny").glob("model_*/predictions.npz"))


def predictions(path, name="initial", count=None):
    with np.load(path) as arrays:
        return arrays[name][:count].astype(np.float64)


@pytest.fixture
def hands():
    return predictions(RUNS[0], count=40)


@pytest.fixture
def whole(tmp_path, hands):
    """A submission without faults and the list of its frames."""
    return put(tmp_path, hands)


def put(folder, joints):
    """A submission, the list of its frames, and its lines."""
    names = [image_name(i) for i in range(len(joints))]
    boxes = folder / "test_bbs.txt"
    boxes.write_text("".join(f"{name} 0 0 640 480\n" for name in names))
    path = folder / "result.zip"
    write_submission(path, names, joints)
    return path, boxes


def read(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["result.txt"]
        return archive.read("result.txt").decode().splitlines()


def refill(path, text):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("result.txt", text)


def refused(path, boxes):
    """The one sentence of a refusal."""
    with pytest.raises(ValueError) as error:
        check_submission(path, boxes)
    sentence = str(error.value)
    assert type(error.value) is ValueError and sentence.startswith(str(path))
    assert ", wanted " in sentence and "\n" not in sentence
    return sentence.removeprefix(f"{path}")


def test_form(tmp_path, hands):
    hands[7] = 0  # no hand was found
    path, boxes = put(tmp_path, hands)
    lines = read(path)
    assert check_submission(path, boxes) == len(lines) == 40
    assert lines[3] == "\t".join([image_name(3), *(f"{v:.4f}" for v in hands[3].ravel())])
    assert lines[7] == image_name(7) + 63 * "\t0.0000"
    assert {p.name for p in tmp_path.iterdir()} == {"result.zip", "test_bbs.txt"}
    assert evaluation.check_submission is check_submission  # the docs name it there


def test_of_another_camera_it_is_judged_by_that(tmp_path):
    """As ``camera.json`` beside the list, or in the folder above, has it."""
    camera = Camera(900.0, 900.0, 600.0, 400.0, 1280, 960)
    joints = np.stack([SyntheticHand(1).pose(i, "interp").joints for i in range(40)])
    (folder := tmp_path / "lists").mkdir()
    path, boxes = put(folder, joints)
    rows = zip(read(path), hand_box(joints, camera), strict=True)
    boxes.write_text("".join(f"{line.split()[0]} {' '.join(map(str, b))}\n" for line, b in rows))
    with pytest.raises(ValueError, match="boxes"):
        check_submission(path, boxes)
    (tmp_path / "camera.json").write_text(json.dumps(asdict(camera)))
    assert check_submission(path, boxes) == 40
    (tmp_path / "camera.json").rename(folder / "camera.json")
    assert check_submission(path, boxes) == 40


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([np.float32, np.float64]))
def test_what_is_written_reads_back(tmp_path_factory, seed, count, dtype):
    rng = np.random.default_rng(seed)
    joints = (rng.normal(size=(count, 21, 3)) * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    path, _ = put(tmp_path_factory.mktemp("x"), joints)
    back = np.array([line.split("\t")[1:] for line in read(path)], float)
    np.testing.assert_allclose(back, joints.reshape(-1, 63), rtol=0, atol=5.001e-5)


def test_failure_leaves_what_was_there(tmp_path, hands, whole):
    path, names = whole[0], [image_name(i) for i in range(40)]
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for value in (np.nan, -np.inf):
        hands[25, 2, 1] = value
        with pytest.raises(ValueError, match=r"image_D00000025\.png are not finite, wanted mm"):
            write_submission(path, names, hands)
    with pytest.raises(ValueError, match=r"shape \(40, 21, 3\), wanted \(39, 21, 3\)"):
        write_submission(path, names[1:], hands)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_what_is_no_zip_or_holds_something_else_is_refused(whole):
    path, boxes = whole
    data = path.read_bytes()
    flipped = data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]
    for damaged in (b"", b"text", data[:500], data[:-1], data[500:], flipped):
        path.write_bytes(damaged)
        assert refused(path, boxes) == " is damaged or no zip, wanted one that holds result.txt"
    for members in (["folder/result.txt"], ["result.txt", "readme"], []):
        with zipfile.ZipFile(path, "w") as archive:
            for member in members:
                archive.writestr(member, "")
        found = ", ".join(map(repr, members)) or "nothing"
        assert refused(path, boxes) == f" holds {found}, wanted result.txt alone, in no folder"
    boxes.write_bytes(flipped + b"\xff")
    with pytest.raises(ValueError, match="test_bbs.txt is not text, wanted one line"):
        check_submission(path, boxes)


@given(st.data())
def test_damage_is_refused_or_does_not_matter(tmp_path_factory, data):
    hands = predictions(RUNS[0], count=4)
    path, boxes = put(tmp_path_factory.mktemp("x"), hands)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 60) | st.integers(len(content) - 110, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        said = check_submission(path, boxes)
    except ValueError as error:
        said = f"{type(error).__name__}: {error}"
    assert said == 4 or re.match("ValueError: .*, wanted ", said)


def field(lines, number, value):
    """A line, counted from 1, with another last number."""
    start = lines[number - 1].rpartition("\t")[0]
    return [*lines[: number - 1], f"{start}\t{value}", *lines[number:]]


def named(number):
    return repr(image_name(number - 1))


WANTED = "as in test_bbs.txt, then 63 numbers, TABs between"


@pytest.mark.parametrize(
    ("spoil", "line", "words"),
    [
        (lambda s: [*s[:7], *s[8:]], 8, f"is {named(9)}, wanted {named(8)} {WANTED}"),
        (lambda s: [*s[:7], s[2], *s[8:]], 8, f"is {named(3)}, wanted {named(8)} {WANTED}"),
        (lambda s: [*s[:7], "img.png", *s[8:]], 8, f"is 'img.png', wanted {named(8)} {WANTED}"),
        (lambda s: ["\ufeff" + s[0], *s[1:]], 1, "is '\\ufeffimage_D00000000.png', wanted"),
        (lambda s: [*s[:4], s[4].replace("\t", " "), *s[5:]], 5, "is 'image_D00000004.png "),
        (lambda s: [s[0] + "\t1", *s[1:]], 1, "has 64 numbers, wanted 63"),
        (lambda s: [*s[:39], s[39].rsplit("\t", 1)[0]], 40, "has 62 numbers, wanted 63"),
        *(
            (lambda s, w=w: field(s, 6, w), 6, f"has {w!r}, wanted a finite number of mm")
            for w in ("nan", "-inf", "infinity", "1e999", "6_00", " 600", "0x1", "1,5", "e", "٣")
        ),
        (lambda s: field(s, 6, "\t"), 6, "has '', wanted a finite number of mm"),
    ],
)
def test_spoiled_lines_are_refused_by_number(whole, spoil, line, words):
    path, boxes = whole
    refill(path, "\n".join(spoil(read(path))) + "\n")
    assert refused(path, boxes).startswith(f": line {line} of result.txt {words}")


@pytest.mark.parametrize(("count", "more"), [(39, []), (40, [""]), (40, ["no line"])])
def test_number_of_lines(whole, count, more):
    refill(whole[0], "\n".join([*read(whole[0])[:count], *more]) + "\n")
    assert refused(*whole) == f": result.txt has {count + len(more)} lines, wanted 40"


@pytest.mark.parametrize("end", ["\n", "\t\n", "\r\n", "\t\r\n"])
def test_ends_of_lines_that_pass(hands, whole, end):
    path, boxes = whole
    lines = read(path)
    for text in (end.join(lines) + end, end.join(lines)):
        refill(path, text)
        assert check_submission(path, boxes) == 40
    refill(path, end.join(field(lines, 2, f"+{hands[1, 20, 2]:.17e}")))
    assert check_submission(path, boxes) == 40
    boxes.write_text("\ufeff" + boxes.read_text(), encoding="utf-8")
    assert check_submission(path, boxes) == 40


LINE_3 = "line 3 of result.txt has"


def scaled(joints, factor):
    return joints[:, :1] + factor * (joints - joints[:, :1])


@pytest.mark.parametrize("name", ["poses_intel_animbank", "poses_handyjs_right", "predictions"])
def test_hands_of_any_size_pass(tmp_path, name):
    path = RUNS[0] if name == "predictions" else shared(f"real/{name}.npz")
    joints = predictions(path, "joints")
    joints += [0, 0, 500] - joints.mean(axis=1, keepdims=True)
    for factor in (0.7, 1, 1.25):  # a child, as they are, a big man
        assert check_submission(*put(tmp_path, scaled(joints, factor))) == len(joints)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda j: j / 1000, f"{LINE_3} a mean z of 0.605, wanted mm, 100 or more"),
        (lambda j: j / 10, f"{LINE_3} a mean z of 60.5, wanted mm, 100 or more"),
        (lambda j: j * [1, 1, -1], f"{LINE_3} a joint at z = -"),
        (lambda j: j.transpose(0, 2, 1).reshape(-1, 21, 3), f"{LINE_3} a joint at z = -286.75, w"),
        (lambda j: j + 400 * np.eye(21)[8][:, None] * [1, 0, 0], f"{LINE_3} a bone of 404 mm, wa"),
        (lambda j: scaled(j, 0.1), "all bones of a hand have "),
        (lambda j: scaled(j, 2.9) + [0, 0, 400], "all bones of a hand have "),
        (lambda j: 0 * j, "all 40 lines of result.txt are zeros, wanted hands"),
    ],
)
def test_wrong_hands_are_refused(tmp_path, hands, spoil, words):
    spoiled = spoil(hands)
    spoiled[:2] = 0
    assert refused(*put(tmp_path, spoiled)).startswith(f": {words}")


def test_command(tmp_path, whole, capsys):
    path, boxes = whole
    main([str(path), str(boxes)])
    assert capsys.readouterr().out == "40 frames, in order, in mm\n"
    path.write_bytes(b"")
    for bad in (path, tmp_path / "none.zip"):
        assert bad.name in told(main, capsys, bad, boxes)
