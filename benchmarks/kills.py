"""Kills training at random moments, resumes it, and compares the result with an unkilled run.

``python benchmarks/kills.py 20 0`` kills twenty runs of a small recipe; 0 is the seed.
"""

import itertools
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from senorita_lib.datasets import write_synthetic
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe
from senorita_lib.training import stages as training

RECIPE = find_recipe(
    "tiny", image_size=32, widths=(8, 8, 8, 8), head_channels=8, depth_bins=8,
    patch_sizes=(16, 8, 8), hidden=8, patch_channels=1, volume_size=8, pose_images=160,
    volume_images=120, refine_images=120, batch=4, refine_batch=4, validate_images=40,
)  # fmt: skip
DOING = {"resume": "beginning", "step": "a step", "validate": "validation"}
DOING |= {"save": "a checkpoint", "finish": "the result"}


def run(data, folder, place):
    """The process that is killed; ``place`` has its stage, images and what it is doing."""
    for number, name in enumerate(DOING):
        setattr(training.Trainer, name, watched(getattr(training.Trainer, name), number, place))
    training.train(RECIPE, data, folder, progress=False, checkpoint_seconds=0, device="cpu")


def watched(method, number, place):
    def call(trainer, *arguments):
        before = place[2]
        place[:] = trainer.stage, trainer.images, number
        try:
            return method(trainer, *arguments)
        finally:
            place[2] = before

    return call


def outcome(folder):
    """Weights, log, result and predictions of a finished run, as bytes."""
    weights = HandPoseNet.load(folder / "model.safetensors").state_dict()
    with np.load(folder / "predictions.npz") as predictions:
        arrays = [predictions[name] for name in sorted(predictions)]
    names = "log.json", "result.json"
    return (
        {name: value.numpy().tobytes() for name, value in weights.items()},
        [array.tobytes() for array in arrays],
        *((folder / name).read_bytes() for name in names),
    )


def start(context, data, folder):
    place = context.Array("q", [0, 0, 0], lock=False)
    process = context.Process(target=run, args=(data, folder, place))
    process.start()
    return process, place


def killed(context, data, folder, moment):
    """Kill a run after so many seconds; where it was, or None if it ended before."""
    process, place = start(context, data, folder)
    process.join(moment)
    process.kill()
    process.join()
    return place[:] if process.exitcode else None


def main(count=20, seed=0):
    """Print a line for each kill; whether all runs ended equal."""
    context = multiprocessing.get_context("fork")  # no time goes by with imports
    torch.set_num_threads(1)  # nor do threads get lost
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        data, folder = Path(place, "hands19"), Path(place, "whole")
        write_synthetic(data, train=48, test_per_split=4, workers=2, progress=False)
        for name in ("first", "whole"):  # the first one makes the crops, too
            begin = time.monotonic()
            start(context, data, Path(place, name))[0].join()
            seconds = time.monotonic() - begin
        whole, equal = outcome(folder), 0
        print(f"A run takes {seconds:.1f} s. What it did when it was killed, and whether the")
        print("result after resuming is equal to the bit:")
        print("kill  second  stage   images  what          equal")
        for number in range(count):
            for attempt in itertools.count():
                folder = Path(place, f"{number}_{attempt}")
                moment = rng.uniform(0, seconds)
                where = killed(context, data, folder, moment)
                if where:
                    break
            process, _ = start(context, data, folder)
            process.join()
            same = process.exitcode == 0 and outcome(folder) == whole
            equal += same
            stage = [*training.STAGES, "end"][where[0]]
            what = list(DOING.values())[where[2]]
            yes = "yes" if same else "NO"
            print(f"{number:4}{moment:8.2f}  {stage:6}{where[1]:8}  {what:12}  {yes}", flush=True)
    print(f"{equal} of {count} killed runs ended with the weights, log and result of the whole one")
    return equal == count


if __name__ == "__main__":
    sys.exit(not main(*(int(number) for number in sys.argv[1:])))
