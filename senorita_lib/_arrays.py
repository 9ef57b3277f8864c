"""The two things that NumPy and torch spell differently, for functions that serve both."""

import numpy as np
import torch


def like(values, other):
    """``values`` as an array of ``other``'s kind: same library, dtype and device."""
    if isinstance(other, torch.Tensor):
        return torch.as_tensor(values, dtype=other.dtype, device=other.device)
    return np.asarray(values, dtype=np.asarray(other).dtype)


def stack_last(parts):
    """Stack along a new last axis."""
    if isinstance(parts[0], torch.Tensor):
        return torch.stack(parts, dim=-1)
    return np.stack(parts, axis=-1)
