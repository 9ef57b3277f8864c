import json

import pytest
from conftest import QUICK

from senorita_lib import __main__ as command_line
from senorita_lib.people import pretraining
from senorita_lib.people import synthetic as synthetic_body


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


def test_pretrains_where_the_recipe_says_so(capsys, small_data, tmp_path, monkeypatch):
    """On synthetic people, in a folder beside; Model 2 begins with the same ones."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    draw = synthetic_body.SyntheticBody
    monkeypatch.setattr(pretraining, "SyntheticBody", lambda side: draw(24, side=side))
    values = {k: v for k, v in json.loads(QUICK.to_json()).items() if k not in ("name", "model")}
    values |= {"pretrain": True, "pretrain_images": 16, "pose_images": 8, "volume_images": 8}
    settings = [f"{k}={json.dumps(v)}" for k, v in values.items()]
    for model in (1, 2):
        arguments = ["tiny", "--data", str(small_data), "--set", *settings, f"model={model}"]
        command_line.main(arguments)
        said = capsys.readouterr().out
        assert ("people      16 of 16 images, validation: " in said) == (model == 1)
        folder = tmp_path / "runs" / "tiny_pretrained" / f"model_{model}"
        assert (folder / "result.json").exists() and (folder / "transfer.json").exists()
    (people,) = (tmp_path / "runs" / "tiny_pretrained").glob("people_*")  # one for both
    assert (people / "body.safetensors").exists()
    nobody = [
        *arguments,
        "--people",
        str(tmp_path / "nobody"),
        "--folder",
        str(tmp_path / "x" / "y"),
    ]
    assert "nobody" in fail(capsys, *nobody)


def test_people_without_pretraining_are_refused(capsys, small_data, tmp_path):
    arguments = ["tiny", "--data", small_data, "--people", "some", "--folder", tmp_path / "run"]
    assert "people is 'some' and recipe 'tiny' has pretrain = False" in fail(capsys, *arguments)


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
