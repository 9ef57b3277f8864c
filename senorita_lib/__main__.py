"""Trains a recipe: ``python -m senorita_lib RECIPE``, in one process or under ``torchrun``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from senorita_lib.commands import command, process_number
from senorita_lib.datasets.hands19 import Hands19
from senorita_lib.evaluation import POSES, format_table
from senorita_lib.files import user_path
from senorita_lib.people.pretraining import SYNTHETIC, starting_weights
from senorita_lib.predictor import weights_path
from senorita_lib.recipes import RECIPES, find_recipe, read_overrides, run_folder
from senorita_lib.training import processes
from senorita_lib.training.stages import train


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: train a recipe through all its stages, or resume it, and test it."""
    what = "Train a recipe through all its stages, or resume a run, and test it."
    parser = argparse.ArgumentParser(prog="python -m senorita_lib", description=what)
    parser.add_argument("recipe", help=", ".join(RECIPES))
    option = parser.add_argument
    option("--data", default="data/hands19_synthetic", help="folder that contains 'Task 1'")
    option("--cache", help="folder for crops (default: crops in the folder of --data)")
    people = "for recipes with pretrain: folder with MPII and Human3.6M (default: synthetic)"
    option("--people", default=SYNTHETIC, help=people)
    option("--start", help="weights to go on from, of equal networks: small, or model.safetensors")
    option("--folder", help="folder for the run (default: runs/RECIPE/model_MODEL)")
    option(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
        help="recipe values, as JSON or text, such as model=2 'milestones=[60000, 90000]'",
    )  # fmt: skip
    chosen = parser.parse_args(arguments)
    recipe = find_recipe(chosen.recipe, **read_overrides(chosen.set))
    if chosen.start and chosen.people != SYNTHETIC:
        found = f"start is {chosen.start!r} and people is {chosen.people!r}"
        raise ValueError(f"{found}, wanted one of the two: weights have seen their people")
    folder = user_path(chosen.folder or run_folder(recipe))
    data, first = user_path(chosen.data), process_number() == 0
    Hands19(data, "train")  # a missing data set is reported before hours of pretraining
    if first:
        print(recipe.to_json(), flush=True)
    with processes.process_group() as device:
        if chosen.start:
            start: Path | None = weights_path(chosen.start)
        else:
            start = starting_weights(recipe, folder.parent, chosen.people, device=device)
        run = train(recipe, data, folder, device=device, start=start, cache=chosen.cache)
    if first and not run.result["frames"]:
        print(f"No test frames in {data}, so no test result; {folder} holds the network.")
    elif first:
        errors = run.result["errors"]
        rows = {label: errors[name] for name, label in POSES.items()}
        print(format_table(rows, f"Model {recipe.model}, mean joint error, mm"))
        if not errors["refined"]:
            print(f"The test frames have no labels: {folder / 'submission.zip'} can be scored.")


if __name__ == "__main__":
    main()
