"""Seconds and memory of the challenge's submission, beside NumPy's text: HANDS19's 124,999 frames.

Each form runs in a process of its own. The plain ones write ``result.txt`` by ``np.savetxt``, zip
it by default, and read it whole by ``np.loadtxt``; they check nothing.
"""

import subprocess
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from renderer import _kilobytes

from senorita_lib.datasets.files import image_name
from senorita_lib.submission import MEMBER, check_submission, write_submission

FRAMES = 124_999
HAND = Path(__file__).parents[1] / "results" / "tiny" / "model_1" / "predictions.npz"


def poses():
    """Real predictions again and again, each time a little different."""
    with np.load(HAND) as arrays:
        joints = np.resize(arrays["refined"], (FRAMES, 21, 3))
    joints += np.random.default_rng(0).normal(0, 2, joints.shape).astype(np.float32)
    return [image_name(i) for i in range(FRAMES)], joints


def plain_write(path, names, joints):
    table = np.concatenate([np.array(names, object)[:, None], joints.reshape(-1, 63)], axis=1)
    text = path.with_suffix(".txt")
    np.savetxt(text, table, fmt=["%s"] + 63 * ["%.4f"], delimiter="\t")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(text, MEMBER)


def plain_read(path):
    with zipfile.ZipFile(path) as archive, archive.open(MEMBER) as file:
        return len(np.loadtxt(file, usecols=range(1, 64), delimiter="\t", dtype=np.float32))


def measure(form, folder):
    """Seconds of a form, and the peak of what it adds to its process, MB."""
    path = Path(folder) / "result.zip"
    if form.endswith("write"):
        call = partial(write_submission if form == "write" else plain_write, path, *poses())
    elif form == "check":
        call = partial(check_submission, path, Path(folder) / "test_bbs.txt")
    else:
        call = partial(plain_read, path)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak counts anew from here
    before, start = _kilobytes("VmRSS"), time.perf_counter()
    call()
    return time.perf_counter() - start, (_kilobytes("VmHWM") - before) / 1024


def main():
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        boxes = "".join(f"{image_name(i)} 0 0 640 480\n" for i in range(FRAMES))
        (Path(folder) / "test_bbs.txt").write_text(boxes)
        print(f"{f'{FRAMES:,} frames':<26}{'s':>8}{'ratio':>8}{'extra MB':>10}")
        for forms in (("plain write", "write"), ("plain read", "check")):
            rows = []
            for form in forms:
                command = [sys.executable, __file__, form, folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows.append([float(word) for word in done.stdout.split()])
                (seconds, megabytes), plain = rows[-1], rows[0][0]
                print(f"{form:<26}{seconds:>8.2f}{plain / seconds:>8.1f}{megabytes:>10.0f}")


if __name__ == "__main__":
    if sys.argv[1:]:
        print(*measure(*sys.argv[1:]))
    else:
        main()
