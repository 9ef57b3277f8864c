"""NumPy arrays and torch tensors alike; NumPy comes late, as the renderer needs torch alone."""

import math
from typing import TYPE_CHECKING, TypeVar

import torch

from senorita_lib._arguments import show

if TYPE_CHECKING:
    import numpy as np

Array = TypeVar("Array", "np.ndarray", torch.Tensor)  # what goes in comes out


def plain(name: str, values: object, masked: float = math.nan) -> "np.ndarray":
    """``values`` as an ordinary NumPy array: of lists, tensors of any kind, masked arrays.

    What is masked becomes ``masked``. ``ValueError`` if it holds no numbers.
    """
    import numpy as np

    try:
        if isinstance(values, torch.Tensor):
            narrow = values.is_floating_point() and values.element_size() < 4  # not all in NumPy
            array = (values.float() if narrow else values).to_dense().numpy(force=True)
        elif isinstance(values, np.ma.MaskedArray):
            whole = isinstance(masked, float) and values.dtype.kind != "f"
            array = np.ma.filled(values.astype(float) if whole else values, masked)
        elif isinstance(values, list | tuple):
            inner = list, tuple, torch.Tensor, np.ma.MaskedArray
            parts = [plain(name, v, masked) if isinstance(v, inner) else v for v in values]
            array = np.asarray(parts)
        else:
            array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {show(values)}, wanted an array of numbers") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} is {array.dtype}, wanted numbers")
    return array


def given(name: str, values: Array) -> Array:
    """Tensors as they are, which keeps device and gradient, all else :func:`plain`."""
    return values if isinstance(values, torch.Tensor) else plain(name, values)


def like(values: object, other: Array) -> Array:
    """``values`` as an array of ``other``'s kind: same library, device and floating-point type."""
    if isinstance(other, torch.Tensor):
        dtype = other.dtype if other.is_floating_point() else torch.get_default_dtype()
        return torch.as_tensor(values, dtype=dtype, device=other.device)
    import numpy as np

    dtype = np.asarray(other).dtype
    return np.asarray(values, dtype=dtype if dtype.kind == "f" else np.float64)


def stack_last(parts: tuple[Array, ...]) -> Array:
    """Stack along a new last axis."""
    if isinstance(parts[0], torch.Tensor):
        return torch.stack(parts, dim=-1)
    import numpy as np

    return np.stack(parts, axis=-1)
