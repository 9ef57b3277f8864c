"""Recipes: everything that decides a training run, in one frozen record.

Amounts of training count images, so that a batch size can change without the schedule.
"""

import difflib
import json
from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class Recipe:
    """A training run. The defaults are the paper's (sections 3 and 3.1)."""

    name: str = "paper"
    model: int = 1
    seed: int = 0

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

    # Refiner
    patch_sizes: tuple = (96, 48, 24)
    hidden: int = 256
    patch_channels: int = 8
    bone_length: str = "train"
    refiner_gradient: bool = True  # from the refiner into the estimator

    # Skeleton volumes: cells along each side, and eq. 1's gamma per squared cell
    volume_size: int = 32
    gamma: float = 0.1
    volume_weight: float = 1 / 200

    # Augmentation
    rotation: float = 30.0
    scale: tuple = (0.75, 1.25)
    scale_probability: float = 0.5
    shift: float = 5.0

    # Schedule, in images: Step 1 with eq. 3, then with eq. 4 too, then Step 2
    pose_images: int = 240_000
    volume_images: int = 180_000
    refine_images: int = 72_000
    batch: int = 6
    refine_batch: int = 4
    learning_rate: float = 7e-4
    milestones: tuple = (60_000, 204_000, 348_000)
    decay: float = 0.2
    refine_rate_factor: float = 0.1
    # Rate of the refiner's own layers in Step 2, as a factor on the estimator's there.
    refiner_rate_factor: float = 1.0
    validation_share: float = 0.034

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
        for name in ("pose_images", "volume_images", "refine_images", "volume_weight"):
            _want(self, name, getattr(self, name) >= 0, "0 or more")

    def override(self, **changes):
        """The recipe with some values replaced; an unknown name is refused."""
        _refuse_unknown(changes)
        return replace(self, **changes)

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
)
_CHOICES = {
    "foreground": ("otsu", "valley"),
    "centre": ("mass", "box"),
    "fusion": ("concat", "stems"),
    "block": ("bottleneck", "basic"),
    "bone_length": ("train", "initial"),
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
    "paper": Recipe(),
    # The whole pipeline on two CPU cores in about a minute and a half.
    "tiny": Recipe(
        name="tiny",
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
    ),
}


def find_recipe(name, **overrides):
    """A named recipe with some values replaced.

    Raises
    ------
    ValueError
        If there is no such recipe or no such value.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe is {name!r}, wanted one of {list(RECIPES)}")
    return RECIPES[name].override(**overrides)
