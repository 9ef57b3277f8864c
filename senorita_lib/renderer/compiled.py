"""Functions that run compiled where there is a compiler, and as they are where there is none."""

import os
import warnings
from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar

import torch

# After how many reads and operations the compiler writes an intermediate, here whole volumes, into
# memory instead of computing it again.
_INLINE: dict[str, Any] = {"realize_reads_threshold": 1000, "realize_acc_reads_threshold": 1000}
_INLINE["realize_opcount_threshold"] = 10_000
_CACHE = "TORCHINDUCTOR_CACHE_DIR"
_TROUBLE = ""  # why the compiler's own folder cannot be made, if so
try:  # before anything imports torch's compiler: it would stop whoever makes an optimizer
    if _CACHE in os.environ:
        os.makedirs(os.path.abspath(os.environ[_CACHE]), exist_ok=True)
except OSError as error:
    _TROUBLE = f"{_CACHE} is {os.environ.pop(_CACHE)} ({error.strerror})"  # torch has another

P = ParamSpec("P")
R = TypeVar("R")


def left_alone(function: Callable[P, R]) -> Callable[P, R]:
    """Keeps a function out of whatever a caller compiles: it brings what it compiles itself."""
    # torch.compiler.disable is the same as this, but takes seconds to import.
    alone: Callable[P, R] = torch._disable_dynamo(function)

    @wraps(function)
    def outside(*arguments: P.args, **options: P.kwargs) -> R:
        if torch.compiler.is_dynamo_compiling():
            why = "compiles what it needs itself, wanted torch.compile without fullgraph=True"
            torch._dynamo.graph_break(msg=f"{function.__name__} {why}")
        return alone(*arguments, **options)

    return outside


class Compiled:
    """A function of tensors, compiled when it is called for the first time, which takes seconds.

    Each kind of call (types, options) is compiled once, for all shapes. Where that fails (no C++
    compiler, say), a warning says so once, and ``uncompiled`` answers from then on, as it does
    under torch.func and torch.vmap.
    """

    def __init__(self, function: Callable[..., Any], uncompiled: Callable[..., Any]) -> None:
        self.function, self.uncompiled = function, uncompiled
        self.refused: str | None = None  # why it could not be compiled
        self._known: set[tuple[object, ...]] = set()  # kinds of call that are compiled

    @cached_property
    def _fused(self) -> Callable[..., Any]:
        known = torch._inductor.list_options()  # other versions may name them otherwise
        options = {name: value for name, value in _INLINE.items() if name in known}
        fused = torch.compile(self.function, fullgraph=True, dynamic=True, options=options)
        if _TROUBLE or torch._dynamo.config.disable or fused is self.function:
            raise RuntimeError(_TROUBLE or "it is switched off here")
        return fused

    def __call__(self, *arguments: Any) -> Any:  # noqa: D102
        if self.refused is None and not torch._C._are_functorch_transforms_active():
            try:
                return self._run(arguments)
            except Exception as error:  # torch raises many kinds, the cache's files OSError
                result = self.uncompiled(*arguments)
                why, _, _ = str(error).strip().partition("\n")
                self.refused = why or type(error).__name__
                name = self.function.__name__.strip("_")
                said = f"{name} runs without torch.compile, several times slower: {self.refused}"
                warnings.warn(said, RuntimeWarning, stacklevel=3)
                return result
        return self.uncompiled(*arguments)

    def _run(self, arguments: tuple[Any, ...]) -> Any:
        parts = [p for a in arguments for p in (a if isinstance(a, tuple) else (a,))]
        tensors = [p for p in parts if isinstance(p, torch.Tensor)]
        kinds = [(p.dtype, p.device, p.requires_grad, p.ndim) for p in tensors]
        others = [p for p in parts if not isinstance(p, torch.Tensor)]
        kind = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *kinds, *others
        if kind in self._known:
            return self._fused(*arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's are about itself
            with torch._dynamo.config.patch(recompile_limit=64):
                result = self._fused(*arguments)
                if isinstance(result, torch.Tensor) and result.requires_grad:
                    # Its gradient is compiled when first asked for: now, where failing is no harm.
                    again = self._fused(*arguments).sum()
                    learned = [p for p in tensors if p.requires_grad]
                    torch.autograd.grad(again, learned, allow_unused=True)
        self._known.add(kind)
        return result
