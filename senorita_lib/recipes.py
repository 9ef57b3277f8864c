"""Recipes: everything that decides a training run, in one frozen record.

Amounts of training are in images, so that a batch size can change without the schedule.
"""

import ast
import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from senorita_lib.files import PathLike, read_toml

# How pydantic begins its messages, and what follows "wanted" in ours.
_WORDS = {
    r"^Input should be (?=greater|less)": "a number ",
    r"^(Input should be|Value error,|Tuple should have) ": "",
    r" after validation, not .*": "",
    r"a valid integer": "a whole number",
    r"^Field required": "more items",
}


def explain(
    error: pydantic.ValidationError, owner: str, values: Mapping[str, Any], known: Collection[str]
) -> str:
    """What pydantic refused, in one sentence: ``recipe 'tiny' has batch = 1, wanted ...``.

    ``owner`` is what the ``values`` belong to; ``known`` are the names that there are.
    """
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    name, wanted = str(first["loc"][0]), first["msg"]
    if first["type"] == "extra_forbidden":
        (near,) = difflib.get_close_matches(name, known, n=1, cutoff=0)
        return f"{owner} has no {name!r}, the nearest known name is {near!r}"
    for pattern, words in _WORDS.items():
        wanted = re.sub(pattern, words, wanted)
    return f"{owner} has {name} = {values[name]!r}, wanted {wanted}"


def _not_one(batch: int) -> int:
    if batch == 1:
        raise ValueError("0 or at least 2")
    return batch


def _read_power(value: object) -> object:
    """``1e-4`` as a number: YAML, as papermill reads it, takes it for a text without its dot."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value):
        return float(value)
    return value


Number = Annotated[float, BeforeValidator(_read_power)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]  # torch takes no longer ones
Positive = Annotated[int, Field(gt=0)]
Batch = Annotated[int, Field(ge=2)]  # batch norms need two images
PositiveFloat = Annotated[Number, Field(gt=0)]
Weight = Annotated[Number, Field(ge=0)]
Ingredient = Literal["bins", "shapes", "mesh", "things", "roll", "sensing"]
Four = Annotated[tuple[Positive, ...], Strict(False), Field(min_length=4, max_length=4)]


class Recipe(BaseModel):
    """A training run. The defaults are the paper's (sections 3 and 3.1), except ``pretrain``.

    Raises ValueError if a name is unknown or a value impossible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = "paper"
    model: Literal[1, 2, 3, 4] = 1
    seed: Seed = 0

    # Training images: the frames of the data set, or synthetic ones made while training; "open" are
    # those without held-back bins, seen at any place and roll and by any camera (training.views),
    # whatever foreground, centre, rotation, scale and shift are.
    source: Literal["files", "stream", "open"] = "files"
    # What "open" leaves out, to see what it brings: held-back bins, continuous shapes, the mesh
    # hand, things near the hand, full rolls, and the noise of other sensors.
    without: Annotated[tuple[Ingredient, ...], Strict(False)] = ()

    # Step 1 starts from a network that was trained to find 16 keypoints of people, on so many
    # images; the paper does not give their number, so it is that of Step 1.
    pretrain: bool = False  # missing in old recipes, which ran without
    pretrain_images: Positive = 420_000

    # Crop and inputs
    image_size: Annotated[int, Field(gt=0, multiple_of=32)] = 256
    foreground: Literal["otsu", "valley"] = "otsu"
    centre: Literal["mass", "box"] = "mass"
    depth_layers: Positive = 64
    voxel_depth: Positive = 32
    fusion: Literal["concat", "stems"] = "concat"  # "stems": a second stem, as in the release

    # Estimator
    block: Literal["bottleneck", "basic"] = "bottleneck"
    layers: Four = (3, 4, 6, 3)
    widths: Four = (64, 128, 256, 512)
    head_channels: Positive = 256
    depth_bins: Positive = 64
    # "regression": without heat maps; "a2j" and "awr": heads of other methods (rivals)
    head: Literal["integral", "regression", "a2j", "awr"] = "integral"

    handedness: bool = False  # the estimator also tells left hands from right ones

    # Refiner
    patch_sizes: Annotated[
        tuple[Annotated[int, Field(ge=8)], ...], Strict(False), Field(min_length=3, max_length=3)
    ] = (96, 48, 24)
    hidden: Positive = 256
    patch_channels: Positive = 8
    patches: Literal["rectangle", "released"] = "rectangle"
    # "location": the refiner moves each joint, without regard to bones
    orientation: Literal["unit", "raw", "location"] = "unit"
    bone_length: Literal["train", "initial"] = "train"
    pose_stream: bool = True  # the refiner also reads the initial pose
    refiner_gradient: bool = True  # gradients flow from the refiner into the estimator

    # Skeleton volumes: cells along each side, and gamma of eq. 1 (per squared cell)
    volume_size: Positive = 32
    gamma: PositiveFloat = 0.1
    distance: Literal["squared", "euclidean"] = "squared"
    ends: Literal["clamp", "gate"] = "clamp"
    volume_difference: Literal["l1", "smooth_l1"] = "l1"
    volume_weight: Weight = 1 / 200

    # Losses of Step 2: weighted by gradient magnitudes, or the release's adaptive squares
    balance: Literal["gradient", "adaptive"] = "gradient"
    refined_pose_weight: Weight = 1.0  # weight of eq. 6, on top of the balance

    # Augmentation: degrees, factors, px
    rotation: Weight = 30.0
    scale: Annotated[tuple[PositiveFloat, PositiveFloat], Strict(False)] = (0.75, 1.25)
    scale_probability: Annotated[Number, Field(ge=0, le=1)] = 0.5
    shift: Weight = 5.0

    # Schedule, in images. Step 1 sees pose_images + volume_images; eq. 4 joins when the
    # validation error has converged, at the latest after pose_images. Then follows Step 2.
    pose_images: Count = 240_000
    volume_images: Count = 180_000
    refine_images: Count = 72_000
    batch: Batch = 6
    volume_batch: Annotated[int, Field(ge=0), AfterValidator(_not_one)] = 0  # 0: equal to batch
    refine_batch: Batch = 4
    learning_rate: PositiveFloat = 7e-4
    milestones: Annotated[tuple[int, ...], Strict(False)] = (60_000, 204_000, 348_000)
    decay: Annotated[Number, Field(gt=0, le=1)] = 0.2
    volume_rate_factor: Weight = 1.0
    refine_rate_factor: Weight = 0.1
    # Learning rate of the refiner's layers in Step 2, relative to the estimator's there.
    refiner_rate_factor: Weight = 1.0
    # Of the networks in training. "auto": bfloat16 where the processor computes it, else float32.
    precision: Literal["float32", "bfloat16", "auto"] = "float32"

    # Before a validation, batch norms get their means and variances over twenty batches with the
    # weights as they are (Wu and Johnson, 2021); else these follow the training with a delay.
    precise_bn: bool = False

    # Validation uses the last share of the training frames. The error has converged when the last
    # `patience` validations since the rate was last divided improve it by less than `converged`.
    validation_share: Annotated[Number, Field(gt=0, lt=1)] = 0.034
    validate_images: Positive = 5_000  # images between two validations
    converged: Number = 0.01
    patience: Positive = 3

    def __init__(self, **values: Any) -> None:  # any: this is where they are checked
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            owner = f"recipe {values.get('name', 'paper')!r}"
            raise ValueError(explain(error, owner, values, type(self).model_fields)) from None
        if self.head == "awr" and self.pretrain:  # colour images are no depth to start from
            said = f"recipe {self.name!r} has head = 'awr' and pretrain = True"
            raise ValueError(f"{said}, wanted pretrain = False")
        owner = f"recipe {self.name!r} has source = {self.source!r}"
        if self.source != "open" and (self.handedness or self.without):
            raise ValueError(f"{owner} and handedness or without, wanted source = 'open'")
        if self.source == "open" and any(
            batch % 2 for batch in (self.batch, self.volume_batch, self.refine_batch)
        ):  # half of a batch is also in the next
            raise ValueError(f"{owner} and an odd batch, wanted even ones")

    def override(self, **changes: Any) -> "Recipe":
        """The recipe with some values replaced; raises ValueError as the class does."""
        return Recipe(**self.model_dump() | changes)

    def scaled(self, factor: float) -> "Recipe":
        """The recipe with ``factor`` times the images, milestones and validation intervals."""
        names = "pose_images", "volume_images", "refine_images"
        return self.override(
            milestones=tuple(round(factor * m) for m in self.milestones),
            validate_images=max(1, round(factor * self.validate_images)),
            pretrain_images=max(1, round(factor * self.pretrain_images)),
            **{name: round(factor * getattr(self, name)) for name in names},
        )

    def to_json(self) -> str:
        """One line of JSON that :meth:`from_json` reads back."""
        return json.dumps(self.model_dump())

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """A recipe from the text of :meth:`to_json`; missing values are the defaults."""
        try:
            values = json.loads(text)
        except (ValueError, TypeError):
            values = None
        if not isinstance(values, dict):
            raise ValueError(f"recipe is {str(text)[:40]!r}, wanted a JSON object")
        values.pop("pool", None)  # of older recipes: the stream has no pool of poses any more
        return cls(**values)


