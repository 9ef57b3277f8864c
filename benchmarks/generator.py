"""Synthetic frames a second, drawn and written as a data set; crops a second out of the stream;
people a second, drawn and cut out."""

import os
import tempfile
import time

import cv2

from senorita_lib.datasets import SyntheticHand, SyntheticStream, write_synthetic
from senorita_lib.people import SyntheticBody
from senorita_lib.people.pretraining import BodyBatches
from senorita_lib.people.readers import People
from senorita_lib.recipes import Recipe

FRAMES, WRITTEN = 300, 1500


def rate(work, count=FRAMES):
    """Frames a second of a call that makes ``count`` of them."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def written(workers):
    """Write a data set of as many frames."""
    with tempfile.TemporaryDirectory() as root:
        write_synthetic(root, WRITTEN - 5, 1, workers=workers, progress=False)


def streamed(size, batch=32, batches=20):
    """Crops a second of the stream, after its first batch, whose workers have to start."""
    stream = iter(SyntheticStream(batch=batch, size=size))
    next(stream)
    return rate(lambda: [next(stream) for _ in range(batches)], batch * batches)


def main():
    """Print the table."""
    hands = SyntheticHand()
    hands.frame(0)
    cores = os.cpu_count()
    rows = [("a data set written, one process", rate(lambda: written(1), WRITTEN), "")]
    if cores > 1:
        value = rate(lambda: written(cores), WRITTEN)
        rows.append((f"a data set written, {cores} processes", value, ""))
    cv2.setNumThreads(1)
    poses, frames = (
        rate(lambda draw=draw: [draw(i) for i in range(FRAMES)])
        for draw in (hands.pose, hands.frame)
    )
    rows = [("poses alone, one core", poses, ""), ("frames, one core", frames, "60"), *rows]
    for size in (64, 256):
        people = SyntheticBody(FRAMES, side=round(1.5 * size))
        images = []
        drawn = rate(lambda p=people, i=images: i.extend(p.image(k) for k in range(FRAMES)))
        rows.append((f"people for crops of {size} px, one core", drawn, ""))
        people.image = images.__getitem__
        everybody, recipe = People([people]), Recipe(image_size=size, batch=20)
        batches = BodyBatches(recipe, everybody, everybody.split(0.1)[0], "cpu")
        value = rate(lambda b=batches: [b(step, 20) for step in range(30)], 600)
        rows.append((f"the same in augmented batches, {cores} cores", value, ""))
    for size in (64, 256):
        rows.append((f"stream of {size} px, {cores} cores", streamed(size), ""))
    print(f"{'':<48}{'a second':>10}{'budget':>10}")
    for name, value, budget in rows:
        print(f"{name:<48}{value:>10.0f}{budget:>10}")


if __name__ == "__main__":
    main()
