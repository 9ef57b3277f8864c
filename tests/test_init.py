"""The public surface: what `from senorita_lib import ...` gives, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import senorita_lib


@pytest.mark.parametrize("name", senorita_lib.__all__)
def test_each_public_name_is_there(name):
    assert getattr(senorita_lib, name) is not None
    assert name in dir(senorita_lib)


def test_the_type_checker_sees_the_same_names():
    tree = ast.parse(Path(senorita_lib.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module.removeprefix("senorita_lib."), alias.name)
        for node in checked.body
        for alias in node.names
    }
    assert seen == {(home, n) for home, names in senorita_lib._HOME.items() for n in names}
    assert {name for _, name in seen} == set(senorita_lib.__all__)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'predictor_of_hands'"):
        _ = senorita_lib.predictor_of_hands


def test_importing_the_package_imports_no_torch():
    code = (
        "import sys, senorita_lib; "
        "assert not {'torch', 'numpy', 'cv2', 'pandas', 'pydantic'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    code = "import os, senorita_lib; print(os.environ['OMP_WAIT_POLICY'])"

    def policy():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert policy() == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert policy() == "ACTIVE"
