"""Recipes: everything that decides a training run, in one frozen record.

Amounts of training count images, so that a batch size can change without the schedule.
"""

import difflib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """A training run. The defaults are the paper's (sections 3 and 3.1).

    But for ``pretrain``: what an earlier version wrote does not know of it and ran without.
    """

    name: str = "paper"
    model: int = 1
    seed: int = 0

    # Training images: the data set's, or the synthetic hand's, made on the device without end
    source: str = "files"
    pool: int = 20_000  # poses that the stream picks from

    # Step 1 begins with the weights of a network that found 16 keypoints of people, after so many
    # images of them; the paper does not say how many, so as many as Step 1's of hands.
    pretrain: bool = False
    pretrain_images: int = 420_000

    # Crop and inputs
    image_size: int = 256
    foreground: str = "otsu"
    centre: str = "mass"
    depth_layers: int = 64
    voxel_depth: int = 32
    fusion: str = "concat"  # "stems": the release's second stem beside that of the depth image

    # Estimator
    block: str = "bottleneck"
    layers: tuple = (3, 4, 6, 3)
    widths: tuple = (64, 128, 256, 512)
    head_channels: int = 256
    depth_bins: int = 64
    head: str = "integral"  # "regression": of the pose itself, without heat maps

    # Refiner
    patch_sizes: tuple = (96, 48, 24)
    hidden: int = 256
    patch_channels: int = 8
    patches: str = "rectangle"
    orientation: str = "unit"
    bone_length: str = "train"
    pose_stream: bool = True  # the refiner is told the initial pose
    refiner_gradient: bool = True  # from the refiner into the estimator

    # Skeleton volumes: cells along each side, eq. 1's gamma (per cell, squared as distance is)
    volume_size: int = 32
    gamma: float = 0.1
    distance: str = "squared"
    ends: str = "clamp"
    volume_difference: str = "l1"
    volume_weight: float = 1 / 200

    # Step 2's losses: weights from gradient magnitudes, or the release's adaptive squares
    balance: str = "gradient"
    refined_pose_weight: float = 1.0  # of eq. 6, on top of the balance

    # Augmentation
    rotation: float = 30.0
    scale: tuple = (0.75, 1.25)
    scale_probability: float = 0.5
    shift: float = 5.0

    # Schedule, in images. Step 1 sees pose_images + volume_images, with eq. 4 from when the
    # validation error has converged, at the latest after pose_images; then Step 2.
    pose_images: int = 240_000
    volume_images: int = 180_000
    refine_images: int = 72_000
    batch: int = 6
    volume_batch: int = 0  # 0: as batch
    refine_batch: int = 4
    learning_rate: float = 7e-4
    milestones: tuple = (60_000, 204_000, 348_000)
    decay: float = 0.2
    volume_rate_factor: float = 1.0
    refine_rate_factor: float = 0.1
    # Rate of the refiner's own layers in Step 2, as a factor on the estimator's there.
    refiner_rate_factor: float = 1.0
    precision: str = "float32"  # of the networks while they train

    # Validation: on the last share of the training frames, after so many images. Converged is
    # what has not become better by this share of its error in so many validations since the
    # rate was divided last.
    validation_share: float = 0.034
    validate_images: int = 5_000
    converged: float = 0.01
    patience: int = 3

    def __post_init__(self):
        for field in fields(self):
            value, default = getattr(self, field.name), field.default
            if isinstance(default, tuple) and isinstance(value, list):
                object.__setattr__(self, field.name, value := tuple(value))
            if isinstance(default, float) and isinstance(value, int):
                object.__setattr__(self, field.name, value := float(value))
            kinds = {type(v) for v in default} if isinstance(default, tuple) else set()
            if type(value) is not type(default) or (kinds and {type(v) for v in value} - kinds):
                raise ValueError(
                    f"recipe {self.name!r} has {field.name} = {value!r}, "
                    f"wanted {type(default).__name__}, such as {default!r}"
                )
        _want(self, "model", self.model in (1, 2, 3, 4), "1, 2, 3 or 4")
        _want(self, "seed", self.seed >= 0, "0 or more")
        _want(self, "scale", len(self.scale) == 2 and min(self.scale) > 0, "two factors above 0")
        for name in ("layers", "widths"):
            four = len(getattr(self, name)) == 4 and min(getattr(self, name)) > 0
            _want(self, name, four, "four numbers from 1")
        _want(
            self,
            "image_size",
            self.image_size > 0 and self.image_size % 32 == 0,
            "a multiple of 32",
        )
        for name, values in _CHOICES.items():
            _want(self, name, getattr(self, name) in values, f"one of {values}")
        for name in _POSITIVE:
            _want(self, name, getattr(self, name) > 0, "more than 0")
        sizes = self.patch_sizes
        _want(self, "patch_sizes", len(sizes) == 3 and min(sizes) >= 8, "three sizes from 8 px")
        _want(self, "validation_share", 0 < self.validation_share < 1, "a share between 0 and 1")
        for name in ("batch", "refine_batch"):
            _want(self, name, getattr(self, name) > 1, "at least 2, as batch norms need")
        _want(
            self, "volume_batch", self.volume_batch == 0 or self.volume_batch > 1, "0 or 2 and more"
        )
        for name in _NOT_NEGATIVE:
            _want(self, name, getattr(self, name) >= 0, "0 or more")

    def override(self, **changes):
        """The recipe with some values replaced; an unknown name is refused."""
        _refuse_unknown(changes)
        return replace(self, **changes)

    def scaled(self, factor):
        """The recipe with all its images, milestones and validations ``factor`` times as many."""
        whole = ("pose_images", "volume_images", "refine_images")
        return replace(
            self,
            milestones=tuple(round(factor * m) for m in self.milestones),
            validate_images=max(1, round(factor * self.validate_images)),
            pretrain_images=max(1, round(factor * self.pretrain_images)),
            **{name: round(factor * getattr(self, name)) for name in whole},
        )

    def to_json(self):
        """One line of JSON that :meth:`from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """A recipe from :meth:`to_json`'s text; what it leaves out has the paper's value."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError:
            values = None
        if not isinstance(values, dict):
            raise ValueError(f"recipe is {text[:40]!r}, wanted a JSON object")
        _refuse_unknown(values)
        return cls(**values)