_NAMED = read_toml(__file__)
_MODELS = {name: values.pop("models", {}) for name, values in _NAMED.items()}
RECIPES = {name: Recipe(name=name, **values) for name, values in _NAMED.items()}


def find_recipe(name: str, /, **overrides: Any) -> Recipe:
    """A named recipe with some values replaced.

    Raises ValueError if the recipe or a name is unknown, or a value impossible.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(f"recipe is {name!r}, wanted one of {list(RECIPES)}")
    recipe = RECIPES[name].override(**overrides)
    own = _MODELS[name].get(str(recipe.model), {})
    return recipe.override(**own | overrides)


def run_folder(recipe: Recipe, runs: PathLike = "runs") -> Path:
    """The folder for a run of a recipe: ``RUNS/NAME/model_MODEL``.

    If ``pretrain`` is not the named recipe's own, ``NAME_pretrained`` or ``NAME_from_scratch``.
    """
    usual = RECIPES.get(recipe.name, recipe).pretrain
    other = "_from_scratch" if usual else "_pretrained"
    name = recipe.name if recipe.pretrain == usual else recipe.name + other
    return Path(runs) / name / f"model_{recipe.model}"


def read_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Overrides from a command line: ``["model=2", "widths=[8, 8, 8, 8]"]`` as a dict."""
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"override is {text!r}, wanted NAME=VALUE")
        overrides[name] = value
        for read in (ast.literal_eval, json.loads):  # True and .5, which JSON has not, and true
            with suppress(ValueError, SyntaxError, TypeError):
                overrides[name] = read(value)
    return overrides
