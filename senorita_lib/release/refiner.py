"""The refiner with the release's patches, its orientations, or both."""

from typing import Any, Literal

from torch import Tensor

from senorita_lib.hand import joints_to_bones
from senorita_lib.refinement import BoneRefiner
from senorita_lib.release.patches import pooling_windows, released_patches


class Refiner(BoneRefiner):
    """A :class:`~senorita_lib.refinement.BoneRefiner` that does one or both as the release does.

    Raw orientations are the bone vectors themselves, mm: the refined bone is the initial bone plus
    the residual, and bone lengths are not used.
    """

    def __init__(
        self, bone_lengths: Tensor, *, patches: Literal["released", "rectangle"] = "released",
        orientation: Literal["raw", "unit"] = "raw", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(bone_lengths, **options)
        if patches == "released":
            pooling_windows(self.patch_sizes)
        self.patches = patches
        if orientation == "raw":
            self.orient = joints_to_bones

    def cut(self, image: Tensor, joints_uvd: Tensor) -> list[Tensor]:
        """The patches of an image."""
        if self.patches == "released":
            return released_patches(image, joints_uvd, self.patch_sizes)
        return super().cut(image, joints_uvd)

    def turn(self, refined: Tensor, joints_mm: Tensor) -> Tensor:
        """Bones (B, 20, 3), mm: raw orientations are the bones."""
        return refined if self.orient is joints_to_bones else super().turn(refined, joints_mm)
