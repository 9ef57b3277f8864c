"""A recipe trained within so many minutes on the synthetic stream, tested, and written down.

``python -m senorita_lib.training.timed RECIPE --minutes 8`` is what ``make gpu-train`` runs: it
measures how
fast each stage trains here, scales the recipe's images down until they fit, and leaves a result
file and float16 weights in parts of less than 16 MB. Pretraining on people is left out. It needs
torch, NumPy, OpenCV, safetensors, MONAI and tqdm.
"""

import argparse
import hashlib
import json
import platform
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import format_table
from senorita_lib.files import atomic_write
from senorita_lib.paths import project_path
from senorita_lib.recipes import RECIPES, find_recipe, read_overrides
from senorita_lib.training.stages import STAGES, Trainer, crop_options, train

PART_BYTES = 15_000_000
_WARM_UP, _STEPS = 3, 8
_RESERVE = 0.12  # of the time, for tests and files, and for steps slower than those measured


def images_per_second(recipe, crops, device):
    """How fast each stage of a recipe trains here, and how long it takes to begin.

    Parameters
    ----------
    recipe : Recipe
    crops : CropSet
        Training frames of its image size.
    device : str

    Returns
    -------
    speeds : dict
        Stage to images per second; stages without images are left out.
    seconds : float
        For networks and the stream's poses.
    """
    speeds, begun = {}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, crops, folder, device)
        setup = time.monotonic() - begun
        for trainer.stage, name in enumerate(STAGES):
            if not getattr(recipe, f"{name}_images"):
                continue
            trainer.begin_stage()
            _, batch = trainer.plan()
            for step in range(_WARM_UP + _STEPS):
                if step == _WARM_UP:
                    start = _now(device)
                trainer.step(step, batch)
            speeds[name] = _STEPS * batch / (_now(device) - start)
    return speeds, setup


