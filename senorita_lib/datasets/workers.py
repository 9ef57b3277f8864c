"""Work for several processes: joblib's, which also end when the caller is killed."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from typing import Any, TypeVar

import cv2
from joblib import Parallel, delayed

Result = TypeVar("Result")


def run_tasks(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Result]:
    """Yield ``function(*task)`` for each task, in any order, from as many processes.

    One worker is this process itself. What ``function`` raises comes through, and a worker that
    was killed is a ChildProcessError.
    """
    if workers == 1:
        yield from (function(*task) for task in tasks)
        return
    calls = (delayed(_run)(os.getpid(), function, task) for task in tasks)
    try:
        yield from Parallel(n_jobs=workers, return_as="generator_unordered")(calls)
    except BrokenProcessPool:
        raise ChildProcessError("a worker was killed before it was done; call again") from None


def _run(parent: int, function: Callable[..., Result], task: tuple[Any, ...]) -> Result:
    cv2.setNumThreads(1)
    end_with(parent)
    return function(*task)


@lru_cache
def end_with(parent: int) -> None:
    """End this process when its parent, of that id, was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
