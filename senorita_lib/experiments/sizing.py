"""What the networks cost: parameters, multiply-adds (MACs) and memory, counted by torch.

Notebook 05 derives the same for one layer by hand.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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


class Cost(NamedTuple):
    """What a network, or a part of it, costs.

    Attributes
    ----------
    parameters
    macs
        Multiply-adds of one image's forward pass.
    kept
        Bytes that autograd keeps of each image, in float32.
    once
        Bytes that it keeps once for the whole batch.
    """

    parameters: int
    macs: int
    kept: int
    once: int


def estimator_costs(recipe: Recipe) -> dict[str, Cost]:
    """The estimator's parts (section 2.2), from the input to the heat maps."""
    with torch.device("meta"):  # nothing is computed, and the counts are the same
        network = HandPoseNet(recipe, torch.ones(20)).estimator.train()
    shape = network.in_channels, recipe.image_size, recipe.image_size
    last = len(network.head) - 1 if network.integral else 0
    head = {f"head.{i}": "deconvolutions" if i < last else "heat maps" for i in range(10)}
    return _costs(network, _ESTIMATOR | head, lambda n: (torch.empty(n, *shape, device="meta"),))


def refiner_costs(recipe: Recipe) -> dict[str, Cost]:
    """The parts of the twenty bone networks (section 2.4), from the patches to the joints."""
    # Not on the meta device, which does not know autocast, not even when it is off.
    network = HandPoseNet(recipe, torch.ones(20)).refiner.train()

    def inputs(n: int) -> tuple[torch.Tensor, ...]:
        uvd, mm = (torch.rand(n, 21, 3).requires_grad_(recipe.refiner_gradient) for _ in range(2))
        return torch.zeros(n, 1, recipe.image_size, recipe.image_size), uvd, mm

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
    network: nn.Module, parts: Mapping[str, str], inputs: Callable[[int], tuple[torch.Tensor, ...]]
) -> dict[str, Cost]:
    counter = _Counter(next(iter(parts.values())))
    part_of: dict[int, str] = {}
    for name, module in network.named_modules():
        for start, part in parts.items():
            if name == start or name.startswith(f"{start}."):
                part_of |= {id(p): part for p in module.parameters()}
                module.register_forward_pre_hook(lambda *_, p=part: setattr(counter, "part", p))
    own = {id(t.untyped_storage()) for t in (*network.parameters(), *network.buffers())}
    kept: list[Counter[str]] = []
    for batch in (2, 3):
        saved: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor, saved: dict[int, Any] = saved) -> torch.Tensor:
            saved[id(tensor.untyped_storage())] = tensor.untyped_storage()
            return tensor

        given = inputs(batch)
        counter.part = first = next(iter(parts.values()))
        counter.macs.clear()
        with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(*given)
        kept.append(Counter())
        for key, storage in saved.items():
            if key not in own:
                part, _ = counter.made.get(key, (first, None))
                kept[-1][part] += storage.nbytes()
    two, three = kept
    return {
        part: Cost(
            sum(p.numel() for p in network.parameters() if part_of[id(p)] == part),
            counter.macs[part] // 3,
            three[part] - two[part],
            3 * two[part] - 2 * three[part],
        )
        for part in dict.fromkeys(part_of.values())
    }


def total(costs: Iterable[Cost]) -> Cost:
    """Their sum."""
    return Cost(*(sum(column) for column in zip(*costs, strict=True)))


def training_bytes(cost: Cost, batch: int) -> int:
    """Memory of a training step, float32, bytes.

    Each parameter has 4 bytes three times: itself, its gradient, RMSProp's mean square. On top
    come the workspaces of convolutions and the gradients of activations; the peak is near this
    number, as these are freed one by one and most parameters have no gradient yet.
    """
    return 3 * 4 * cost.parameters + batch * cost.kept + cost.once


def training_flops(recipe: Recipe, estimator: Cost, refiner: Cost) -> int:
    """Floating-point operations of the whole schedule.

    A MAC is two operations. The backward pass has the forward pass's MACs twice: for the
    gradients of the weights and of the inputs (the first layers need no gradient of their inputs,
    so this is a little too much). Step 1 trains the estimator, Step 2 both.
    """
    step_1, step_2 = recipe.pose_images + recipe.volume_images, recipe.refine_images
    return 2 * 3 * (estimator.macs * step_1 + (estimator.macs + refiner.macs) * step_2)