def _now(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()


def fit(recipe, speeds, seconds):
    """The recipe, scaled down where its stages would take longer than ``seconds`` in all.

    Parameters
    ----------
    recipe : Recipe
    speeds : dict
        Of :func:`images_per_second`.
    seconds : float

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If not even a hundred steps fit.
    """
    needed = sum(_seconds(recipe, speeds).values())
    if needed <= seconds:
        return recipe
    factor = max(seconds, 0) / needed
    images = round(factor * (recipe.pose_images + recipe.volume_images))
    if images < 100 * recipe.batch:
        raise ValueError(
            f"{seconds:.0f} s of training see {images} images in Step 1, wanted a hundred batches "
            f"of {recipe.batch}: give it more minutes or a smaller recipe"
        )
    return recipe.scaled(factor)


def _seconds(recipe, speeds):
    """What each stage takes."""
    return {name: getattr(recipe, f"{name}_images") / speed for name, speed in speeds.items()}


def timed_run(recipe, minutes, data, runs, out, *, device=None, progress=True):
    """Train and test a recipe within so many minutes.

    A run that was killed goes on with the recipe that it had fitted.

    Parameters
    ----------
    recipe : Recipe
    minutes : float
        For all, from the call on.
    data : path
        Root of a data set in HANDS19's layout, for bone lengths, validation and test; the synthetic
        one is written if nothing is there.
    runs, out : path
        The run's folder is ``runs/NAME``, see :func:`~senorita_lib.training.stages.train`; its
        result
        ``out/NAME.json``, its weights ``out/NAME.safetensors.00`` and so on: ``cat`` joins them.
    device : str, optional
    progress : bool

    Returns
    -------
    dict
        What ``NAME.json`` holds.

    Raises
    ------
    ValueError
        If too little fits into the time.
    """
    begun = time.monotonic()
    asked = hashlib.sha256(f"{recipe.to_json()} {minutes}".encode()).hexdigest()
    name = f"{recipe.name}_model_{recipe.model}_seed_{recipe.seed}_{asked[:6]}"
    folder, out = Path(runs) / name, Path(out)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not (Path(data) / "Task 1" / "training_joint_annotation.txt").exists():
        write_synthetic(data, progress=progress)
    used = folder / "fitted.json"
    if used.exists():
        kept = json.loads(used.read_text())
        fitted = recipe.override(**kept["recipe"])
    else:
        crop = crop_options(recipe)
        crops = load_crops(Hands19(data, "train"), progress=progress, **crop)
        load_crops(Hands19(data, "test", skip_degenerate=False), progress=progress, **crop)
        speeds, setup = images_per_second(recipe, crops, device)
        left = (1 - _RESERVE) * 60 * minutes - (time.monotonic() - begun) - setup
        fitted = fit(recipe, speeds, left)
        folder.mkdir(parents=True, exist_ok=True)
        needs = _seconds(fitted, speeds)
        # A stage may take longer than expected by what is left over, or by a tenth: the next
        # one wants its time, too.
        more = max(1.1, left / sum(needs.values()))
        kept = {
            "recipe": json.loads(fitted.to_json()),
            "images_per_second": speeds,
            "seconds": {name: more * seconds for name, seconds in needs.items()},
        }
        atomic_write(used, json.dumps(kept).encode())
    if progress:
        print(fitted.to_json())
        speeds = kept["images_per_second"].items()
        print("images a second, expected:", ", ".join(f"{n} {s:.0f}" for n, s in speeds))
    run = train(fitted, data, folder, device=device, progress=progress, seconds=kept["seconds"])
    spent = json.loads((folder / "timing.json").read_text())
    result = run.result | {
        "name": name,
        "device": _device_name(device),
        "versions": _versions(),
        "minutes": round((time.monotonic() - begun) / 60, 2),  # of the last call, if resumed
        "seconds": {stage: round(seconds, 1) for stage, seconds in spent.items()},
        "images_per_second": {
            stage: round(run.result["images"][stage] / seconds, 1)
            for stage, seconds in spent.items()
        },
        "log": [row for row in run.log if "validation_initial_mm" in row],
    }
    for row in result["log"]:
        row.pop("strip_mm", None)
    out.mkdir(parents=True, exist_ok=True)
    write_parts(run.model, out / f"{name}.safetensors")
    atomic_write(out / f"{name}.json", (json.dumps(result, indent=1) + "\n").encode())
    return result


def write_parts(model, path, part_bytes=PART_BYTES):
    """Weights as float16 in files of less than 16 MB: ``cat PATH.* > PATH`` joins them.

    Returns
    -------
    list of pathlib.Path
    """
    path = Path(path)
    for old in path.parent.glob(f"{path.name}.[0-9][0-9]"):
        old.unlink()
    model.save(path, half=True)
    whole = path.read_bytes()
    parts = []
    for number, start in enumerate(range(0, len(whole), part_bytes)):
        parts.append(path.with_name(f"{path.name}.{number:02d}"))
        atomic_write(parts[-1], whole[start : start + part_bytes])
    path.unlink()
    return parts


def _device_name(device):
    kind = torch.device(device).type
    return torch.cuda.get_device_name() if kind == "cuda" else kind


def _versions():
    found = {"python": platform.python_version(), "torch": torch.__version__}
    for name in ("numpy", "monai", "safetensors", "opencv-python", "opencv-python-headless"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(arguments=None):
    """Command line: one timed run, its table, its file."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.training.timed",
        description="Train a recipe on the synthetic stream within so many minutes and test it.",
    )
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all, from start to end")
    parser.add_argument("--data", default="data/hands19_synthetic", help="made if it is missing")
    parser.add_argument("--runs", default="runs/timed")
    parser.add_argument("--out", default="results/timed")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="of the recipe")
    chosen = parser.parse_args(arguments)
    try:
        overrides = {"source": "stream", "pretrain": False} | read_overrides(chosen.set)
        recipe = find_recipe(chosen.recipe, **overrides)
        data = project_path(chosen.data)
        runs, out = project_path(chosen.runs), project_path(chosen.out)
        result = timed_run(recipe, chosen.minutes, data, runs, out)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(format_table(result["errors"], "mean joint error, mm"))
    seen = sum(result["images"].values())
    print(f"{seen:,} images, {result['minutes']} minutes: {out / result['name']}.json")


if __name__ == "__main__":
    main()
