"""The command `senorita`, on frames in files as people have them."""

import json
from functools import partial

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, told
from skeletons import run_python

from senorita_lib import console
from senorita_lib.camera import SR300
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures.style import JOINT_COLOURS
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.predictor import Predictor
from senorita_lib.recordings import clip_files, read_depth

fail = partial(told, console.main)
FRAME = SyntheticHand(seed=11).frame(1, "interp")
BOX = [str(v) for v in FRAME.box]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where one works: a clip of a hand, of no hand, and of the hand again."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    for name, depth in (("f2", FRAME.depth), ("f9", 0 * FRAME.depth), ("f10", FRAME.depth)):
        cv2.imwrite(f"clip/{name}.png", depth)
    (tmp_path / "clip" / "notes.txt").touch()
    return tmp_path


def predict(*arguments):
    console.main(["predict", *map(str, arguments), "--camera", "sr300"])


@pytest.fixture(scope="module")
def pose():
    return Predictor.load("small").predict(FRAME.depth, SR300, FRAME.box, left="right")


def test_one_frame_as_a_table(folder, capsys, pose):
    predict("clip/f2.png", "--box", *BOX, "--right")
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "clip/f2.png: right hand"
    assert [row.split()[0] for row in rows] == list(JOINT_NAMES)
    shown = np.array([row.split()[1:] for row in rows], float)
    np.testing.assert_allclose(shown[:, :3], pose.joints_mm, atol=0.051)
    np.testing.assert_allclose(shown[:, 3:], pose.pixels, atol=0.051)
    predict("clip/f2.png", "--box", *BOX)
    assert " hand (left: " in capsys.readouterr().out


def test_units_and_kinds_of_files(folder, pose):
    units = (FRAME.depth.astype(np.uint16) * 8).clip(max=65535)
    near = FRAME.depth < 8000
    np.save("u.npy", FRAME.depth.astype(float) / 1000)
    for kind in ("png", "tif"):
        cv2.imwrite(f"u.{kind}", units)
        np.testing.assert_array_equal(read_depth(f"u.{kind}", 0.125)[near], FRAME.depth[near])
    cv2.imwrite("f.tiff", FRAME.depth.astype(np.float32))
    np.testing.assert_array_equal(read_depth("f.tiff"), FRAME.depth)
    predict("u.npy", "--scale", 1000, "--box", *BOX, "--right", "--json", "u.json")
    (found,) = json.loads((folder / "u.json").read_text())["frames"]
    np.testing.assert_allclose(found["joints_mm"], pose.joints_mm, atol=0.01)


def test_a_clip_in_natural_order_as_json_csv_and_pictures(folder, capsys):
    assert [path.name for path in clip_files("clip")] == ["f2.png", "f9.png", "f10.png"]
    outputs = "--json", "out.json", "--csv", "out.csv", "--draw", "drawn"
    predict("clip", "--box", *BOX, "--left", *outputs)
    said = capsys.readouterr()
    assert "clip/f9.png is left out: " in said.err
    assert not said.out
    known = json.loads((folder / "out.json").read_text())
    assert known["joints"] == list(JOINT_NAMES) and known["weights"] == "small" and known["kit"]
    assert known["camera"]["fx"] == SR300.fx
    first, second = known["frames"]
    assert (first["file"], second["file"]) == ("clip/f2.png", "clip/f10.png")
    assert first["left"] is True and first["left_probability"] is None and first["spread_mm"] > 0
    # The same frame after one without a hand: searched anew, so the same pose.
    assert first["joints_mm"] == second["joints_mm"]
    table = pd.read_csv("out.csv")
    assert len(table) == 2 * 21 and table["camera"][0].startswith("475.06")
    columns = ["x_mm", "y_mm", "z_mm"]
    np.testing.assert_allclose(table[columns].iloc[21:], second["joints_mm"])
    assert list(table["joint"][:21]) == list(JOINT_NAMES)
    pictures = sorted(path.name for path in (folder / "drawn").iterdir())
    assert pictures == ["f10.png", "f2.png"]
    drawn = cv2.imread("drawn/f2.png")
    for colour in JOINT_COLOURS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(drawn[..., ::-1].astype(int) - rgb).max(axis=-1) < 24).any()


def test_poses_before_a_damaged_frame_are_kept(folder, capsys, pose):
    (folder / "clip" / "f9.png").write_bytes((folder / "clip" / "f2.png").read_bytes()[:99])
    with pytest.raises(SystemExit):
        predict("clip", "--box", *BOX, "--json", "o.json")
    assert "f9.png is truncated or no PNG" in capsys.readouterr().err
    (found,) = json.loads((folder / "o.json").read_text())["frames"]
    np.testing.assert_allclose(found["pixels"], pose.pixels, atol=0.01)


