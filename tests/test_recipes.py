import json
import pickle
from pathlib import Path

import pytest
from conftest import ROOT

from senorita_lib.model import read_weights
from senorita_lib.recipes import RECIPES, Recipe, find_recipe, read_overrides, run_folder
from senorita_lib.training.loop import learning_rate
from senorita_lib.weights import find_weights


@pytest.mark.parametrize("name", RECIPES)
def test_json_round_trip(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_paper_is_the_papers():
    recipe = find_recipe("paper")
    assert (recipe.batch, recipe.refine_batch, recipe.learning_rate) == (6, 4, 7e-4)
    assert [m // recipe.batch for m in recipe.milestones] == [10_000, 34_000, 58_000]
    assert (recipe.pose_images + recipe.volume_images) // recipe.batch == 70_000
    assert recipe.refine_images // recipe.refine_batch == 18_000
    assert 1 / recipe.volume_weight == pytest.approx(200)
    assert recipe.pretrain and recipe == Recipe(pretrain=True)


@pytest.mark.parametrize(
    ("model", "rates", "batches", "weight"),
    [
        (1, (1e-3, 2e-4, 1e-4, 1e-5), (5, 7, 4), 1 / 200),
        (2, (7e-4, 1.4e-4, 2.8e-5, 2e-7), (6, 0, 4), 0.021),
        (3, (7e-4, 1.4e-4, 2.8e-5, 2e-6), (6, 0, 4), 0),
        (4, (5e-4, 5e-4, 1e-4, 5e-5), (5, 0, 3), 0),
    ],
)
def test_released_is_each_models_own(model, rates, batches, weight):
    recipe = find_recipe("released", model=model)
    assert (recipe.batch, recipe.volume_batch, recipe.refine_batch) == batches
    assert recipe.volume_weight == weight
    first = 0 if recipe.pose_images else 1  # the stage that Step 1 begins with
    found = [learning_rate(recipe, first, recipe.batch * step) for step in (0, 20_000)]
    seen = recipe.pose_images if recipe.pose_images else 45_000 * recipe.batch
    found += [learning_rate(recipe, 1, seen), learning_rate(recipe, 2, 0)]
    assert found == pytest.approx(rates)
    # Whatever is asked for wins over the model's own.
    assert find_recipe("released", model=model, batch=9).batch == 9


def test_scaled_recipe_is_the_same_schedule():
    recipe = find_recipe("paper").scaled(0.1)
    found = recipe.pose_images, recipe.volume_images, recipe.refine_images
    assert found == (24_000, 18_000, 7_200)
    assert recipe.milestones == (6_000, 20_400, 34_800) and recipe.validate_images == 500
    assert recipe.pretrain_images == 42_000


def test_override_is_checked():
    assert find_recipe("tiny", seed=3, widths=[8, 8, 8, 8]).widths == (8, 8, 8, 8)
    with pytest.raises(ValueError, match="no 'fuson', the nearest known name is 'fusion'"):
        find_recipe("tiny", fuson="stems")
    with pytest.raises(ValueError, match="no 'lr'"):
        Recipe.from_json(json.dumps({"lr": 1}))
    with pytest.raises(ValueError, match="wanted one of"):
        find_recipe("huge")
    with pytest.raises(ValueError, match="wanted a JSON object"):
        Recipe.from_json("{bad")


def test_overrides_from_a_command_line():
    texts = ["model=2", "widths=[8, 8, 8, 8]", "source=stream", "refiner_gradient=false"]
    assert read_overrides(texts) == {
        "model": 2, "widths": [8, 8, 8, 8], "source": "stream", "refiner_gradient": False,
    }  # fmt: skip
    with pytest.raises(ValueError, match="override is 'model', wanted NAME=VALUE"):
        read_overrides(["model"])


def test_a_recipe_from_before_pretraining_had_none():
    values = json.loads(find_recipe("paper").to_json())
    del values["pretrain"], values["pretrain_images"]
    assert not Recipe.from_json(json.dumps(values)).pretrain


def test_runs_with_and_without_people_do_not_meet():
    tiny, paper = find_recipe("tiny", model=2), find_recipe("paper")
    assert run_folder(tiny) == Path("runs/tiny/model_2")
    assert run_folder(paper, "/elsewhere") == Path("/elsewhere/paper/model_1")
    assert run_folder(tiny.override(pretrain=True)) == Path("runs/tiny_pretrained/model_2")
    assert run_folder(paper.override(pretrain=False)) == Path("runs/paper_from_scratch/model_1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", 5), ("seed", "1"), ("seed", -1), ("image_size", 100), ("batch", 0),
        ("refine_batch", 1), ("volume_batch", 1), ("gamma", 0.0), ("gamma", float("nan")),
        ("refine_images", -1), ("depth_layers", 0), ("depth_bins", 0), ("patch_sizes", (4, 4, 2)),
        ("widths", (8, 8, 8)), ("layers", (1, 1, 1, 0)), ("scale", (0.75,)),
        ("validation_share", 2.0), ("validate_images", 0), ("milestones", ("a",)), ("patience", 0),
        ("pretrain", 1), ("pretrain_images", 0), ("precision", "float16"), ("fusion", "stem"),
        *((name, "x") for name in ("foreground", "block", "bone_length", "source", "patches")),
        *((name, "x") for name in ("orientation", "balance", "distance", "ends")),
        ("volume_difference", "x"),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(name, value):
    with pytest.raises(ValueError) as caught:
        find_recipe("tiny", **{name: value})
    sentence = str(caught.value)
    assert sentence.startswith(f"recipe 'tiny' has {name} = {value!r}, wanted ")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"batch": 1}, "a number greater than or equal to 2"),
        ({"volume_batch": 1}, "0 or at least 2"),
        ({"widths": (8, 8, 8)}, "at least 4 items"),
        ({"image_size": 100}, "a multiple of 32"),
        ({"precision": "float16"}, "'float32', 'bfloat16' or 'auto'"),
        ({"milestones": ("a",)}, "a whole number"),
    ],
)
def test_what_is_wanted_in_words(change, wanted):
    with pytest.raises(ValueError, match=f", wanted {wanted}$"):
        find_recipe("tiny", **change)


def test_recipes_are_frozen_values():
    tiny = find_recipe("tiny")
    assert tiny == find_recipe("tiny") and hash(tiny) == hash(find_recipe("tiny"))
    assert pickle.loads(pickle.dumps(tiny)) == tiny != find_recipe("tiny", seed=1)
    with pytest.raises(ValueError, match="frozen"):
        tiny.seed = 1


def test_stored_recipes_read_back():
    """Those of results that were measured, and of the weights that come with the package."""
    stored = [json.loads(path.read_text()) for path in sorted(ROOT.glob("results/*/*/result.json"))]
    assert len(stored) > 3
    for values in (result["recipe"] for result in stored):
        back = json.loads(Recipe.from_json(json.dumps(values)).to_json())
        assert values.pop("pool")  # an option that is gone
        assert back.items() >= values.items()
    recipe, _ = read_weights(find_weights("small"), "senorita-hand 1")
    assert recipe.source == "open"


def test_what_belongs_to_the_open_world_is_refused_elsewhere():
    for changes in ({"handedness": True}, {"without": ["mesh"]}):
        with pytest.raises(ValueError, match="source = 'files' and handedness or without, wanted"):
            find_recipe("small", **changes)
    with pytest.raises(ValueError, match="source = 'open' and an odd batch, wanted even ones"):
        find_recipe("small", source="open", batch=5)
