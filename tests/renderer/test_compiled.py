import os
import subprocess
import sys
import warnings

import pytest
import torch

from senorita_lib.renderer.compiled import Compiled


def absolute(values):
    if values.sum() < 0:  # which the compiler cannot know
        return -values
    return values


def test_what_cannot_be_compiled_runs_as_it_is_and_says_so_once():
    function = Compiled(absolute, dynamic=True)
    values = torch.tensor([-1.0, -2.0])
    with pytest.warns(
        RuntimeWarning, match="^absolute runs without torch.compile, several [^\n]*$"
    ):
        assert torch.equal(function(values), -values)
    assert torch.equal(function(values), -values)  # a second warning would be an error


def test_other_peoples_warnings_are_still_said_once():
    function = Compiled(torch.abs, dynamic=True)
    function._fused = torch.abs
    function(torch.ones(2))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("once", UserWarning, stacklevel=1)
            function(torch.ones(2))
    assert len(said) == 1


def test_something_else_may_stand_in():
    function = Compiled(absolute, lambda values: values.abs() + 0, dynamic=True)
    with pytest.warns(RuntimeWarning, match="without torch.compile"):
        assert torch.equal(function(torch.tensor([3.0, -4.0])), torch.tensor([3.0, 4.0]))


@pytest.mark.slow
def test_without_a_compiler(tmp_path):
    """The library as it is, where there is neither a C++ compiler nor anything cached."""
    code = """
import torch, warnings
from senorita_lib.renderer import render_skeleton
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    volumes = [render_skeleton(torch.ones(1, 21, 3)) for _ in range(3)]
print([str(w.message) for w in caught if "runs without torch.compile" in str(w.message)])
assert torch.equal(volumes[0], render_skeleton(torch.ones(1, 21, 3), compiled=False))
"""
    bare = {**os.environ, "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=bare, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("runs without torch.compile") == 1
