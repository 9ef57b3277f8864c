"""Files that are whole or not there."""

import os

import pytest

from senorita_lib.files import atomic_write


def test_text_bytes_and_a_failed_write_that_leaves_what_was_there(tmp_path, monkeypatch):
    atomic_write(tmp_path / "a", b"\0")
    assert (tmp_path / "a").read_bytes() == b"\0"
    atomic_write(tmp_path / "a", "γ")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        atomic_write(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text(encoding="utf-8") == "γ"
