"""Worker processes that send fixed-size records back over one pipe.

Plain processes rather than multiprocessing, which would import the caller's main module anew:
that breaks scripts without a guard, and input from a terminal.
"""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np


def gather(function, tasks, dtype):
    """Call ``function(*task)`` in a process for each task, or in this one if there is but one.

    Parameters
    ----------
    function : generator function
        At the top of its module; yields records, arrays (1,) of ``dtype``.
    tasks : list of tuples
        Its arguments.
    dtype : numpy.dtype
        Under 4096 bytes (PIPE_BUF), so that records of several workers do not mix.

    Yields
    ------
    array, (n,), dtype
        In any order.

    Raises
    ------
    OSError, ValueError
        What a worker met first; OSError as well if one was killed.
    """
    if len(tasks) == 1:
        yield from function(*tasks[0])
        return
    module = function.__globals__["__spec__"].name  # also where __module__ is __main__
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    read, write = os.pipe()
    children, files = [], []
    try:
        for task in tasks:
            code = "from senorita_lib.datasets.workers import _work; _work()"
            command = [sys.executable, "-c", code, module, function.__name__, str(write)]
            # Its task, then its error: with a pipe this process would wait for each.
            file = tempfile.TemporaryFile()  # noqa: SIM115
            files.append(file)
            pickle.dump(task, file)
            file.seek(0)
            children.append(
                subprocess.Popen(command, stdin=file, pass_fds=[write], env=environment)
            )
        os.close(write)
        write = None
        pending = b""
        while block := os.read(read, 1 << 16):
            pending += block
            whole = len(pending) // dtype.itemsize
            yield np.frombuffer(pending, dtype, count=whole)
            pending = pending[whole * dtype.itemsize :]
            _raise_first(zip(children, files, strict=True), lambda child: child.poll())
        _raise_first(zip(children, files, strict=True), lambda child: child.wait())
    finally:
        for child, file in zip(children, files, strict=False):
            child.kill()
            child.wait()
            file.close()
        for end in (read, write):
            if end is not None:
                os.close(end)


def _raise_first(workers, status):
    for child, file in workers:
        if status(child):
            file.seek(0)
            error = pickle.load(file)  # or still its task
            if isinstance(error, Exception):
                raise error
            raise ChildProcessError("a worker was killed before its work was done; call again")


def _work():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    cv2.setNumThreads(1)
    module, function, write = sys.argv[1:]
    try:
        for record in getattr(import_module(module), function)(*pickle.load(sys.stdin.buffer)):
            os.write(int(write), record.tobytes())
    except BrokenPipeError:  # the parent is gone
        sys.exit(1)
    except (OSError, ValueError) as error:
        os.ftruncate(0, 0)
        os.pwrite(0, pickle.dumps(error), 0)
        sys.exit(1)
