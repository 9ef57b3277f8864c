"""Training by several processes as if it were one.

``torchrun`` starts them. They share each batch, their batch norms share its statistics and
DistributedDataParallel their gradients, so that a recipe gives the same run on any number.
"""

import ctypes
import os
import signal
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
from torch import distributed
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


@contextmanager
def process_group():
    """Join the processes that ``torchrun`` has started; alone, nothing happens.

    Yields
    ------
    str
        This process's device: its graphics card if there is one, else the CPU.

    Raises
    ------
    ValueError
        If the machine has graphics cards, but fewer than processes.
    """
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield "cuda" if cuda else "cpu"
        return
    device = f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    if cuda:
        here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > cards:
            raise ValueError(f"--nproc-per-node is {here}, wanted at most the {cards} cards here")
        torch.cuda.set_device(device)
    with suppress(AttributeError):  # who kills torchrun does not leave its processes at work
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The others wait while the first one writes crops or tests the network.
    patience = timedelta(hours=6)
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=patience)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def count():
    """How many processes train together."""
    return distributed.get_world_size() if _several() else 1


def is_first():
    """Whether this process writes the files."""
    return not _several() or distributed.get_rank() == 0


def part(batch, name="batch"):
    """Rows of a batch that fall to this process, as a slice.

    Parameters
    ----------
    batch : int
        Its size in all processes.
    name : str
        What an error calls it.

    Raises
    ------
    ValueError
        If the processes cannot share a batch of that size evenly.
    """
    processes = count()
    if batch % processes:
        raise ValueError(f"{name} is {batch}, wanted a multiple of the {processes} processes")
    share = batch // processes
    first = distributed.get_rank() * share if processes > 1 else 0
    return slice(first, first + share)


def from_first(value):
    """What the first process has, in all of them."""
    if not _several():
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def mean(values):
    """The mean of a tensor over all processes, without gradient."""
    if _several():
        values = values.detach().clone()
        distributed.all_reduce(values)
        values /= count()
    return values


def shared(network):
    """The network as all processes train it, in place of each one's own.

    Parameters that a stage does not use must not require a gradient.
    """
    if count() == 1:
        return network
    share_batch_norms(network)
    return DistributedDataParallel(network)


def share_batch_norms(network):
    """Let all batch norms of a network share their statistics, in place.

    ``torch.nn.SyncBatchNorm`` does the same on graphics cards alone.

    Raises
    ------
    TypeError
        If a kind of batch norm does more than torch's own.
    """
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, _SharedBatchNorm):
            if type(child).forward is not _BatchNorm.forward:
                raise TypeError(f"{name} is a {type(child).__name__}, wanted torch's batch norms")
            norm = _SharedBatchNorm(child.num_features, child.eps, child.momentum)
            norm.to(child.weight).load_state_dict(child.state_dict())
            norm.requires_grad_(child.weight.requires_grad).train(child.training)
            setattr(network, name, norm)
        else:
            share_batch_norms(child)


class _SharedBatchNorm(_BatchNorm):
    def _check_input_dim(self, _):
        """Any: (B, C) or (B, C, H, W)."""

    def forward(self, features):
        if not self.training:
            return super().forward(features)
        wide = features.to(self.running_mean.dtype)
        axes = [0, *range(2, wide.ndim)]
        shape = [1, -1] + [1] * (wide.ndim - 2)
        number = wide.numel() // wide.shape[1] * count()
        mean = _Sum.apply(wide.sum(axes)) / number
        wide = wide - mean.view(shape)
        variance = _Sum.apply(wide.square().sum(axes)) / number
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt() * self.weight
        return (wide * scale.view(shape) + self.bias.view(shape)).to(features.dtype)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is that of the sum of their losses."""

    @staticmethod
    def forward(_, values):
        values = values.contiguous().clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(_, gradient):
        return _Sum.forward(_, gradient)


def _several():
    return distributed.is_available() and distributed.is_initialized()
