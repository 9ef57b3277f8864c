import json
import pickle
import re
from pathlib import Path

import pytest
from conftest import ROOT

from senorita_lib.model import read_weights
from senorita_lib.recipes import RECIPES, Recipe, find_recipe, read_overrides, run_folder
from senorita_lib.training.loop import learning_rate
from senorita_lib.weights import find_weights


def test_recipes_are_frozen_values_that_json_and_pickle_keep():
    for name in RECIPES:
        recipe = find_recipe(name)
        assert recipe.name == name and hash(recipe) == hash(find_recipe(name))
        assert Recipe.from_json(recipe.to_json()) == pickle.loads(pickle.dumps(recipe)) == recipe
        assert recipe != find_recipe(name, seed=1)
        with pytest.raises(ValueError, match="frozen"):
            recipe.seed = 1


def test_paper_is_the_papers():
    recipe = find_recipe("paper")
    assert (recipe.batch, recipe.refine_batch, recipe.learning_rate) == (6, 4, 7e-4)
    assert [m // recipe.batch for m in recipe.milestones] == [10_000, 34_000, 58_000]
    assert (recipe.pose_images + recipe.volume_images) // recipe.batch == 70_000
    assert recipe.refine_images // recipe.refine_batch == 18_000
    assert 1 / recipe.volume_weight == pytest.approx(200)
    assert recipe.pretrain and recipe == Recipe(pretrain=True)
    steps = (0, 0), (0, 9_999), (0, 10_000), (0, 34_000), (1, 58_000), (2, 0)
    rates = [learning_rate(recipe, stage, 6 * step) for stage, step in steps]
    assert rates == pytest.approx([7e-4, 7e-4, 1.4e-4, 2.8e-5, 7e-4 / 125, 7e-5])


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


def test_overrides_are_checked():
    texts = ["model=2", "widths=[8, 8, 8, 8]", "source=stream", "refiner_gradient=false"]
    wanted = {"model": 2, "widths": [8, 8, 8, 8], "source": "stream", "refiner_gradient": False}
    assert read_overrides(texts) == wanted
    assert find_recipe("tiny", **wanted).widths == (8, 8, 8, 8)
    for call, words in (
        (lambda: read_overrides(["model"]), "override is 'model', wanted NAME=VALUE"),
        (lambda: find_recipe("tiny", fuson=1), "no 'fuson', the nearest known name is 'fusion'"),
        (lambda: Recipe.from_json('{"lr": 1}'), "no 'lr'"),
        (lambda: Recipe.from_json("{bad"), "wanted a JSON object"),
        (lambda: find_recipe("huge"), "wanted one of"),
        (
            lambda: find_recipe("small", source="open", batch=5),
            "'open' and an odd batch, wanted ev",
        ),
        *(
            (lambda c=c: find_recipe("small", **c), "= 'files' and handedness or without, wanted")
            for c in ({"handedness": True}, {"without": ["mesh"]})  # which are of the open world
        ),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_runs_with_and_without_people_do_not_meet():
    tiny, paper = find_recipe("tiny", model=2), find_recipe("paper")
    assert run_folder(tiny) == Path("runs/tiny/model_2")
    assert run_folder(paper, "/elsewhere") == Path("/elsewhere/paper/model_1")
    assert run_folder(tiny.override(pretrain=True)) == Path("runs/tiny_pretrained/model_2")
    assert run_folder(paper.override(pretrain=False)) == Path("runs/paper_from_scratch/model_1")


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("batch", 1, "a number greater than or equal to 2$"),
        ("volume_batch", 1, "0 or at least 2$"),
        ("widths", (8, 8, 8), "at least 4 items$"), ("image_size", 100, "a multiple of 32$"),
        ("precision", "float16", "'float32', 'bfloat16' or 'auto'$"),
        ("milestones", ("a",), "a whole number$"),
        *((*pair, "") for pair in (
            ("model", 5), ("seed", "1"), ("seed", -1), ("batch", 0), ("refine_batch", 1),
            ("gamma", 0.0), ("gamma", float("nan")), ("refine_images", -1), ("depth_layers", 0),
            ("depth_bins", 0), ("patch_sizes", (4, 4, 2)), ("layers", (1, 1, 1, 0)),
            ("scale", (0.75,)), ("validation_share", 2.0), ("validate_images", 0), ("patience", 0),
            ("pretrain", 1), ("pretrain_images", 0),
        )),
        *((name, "x", "") for name in (
            "foreground", "block", "bone_length", "source", "patches", "orientation", "balance",
            "distance", "ends", "volume_difference", "fusion",
        )),
    ],
)  # fmt: skip
def test_impossible_values_are_refused_in_one_sentence(name, value, wanted):
    sentence = rf"^recipe 'tiny' has {name} = {re.escape(repr(value))}, wanted {wanted}"
    with pytest.raises(ValueError, match=sentence) as caught:
        find_recipe("tiny", **{name: value})
    assert "\n" not in str(caught.value)


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
    values = json.loads(find_recipe("paper").to_json())
    del values["pretrain"], values["pretrain_images"]  # a recipe from before pretraining had none
    assert not Recipe.from_json(json.dumps(values)).pretrain
