"""Records that several processes make, gathered in one."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np


def gather(function, tasks, dtype, total):
    """Run a generator function on each task, each in a process of its own, or one in this one.

    Parameters
    ----------
    function : generator function
        At the top of its module; yields arrays (1,) of ``dtype``.
    tasks : list of lists
        Arguments, each of which JSON can carry.
    dtype : numpy.dtype
        Of the records: shorter than PIPE_BUF (4096 bytes), so that records of several workers
        on one pipe do not mix.
    total : int
        How many records there are in all.

    Yields
    ------
    array, (k,), of ``dtype``
        In any order.

    Raises
    ------
    RuntimeError
        If a worker dies.
    """
    if len(tasks) == 1:
        yield from function(*tasks[0])
        return
    # Plain processes rather than multiprocessing, which would import the caller's main module
    # anew: that breaks scripts without a guard, and input from a terminal.
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    code = "from senorita_lib.datasets.workers import _work; _work()"
    module = function.__globals__["__spec__"].name  # also where __module__ is __main__
    read, write = os.pipe()
    children = []
    try:
        for task in tasks:
            command = [sys.executable, "-c", code, module, function.__name__, json.dumps(task)]
            children.append(subprocess.Popen(command, stdout=write, env=environment))
        os.close(write)
        write = None
        pending, done = b"", 0
        while block := os.read(read, 1 << 16):
            pending += block
            whole = len(pending) // dtype.itemsize
            yield np.frombuffer(pending, dtype=dtype, count=whole)
            pending = pending[whole * dtype.itemsize :]
            done += whole
        failed = [child for child in children if child.wait()]
        if failed or done != total:
            raise RuntimeError(f"a worker died after {done} of {total} records; call again")
    finally:
        for child in children:
            child.kill()
            child.wait()
        for end in (read, write):
            if end is not None:
                os.close(end)


def _work():
    cv2.setNumThreads(1)
    module, name, task = sys.argv[1:]
    for record in getattr(importlib.import_module(module), name)(*json.loads(task)):
        os.write(1, record.tobytes())
