import json
from functools import partial

from conftest import SHORT, as_settings, told

from senorita_lib import __main__ as command_line
from senorita_lib.people import pretraining
from senorita_lib.people import synthetic as synthetic_body

fail = partial(told, command_line.main)


def test_prints_recipe_and_table(capsys, small_data, tmp_path, monkeypatch):
    """Values are JSON or text; paths count from here; a second call trains nothing."""
    (tmp_path.parent / "pyproject.toml").touch()  # somebody else's
    monkeypatch.chdir(tmp_path)
    arguments = ["tiny", "--data", str(small_data), "--set", *as_settings(SHORT), "--set"]
    arguments += ["model=3", "bone_length=initial", "learning_rate=1e-4"]
    command_line.main(arguments)
    head, *_, title, splits, _, _, refined = capsys.readouterr().out.splitlines()
    recipe = json.loads(head)
    names = "model", "bone_length", "widths", "learning_rate"
    assert [recipe[name] for name in names] == [3, "initial", [8, 8, 8, 8], 1e-4]
    assert title == "Model 3, mean joint error, mm" and "EXTRAP" in splits
    assert refined.startswith("refined pose")
    result = tmp_path / "runs" / "tiny" / "model_3" / "result.json"
    stamp = result.stat().st_mtime_ns
    command_line.main(arguments)
    assert capsys.readouterr().out.splitlines()[-1] == refined
    assert result.stat().st_mtime_ns == stamp


def test_pretrains_where_the_recipe_says_so(capsys, small_data, tmp_path, monkeypatch):
    """On synthetic people, in a folder beside; Model 2 begins with the same ones."""
    monkeypatch.chdir(tmp_path)
    draw = synthetic_body.SyntheticBody
    monkeypatch.setattr(pretraining, "SyntheticBody", lambda side: draw(24, side=side))
    given = as_settings(SHORT, pretrain=True)
    for model in (1, 2):
        arguments = ["tiny", "--data", str(small_data), "--set", *given, f"model={model}"]
        command_line.main(arguments)
        said = capsys.readouterr().out
        assert ("people      16 of 16 images, validation: " in said) == (model == 1)
        folder = tmp_path / "runs" / "tiny_pretrained" / f"model_{model}"
        assert (folder / "result.json").exists() and (folder / "transfer.json").exists()
    (people,) = (tmp_path / "runs" / "tiny_pretrained").glob("people_*/body.safetensors")
    assert "nobody" in fail(capsys, *arguments, "--people", "nobody", "--folder", "x/y")
    nowhere = "tiny", "--data", "nowhere", "--folder", "x/y", "--set", *given
    assert "nowhere" in fail(capsys, *nowhere)
    assert not (tmp_path / "x").exists()  # nothing is made before all is found
    both = "tiny", "--start", "small", "--people", "some"
    assert "start is 'small' and people is 'some', wanted one of" in fail(capsys, *both)
    assert "recipe is 'teeny', wanted one of" in fail(capsys, "teeny")
    assert "recipe 'tiny' has no 'seeds', the nearest" in fail(capsys, "tiny", "--set", "seeds=1")
    assert "override is 'batch', wanted NAME=VALUE" in fail(capsys, "tiny", "--set", "batch")
    arguments = ["tiny", "--data", small_data, "--people", "some"]
    assert "people is 'some' and recipe 'tiny' has pretrain = False" in fail(capsys, *arguments)