_POSITIVE = (
    "depth_layers",
    "voxel_depth",
    "depth_bins",
    "hidden",
    "volume_size",
    "gamma",
    "learning_rate",
    "pool",
    "pretrain_images",
    "validate_images",
    "patience",
)
_NOT_NEGATIVE = (
    "pose_images",
    "volume_images",
    "refine_images",
    "volume_weight",
    "refined_pose_weight",
)
_CHOICES = {
    "source": ("files", "stream"),
    "foreground": ("otsu", "valley"),
    "centre": ("mass", "box"),
    "fusion": ("concat", "stems"),
    "block": ("bottleneck", "basic"),
    "head": ("integral", "regression"),
    "patches": ("rectangle", "released"),
    "orientation": ("unit", "raw"),
    "bone_length": ("train", "initial"),
    "distance": ("squared", "euclidean"),
    "ends": ("clamp", "gate"),
    "volume_difference": ("l1", "smooth_l1"),
    "balance": ("gradient", "adaptive"),
    "precision": ("float32", "bfloat16"),
}


def _want(recipe, name, fine, wanted):
    if not fine:
        raise ValueError(
            f"recipe {recipe.name!r} has {name} = {getattr(recipe, name)!r}, wanted {wanted}"
        )


def _refuse_unknown(values):
    known = [field.name for field in fields(Recipe)]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            raise ValueError(f"recipe has no {name!r}, the nearest known name is {near[0]!r}")


