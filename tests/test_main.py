import json

import pytest

from senorita_lib import __main__ as command_line


def fail(capsys, *arguments):
    """The sentence that a call ends with."""
    with pytest.raises(SystemExit) as stopped:
        command_line.main([str(argument) for argument in arguments])
    assert stopped.value.code == 1
    _, sentence = capsys.readouterr()
    assert sentence.count("\n") == 1
    return sentence


def test_prints_recipe_and_table(capsys, small_data, tmp_path, monkeypatch):
    """Values are JSON or text, the folder is that of notebook 04; a second call trains nothing."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    settings = [
        *("image_size=32", "widths=[8, 8, 8, 8]", "head_channels=8", "patch_sizes=[16, 8, 8]"),
        *("model=3", "bone_length=initial", "learning_rate=1e-4", "volume_size=8"),
        *("pose_images=16", "volume_images=16", "refine_images=16"),
    ]
    arguments = ["tiny", "--data", str(small_data), "--set", *settings[:3], "--set", *settings[3:]]
    command_line.main(arguments)
    head, *_, title, splits, _, _, refined = capsys.readouterr().out.splitlines()
    recipe = json.loads(head)
    assert [recipe[name] for name in ("model", "bone_length", "widths", "learning_rate")] == [
        *(3, "initial", [8, 8, 8, 8], 1e-4)
    ]
    assert title == "Model 3, mean joint error, mm" and "EXTRAP" in splits
    assert refined.startswith("refined pose")
    folder = tmp_path / "runs" / "tiny" / "model_3"
    stamp = (folder / "result.json").stat().st_mtime_ns
    command_line.main(arguments)
    assert capsys.readouterr().out.splitlines()[-1] == refined
    assert (folder / "result.json").stat().st_mtime_ns == stamp


def test_refuses_in_one_line(capsys, tmp_path):
    assert "recipe is 'teeny', wanted one of" in fail(capsys, "teeny")
    assert "recipe has no 'seeds', the nearest" in fail(capsys, "tiny", "--set", "seeds=1")
    assert "has batch = 'many', wanted int" in fail(capsys, "tiny", "--set", "batch=many")
    assert "override is 'batch', wanted NAME=VALUE" in fail(capsys, "tiny", "--set", "batch")
    nowhere = tmp_path / "nowhere"
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["tiny", "--data", str(nowhere), "--folder", str(tmp_path / "run")])
    assert stopped.value.code == 1
    assert "nowhere" in capsys.readouterr().err
