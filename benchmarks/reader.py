"""Seconds to open a data set as large as HANDS19's training set, beside parsing it line by line."""

import tempfile
import time
from pathlib import Path

import numpy as np

from senorita_lib.datasets import Hands19
from senorita_lib.datasets.files import LAYOUTS, image_name

FRAMES = 175_951


def write_fake(folder):
    """The text files alone: opening looks at no image."""
    rng = np.random.default_rng(0)
    poses = rng.normal([0, 0, 500], 60, (1000, 21, 3)).reshape(1000, 63)
    poses = ["\t".join(f"{value:.4f}" for value in pose) for pose in poses]
    corners = rng.integers([0, 0, 300, 300], [300, 300, 641, 481], (1000, 4))
    boxes = ["\t".join(map(str, box)) for box in corners]
    files = LAYOUTS["HANDS19"]["train"]
    (folder / files.images).mkdir(parents=True)
    for path, rows in ((files.joints, poses), (files.boxes, boxes)):
        with open(folder / path, "w") as file:
            file.writelines(f"{image_name(i)}\t{rows[i % 1000]}\n" for i in range(FRAMES))


def parse_plainly(folder):
    """As one would write it down."""
    files = LAYOUTS["HANDS19"]["train"]
    for path in (files.boxes, files.joints):
        names, rows = [], []
        for line in (folder / path).read_text().splitlines():
            name, *numbers = line.split()
            names.append(name)
            rows.append(np.array(numbers, np.float64))
        values = np.array(rows, np.float32)
    return names, values.reshape(-1, 21, 3)


def seconds(function, repeats=3):
    """Best time of several calls, and what the last returned."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def main():
    """Print the table."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "Task 1"
        write_fake(folder)
        plain, (names, joints) = seconds(lambda: parse_plainly(folder))

        ours, data = seconds(lambda: Hands19(root))
        assert data.names == names
        assert np.array_equal(data.joints, joints)
    print(f"{f'{FRAMES:,} frames':<26}{'s':>8}{'ratio':>8}")
    for name, time_s in (("plain, line by line", plain), ("Hands19", ours)):
        print(f"{name:<26}{time_s:>8.2f}{plain / time_s:>8.1f}")


if __name__ == "__main__":
    main()
