"""What each ingredient of the open world brings: short trainings that leave one out.

``python -m senorita_lib.experiments.ingredients START`` trains from given weights, some minutes
each, under ``runs/ingredients`` and prints mean joint errors of the initial pose on frames of the
mesh hand and of the splits, hand told. Killed, it goes on where it was. Short runs rank, no more.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, get_args

import pandas as pd

from senorita_lib.commands import command
from senorita_lib.datasets import write_synthetic
from senorita_lib.experiments.generalisation import holding, measure, test_set
from senorita_lib.files import project_path, user_path
from senorita_lib.model import HandPoseNet
from senorita_lib.predictor import Predictor
from senorita_lib.recipes import Ingredient, Recipe, find_recipe
from senorita_lib.training.stages import train

IMAGES = 10_000
TRIALS: dict[str, dict[str, Any]] = {
    "all": {},
    **{f"without {name}": {"without": (name,)} for name in get_args(Ingredient)},
    "96 px": {"image_size": 96},
    "160 px": {"image_size": 160},
    "half the images": {"pose_images": IMAGES // 2},
    "twice the images": {"pose_images": 2 * IMAGES},
}


def recipe_of(trial: str) -> Recipe:
    """The recipe of a trial: of the weights `small`, short, without eq. 4 and Step 2."""
    changes = {"pose_images": IMAGES, "volume_images": 0, "refine_images": 0} | TRIALS[trial]
    changes |= {"source": "open", "handedness": True, "validation_share": 0.1}
    milestones = [round(share * changes["pose_images"]) for share in (0.5, 0.8)]
    schedule = {"learning_rate": 6e-4, "milestones": milestones, "validate_images": IMAGES}
    return find_recipe("small", **schedule, **changes)


def row(model: HandPoseNet, count: int) -> dict[str, float]:
    """Errors of a network in mm, by set of ``count`` frames and where fingers point."""
    predictor = Predictor(model)
    frames = {name: test_set(name, count) for name in ("splits", "mesh")}
    frames["holding a box"] = [*map(holding, frames["mesh"])]
    found = {name: measure(predictor, some) for name, some in frames.items()}
    errors, mesh = {name: own["initial_mm"].mean() for name, own in found.items()}, found["mesh"]
    errors |= mesh.groupby("fingers")["initial_mm"].mean()
    return errors | {"other hand, %": 100 * (mesh["left"] > 0.5).mean()}


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train the trials that are missing and print the table."""
    parser = ArgumentParser("python -m senorita_lib.experiments.ingredients", description=__doc__)
    parser.add_argument("start", help="weights to start from: model.safetensors")
    parser.add_argument("--trials", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--count", type=int, default=200, help="frames of each test set")
    chosen = parser.parse_args(arguments)
    start, data = user_path(chosen.start), write_synthetic(project_path("data/hands19_synthetic"))
    rows: dict[str, dict[str, float]] = {}
    for trial in chosen.trials:
        folder = project_path("runs/ingredients") / trial
        run = train(recipe_of(trial), data, folder, start=start, checkpoint_seconds=60)
        rows[trial] = row(run.model, chosen.count)
        print(pd.DataFrame(rows).T.round(1).to_string(), flush=True)


if __name__ == "__main__":
    main()
