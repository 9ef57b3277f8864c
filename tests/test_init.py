"""The public surface: what `from senorita_lib import ...` gives, and what it costs."""

import ast
from pathlib import Path

import pytest
from skeletons import run_python

import senorita_lib

NAME = "OMP_WAIT_POLICY"


def test_each_public_name_is_there_and_the_type_checker_sees_the_same_names():
    assert all(getattr(senorita_lib, name) is not None for name in senorita_lib.__all__)
    assert set(senorita_lib.__all__) <= set(dir(senorita_lib))
    tree = ast.parse(Path(senorita_lib.__file__).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (node.module.removeprefix("senorita_lib."), alias.name)
        for node in checked.body
        for alias in node.names
    }
    assert seen == {(home, n) for home, names in senorita_lib._HOME.items() for n in names}
    assert {name for _, name in seen} == set(senorita_lib.__all__)
    with pytest.raises(AttributeError, match="no attribute 'predictor_of_hands'"):
        _ = senorita_lib.predictor_of_hands


@pytest.mark.parametrize(("given", "policy"), [({}, "PASSIVE"), ({NAME: "ACTIVE"}, "ACTIVE")])
def test_waiting_threads_sleep_unless_the_user_says_otherwise(given, policy, monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    code = f"import os, senorita_lib; print(os.environ['{NAME}'])"
    assert run_python(code, **given).stdout.strip() == policy
