"""AWR: Adaptive Weighting Regression (Huang et al., AAAI 2020)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from senorita_lib.estimator import Head, Reading, cell_centres, deconvolutions
from senorita_lib.losses import pose_loss

_REACH = 0.5  # of the closeness maps: half the cube
_SHARPNESS = 30.0  # of the softmax
# The release adds 1000 times the sum of its joints' loss, for coordinates in [-1, 1], to the sum of
# the dense loss over maps of 64 x 64. With means, and joints in cells of the 64³ heat map, that is
# this weight.
_DENSE = 175.0
_BETA = 0.01  # where smooth L1 turns from squares to lines, in [0, 1] of the maps


class AWR(Head):
    """Each pixel says where a joint lies from it and how close it is; close pixels count most.

    Maps (B, joints, 4, S/4, S/4): the direction to the joint, a unit vector, and the closeness,
    1 at the joint and 0 from half the cube on. Background says nothing; in the release it keeps the
    weight of closeness 0. The paper's maps have half of the image's pixels a side; here all heads
    have a quarter.
    """

    def __init__(self, channels: int, width: int, joints: int, depth_bins: int = 0) -> None:
        super().__init__(joints, *deconvolutions(channels, width, joints * 4))

    def read(self, features: Tensor, inputs: Tensor) -> Reading:
        """The pose: the mean of what pixels say, weighted by the softmax of their closeness."""
        maps = torch.unflatten(self(features).float(), 1, (self.joints, 4))
        return read_maps(maps, inputs)

    def losses(self, reading: Reading, true_uvd: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        """Joint supervision, ``L_jt``, and dense supervision, ``L_dense``, of the maps."""
        assert reading.dense is not None
        wanted = true_maps(true_uvd, inputs, reading.dense.shape[-1])
        dense = F.smooth_l1_loss(reading.dense, wanted, beta=_BETA)
        return {"L_jt": pose_loss(reading.uvd, true_uvd), "L_dense": _DENSE * dense}


def pixels(inputs: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places of the depth image's pixels, (B, 1, 3, size, size), and which show something."""
    image = F.interpolate(inputs[:, :1].float(), size=(size, size), mode="nearest-exact")
    uv = cell_centres(image).expand(image.shape[0], -1, -1, -1)
    return torch.cat([uv, (image + 1) / 2], dim=1)[:, None], image > -1


def true_maps(uvd: Tensor, inputs: Tensor, size: int) -> Tensor:
    """Direction and closeness, (B, joints, 4, size, size), of a pose (B, joints, 3)."""
    places, shown = pixels(inputs, size)
    offset = uvd[..., None, None] - places
    distance = offset.norm(dim=2, keepdim=True).clamp_min(1e-6)
    closeness = 1 - distance / _REACH
    maps = torch.cat([offset / distance, closeness], dim=2)
    return maps * (shown[:, None] & (closeness > 0))


def read_maps(maps: Tensor, inputs: Tensor) -> Reading:
    """The pose that maps (B, joints, 4, size, size) say, and how far their votes lie apart."""
    places, shown = pixels(inputs, maps.shape[-1])
    direction, closeness = maps.split([3, 1], dim=2)
    votes = places + direction * _REACH * (1 - closeness)
    # A weight of exactly 0 for background, but never for all.
    weight = torch.where(shown[:, None], _SHARPNESS * closeness, -1e4).flatten(3).softmax(dim=3)
    uvd = (weight * votes.flatten(3)).sum(dim=3)
    with torch.no_grad():
        apart = (weight * (votes.flatten(3) - uvd[..., None]) ** 2).sum(dim=3).sqrt()
    return Reading(uvd, apart, dense=maps)
