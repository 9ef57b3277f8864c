"""The two things that NumPy and torch spell differently, for functions that serve both.

NumPy is imported where an array turns up: the renderer needs torch alone.
"""

import torch


def like(values, other):
    """``values`` as an array of ``other``'s kind: same library, device and floating-point type."""
    if isinstance(other, torch.Tensor):
        dtype = other.dtype if other.is_floating_point() else torch.get_default_dtype()
        return torch.as_tensor(values, dtype=dtype, device=other.device)
    import numpy as np

    dtype = np.asarray(other).dtype
    return np.asarray(values, dtype=dtype if dtype.kind == "f" else np.float64)


def stack_last(parts):
    """Stack along a new last axis."""
    if isinstance(parts[0], torch.Tensor):
        return torch.stack(parts, dim=-1)
    import numpy as np

    return np.stack(parts, axis=-1)
