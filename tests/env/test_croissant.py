"""Croissant metadata of the synthetic data set: it describes the files that are there."""

import json
import subprocess
import sys

from conftest import ROOT

from senorita_lib.datasets import write_synthetic
from senorita_lib.weights import file_digest


def croissant(root):
    call = [sys.executable, ROOT / "env" / "croissant.py", root]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_file_is_described_and_has_its_hash(tmp_path):
    root = write_synthetic(tmp_path, 3, 1, workers=1, progress=False)
    done, folder = croissant(root), root / "Task 1"
    assert done.returncode == 0, done.stderr
    metadata = json.loads((folder / "croissant.json").read_text("utf-8"))
    described = {folder / "croissant.json", folder / "synthetic.json"}
    for entry in metadata["distribution"]:
        if entry["@type"] == "cr:FileSet":
            described |= set(folder.glob(entry["includes"]))
        else:
            described.add(folder / entry["contentUrl"])
            assert entry["sha256"] == file_digest(folder / entry["contentUrl"])
    assert described == {path for path in folder.rglob("*") if path.is_file()}
    assert len(metadata["recordSet"]) == 5
    assert "train 3, test_per_split 1, seed 0" in metadata["description"]


def test_another_data_set_is_refused(tmp_path):
    (tmp_path / "training_bbs.txt").touch()
    done = croissant(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} has no synthetic.json, wanted a synthetic data set\n"
