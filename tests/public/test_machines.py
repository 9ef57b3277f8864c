"""Faults that other people's machines have: disks, compilers, rates, paths."""

import errno
import os
import re
import resource
import shutil
import subprocess
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK, told
from skeletons import run_python

from senorita_lib import __main__ as command_line
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.experiments import ledger, tables
from senorita_lib.files import atomic_write, folder_lock, user_path
from senorita_lib.model import HandPoseNet
from senorita_lib.notebook import check_parameters, folder
from senorita_lib.people.readers import find_people
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.predictor import Predictor
from senorita_lib.renderer import compiled
from senorita_lib.submission import check_submission, write_submission
from senorita_lib.training import checkpoints
from senorita_lib.training.stages import train
from senorita_lib.weights import pack


@contextmanager
def disk(place, kilobytes):
    """A folder on a disk of that size; without the right to mount, files of that size."""
    place.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    mounted = shutil.which("mount") and not subprocess.run(call, capture_output=True).returncode
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000 * kilobytes // 2, limits[1]))
    try:
        yield place
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def save_crops(place):
    root = write_synthetic(place.parent / "hands19", 4, 1, workers=1, progress=False)
    os.symlink(place, root / "crops")
    load_crops(Hands19(root), size=256, workers=1, progress=False)


LARGE = QUICK.override(widths=(64, 64, 64, 64))
NAMES, JOINTS = [f"{i}.png" for i in range(2000)], np.random.default_rng(0).normal(size=(2000, 63))


@pytest.mark.parametrize(
    "write",
    [
        lambda place: HandPoseNet(LARGE, torch.ones(20)).save(place / "w"),
        lambda place: write_submission(place / "x.zip", NAMES, JOINTS.reshape(-1, 21, 3) + 400),
        lambda place: write_synthetic(place, 40, 4, workers=1, progress=False),
        lambda place: SyntheticBody(8, side=128).keep(place, workers=1, progress=False),
        lambda place: atomic_write(place / "log.json", "[1, 2]" * 100_000),
        save_crops,
    ],
    ids=["weights", "zip", "frames", "people", "text", "crops"],
)
def test_full_disk_is_told_and_nothing_half_stays(write, tmp_path):
    with disk(tmp_path / "small", 160) as place:
        with pytest.raises(OSError, match="no space left in|MB free, wanted") as caught:
            write(place)
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
        assert not [path.name for path in place.rglob("*") if path.suffix in (".part", ".npy")]


def test_full_disk_keeps_the_last_whole_checkpoint(tmp_path):
    with disk(tmp_path / "small", 200) as place:
        checkpoints.save_checkpoint(place, {"images": 1})
        with pytest.raises(OSError, match=f"no space left in {place}.*the last whole checkpoint"):
            checkpoints.save_checkpoint(place, {"images": 2, "a": torch.ones(90_000)})
        assert [path.name for path in place.iterdir()] == ["checkpoint.pt"]
        assert checkpoints.load_checkpoint(place) == {"images": 1}


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    for name in ("checkpoint.new.pt.77.part", "hands19.zip.part"):
        (tmp_path / name).touch()
    with folder_lock(tmp_path):
        assert {p.name for p in tmp_path.iterdir()} == {".lock", "hands19.zip.part"}


