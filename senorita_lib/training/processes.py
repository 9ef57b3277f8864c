"""Training in several processes that ``torchrun`` started, with the results of a single one.

The processes share each batch. Batch norms take the statistics of the whole batch, and
DistributedDataParallel averages the gradients.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from senorita_lib.datasets.workers import end_with

T = TypeVar("T")


@contextmanager
def process_group() -> Iterator[str]:
    """Join the processes that ``torchrun`` started; a single one need not.

    Yields the device of this process: its graphics card if there is one, else the CPU. Raises
    ValueError if the machine has graphics cards, but fewer than processes.
    """
    cuda, device = torch.cuda.is_available(), "cpu"
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield "cuda" if cuda else device
        return
    if cuda:
        here, cards = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > cards:
            raise ValueError(f"--nproc-per-node is {here}, wanted at most the {cards} cards here")
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    end_with(os.getppid())  # whoever kills torchrun wants none of its processes left
    # The others wait while the first one crops the data set or tests the network.
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=6))
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def world_size() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return world_size() == 1 or distributed.get_rank() == 0


def rank_slice(batch: int, name: str = "batch") -> slice:
    """The rows of a batch that this process takes.

    Raises ValueError, which calls the batch ``name``, if the processes cannot share it evenly.
    """
    share, rest = divmod(batch, size := world_size())
    if rest:
        raise ValueError(f"{name} is {batch}, wanted a multiple of the {size} processes")
    first = distributed.get_rank() * share if size > 1 else 0
    return slice(first, first + share)


def broadcast(value: T) -> T:
    """The value that the first process has."""
    values = [value]
    if world_size() > 1:
        distributed.broadcast_object_list(values)
    return values[0]


def assert_equal_across_ranks(what: str, value: object) -> None:
    """Refuse processes that would not train together: raises ValueError if values differ."""
    if broadcast(value) != value:
        raise ValueError(f"{what} differs from that of the first process, wanted the same")


def mean(values: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes, detached."""
    values = values.detach().clone()
    if world_size() > 1:
        distributed.all_reduce(values)
    return values / world_size()


def parallel(network: nn.Module) -> nn.Module:
    """The network as all processes train it together; a single one trains it as it is.

    Its batch norms are replaced in place. Parameters that a stage does not use must not require
    gradients.
    """
    if world_size() == 1:
        return network
    if next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    else:
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _BatchNormOnCpus
    return DistributedDataParallel(network)


class _BatchNormOnCpus(_BatchNorm):
    """What ``SyncBatchNorm`` computes on cards."""

    def _check_input_dim(self, _: torch.Tensor) -> None:
        """Any: (B, C) or (B, C, H, W)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(features)
        wide = features.to(self.weight.dtype)  # under autocast features may be bfloat16
        axes, shape = [0, *range(2, wide.ndim)], [1, -1, *(wide.ndim - 2) * [1]]
        mean = all_reduce(wide.mean(axes)) / world_size()
        centred = wide - mean.view(shape)
        variance = all_reduce(centred.square().mean(axes)) / world_size()
        with torch.no_grad():
            number = wide.numel() // wide.shape[1] * world_size()
            unbiased = variance * number / (number - 1)
            seen = self.get_buffer("num_batches_tracked").add_(1)
            share = 1 / seen.item() if self.momentum is None else self.momentum
            for name, value in (("running_mean", mean), ("running_var", unbiased)):
                self.get_buffer(name).lerp_(value, share)
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale.view(shape) + self.bias.view(shape)).to(features.dtype)
