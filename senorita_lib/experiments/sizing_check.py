"""What a module costs, as torch counts it: the check of :mod:`senorita_lib.experiments.sizing`."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode


class Measured(NamedTuple):
    """Parameters, the batch's MACs, and the bytes that autograd keeps of it."""

    parameters: int
    macs: int
    kept: int


def measure(module, *inputs):
    """Run a module once, forward and in the mode that it is in, and count.

    On the meta device nothing is computed, and the counts are the same.

    Parameters
    ----------
    module : torch.nn.Module
    inputs : tensors
        A batch.

    Returns
    -------
    Measured
        Of distinct tensors' memory; parameters and buffers are not among what is kept.
    """
    own = {id(tensor.untyped_storage()) for tensor in (*module.parameters(), *module.buffers())}
    kept = {}  # holds the memory, so that no later tensor has the same identity

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = module(*inputs)
    del output
    size = sum(storage.nbytes() for key, storage in kept.items() if key not in own)
    count = sum(parameter.numel() for parameter in module.parameters())
    return Measured(count, counter.get_total_flops() // 2, size)
