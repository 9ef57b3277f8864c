"""The ways to train that are compared, and which with which (:mod:`.studies` trains them).

A new study is a few more trials and a line in ``STUDIES``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from senorita_lib.release.gradient import GATED, released_volume_loss


class Trial(NamedTuple):
    """One way to train, or, with ``members``, an ensemble of trials, which needs no training.

    Attributes
    ----------
    changes
        Recipe overrides.
    start
        The trial whose weights, with the same seed, this one starts from.
    volume_loss
        Replaces eq. 4.
    members
        (trial, shift): an ensemble's number s has this trial's seed s + shift, in rotation.
    merge
        How the members' refined poses become one.
    """

    changes: dict[str, Any] = {}
    start: str = ""
    volume_loss: Callable[..., Any] | None = None
    members: tuple[tuple[str, int], ...] = ()
    merge: Literal["mean", "median"] = "mean"

    @property
    def pose(self) -> str:
        """The pose that the trial is about: "refined", or "initial" if it trains no refiner."""
        return "initial" if self.changes.get("refine_images") == 0 else "refined"


_ONE, _TWO = {"refine_images": 0}, {"pose_images": 0, "volume_images": 0}
_VOLUMES = GATED | {"gamma": 0.05 * 200 / 16}  # Model 1's, in cells of tiny's 16³
_DETACHED, _RAW = {"refiner_gradient": False}, {"orientation": "raw"}
_ADAPTIVE, _PATCHES = {"balance": "adaptive"}, {"patches": "released"}
STEP_1 = "Step 1, with eq. 4"
_VOLUME_LOSS = {
    "Step 1, without eq. 4": Trial(_ONE | {"volume_weight": 0.0}),
    STEP_1: Trial(_ONE),
    "eq. 4 from the start": Trial(_ONE | {"pose_images": 0, "volume_images": 19_200}),
    "a seventh of eq. 4": Trial(_ONE | {"volume_weight": 0.04 / 7}),
    "eq. 4 with smooth L1": Trial(_ONE | {"volume_difference": "smooth_l1"}),
    "release's volumes, exact gradient": Trial(_ONE | _VOLUMES),
    "release's volumes and gradient": Trial(_ONE | _VOLUMES, volume_loss=released_volume_loss),
    "release's gradient, but summed": Trial(
        _ONE | _VOLUMES, volume_loss=partial(released_volume_loss, summed=True)
    ),
}
_REFINEMENT = {
    "Model 1": Trial(_TWO, STEP_1),
    "without the initial pose stream": Trial(_TWO | {"pose_stream": False}, STEP_1),
    "without eq. 6": Trial(_TWO | {"refined_pose_weight": 0.0}, STEP_1),
    "lengths of the initial pose": Trial(_TWO | {"bone_length": "initial"}, STEP_1),
    "no gradient into the estimator": Trial(_TWO | _DETACHED, STEP_1),
    "raw bones, mm": Trial(_TWO | _RAW, STEP_1),
    "release's patches": Trial(_TWO | _PATCHES, STEP_1),
    "adaptive squares": Trial(_TWO | _ADAPTIVE, STEP_1),
    "release's, all four": Trial(_TWO | _DETACHED | _RAW | _PATCHES | _ADAPTIVE, STEP_1),
}
_MODELS = {
    "Model 2, Step 1": Trial(_ONE | {"model": 2}),
    "Model 2": Trial(_TWO | {"model": 2}, "Model 2, Step 1"),
    "Model 3": Trial({"model": 3}),
    "Model 4": Trial({"model": 4}),
}
_FOUR = tuple((f"Model {model}", 0) for model in (1, 2, 3, 4))
_ENSEMBLES = {
    "ensemble of 4, mean": Trial(members=_FOUR),
    "ensemble of 4, median": Trial(members=_FOUR, merge="median"),
    "ensemble of Models 1 to 3": Trial(members=_FOUR[:3]),
    "ensemble of 3 seeds of Model 1": Trial(members=tuple(("Model 1", i) for i in range(3))),
}
_INPUTS = {
    "valley foreground": Trial(_ONE | {"foreground": "valley"}),
    "crop about the box's centre": Trial(_ONE | {"centre": "box"}),
}
_SECOND_INPUT = {
    "Model 2, two stems": Trial(_ONE | {"model": 2, "fusion": "stems"}),
    "Model 2, half the layers": Trial(_ONE | {"model": 2, "depth_layers": 8}),
}
_OTHER_METHOD = {
    "regression, without eq. 4": Trial(_ONE | {"head": "regression", "volume_weight": 0.0}),
    "regression, with eq. 4": Trial(_ONE | {"head": "regression"}),
    "regression, refined": Trial(_TWO | {"head": "regression"}, "regression, without eq. 4"),
    "regression, no gradient into it": Trial(
        _TWO | _DETACHED | {"head": "regression"}, "regression, without eq. 4"
    ),
}
# Validated more often, for the curves; eq. 4 joins at the same time as without that.
_OFTEN, _PEOPLE = {"validate_images": 1_200}, {"pretrain": True}
_FEW = {"validation_share": 0.9}  # trained on 400 frames, validated on the others
_PRETRAINING = {
    "from scratch": Trial(_ONE | _OFTEN),
    "from people": Trial(_ONE | _OFTEN | _PEOPLE),
    "from people, four times as long": Trial(_ONE | _OFTEN | _PEOPLE | {"pretrain_images": 76_800}),
}
_PRETRAINING_FEW = {
    "400 frames, from scratch": Trial(_ONE | _FEW),
    "400 frames, from people": Trial(_ONE | _FEW | _PEOPLE),
}
_PRETRAINING_4 = {
    "Model 4, from scratch": Trial(_ONE | _OFTEN | {"model": 4}),
    "Model 4, from people": Trial(_ONE | _OFTEN | _PEOPLE | {"model": 4}),
}
TRIALS = _VOLUME_LOSS | _REFINEMENT | _MODELS | _INPUTS | _SECOND_INPUT | _OTHER_METHOD
TRIALS |= _PRETRAINING | _PRETRAINING_FEW | _PRETRAINING_4 | _ENSEMBLES
# The first of each is what the others are compared with. A trial may belong to several studies.
STUDIES = {
    "volume_loss": list(_VOLUME_LOSS),
    "refinement": [STEP_1, *_REFINEMENT],
    "models": [*(name for name, _ in _FOUR), *_ENSEMBLES],
    "inputs": [STEP_1, *_INPUTS],
    "second_input": ["Model 2, Step 1", *_SECOND_INPUT],
    "other_method": list(_OTHER_METHOD),
    "pretraining": list(_PRETRAINING),
    "pretraining_few": list(_PRETRAINING_FEW),
    "pretraining_model_4": list(_PRETRAINING_4),
}
RECIPE = "tiny"  # of all trials: the γ, weights and images above are meant for it
SEEDS = (0, 1, 2, 3)