@pytest.mark.parametrize(
    ("name", "value", "stage", "rate"),
    [
        ("learning_rate", 1e30, "pose", "2e[+]29"),
        ("volume_rate_factor", 1e33, "volume", "2e[+]29"),
        ("refiner_rate_factor", 1e33, "refine", "1e[+]29"),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run(small_data, tmp_path, name, value, stage, rate):
    """In any stage; the last checkpoint is finite, and the run stops there again."""
    said = f"not finite in stage '{stage}' by image [0-9]+ at the learning rate {rate}, wanted"
    options = {"progress": False, "checkpoint_seconds": 0}
    for _ in range(2):
        with pytest.raises(ValueError, match=said):
            train(QUICK.override(**{name: value}), small_data, tmp_path, **options)
    assert not (tmp_path / "result.json").exists()
    state = checkpoints.load_checkpoint(tmp_path)  # a warning would be an error
    assert (state is None) == (stage == "pose")


def test_checkpoints_and_rates_that_are_not_finite_are_refused(small_data, tmp_path):
    for value in (1.0, torch.nan):
        checkpoints.save_checkpoint(tmp_path, {"model": {"a": torch.tensor([value])}})
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged .*: going on from"):
        assert checkpoints.load_checkpoint(tmp_path)["model"]["a"] == 1
    for name in ("learning_rate", "decay", "refine_rate_factor", "refiner_rate_factor"):
        for value in (np.nan, np.inf, -1.0):
            with pytest.raises(ValueError, match=f"has {name} = .*, wanted a"):
                QUICK.override(**{name: value})
    recipe = QUICK.override(learning_rate=1e30, volume_rate_factor=1e30)
    with pytest.raises(ValueError, match=r"stage 'volume' is 1e\+60 .*, wanted a finite number"):
        train(recipe, small_data, tmp_path, progress=False)


COMPILE = """
import torch
from senorita_lib.renderer import skeleton_volume_loss
pose = torch.rand(1, 21, 3).mul_(8).requires_grad_()
for _ in range(2):
    skeleton_volume_loss(pose, pose.detach() + 1, size=(8, 8, 8), compiled=True).backward()
torch.optim.RMSprop([pose]).step()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("TORCH_COMPILE_DISABLE", "1"),
        ("TORCHDYNAMO_DISABLE", "1"),
        ("TORCHINDUCTOR_CACHE_DIR", f"{__file__}/cache"),  # which nobody can make
    ],
)
def test_no_compiler_is_one_warning(switch, value):
    said = run_python(COMPILE, PYTHONWARNINGS="always", **{switch: value}).stderr
    assert len(re.findall(r"RuntimeWarning: \w+ runs without torch.compile", said)) == 1


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "Read-only"), KeyError(), RuntimeError()])
def test_whatever_the_compiler_raises_the_function_runs(error):
    def broken(*_):
        raise error

    function = compiled.Compiled(torch.abs, torch.abs)
    function._fused = broken
    with pytest.warns(RuntimeWarning, match="^abs runs without torch.compile, several"):
        assert function(-torch.ones(2)).sum() == 2
    assert function(-torch.ones(2)).sum() == 2  # a second warning would be an error
    other = compiled.Compiled(torch.abs, torch.abs)
    with warnings.catch_warnings(), pytest.raises(TypeError):
        other("no tensor")
    assert other.refused is None  # the fault was the argument's


def test_the_home_folder_is_meant_everywhere(small_data, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(shutil.copytree(small_data, tmp_path / "data").parent / "data")
    assert len(Hands19("~/data")) and write_synthetic("~/data", 48, 4, progress=False)
    model = HandPoseNet(QUICK, torch.ones(20))
    model.save("~/m.safetensors")
    assert Predictor.load("~/m.safetensors").model.recipe == QUICK
    names = Hands19("~/data", "test").names
    write_submission("~/r.zip", names, np.zeros((len(names), 21, 3)))
    with pytest.raises(ValueError, match="lines of result.txt are zeros"):
        check_submission("~/r.zip", "~/data/Task 1/test_bbs.txt")
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}/people holds neither"):
        find_people("~/people")
    with pytest.raises(FileNotFoundError, match=f"^{tmp_path}/nets is not there"):
        Predictor.load("~/nets")
    values = {"x": "~/data"}
    check_parameters(values, x=folder("no"))
    assert values["x"] == "~/data" and not list(tmp_path.rglob("~"))
    with pytest.raises(ValueError, match="wanted a user of this machine after ~"):
        user_path("~nobody-here/data")


@pytest.fixture
def above(tmp_path, monkeypatch):
    """A clone; one works in its folder ``here``."""
    for name in ("notebooks", "data", "here/mine"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("pyproject.toml", "notebooks/01_data_cropping.ipynb"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_relative_paths_count_from_here_and_nothing_is_made(capsys, above):
    """Not from a project above; errors say where they looked."""
    before = sorted(above.rglob("*"))
    run = "tiny", "--set", "pretrain=true", "--data"
    assert f"{above}/here/x does not exist" in told(command_line.main, capsys, *run, "x")
    assert f"{above}/here/x holds no result.json" in told(tables.main, capsys, "x")
    assert f"{above}/results" in told(ledger.main, capsys, "--kept")
    with pytest.raises(FileNotFoundError, match=f"{above}/here/x"):
        pack("x", "y", above)
    assert sorted(above.rglob("*")) == before


def test_weights_are_packed_only_when_all_is_there(tmp_path):
    HandPoseNet(QUICK, torch.ones(20)).save(tmp_path / "model.safetensors")
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="timing.json"):
        pack(tmp_path, "y", tmp_path)
    assert not (tmp_path / "y.safetensors").exists()


def test_papermills_relative_path_counts_from_where_it_was_started(above):
    """The clone above has data of its own, which the notebook's default means."""
    cells = ["", "data = 'data'", "# Parameters\ndata = 'mine'\n", "check"]
    values = {"data": "mine", "In": cells}
    check_parameters(values, data=folder("no"))
    assert Path(values["data"]) == above / "here" / "mine"
    with pytest.raises(ValueError, match=re.escape(f"{above}/here/data is none: no")):
        check_parameters({"data": "data", "In": cells}, data=folder("no"))
    own = {"data": "data", "In": ["", "data = 'data'", "check"]}
    check_parameters(own, data=folder("no"))
    assert own["data"] == "data"
