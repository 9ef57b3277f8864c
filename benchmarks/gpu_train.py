"""Trains a recipe on synthetic data within some minutes: ``gpu_train.py RECIPE --minutes 8``.

Measures how fast each stage trains here, scales the recipe's images to fit, trains and tests.
Writes the result as JSON and the weights as float16 in parts below 16 MB: ``cat PARTS`` joins them.
There is no pretraining. Needs only what training needs. A run that was killed resumes.
"""

import argparse
import hashlib
import json
import tempfile
import time
from pathlib import Path

import torch

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import format_table
from senorita_lib.files import atomic_write, user_path
from senorita_lib.recipes import Recipe, find_recipe, read_overrides
from senorita_lib.training.stages import STAGES, Trainer, crop_options, train

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NAME = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
WARM_UP, STEPS = 3, 30
RESERVE = 0.15  # share of the time for tests, files and steps slower than those measured
PART_BYTES = 15_000_000


def images_per_second(recipe, data):
    """Speed of each stage that has images."""
    load_crops(Hands19(data, "test", skip_degenerate=False), **crop_options(recipe))
    crops = load_crops(Hands19(data, "train"), **crop_options(recipe))
    speeds = {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, crops, Path(folder), DEVICE, progress=True)
        for trainer.stage, name in enumerate(STAGES):
            if getattr(recipe, f"{name}_images"):
                trainer.begin_stage()
                batch = trainer.plan()[1]
                times = []
                for step in range(WARM_UP + STEPS):
                    trainer.step(step, batch)
                    if DEVICE == "cuda":
                        torch.cuda.synchronize()
                    times.append(time.monotonic())
                speeds[name] = STEPS * batch / (times[-1] - times[WARM_UP - 1])
    return speeds


def fit(recipe, speeds, seconds):
    """The recipe, with fewer images if its stages take longer than so many seconds."""
    needed = sum(getattr(recipe, f"{name}_images") / speed for name, speed in speeds.items())
    fitted = recipe.scaled(min(1.0, max(seconds, 0) / needed))
    if (images := fitted.pose_images + fitted.volume_images) < 100 * recipe.batch:
        raise ValueError(f"{seconds:.0f} s allow {images} images in Step 1, wanted 100 batches")
    return fitted


def write_parts(model, path, part_bytes=PART_BYTES):
    """Weights as float16 in the files ``PATH.00``, ``PATH.01`` and so on."""
    for old in path.parent.glob(f"{path.name}.[0-9][0-9]"):
        old.unlink()
    model.save(path, half=True)
    whole = path.read_bytes()
    for number, start in enumerate(range(0, len(whole), part_bytes)):
        atomic_write(f"{path}.{number:02d}", whole[start : start + part_bytes])
    path.unlink()


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Train a recipe on synthetic data for some time.")
    parser.add_argument("recipe")
    parser.add_argument("--minutes", type=float, default=8.0, help="from start to end")
    for name in ("data/hands19_synthetic", "runs/timed", "results/timed"):
        parser.add_argument(f"--{name.split('/')[0]}", type=user_path, default=name)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    chosen, begun = parser.parse_args(arguments), time.monotonic()
    settings = {"source": "stream", "pretrain": False} | read_overrides(chosen.set)
    recipe, data = find_recipe(chosen.recipe, **settings), chosen.data
    asked = hashlib.sha256(f"{recipe.to_json()} {chosen.minutes}".encode()).hexdigest()
    name = f"{recipe.name}_model_{recipe.model}_seed_{recipe.seed}_{asked[:6]}"
    kept = chosen.runs / name / "fitted.json"
    if not (data / "Task 1" / "training_joint_annotation.txt").exists():
        write_synthetic(data)
    if not kept.exists():
        speeds = images_per_second(recipe, data)
        print("images a second:", ", ".join(f"{stage} {n:.0f}" for stage, n in speeds.items()))
        left = (1 - RESERVE) * 60 * chosen.minutes - (time.monotonic() - begun)
        fitted = fit(recipe, speeds, left)
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(kept, fitted.to_json())
    run = train(Recipe.from_json(kept.read_text()), data, kept.parent, device=DEVICE)
    chosen.results.mkdir(parents=True, exist_ok=True)
    write_parts(run.model, chosen.results / f"{name}.safetensors")
    seconds = json.loads((run.folder / "timing.json").read_text())
    result = run.result | {"device": NAME, "seconds": seconds}
    atomic_write(chosen.results / f"{name}.json", json.dumps(result, indent=1) + "\n")
    print(format_table(run.result["errors"], "mean joint error, mm"))
    print(f"{(time.monotonic() - begun) / 60:.1f} minutes: {chosen.results / name}.json")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
