"""NumPy arrays and torch tensors alike; NumPy comes late, as the renderer needs torch alone."""

from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    import numpy as np

Array = TypeVar("Array", "np.ndarray", torch.Tensor)  # what goes in comes out


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
