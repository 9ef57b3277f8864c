"""The refiner with the release's patches, and other outputs than unit orientations."""

from typing import Any, Literal

from torch import Tensor

from senorita_lib.hand import BONES, joints_to_bones
from senorita_lib.refinement import BoneRefiner
from senorita_lib.release.patches import pooling_windows, released_patches

_CHILDREN = [child for child, _ in BONES]
_LOCATION_MM = 100.0  # so that locations are about as large as unit orientations


def locations(joints_mm: Tensor) -> Tensor:
    """Where the far end of each bone lies from the wrist, (B, 20, 3), in 100 mm."""
    return (joints_mm[:, _CHILDREN] - joints_mm[:, :1]) / _LOCATION_MM


class Refiner(BoneRefiner):
    """A :class:`~senorita_lib.refinement.BoneRefiner` with other patches, other outputs, or both.

    The release's raw orientations are the bone vectors themselves, mm: the refined bone is the
    initial bone plus the residual. With "location" the residual is the offset of each joint from
    the initial one. Neither uses bone lengths.
    """

    def __init__(
        self, bone_lengths: Tensor, *, patches: Literal["released", "rectangle"] = "released",
        orientation: Literal["raw", "unit", "location"] = "raw", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(bone_lengths, **options)
        if patches == "released":
            pooling_windows(self.patch_sizes)
        self.patches, self.orientation = patches, orientation
        if orientation != "unit":
            self.orient = joints_to_bones if orientation == "raw" else locations

    def cut(self, image: Tensor, joints_uvd: Tensor) -> list[Tensor]:
        """The patches of an image."""
        if self.patches == "released":
            return released_patches(image, joints_uvd, self.patch_sizes)
        return super().cut(image, joints_uvd)

    def turn(self, refined: Tensor, joints_mm: Tensor) -> Tensor:
        """Bones (B, 20, 3), mm, of what was refined."""
        if self.orientation == "unit":
            return super().turn(refined, joints_mm)
        if self.orientation == "raw":
            return refined
        joints = joints_mm[:, [0] * 21].clone()
        joints[:, _CHILDREN] += refined * _LOCATION_MM
        return joints_to_bones(joints)
