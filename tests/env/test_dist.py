"""`make dist`: the same bytes twice, and a wheel that works where the clone is not."""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import senorita_lib

MISSING = [name for name in ("build", "twine", "flit_core") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} of the extra `release` not installed"),
]
USE = """
from importlib.metadata import version
import numpy as np
import senorita_lib
from senorita_lib import SR300, Predictor, SyntheticHand

frame = SyntheticHand(seed=11).frame(1, split="interp")
pose = Predictor.load("small").predict(frame.depth, SR300, box=frame.box)
error = np.linalg.norm(pose.joints_mm - frame.joints, axis=1).mean()
print(senorita_lib.__file__, version("senorita-lib"), error, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """That of `make dist`, which gives the same bytes twice."""
    made, name = [], f"senorita_lib-{senorita_lib.__version__}"
    for umask in (0o022, 0o077):
        folder = tmp_path_factory.mktemp("dist") / "dist"
        # -o env: with the running environment as it is.
        call = ["make", "-o", "env", "dist", f"PY={sys.executable}", f"DIST={folder}"]
        done = subprocess.run(call, cwd=ROOT, umask=umask, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("PASSED") == 2 and "WARNING" not in done.stdout.upper()
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1] and made[0].keys() == {f"{name}-py3-none-any.whl", f"{name}.tar.gz"}
    return folder / f"{name}-py3-none-any.whl"


def test_wheel_is_light_and_holds_the_library_whole(wheel):
    assert wheel.stat().st_size < 20e6
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    call = ["git", "ls-files", "senorita_lib"]
    kept = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert held == set(kept.stdout.splitlines())


def test_small_predicts_from_the_wheel_away_from_the_clone(wheel, tmp_path):
    """In an environment that shares this one's packages, but not the library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    (packages,) = (tmp_path / "env" / "lib").glob("python3.*/site-packages")
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], env=outside, check=True)
    # Only now, or pip finds the editable install. Of a folder that a .pth names, Python does not
    # read the .pth files, so the clone stays out of sight.
    (packages / "shared.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")

    call = {"cwd": tmp_path, "env": outside, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([python, "-W", "error", "-c", USE], **call)
    assert done.returncode == 0, done.stderr
    place, version, error = done.stdout.splitlines()
    assert packages in Path(place).parents
    assert version == senorita_lib.__version__
    assert float(error) < 30  # mm; a constant pose has 48
    senorita = python.with_name("senorita")
    assert "senorita predict frame.png" in subprocess.run([senorita, "--help"], **call).stdout
    lab = subprocess.run([senorita, "lab"], **call)
    assert lab.returncode == 1 and "wanted a clone of the kit's repository" in lab.stderr
