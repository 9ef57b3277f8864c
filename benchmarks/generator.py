"""Synthetic frames a second: drawn, and written as a data set, on one core and on all."""

import os
import tempfile
import time

import cv2

from senorita_lib.datasets import SyntheticHand, write_synthetic

FRAMES = 300


def rate(work, count=FRAMES):
    """Frames a second of a call that makes ``count`` of them."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def written(workers):
    """Write a data set of as many frames."""
    with tempfile.TemporaryDirectory() as root:
        write_synthetic(root, FRAMES - 5, 1, workers=workers, progress=False)


def main():
    """Print the table."""
    hands = SyntheticHand()
    hands.frame(0)
    cores = os.cpu_count()
    rows = [("a data set written, one process", rate(lambda: written(1)))]
    if cores > 1:
        rows.append((f"a data set written, {cores} processes", rate(lambda: written(cores))))
    cv2.setNumThreads(1)
    rows.insert(0, ("poses alone, one core", rate(lambda: [hands.pose(i) for i in range(FRAMES)])))
    rows.insert(1, ("frames, one core", rate(lambda: [hands.frame(i) for i in range(FRAMES)])))
    print(f"{'':<36}{'frames a second':>16}{'budget':>10}")
    for name, value in rows:
        print(f"{name:<36}{value:>16.0f}" + (f"{60:>10}" if name.startswith("frames") else ""))


if __name__ == "__main__":
    main()
