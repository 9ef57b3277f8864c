"""Functions that run compiled where there is a compiler, and as they are where there is none."""

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch

# After how many reads and operations the compiler writes an intermediate, here whole volumes, into
# memory instead of computing it again.
_INLINE: dict[str, Any] = {
    "realize_reads_threshold": 1000,
    "realize_acc_reads_threshold": 1000,
    "realize_opcount_threshold": 10_000,
}


class Compiled:
    """A function of tensors, compiled when it is called for the first time, which takes seconds.

    Each kind of call (types, options) is compiled once, for all shapes; the compiler keeps on
    disk what it made. Where that fails (without a C++ compiler, say) a warning says so once, and
    ``uncompiled`` answers from then on.
    """

    def __init__(self, function: Callable[..., Any], uncompiled: Callable[..., Any]) -> None:
        self.function, self.uncompiled = function, uncompiled
        self.refused: str | None = None  # why it could not be compiled
        self._known: set[tuple[object, ...]] = set()  # kinds of call that are compiled

    @cached_property
    def _fused(self) -> Callable[..., Any]:
        known = torch._inductor.list_options()  # other versions may name them otherwise
        options = {name: value for name, value in _INLINE.items() if name in known}
        return torch.compile(self.function, fullgraph=True, dynamic=True, options=options)

    def __call__(self, *arguments: Any) -> Any:  # noqa: D102
        if self.refused is None:
            try:
                kind = self._kind(arguments)
                if kind in self._known:
                    return self._fused(*arguments)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the compiler's are about itself
                    with torch._dynamo.config.patch(recompile_limit=64):
                        result = self._fused(*arguments)
                self._known.add(kind)
                return result
            except torch._dynamo.exc.TorchDynamoException as error:
                self.refused = str(error).strip().partition("\n")[0]
                name = self.function.__name__.strip("_")
                why = f"{name} runs without torch.compile, several times slower: {self.refused}"
                warnings.warn(why, RuntimeWarning, stacklevel=3)
        return self.uncompiled(*arguments)

    def _kind(self, arguments: tuple[object, ...]) -> tuple[object, ...]:
        parts = [p for a in arguments for p in (a if isinstance(a, tuple) else (a,))]
        kinds = [
            (p.dtype, p.device, p.requires_grad, p.ndim) if isinstance(p, torch.Tensor) else p
            for p in parts
        ]
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *kinds
