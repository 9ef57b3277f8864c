"""The ways to train that are compared, and which with which, as ``trials.toml`` lists them."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import Tensor

from senorita_lib.files import read_toml
from senorita_lib.losses import balance_weights, pose_loss
from senorita_lib.release.gradient import released_volume_loss
from senorita_lib.renderer import skeleton_volume_loss

RECIPE = "tiny"  # of all trials
SEEDS = (0, 1, 2, 3)


def balanced_volume_loss(
    predicted: Tensor, true: Tensor, *, size: tuple[int, int, int], **options: Any
) -> Tensor:
    """Eq. 4, weighted so that its gradient at the pose is as large as that of eq. 3."""
    uvd = ((joints + 0.5) / size[0] for joints in (predicted, true))
    losses = pose_loss(*uvd), skeleton_volume_loss(predicted, true, size=size, **options)
    if not predicted.requires_grad:
        return losses[1]
    return balance_weights(losses, (predicted, predicted))[1] * losses[1]


_LOSSES: dict[str, Callable[..., Any]] = {
    "released": released_volume_loss,
    "released, summed": partial(released_volume_loss, summed=True),
    "equal gradients": balanced_volume_loss,
}


class Trial(NamedTuple):
    """One way to train, or, with ``members``, an ensemble of trials, which needs no training."""

    changes: dict[str, Any] = {}  # recipe overrides
    start: str = ""  # the trial whose weights, with the same seed, this one starts from
    volume_loss: Callable[..., Any] | None = None  # replaces eq. 4
    # (trial, shift): an ensemble's number s has this trial's seed s + shift, in rotation.
    members: tuple[tuple[str, int], ...] = ()
    merge: Literal["mean", "median"] = "mean"  # how the members' refined poses become one

    @property
    def pose(self) -> str:
        """The pose that the trial is about: "refined", or "initial" if it trains no refiner."""
        return "initial" if self.changes.get("refine_images") == 0 else "refined"


def read_trial(start: str = "", loss: str = "", members: tuple[str, ...] = (),
               merge: Literal["mean", "median"] = "mean", **changes: Any) -> Trial:  # fmt: skip
    """A trial as TOML writes it."""
    named = (member.partition("@") for member in members)
    pairs = tuple((name, int(shift or 0)) for name, _, shift in named)
    return Trial(changes, start, _LOSSES[loss] if loss else None, pairs, merge)


_LISTED = read_toml(__file__)
TRIALS = {name: read_trial(**values) for name, values in _LISTED["trials"].items()}
STUDIES: dict[str, list[str]] = _LISTED["studies"]
