"""The ONNX file against PyTorch, and the example that runs it without PyTorch."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
import torch
from conftest import QUICK, ROOT, told
from skeletons import run_python

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.export import INPUTS, OUTPUTS, export_onnx, main
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.model import HandPoseNet, weights_digest
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import Recipe
from senorita_lib.views import Turn, crop_views
from senorita_lib.weights import find_weights

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow
WIDE = Camera(300.0, 310.0, 150.0, 130.0, 320, 240)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    main(["small", str(path)])
    return path


def opened(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def synthetic_crops(size, count, camera=SR300):
    hands = SyntheticHand(3, camera=camera)
    frames = [hands.frame(i, "interp") for i in range(count)]
    return CropBatch.stack([crop_hand(f.depth, f.box, camera, size=size) for f in frames])


def distance_mm(session, net, crops):
    """The largest difference of a coordinate, mm; other outputs are compared on the way."""
    camera = crops.camera
    arrays = crops.image, crops.box, crops.cube_centre
    inputs = dict(zip(INPUTS, (array.numpy() for array in arrays), strict=False))
    inputs["camera"] = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs), strict=True))
    with torch.inference_mode():
        wanted = net(crops)
    reading = {"spread": wanted.reading.spread, "left_logit": wanted.reading.left}
    assert found.keys() == OUTPUTS.keys() - {k for k, value in reading.items() if value is None}
    for name in found.keys() & reading.keys():
        np.testing.assert_allclose(found[name], reading[name], atol=1e-3)
    np.testing.assert_allclose(found["uvd"], wanted.uvd, atol=1e-4)
    poses = {"initial_mm": wanted.joints_mm, "joints_mm": wanted.refinement.joints_mm}
    return max(np.abs(found[name] - pose.numpy()).max() for name, pose in poses.items())


def test_small_gives_pytorchs_joints_for_any_number_of_crops_of_any_camera(small, predictor):
    session, net = opened(small), predictor.model
    assert distance_mm(session, net, synthetic_crops(128, 32)) < 0.02
    for camera in (SR300, WIDE):
        assert distance_mm(session, net, synthetic_crops(128, 1, camera)) < 0.02


STEMS = {"fusion": "stems", "patches": "released", "orientation": "raw"}


@pytest.mark.parametrize(
    ("model", "values"),
    [(2, {"head": "regression"}), (3, STEMS), (4, {"head": "awr"}), (1, {"head": "a2j"})],
)
def test_every_input_head_and_refiner_is_exported(model, values, tmp_path):
    torch.manual_seed(0)
    net = HandPoseNet(QUICK.override(model=model, **values), torch.full((20,), 30.0))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    export_onnx(net, tmp_path / "net.onnx")
    assert net.training  # it was, and it stays as it is
    session = opened(tmp_path / "net.onnx")
    for count, camera in ((3, SR300), (1, WIDE)):
        assert distance_mm(session, net.eval(), synthetic_crops(32, count, camera)) < 0.2


def test_the_file_says_what_it_is(small):
    told = opened(small).get_modelmeta().custom_metadata_map
    assert told["joint_names"].split(",") == list(JOINT_NAMES)
    assert Recipe.from_json(told["recipe"]) == Predictor.load("small").model.recipe
    assert told["weights_digest"] == weights_digest(find_weights("small"))
    assert "MIT" in told["licence"] and told["kit"].startswith("senorita-lib ")
    page = (ROOT / "docs" / "onnx.md").read_text("utf-8")
    for name, meaning in (INPUTS | OUTPUTS).items():
        assert told[name] == meaning
        assert f"| `{name}` | {meaning.replace(': ', ' | ', 1)} |" in page
    assert str(ROOT).encode() not in small.read_bytes()


def test_errors_are_one_sentence(tmp_path, monkeypatch, capsys):
    for weights, path, message in (
        ("small", tmp_path, f"{tmp_path} is a folder, wanted the name of a file to write\n"),
        ("small", tmp_path / "no" / "a.onnx", "cannot be written (No such file or directory)"),
        ("smal", tmp_path / "a.onnx", "is not there, wanted weights"),
    ):
        assert message in told(main, capsys, weights, path)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"onnxscript is not installed .* extra onnx: pip"):
        export_onnx("small", tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_example_runs_without_torch_and_gives_the_joints_of_its_crop(small, predictor, tmp_path):
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples" / "onnx_numpy.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    lens = SR300.fx, SR300.fy, SR300.cx, SR300.cy
    whole = torch.tensor([[0.0, 0, SR300.width, SR300.height]]) - 0.5
    apart = []
    for index in range(6):  # upright hands
        frame = SyntheticHand(5).frame(index, "interp")
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), frame.depth)
        call = [str(small), str(path), "--camera", *map(str, lens), "--box", *map(str, frame.box)]
        joints = example.main(call)
        middle = example.middle_of(frame.depth, frame.box, lens)
        depth = torch.from_numpy(frame.depth.astype(np.float32))[None, None]
        for _ in range(2):
            centre = torch.from_numpy(np.float32(middle))[None]
            crops = crop_views(depth, whole, SR300, centre, Turn(torch.zeros(1)), 128)
            with torch.inference_mode():
                pose = predictor.model(crops).refinement.joints_mm[0].numpy()
            middle = pose.mean(axis=0)
        assert np.abs(joints - pose).max() < 0.2
        searched = predictor.predict(frame.depth, SR300, frame.box, left=False)
        apart.append(np.linalg.norm(joints - searched.joints_mm, axis=1).mean())
    assert np.mean(apart) < 6, apart  # mm, as docs/onnx.md says
    blocked = "torch", "senorita_lib", "cv2", "monai"
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
    code += f"sys.argv = ['onnx_numpy.py', *{call}]\n"
    code += f"import runpy; runpy.run_path({spec.origin!r}, run_name='__main__')"
    lines = [line.split() for line in run_python(code).stdout.splitlines()]
    assert [line[0] for line in lines] == list(JOINT_NAMES)
    np.testing.assert_allclose(np.array([line[1:] for line in lines], float), joints, atol=0.06)
