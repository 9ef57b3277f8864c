import shutil
import sys
import warnings

import pytest
import torch
from skeletons import poses, run_python

from senorita_lib.renderer import kernels, render_skeleton, skeleton_volume_loss
from senorita_lib.renderer.compiled import Compiled


def test_other_peoples_warnings_are_still_said_once():
    function = Compiled(torch.abs, torch.abs)
    function._fused = torch.abs
    function(torch.ones(2))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("once", UserWarning, stacklevel=1)
            function(torch.ones(2))
    assert len(said) == 1


# Other kinds of call are the same definition; each takes the compiler some ten seconds.
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(
    ("dtype", "options"),
    [(torch.float32, {}), (torch.float64, {"distance": "euclidean", "ends": "gate", "gamma": 0.2})],
)
def test_compiled_is_the_same(dtype, options):
    how = {"size": (9, 10, 11)} | options
    options = how | {"difference": "smooth_l1" if options else "l1"}
    joints, target = poses(3, 10).to(dtype), poses(3, 10, seed=1).to(dtype)
    results, drawn = [], []
    for compiled in (True, False):
        leaf = joints.clone().requires_grad_()
        loss = skeleton_volume_loss(leaf, target, **options, compiled=compiled)
        volumes = render_skeleton(leaf, **how, compiled=compiled)
        unrecorded = render_skeleton(joints, **how, compiled=compiled)
        gradients = [torch.autograd.grad(value, leaf)[0] for value in (loss, volumes.sum())]
        results.append((loss.detach(), *gradients))
        drawn.append((volumes.detach(), unrecorded))
    assert kernels.fused_volumes.refused is kernels.fused_loss.refused is None
    torch.testing.assert_close(*drawn, atol=1e-5, rtol=0)
    single = dtype == torch.float32
    torch.testing.assert_close(*results, atol=2e-3 if single else 1e-8, rtol=1e-5)

    @torch.compile(backend="eager")  # inside a compiled step of someone else
    def step(pose):
        return 2 * skeleton_volume_loss(pose, target, **options, compiled=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's about itself
        (gradient,) = torch.autograd.grad(step(leaf), leaf)
    torch.testing.assert_close(gradient, 2 * results[0][1])


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None or not sys.platform.startswith("linux"),
    reason="no C++ compiler, or no /proc to measure memory with",
)
def test_compiled_loss_keeps_no_volume():
    code = """
import ctypes, torch
from pathlib import Path
from senorita_lib.renderer import render_skeleton, skeleton_volume_loss
poses = torch.rand(64, 21, 3).mul_(32).requires_grad_()
def peak():
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024
def added(function):
    function()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew
    before = peak()
    function()
    return peak() - before
with torch.no_grad():
    print(added(lambda: render_skeleton(poses, compiled=True)))
print(added(lambda: skeleton_volume_loss(poses, poses.detach() + 1, compiled=True).backward()))
"""
    volumes, loss = map(float, run_python(code).stdout.split())
    assert volumes > 0.9 * 64 * 20 * 32**3 * 4 / 2**20  # MB: so it is a volume that is seen
    assert loss < 0.1 * volumes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("compiled", [True, False])
def test_on_a_graphics_card(compiled):
    joints, target = poses(3, 32).float(), poses(3, 32, seed=1).float()
    results = []
    for device, how in (("cpu", False), ("cuda", compiled)):
        leaf = joints.to(device).requires_grad_()
        loss = skeleton_volume_loss(leaf, target.to(device), compiled=how)
        volumes = render_skeleton(leaf, compiled=how)
        gradient = torch.autograd.grad(loss, leaf)[0]
        results.append([value.detach().cpu() for value in (volumes, loss, gradient)])
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(results[0][1:], results[1][1:], atol=2e-3, rtol=1e-5)
