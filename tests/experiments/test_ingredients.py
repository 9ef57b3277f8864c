"""The ablation's recipes, and the row that it prints for a network."""

import numpy as np
import pytest

from senorita_lib.experiments.ingredients import IMAGES, TRIALS, recipe_of, row
from senorita_lib.predictor import Predictor


@pytest.mark.parametrize("trial", TRIALS)
def test_a_trial_changes_what_its_name_says(trial):
    usual, recipe = recipe_of("all").model_dump(), recipe_of(trial).model_dump()
    changed = {name for name in usual if usual[name] != recipe[name]} - {"milestones"}
    assert changed == TRIALS[trial].keys()
    assert max(recipe["milestones"]) < recipe["pose_images"] <= 2 * IMAGES


@pytest.mark.slow
def test_a_row_has_errors_by_set_and_direction():
    errors = row(Predictor.load("small").model, 5)
    assert {"splits", "mesh", "holding a box", "other hand, %"} <= errors.keys()
    assert 5 < errors["splits"] < 40 and all(np.isfinite([*errors.values()]))
