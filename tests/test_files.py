"""Files that are whole or not there, and folders that one process at a time writes."""

import multiprocessing
import os
import time

import pytest

from senorita_lib.files import atomic_write, folder_lock


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


def test_links_stay_and_pipes_are_written_to(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    atomic_write(tmp_path / "link", "a")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "a"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(tmp_path / "pipe", "b")
    assert os.read(reader, 9) == b"b"
    os.close(reader)


def hold(folder, held):
    with folder_lock(folder):
        held.set()
        time.sleep(0.5)
        (folder / "done").touch()


def test_one_process_at_a_time(tmp_path, capsys):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=hold, args=(tmp_path, held))
    other.start()
    assert held.wait(60)
    with folder_lock(tmp_path, waiting="Waiting for another process."):
        assert (tmp_path / "done").exists()
    other.join()
    assert capsys.readouterr().out == "Waiting for another process.\n"
