"""What the networks cost: parameters, multiply-adds (MACs) and memory, counted by torch.

Notebook 05 derives the same for one layer by hand.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import Recipe

# Parts of a network: how the names of their modules begin, in the order in which they run.
_ESTIMATOR = {f"backbone.{name}": "stem" for name in ("conv1", "bn1", "act", "maxpool", "stems")}
_ESTIMATOR |= {f"backbone.layer{i}": f"level {i}" for i in (1, 2, 3, 4)}
_REFINER = {"patch_stream": "patch stream", "patch_features": "patch FC"}
_REFINER |= {"pose_stream": "pose stream", "residual": "last FC"}
_BATCHES = (2, 3)  # two tell what is kept of each image, and what once


class Cost(NamedTuple):
    """What a network, or a part of it, costs."""

    parameters: int
    macs: int  # multiply-adds of one image's forward pass
    kept: int  # bytes that autograd keeps of each image, in float32
    once: int  # bytes that it keeps once for the whole batch


def estimator_costs(recipe: Recipe) -> dict[str, Cost]:
    """The estimator's parts (section 2.2), from the input to the heat maps."""
    with torch.device("meta"):  # nothing is computed, and the counts are the same
        network = HandPoseNet(recipe, torch.ones(20)).estimator.train()
    shape = network.in_channels, recipe.image_size, recipe.image_size
    layers = [f"head.{name}" for name, _ in network.head.named_children()]
    head = dict.fromkeys(layers, "deconvolutions" if recipe.head == "integral" else "head")
    if recipe.head == "integral":
        head[layers[-1]] = "heat maps"
    inputs = [(torch.empty(batch, *shape, device="meta"),) for batch in _BATCHES]
    return _costs(network, _ESTIMATOR | head, inputs)


def refiner_costs(recipe: Recipe) -> dict[str, Cost]:
    """The parts of the twenty bone networks (section 2.4), from the patches to the joints."""
    # Not on the meta device, which does not know autocast, not even when it is off.
    network, side = HandPoseNet(recipe, torch.ones(20)).refiner.train(), recipe.image_size
    inputs = []
    for batch in _BATCHES:
        poses = (torch.rand(batch, 21, 3, requires_grad=recipe.refiner_gradient) for _ in range(2))
        inputs.append((torch.zeros(batch, 1, side, side), *poses))
    return _costs(network, _REFINER, inputs)


class _Counter(TorchDispatchMode):
    """Counts MACs, and notes where each tensor's memory was made, by part of a network."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part
        self.macs: Counter[str] = Counter()
        # The storages are held, so that no later one has the identity of a freed one.
        self.made: dict[int, tuple[str, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.macs[self.part] += count(*args, **(kwargs or {}), out_val=output) // 2
        for tensor in tree_leaves(output):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.made.setdefault(id(storage), (self.part, storage))
        return output


def _costs(
    network: nn.Module, parts: Mapping[str, str], inputs: Sequence[tuple[torch.Tensor, ...]]
) -> dict[str, Cost]:
    first, *_ = parts.values()
    counter = _Counter(first)
    parameters: Counter[str] = Counter()
    for name, module in network.named_modules():
        for start, part in parts.items():
            if f"{name}.".startswith(f"{start}."):
                module.register_forward_pre_hook(lambda *_, p=part: setattr(counter, "part", p))
                parameters[part] += sum(p.numel() for p in module.parameters(recurse=False))
    own = {id(t.untyped_storage()) for t in (*network.parameters(), *network.buffers())}
    kept: list[Counter[str]] = []
    for tensors in inputs:
        storages: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor, storages: Any = storages) -> torch.Tensor:
            storage = tensor.untyped_storage()
            storages[id(storage)] = storage
            return tensor

        counter.macs.clear()
        counter.part = first
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(*tensors)
        kept.append(Counter())
        for key in storages.keys() - own:
            part, *_ = counter.made.get(key, (first,))
            kept[-1][part] += storages[key].nbytes()
    (less, more), (one, two) = kept, _BATCHES
    return {
        part: Cost(
            parameters[part], counter.macs[part] // two, (more[part] - less[part]) // (two - one),
            (two * less[part] - one * more[part]) // (two - one),
        )
        for part in parameters
    }  # fmt: skip


def total(costs: Iterable[Cost]) -> Cost:
    """Their sum."""
    return Cost(*(sum(column) for column in zip(*costs, strict=True)))


def training_bytes(cost: Cost, batch: int) -> int:
    """Memory of a training step, float32, bytes.

    Each parameter has 4 bytes three times: itself, its gradient, RMSProp's mean square. Workspaces
    of convolutions and gradients of activations come on top; the peak is near this number.
    """
    return 3 * 4 * cost.parameters + batch * cost.kept + cost.once


def added_costs(recipe: Recipe) -> dict[str, float]:
    """What the refiner adds to the estimator, as shares of what that costs."""
    one, more = (total(costs(recipe).values()) for costs in (estimator_costs, refiner_costs))
    before, after = (training_bytes(c, recipe.refine_batch) for c in (one, total([one, more])))
    return {
        "multiply-adds": more.macs / one.macs,
        "memory of a step": after / before - 1,
        "parameters": more.parameters / one.parameters,
    }
