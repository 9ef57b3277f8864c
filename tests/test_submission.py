import re
import tracemalloc
import zipfile
from itertools import islice

import numpy as np
import pytest
from conftest import ROOT, SHARED
from hypothesis import given
from hypothesis import strategies as st

from senorita_lib import evaluation, submission
from senorita_lib.datasets.files import image_name
from senorita_lib.submission import check_submission, main, write_submission

RUNS = sorted((ROOT / "results" / "tiny").glob("model_*/predictions.npz"))


def predictions(path, name="initial", count=None):
    with np.load(path) as arrays:
        return arrays[name][:count].astype(np.float64)


@pytest.fixture
def hands():
    return predictions(RUNS[0], count=40)


def put(folder, joints):
    """A submission, the list of its frames, and its lines."""
    names = [image_name(i) for i in range(len(joints))]
    boxes = folder / "test_bbs.txt"
    boxes.write_text("".join(f"{name} 1 2 3 4\n" for name in names))
    path = folder / "result.zip"
    write_submission(path, names, joints)
    return path, boxes


def read(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["result.txt"]
        return archive.read("result.txt").decode().splitlines()


def refill(path, text, member="result.txt"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)


def refused(path, boxes):
    """The one sentence of a refusal."""
    with pytest.raises(ValueError) as error:
        check_submission(path, boxes)
    sentence = str(error.value)
    assert type(error.value) is ValueError and sentence.startswith(str(path))
    assert ", wanted " in sentence and "\n" not in sentence
    return sentence.removeprefix(f"{path}")


# --- writing ----------------------------------------------------------------------------------


def test_form(tmp_path, hands):
    hands[7] = 0  # no hand was found
    path, boxes = put(tmp_path, hands)
    lines = read(path)
    assert check_submission(path, boxes) == len(lines) == 40
    assert lines[3] == "\t".join([image_name(3), *(f"{v:.4f}" for v in hands[3].ravel())])
    assert lines[7] == image_name(7) + 63 * "\t0.0000"
    assert {p.name for p in tmp_path.iterdir()} == {"result.zip", "test_bbs.txt"}
    assert evaluation.check_submission is check_submission
    assert evaluation.write_submission is write_submission


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([np.float32, np.float64]))
def test_what_is_written_reads_back(tmp_path_factory, seed, count, dtype):
    rng = np.random.default_rng(seed)
    joints = (rng.normal(size=(count, 21, 3)) * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    path, _ = put(tmp_path_factory.mktemp("x"), joints)
    back = np.array([line.split("\t")[1:] for line in read(path)], float)
    np.testing.assert_allclose(back, joints.reshape(-1, 63), rtol=0, atol=5.001e-5)


def test_as_many_frames_as_the_challenge_has(tmp_path, hands):
    count = 124_999
    joints = np.resize(hands.astype(np.float32), (count, 21, 3))
    joints[:, 8:, 0] += np.linspace(0, 9, count, dtype=np.float32)[:, None]
    path, boxes = put(tmp_path, joints)
    assert check_submission(path, boxes) == count
    with zipfile.ZipFile(path) as archive, archive.open("result.txt") as file:
        back = np.array([line.split()[1:] for line in islice(file, 0, None, 49)], float)
    assert np.abs(back - joints[::49].reshape(-1, 63)).max() < 5.001e-5


def test_memory_does_not_grow_with_the_frames(tmp_path, hands, monkeypatch):
    monkeypatch.setattr(submission, "_BLOCK", 64)
    hands = np.resize(hands, (4000, 21, 3))
    tracemalloc.start()
    path, boxes = put(tmp_path, hands)
    check_submission(path, boxes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # the text has 2.2 MB, its numbers 8 MB


@pytest.mark.parametrize("earlier", [True, False])
def test_failure_leaves_nothing_behind(tmp_path, hands, monkeypatch, earlier):
    hands, path = np.resize(hands, (3000, 21, 3)), tmp_path / "result.zip"
    names = [image_name(i) for i in range(3000)]
    if earlier:  # stays as it was
        write_submission(path, names, hands)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for value in (np.nan, -np.inf):
        hands[2500, 2, 1] = value
        with pytest.raises(ValueError, match=r"image_D00002500\.png are not finite, wanted mm"):
            write_submission(path, names, hands)
    with pytest.raises(ValueError, match=r"shape \(3000, 21, 3\), wanted \(2999, 21, 3\)"):
        write_submission(path, names[1:], hands)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_submission(path, names[:9], hands[:9])
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


# --- the zip ----------------------------------------------------------------------------------


def test_what_is_no_zip_is_refused(tmp_path, hands):
    path, boxes = put(tmp_path, hands)
    whole = path.read_bytes()
    refill(tmp_path / "stored.zip", "\n".join(read(path)))
    stored = (tmp_path / "stored.zip").read_bytes()
    flipped = [data[:3000] + bytes([data[3000] ^ 1]) + data[3001:] for data in (whole, stored)]
    for data in (b"", b"text", whole[:500], whole[:-1], whole[500:], *flipped):
        path.write_bytes(data)
        assert refused(path, boxes) == " is damaged or no zip, wanted one that holds result.txt"
    with pytest.raises(FileNotFoundError):
        check_submission(tmp_path / "none.zip", boxes)


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


def test_other_members_are_refused(tmp_path, hands):
    path, boxes = put(tmp_path, hands)
    text = "\n".join(read(path))
    refill(path, text, "folder/result.txt")
    alone = "wanted result.txt alone, in no folder"
    assert refused(path, boxes) == f" holds 'folder/result.txt', {alone}"
    refill(path, text)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme", "")
    assert refused(path, boxes) == f" holds 'result.txt', 'readme', {alone}"
    with zipfile.ZipFile(path, "w"):
        pass
    assert refused(path, boxes) == f" holds nothing, {alone}"


# --- lines ------------------------------------------------------------------------------------


def change(lines, number, old, new):
    """A line, counted from 1, with something else in it."""
    return [*lines[: number - 1], lines[number - 1].replace(old, new, 1), *lines[number:]]


def field(lines, number, value):
    """A line with another last number."""
    start = lines[number - 1].rpartition("\t")[0]
    return [*lines[: number - 1], f"{start}\t{value}", *lines[number:]]


def named(number):
    return repr(image_name(number - 1))


@pytest.mark.parametrize(
    ("spoil", "line", "words"),
    [
        (lambda s: [*s[:7], *s[8:]], 8, f"is of {named(9)}, wanted {named(8)}, which is missing"),
        (
            lambda s: [*s[:7], *s[8:12], s[7], *s[12:]],
            8,
            f"is of {named(9)}, wanted {named(8)}, which is on line 12: wrong order",
        ),
        (
            lambda s: [*s[:7], s[2], *s[8:]],
            8,
            f"is of {named(3)}, which comes again: it was line 3, "
            f"wanted {named(8)}, which is missing",
        ),
        (
            lambda s: [*s[:8], s[7], *s[8:]],
            9,
            f"is of {named(8)}, which comes again: it was line 8, "
            f"wanted {named(9)}, which is on line 10: wrong order",
        ),
        (
            lambda s: change(s, 8, "image", "img"),
            8,
            f"is of 'img_D00000007.png', which test_bbs.txt does not list, wanted {named(8)}, "
            "which is missing",
        ),
        (
            lambda s: [*s, s[-1]],
            41,
            f"is of {named(40)}, which comes again: it was line 40, wanted 40 lines",
        ),
        (lambda s: [*s, ""], 41, "is '', wanted a name and 63 numbers, TABs between"),
        (lambda s: ["\ufeff" + s[0], *s[1:]], 1, "is of '\\ufeffimage_D00000000.png', which"),
        (lambda s: change(s, 5, "\t", " "), 5, "is of 'image_D00000004.png "),
        (lambda s: [*s[:4], s[4].replace("\t", " "), *s[5:]], 5, "is 'image_D00000004.png "),
        (lambda s: change(s, 1, "\t", "\t1\t"), 1, "has 64 numbers, wanted 63"),
        (lambda s: field(s, 2, "1\t\t"), 2, "has 64 numbers, wanted 63"),
        (lambda s: field(s, 40, "600")[:39] + [s[39].rsplit("\t", 1)[0]], 40, "has 62 numbers"),
        *(
            (lambda s, w=w: field(s, 6, w), 6, f"has {w!r}, wanted a finite number of mm")
            for w in ("nan", "-inf", "infinity", "1e999", "6_00", " 600", "0x1", "1,5", "e", "٣")
        ),
        (lambda s: field(s, 6, "\t"), 6, "has '', wanted a finite number of mm"),
        (lambda s: change(s, 3, "\t", "\t\t"), 3, "has 64 numbers, wanted 63"),
    ],
)
def test_spoiled_lines_are_refused_by_number(tmp_path, hands, spoil, line, words):
    path, boxes = put(tmp_path, hands)
    refill(path, "\n".join(spoil(read(path))) + "\n")
    assert refused(path, boxes).startswith(f": line {line} of result.txt {words}")


def test_too_few_lines(tmp_path, hands):
    path, boxes = put(tmp_path, hands)
    refill(path, "\n".join(read(path)[:39]))
    sentence = f": result.txt ends after line 39, wanted 40 lines: {named(40)} is missing"
    assert refused(path, boxes) == sentence


def test_text_is_utf8(tmp_path, hands):
    path, boxes = put(tmp_path, hands)
    lines = "\n".join(read(path)).encode()
    refill(path, lines.replace(b"image_D00000006", b"image_D0000000\xe9"))
    words = " of result.txt is no UTF-8, wanted a name and 63 numbers"
    assert refused(path, boxes) == f": line 7{words}"
    refill(path, lines.decode().encode("utf-16"))
    assert refused(path, boxes) == f": line 1{words}"


@pytest.mark.parametrize("end", ["\n", "\t\n", "\r\n", "\t\r\n"])
def test_ends_of_lines_that_pass(tmp_path, hands, end):
    path, boxes = put(tmp_path, hands)
    lines = read(path)
    refill(path, end.join(lines) + end)
    assert check_submission(path, boxes) == 40
    refill(path, end.join(lines))
    assert check_submission(path, boxes) == 40
    refill(path, end.join(field(lines, 2, f"+{hands[1, 20, 2]:.17e}")))
    assert check_submission(path, boxes) == 40


def test_the_first_wrong_line_counts(tmp_path, hands):
    hands[4, 3, 2] = -1
    path, boxes = put(tmp_path, hands)
    refill(path, "\n".join(read(path)[:9] + ["no line"]))
    sentence = ": line 5 of result.txt has a joint at z = -1, wanted more than 0"
    assert refused(path, boxes) == sentence


# --- hands ------------------------------------------------------------------------------------


def scaled(joints, factor):
    return joints[:, :1] + factor * (joints - joints[:, :1])


def sets():
    """Poses that must pass: predicted, their mean, true ones."""
    for name in ("initial", "refined"):
        several = [predictions(path, name) for path in RUNS]
        yield from ((f"{p.parent.name}, {name}", j) for p, j in zip(RUNS, several, strict=True))
        yield f"ensemble, {name}", np.mean(several, axis=0)
    yield "synthetic", predictions(RUNS[0], "joints")


@pytest.mark.parametrize("factor", [0.7, 1, 1.25], ids=["child", "as they are", "big man"])
@pytest.mark.parametrize("joints", [pytest.param(j, id=name) for name, j in sets()])
def test_hands_pass(tmp_path, joints, factor):
    assert check_submission(*put(tmp_path, scaled(joints, factor))) == len(joints)


@pytest.mark.parametrize("name", ["intel_animbank", "handyjs_right"])
def test_real_hands_pass(tmp_path, name):
    path = SHARED / "real" / f"poses_{name}.npz"
    if not path.exists():
        pytest.skip(f"{path.name}, real poses, is not at hand")
    joints = predictions(path, "joints")
    joints = joints - joints.mean(axis=1, keepdims=True) + [0, 0, 500]
    for factor in (0.7, 1, 1.25):
        assert check_submission(*put(tmp_path, scaled(joints, factor))) == len(joints)


FINGERS = [[1 + f, *range(6 + 3 * f, 9 + 3 * f)] for f in range(5)]
ORDERS = {
    "finger by finger": [0, *sum(FINGERS, [])],
    "finger by finger, thumb last": [0, *sum(FINGERS[1:], []), *FINGERS[0]],
    "finger by finger, tips first": [0, *(j for finger in FINGERS for j in finger[::-1])],
    "last three reversed": [*range(6), *(j for finger in FINGERS for j in finger[:0:-1])],
    "tips last": [*range(6), *(finger[k] for k in (1, 2, 3) for finger in FINGERS)],
    "wrist last": [*range(1, 21), 0],
    "all reversed": list(range(20, -1, -1)),
    "thumb last": [0, 2, 3, 4, 5, 1, *range(9, 21), 6, 7, 8],
    "little finger first": [0, 5, 4, 3, 2, 1, *(j for f in FINGERS[::-1] for j in f[1:])],
}
SPOILED = {
    **{name: (lambda j, order=order: j[:, order]) for name, order in ORDERS.items()},
    "metres": lambda j: j / 1000,
    "centimetres": lambda j: j / 10,
    "x and z exchanged": lambda j: j[..., ::-1],
    "y and z exchanged": lambda j: j[..., [0, 2, 1]],
    "x and y exchanged": lambda j: j[..., [1, 0, 2]],
    "y up": lambda j: j * [1, -1, 1],
    "z backward": lambda j: j * [1, 1, -1],
    "axis by axis": lambda j: j.transpose(0, 2, 1).reshape(-1, 21, 3),
    "a joint far away": lambda j: j + 400 * np.eye(21)[8][:, None] * [1, 0, 0],
    "collapsed": lambda j: scaled(j, 0.1),
    "zeros": lambda j: 0 * j,
    "one pose": lambda j: 0 * j + j[0],
    "one pose, moved": lambda j: j[0] - j[0, 0] + j[:, :1],
    "mean pose, moved": lambda j: (j - j[:, :1]).mean(axis=0) + j[:, :1],
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("factor", [0.7, 1, 1.25], ids=["child", "as they are", "big man"])
def test_wrong_hands_are_refused(tmp_path, name, factor):
    for joints in (predictions(RUNS[2], "initial"), predictions(RUNS[0], "joints")):
        assert refused(*put(tmp_path, SPOILED[name](scaled(joints, factor))))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("metres", "line 3 of result.txt has a mean z of 0.605, wanted mm, 100 or more"),
        ("centimetres", "line 3 of result.txt has a mean z of 60.5, wanted mm, 100 or more"),
        ("axis by axis", "line 3 of result.txt has a joint at z = -286.75, wanted more than 0"),
        ("a joint far away", "line 3 of result.txt has a bone of 404 mm, wanted 300 at most"),
        ("zeros", "all 40 lines of result.txt are zeros, wanted hands"),
        ("one pose, moved", "line 3 of result.txt has the pose of all 38 hands, wanted one for"),
        (
            "finger by finger, thumb last",
            "line 3 of result.txt is the first of 38 in 38 hands that have their joints finger by "
            "finger, wanted HANDS19's order",
        ),
        ("last three reversed", "line 3 of result.txt is the first of 38 in 38 hands that have"),
        ("y up", "line 3 of result.txt is the first of 37 in 38 hands that have the look of left"),
        ("collapsed", "line 3 of result.txt is the first of 38 in 38 hands that have bones of no"),
    ],
)
def test_the_first_wrong_hand_is_named(tmp_path, hands, name, words):
    spoiled = SPOILED[name](hands)
    spoiled[:2] = 0
    assert refused(*put(tmp_path, spoiled)).startswith(f": {words}")


@pytest.mark.parametrize("name", [*ORDERS, "y up", "collapsed"])
def test_poor_hands_among_others_pass(tmp_path, hands, name):
    hands[5:20] = SPOILED[name](hands)[5:20]
    assert check_submission(*put(tmp_path, hands)) == 40


# --- the command ------------------------------------------------------------------------------


def test_command(tmp_path, hands, capsys):
    path, boxes = put(tmp_path, hands)
    main([str(path), str(boxes)])
    assert capsys.readouterr().out == "40 frames, in order, in mm\n"
    path.write_bytes(b"")
    for bad in (path, tmp_path / "none.zip"):
        with pytest.raises(SystemExit) as stop:
            main([str(bad), str(boxes)])
        out, error = capsys.readouterr()
        assert stop.value.code == 1 and out == "" and bad.name in error and error.count("\n") == 1
