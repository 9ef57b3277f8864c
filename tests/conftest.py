"""Fixtures that several test modules use."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch
from senorita_lib.datasets import write_synthetic
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import find_recipe
from senorita_lib.training.stages import train

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SHARED = Path(os.environ.get("SENORITA_SHARED", ROOT.parent / "shared"))

settings.register_profile("any machine", deadline=None)  # a busy one is no failure
settings.load_profile("any machine")

# Every stage in a few steps.
QUICK = find_recipe(
    "tiny", image_size=32, widths=(8, 8, 8, 8), head_channels=8, depth_bins=8,
    patch_sizes=(16, 8, 8), hidden=8, patch_channels=1, volume_size=8, pose_images=48,
    volume_images=40, refine_images=48, batch=4, refine_batch=4, milestones=(24, 64),
)  # fmt: skip
SHORT = QUICK.override(pretrain_images=16, pose_images=8, volume_images=8, refine_images=8)


def as_settings(recipe, **changes):
    """A recipe's values as a command line takes them, after ``--set``."""
    values = recipe.model_dump(exclude={"name", "model"}) | changes
    return [f"{name}={json.dumps(value)}" for name, value in values.items()]


def told(main, capsys, *arguments):
    """The sentence that a command line ends with."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    sentence = capsys.readouterr().err
    assert stopped.value.code == 1
    assert sentence.count("\n") == 1 + sentence.count(" is left out: ")
    return sentence


# `make test-quick` leaves out these files whole: they start processes, train or draw a lot.
LONG = "crops cropstudy checking frames ledger networks pictures pretraining regimes sizing stream "
LONG += "readers studies training widgets results scenes gallery main gradient people synthetic"


def pytest_addoption(parser):
    text = "what the test of real frames measures: weights of the package, a run or a file"
    parser.addoption("--weights", default="small", help=text)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """A file stays on one worker. All kernels start on one, or ports clash (papermill#511)."""
    for item in items:
        name = item.path.relative_to(ROOT).as_posix()
        kernels = name.endswith(".ipynb") or "/browser/" in name or name.endswith("_papermill.py")
        item.add_marker(pytest.mark.xdist_group("kernels" if kernels else name))
        if item.path.stem.removeprefix("test_") in LONG.split():
            item.add_marker(pytest.mark.slow)


def shared(name):
    """The path of something that is not part of the project."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not at hand")
    return path


@pytest.fixture(scope="session")
def golden():
    """Opens outputs of the authors' code."""
    return lambda name: np.load(shared(f"golden/{name}.npz"))


@pytest.fixture(scope="session")
def real_frames():
    """19 frames of an SR305, labelled by eye: raw images and frames."""
    folder = shared("real/sr305")
    values = json.loads((folder / "intrinsics.json").read_text())
    camera = Camera(*(values[k] for k in ("fx", "fy", "cx", "cy", "width", "height")))

    def read(file, count):
        lines = (folder / file).read_text().splitlines()
        return {name: np.array(rest[-count:], float) for name, *rest in map(str.split, lines)}

    boxes, labels = read("hand_bbs_by_eye.txt", 4), read("joints_by_eye.txt", 63)
    raws = [cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for name in boxes]
    frames = []
    for (name, box), raw in zip(boxes.items(), raws, strict=True):
        depth = np.rint(raw * values["depth_unit_mm"]).astype(np.uint16)
        frames.append(Frame(name, depth, box, labels[name].reshape(21, 3), camera=camera))
    assert len(frames) == len(labels) == 19
    return raws, frames


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """A data set of a few frames."""
    root = tmp_path_factory.mktemp("data") / "hands19"
    write_synthetic(root, train=48, test_per_split=4, workers=2, progress=False)
    return root


@pytest.fixture(scope="session")
def trained():
    """Model 1, ``tiny``: notebook 04's run; if it is missing, one worker trains, others wait."""
    data = ROOT / "data" / "hands19_synthetic"
    write_synthetic(data, progress=False)
    recipe = find_recipe("tiny", model=1)
    return train(recipe, data, ROOT / "runs" / "tiny" / "model_1", progress=False)


@pytest.fixture(scope="session")
def predictor():
    """The weights that come with the package."""
    return Predictor.load("small")


@pytest.fixture
def hand():
    """Random hands in front of the camera: joints (4, 21, 3), camera frame, mm."""
    rng = np.random.default_rng(0)
    return (rng.uniform(-70, 70, (4, 21, 3)) + [20, -30, 500]).astype(np.float32)


@pytest.fixture
def crops(hand):
    """A batch of four crops around ``hand``, with a smooth blob for an image."""
    centre, half = hand.mean(axis=1), 105
    uv = SR300.project(centre)[:, :2]
    grid = (np.arange(64) + 0.5) / 64 - 0.5
    radius = np.hypot(grid[:, None], grid[None, :])
    image = np.where(radius < 0.35, 0.8 - 2 * radius, -1).astype(np.float32)
    return CropBatch(
        image=torch.from_numpy(np.repeat(image[None, None], 4, axis=0)),
        box=torch.from_numpy(np.concatenate([uv - half, uv + half], axis=1)).float(),
        cube_centre=torch.from_numpy(centre),
    )
