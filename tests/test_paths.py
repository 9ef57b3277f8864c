from pathlib import Path

from senorita_lib.paths import project_path


def test_relative_paths_count_from_the_root(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    for folder in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(folder)
        assert project_path("data") == tmp_path / "data"
    assert project_path("/data") == Path("/data")


def test_outside_a_project_they_count_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project_path("data") == tmp_path / "data"