RECIPES = {
    "paper": Recipe(pretrain=True),
    # What has measured better than the paper's choices, and only that: a seventh of eq. 4 (tiny,
    # study volume_loss) and the initial pose's bone lengths (small,
    # benchmarks/bone_lengths.py). At the paper's size neither has been measured.
    "best": Recipe(name="best", pretrain=True, volume_weight=1 / 1400, bone_length="initial"),
    # The authors' choices where they are choices; what differs between models: _released.
    "released": Recipe(
        name="released",
        pretrain=True,
        foreground="valley",
        centre="box",
        fusion="stems",
        patches="released",
        orientation="raw",
        refiner_gradient=False,
        distance="euclidean",
        ends="gate",
        volume_difference="smooth_l1",
        balance="adaptive",
    ),
    # Weights to be used as they are, from about an hour and a half on two cores that have bf16.
    "small": Recipe(
        name="small",
        pretrain_images=150_000,
        image_size=128,
        block="basic",
        layers=(2, 2, 2, 2),
        widths=(32, 96, 192, 320),
        head_channels=96,
        depth_bins=16,
        patch_sizes=(48, 24, 12),
        hidden=64,
        patch_channels=4,
        bone_length="initial",  # better than the training set's on all five splits
        volume_weight=1 / 1400,  # a seventh of the paper's, all of which harms (notebook 03)
        pose_images=150_000,
        volume_images=30_000,
        refine_images=40_000,
        batch=16,
        refine_batch=16,
        learning_rate=1e-3,
        milestones=(100_000, 150_000),
        refine_rate_factor=0.02,
        refiner_rate_factor=25.0,
        precision="bfloat16",
        validation_share=0.01,
        validate_images=10_000,
    ),
    # The whole pipeline on two CPU cores in about a minute and a half.
    "tiny": Recipe(
        name="tiny",
        pretrain_images=19_200,
        image_size=64,
        depth_layers=16,
        voxel_depth=16,
        block="basic",
        layers=(1, 1, 1, 1),
        widths=(32, 64, 96, 128),
        head_channels=64,
        depth_bins=16,
        patch_sizes=(32, 16, 8),
        hidden=64,
        patch_channels=4,
        volume_size=16,
        gamma=0.4,
        volume_weight=8 / 200,
        pose_images=14_400,
        volume_images=4_800,
        refine_images=6_400,
        batch=16,
        refine_batch=16,
        learning_rate=1e-3,
        milestones=(12_000, 19_200),
        refiner_rate_factor=10.0,
        validate_images=3_600,
    ),
}


def _released(model):
    """What the release has for each model: its solver's rates and, times the batch, its steps.

    How long it trained is not known: the paper's 70,000 and 18,000 steps stand for it. Models 2
    to 4 have eq. 4 from the start, Models 3 and 4 with weight 0. Left out: Model 1's second
    refinement, its other initial weights and its rotations (none, then 40°), Model 3's eq. 3 in
    Step 2, the doubled rate of biases, the values of the image (8 bits from 0 to 1).
    """
    cell = 200 / 32  # the release's gamma counts 200ths of the cube
    steps, batch, refine_batch = (
        ((10_000,), 5, 4),
        ((9_178, 45_000, 58_000), 6, 4),
        ((9_178, 34_000, 58_000), 6, 4),
        ((33_576,), 5, 3),
    )[model - 1]
    rate, refine_rate = ((1e-3, 1e-5), (7e-4, 2e-7), (7e-4, 2e-6), (5e-4, 5e-5))[model - 1]
    values = {
        "model": model,
        "depth_layers": 32 if model == 4 else 64,
        "gamma": (0.05 if model == 1 else 0.1) * cell,
        "volume_weight": (1 / 200, 0.021, 0.0, 0.0)[model - 1],
        "batch": batch,
        "volume_batch": 7 if model == 1 else 0,
        "refine_batch": refine_batch,
        "pose_images": 40_000 * batch if model == 1 else 0,
        "volume_images": 30_000 * 7 if model == 1 else 70_000 * batch,
        "refine_images": 18_000 * refine_batch,
        "learning_rate": rate,
        "milestones": tuple(step * batch for step in steps),
        "refine_rate_factor": refine_rate / rate,
    }
    if model == 1:  # 1e-4 with eq. 4, after 1e-3 / 5
        values["volume_rate_factor"] = 0.5
    return values


def find_recipe(name, /, **overrides):
    """A named recipe with some values replaced.

    Raises
    ------
    ValueError
        If there is no such recipe or no such value.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe is {name!r}, wanted one of {list(RECIPES)}")
    recipe = RECIPES[name].override(**overrides)
    if name == "released":
        recipe = recipe.override(**_released(recipe.model) | overrides)
    return recipe


def run_folder(recipe, runs="runs"):
    """Where a run of a recipe goes: ``RUNS/NAME/model_MODEL``.

    One that is pretrained although its name does not say so, or not although it does, goes to
    ``RUNS/NAME_pretrained`` or ``RUNS/NAME_from_scratch``.
    """
    usual = RECIPES.get(recipe.name, recipe).pretrain
    other = "_from_scratch" if usual else "_pretrained"
    name = recipe.name if recipe.pretrain == usual else recipe.name + other
    return Path(runs) / name / f"model_{recipe.model}"


def read_overrides(texts):
    """Overrides from a command line: ``["model=2", "widths=[8, 8, 8, 8]"]`` as a dict.

    Raises
    ------
    ValueError
        If one has no ``=``.
    """
    overrides = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"override is {text!r}, wanted NAME=VALUE")
        try:
            overrides[name] = json.loads(value)
        except json.JSONDecodeError:
            overrides[name] = value
    return overrides
