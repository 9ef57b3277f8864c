"""What the command lines share."""

import sys
from collections.abc import Callable
from functools import wraps
from io import TextIOWrapper
from typing import ParamSpec

_P = ParamSpec("_P")


def command(main: Callable[_P, None]) -> Callable[_P, None]:
    """A command line whose output any terminal can show, and whose errors are one sentence."""

    @wraps(main)
    def run(*arguments: _P.args, **options: _P.kwargs) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 has no ± and no …
        try:
            main(*arguments, **options)
        except (ValueError, OSError, ImportError) as error:
            print(error, file=sys.stderr)
            raise SystemExit(1) from None

    return run
