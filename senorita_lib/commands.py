"""What the command lines share."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import ParamSpec

_P = ParamSpec("_P")


def process_number() -> int:
    """Which process of ``torchrun`` this is; 0 without it."""
    rank = os.environ.get("RANK", "")
    return int(rank) if rank.isdecimal() else 0


def command(main: Callable[_P, None]) -> Callable[_P, None]:
    """A command line whose output any terminal can show, and whose errors are one sentence."""

    @wraps(main)
    def run(*arguments: _P.args, **options: _P.kwargs) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 has no ± and no …
        try:
            main(*arguments, **options)
        except (ValueError, OSError, ImportError) as error:
            rank = process_number()
            print(f"process {rank}: {error}" if rank else error, file=sys.stderr)
            raise SystemExit(1) from None

    return run