def test_check_diagnoses_a_frame(folder, capsys):
    frame = "clip/f2.png", "--box", *BOX
    assert "wanted its --camera" in fail(capsys, "check", *frame)
    assert "none.png is missing, wanted a depth image" in fail(capsys, "check", "none.png")
    for scale, status, word in ((1, 0, ""), (0.001, 1, "units"), (8, 1, "units")):
        with pytest.raises(SystemExit) as stopped:
            console.main(["check", *frame, "--camera", "sr300", "--scale", str(scale)])
        assert stopped.value.code == status and word in capsys.readouterr().out


def test_errors_are_one_sentence(folder, capsys):
    cv2.imwrite("grey.png", np.zeros((480, 640), np.uint8))
    cv2.imwrite("small.png", FRAME.depth[::2, ::2])
    np.save("colour.npy", np.zeros((480, 640, 3), np.uint16))
    (folder / "cut.npy").write_bytes((folder / "colour.npy").read_bytes()[:90])
    (folder / "a.jpg").touch()
    (folder / "empty").mkdir()
    for frame, sentence in {
        "none.png": "none.png is missing", "grey.png": "8 bits and 1 channels, wanted 16",
        "small.png": "small.png: depth_mm has shape (240, 320), wanted (480, 640)",
        "colour.npy": "wanted one channel of 16 bits", "cut.npy": "cut.npy is damaged",
        "a.jpg": "a.jpg is no file of a known kind", "empty": "empty holds no frames",
        "none.tif": "none.tif is missing", "clip/f9.png": "none of 1 frames has a hand",
    }.items():  # fmt: skip
        assert sentence in fail(capsys, "predict", frame, "--camera", "sr300")
    for sentence, *options in (
        ("wanted fx,fy", "--camera", "sr3000"), ("scale is 0.0", "--scale", "0"),
        ("box (9, 9, 9, 9) is empty", "--box", *"9999"), ("wanted weights", "--weights", "big"),
        ("no/such is missing", "--csv", "no/such/a.csv"), ("same name", "clip", "--draw", "d"),
    ):  # fmt: skip
        frame = "clip/f2.png", *options
        if "--camera" not in options:
            frame += "--camera", "sr300"
        assert sentence in fail(capsys, "predict", *frame)
    before = (folder / "clip" / "f2.png").read_bytes()
    for output in (["--draw", "clip/"], ["--json", "clip/f2.png"]):
        said = fail(capsys, "predict", "clip", "--camera", "sr300", *output)
        assert "clip/f2.png is a frame and an output, wanted another name or folder" in said
    assert (folder / "clip" / "f2.png").read_bytes() == before
    for given, kind, option in (
        (["clip/f2.png", "--quick"], "frame", "quick"), (["clip", "--box", *"1234"], "data", "box"),
        (["a.zip", "--scale", "2"], "submission", "scale"),
    ):  # fmt: skip
        said = fail(capsys, "check", *given)
        assert f"{given[0]} is taken for a {kind}" in said and f"wanted no --{option}" in said
    assert "command is 'predicts', wanted" in fail(capsys, "predicts")
    assert not {path.name for path in folder.iterdir()} & {"no", "d", "drawn"}


def test_check_train_and_tables_are_the_modules_own(capsys, tmp_path):
    assert "wanted" in fail(capsys, "check", str(tmp_path))
    assert "boxes.txt is missing" in fail(capsys, "check", "nothing.zip", "boxes.txt")
    assert "recipe is 'teeny', wanted one of" in fail(capsys, "train", "teeny")
    console.main(["tables"])
    assert "Table 2. Ensemble" in capsys.readouterr().out


def test_help_comes_without_torch():
    code = "import sys; from senorita_lib.console import main; main({}); "
    code += "assert not set('torch numpy cv2 pandas pydantic'.split()) & sys.modules.keys()"
    said = run_python(code.format([])).stdout
    assert said == run_python(code.format(["--help"])).stdout
    for command in ("predict", "check", "train", "tables", "lab"):
        assert f"\n  {command} " in said


@pytest.mark.slow
def test_lab_opens_the_clones_notebooks(tmp_path, monkeypatch):
    pytest.importorskip("jupyterlab")
    monkeypatch.chdir(tmp_path)
    code = "from senorita_lib.console import main; main(['lab', '--version'])"
    assert run_python(code, PYTHONPATH=str(ROOT)).stdout[0].isdigit()
