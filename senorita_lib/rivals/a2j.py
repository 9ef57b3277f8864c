"""A2J: Anchor-to-Joint regression (Xiong et al., ICCV 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from senorita_lib.cropping import CUBE_MM
from senorita_lib.estimator import Head, Reading, cell_centres, deconvolutions
from senorita_lib.losses import HEATMAP_CELLS

_STRIDE = 4  # pixels between two anchors
_CONVOLUTIONS = 4  # of each branch, before the last
# Eq. 3 counts in-plane errors half, eq. 6 the joints' loss three times.
_IN_PLANE, _JOINTS = 0.5, 3.0
_DEPTH_BETA = 3.0  # mm, τ₂ of eq. 3; τ₁ is 1 px
_PIXELS = 176  # along a side of the paper's crop


class A2J(Head):
    """Anchors vote for each joint; their votes are weighted by their responses.

    Three branches read, for each anchor and joint, the offset in the image plane, the depth and the
    response. As in the paper a feature cell has 16 anchors, 4 pixels apart. There the backbone's
    last level is dilated to a stride of 16 pixels, and the responses branch off one level earlier;
    here all heads share one backbone of stride 32, so one deconvolution leads to 16.
    """

    def __init__(self, channels: int, width: int, joints: int, depth_bins: int = 0) -> None:
        super().__init__(joints)
        self.up = nn.Sequential(*deconvolutions(channels, width, count=1))
        self.offset, self.depth, self.response = (
            _branch(width, joints * values) for values in (2, 1, 1)
        )

    def read(self, features: Tensor, inputs: Tensor) -> Reading:
        """The pose, eq. 1 and 2, and how far its votes lie apart.

        ``dense`` (B, joints, 2) is where the anchors lie that respond, for eq. 5.
        """
        features = self.up(features)
        offset, depth, response = (
            branch(features).float() for branch in (self.offset, self.depth, self.response)
        )
        size = response.shape[-1]
        anchors = cell_centres(response).flatten(1)  # S(a), (2, A)
        # P̃(a), eq. 2
        weight = response.flatten(2).softmax(dim=2)
        # S(a) + O(a) and D(a); branches count in anchors' distances, depth from the middle
        in_plane = anchors + torch.unflatten(offset, 1, (self.joints, 2)).flatten(3) / size
        votes = torch.cat([in_plane, 0.5 + depth.flatten(2)[:, :, None] / size], dim=2)
        uvd = (weight[:, :, None] * votes).sum(dim=-1)  # eq. 1
        with torch.no_grad():
            apart = (weight[:, :, None] * (votes - uvd[..., None]) ** 2).sum(dim=-1).sqrt()
        return Reading(uvd, apart, dense=(weight[:, :, None] * anchors).sum(dim=-1))

    def losses(self, reading: Reading, true_uvd: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        """Eq. 3 as ``L_jt`` and eq. 5, informative anchors surround their joint, as ``L_anchor``.

        Both smooth L1, in pixels of the paper's crop in the plane and mm along it; eq. 6 divided
        by λ and by the mm of a heat map's cell, in which eq. 3 of the other heads counts.
        """
        assert reading.dense is not None
        predicted, true = reading.uvd, true_uvd
        surround = F.smooth_l1_loss(_PIXELS * reading.dense, _PIXELS * true[..., :2])
        plane = F.smooth_l1_loss(_PIXELS * predicted[..., :2], _PIXELS * true[..., :2])
        off = CUBE_MM * (predicted[..., 2] - true[..., 2])
        depth = F.smooth_l1_loss(off, torch.zeros_like(off), beta=_DEPTH_BETA)
        cell = CUBE_MM / HEATMAP_CELLS
        return {"L_jt": (_IN_PLANE * plane + depth) / cell, "L_anchor": surround / _JOINTS / cell}


def _branch(width: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(_CONVOLUTIONS):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU(inplace=True))
    # The 4 x 4 anchors of a cell are channels first, then places.
    last = nn.Conv2d(width, outputs * _STRIDE**2, 3, padding=1)
    return nn.Sequential(*layers, last, nn.PixelShuffle(_STRIDE))
