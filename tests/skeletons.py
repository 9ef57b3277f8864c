"""Poses for the renderer's tests, and Python processes of their own."""

import os
import subprocess
import sys

import numpy as np
import torch

OPTIONS = [(d, e) for d in ("squared", "euclidean") for e in ("clamp", "gate")]


def poses(batch=2, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 21, 3, generator=generator, dtype=torch.float64) * size


def released_poses(data):
    """Predicted and true joints of the authors' recording, in cells of 32³ from the corner."""
    poses = []
    for uv, depth in (("joint_uv_x200", "depth_x100"), ("label_uv_x200", "label_depth_x100")):
        uvd = np.concatenate([data[uv], data[depth][..., None] + 100], axis=-1)
        poses.append(torch.from_numpy(32 / 200 * uvd).double())
    return poses


def run_python(code, **environment):
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done
