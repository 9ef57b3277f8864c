import json

import pytest

from senorita_lib.recipes import RECIPES, Recipe, find_recipe


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


def test_override_is_checked():
    assert find_recipe("tiny", seed=3, widths=[8, 8, 8, 8]).widths == (8, 8, 8, 8)
    with pytest.raises(
        ValueError, match="no 'learning_rat', the nearest known name is 'learning_rate'"
    ):
        find_recipe("tiny", learning_rat=3.0)
    assert find_recipe("paper").fusion == "concat"
    stems = find_recipe("tiny", fusion="stems")
    assert Recipe.from_json(stems.to_json()) == stems
    with pytest.raises(ValueError, match="no 'fuson', the nearest known name is 'fusion'"):
        find_recipe("tiny", fuson="stems")
    with pytest.raises(ValueError, match="no 'lr'"):
        Recipe.from_json(json.dumps({"lr": 1}))
    with pytest.raises(ValueError, match="wanted one of"):
        find_recipe("huge")
    with pytest.raises(ValueError, match="wanted a JSON object"):
        Recipe.from_json("{bad")


@pytest.mark.parametrize(
    "change",
    [
        {"model": 5},
        {"image_size": 100},
        {"batch": 0},
        {"refine_batch": 1},
        {"seed": "1"},
        {"gamma": 0.0},
        {"refine_images": -1},
        {"foreground": "x"},
        {"block": "x"},
        {"fusion": "stem"},
        {"depth_layers": 0},
        {"bone_length": "x"},
        {"depth_bins": 0},
        {"patch_sizes": (4, 4, 2)},
        {"validation_share": 2.0},
        {"milestones": ("a",)},
    ],
)
def test_impossible_values_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} = .*wanted"):
        find_recipe("tiny", **change)
