"""What a depth camera makes of a scene, for crops in batches on a device.

The rules are those of :mod:`.sensor`. There they run over the camera's
pixels, which a crop then interpolates; here over those of the crop, whose ``pitch`` in camera
pixels differs from crop to crop. Noise lives on the camera's pixels and is interpolated as a crop
is, rounding to whole millimetres is part of it, and a neighbour some camera pixels away is the
crop's pixel there, up or down at random where it lies between two.
"""

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from senorita_lib.datasets.synthetic.sensor import noise_bank

_FAR_MM = 4000.0


class Sensor:
    """Noise, holes and ragged borders.

    Parameters
    ----------
    device : str or torch.device
    """

    def __init__(self, device="cpu"):
        white, smooth, blocks = noise_bank()
        rng = np.random.default_rng(301)
        rounding, coin = (rng.random(white.shape, dtype=np.float32) for _ in range(2))
        self.width = len(white)
        fields = np.stack([0.4 * white + smooth, rounding - 0.5, smooth, blocks, coin], axis=-1)
        self.fields = torch.from_numpy(fields).flatten(0, 1).to(device)

    def sense(self, depth, u, v, limit):
        """Turn exact depth into what the sensor would give.

        Parameters
        ----------
        depth : tensor, (B, H, W), float32
            Of the scene, mm, ``inf`` where a ray meets nothing.
        u : tensor, (B, W)
            Camera pixels of the columns, evenly spaced; the noise is a function of these, so
            that a shift of u and v is fresh noise.
        v : tensor, (B, H)
            The same of the rows.
        limit : tensor, (B,)
            How far the sensor sees, mm.

        Returns
        -------
        tensor, (B, H, W), float32
            mm, 0 where nothing returned.
        """
        noise, rounding, smooth, blocks, coin = self._between(u, v).unbind(-1)
        pitch = (u[:, 1] - u[:, 0])[:, None, None]
        places = torch.arange(depth.shape[2], device=depth.device) + coin
        lines = torch.arange(depth.shape[1], device=depth.device)[:, None] + coin

        def neighbour(field, offset, axis):
            start = places if axis == 2 else lines
            index = (start + offset / pitch).floor().clamp(0, depth.shape[axis] - 1).long()
            return field.gather(axis, index)

        def extreme(choose, field, across, down):
            for axis, offsets in ((2, across), (1, down)):
                seen = field
                for offset in offsets:
                    seen = choose(seen, neighbour(field, offset, axis))
                field = seen
            return field

        z = depth.clamp_max(_FAR_MM)
        # Behind a step in depth, and at grazing incidence, no pattern comes back; the shadow is
        # wider on the projector's side. Windows of 4 x 3 pixels, then of 7 x 5 more.
        near = extreme(torch.minimum, z, (-2, -1, 1), (-1, 1))
        lost = z - near > 10 + 14 * blocks
        near = extreme(torch.minimum, near, (-4, -1, 2), (-2, 2))
        lost |= z - near > 60 + 80 * blocks
        # The border's own pixels: lost here and there, which makes it ragged.
        far = extreme(torch.maximum, z, (-1, 1), (-1, 1))
        lost |= (far - z > 60) & ((blocks > 0.72) | (smooth > 0.45))
        # Dark or shiny spots, more of them with distance; and nothing too far or too near.
        lost |= smooth > 4.1 - 1.1e-3 * z
        lost |= (z > limit[:, None, None] + 25 * smooth) | (z < 180)
        # A crop is interpolated: it keeps a pixel only where enough of those around it returned.
        kept = avg_pool2d((~lost).float()[:, None], 3, stride=1, padding=1)[:, 0]
        lost |= kept < 3.5 / 9
        noisy = z + (0.35 + 1.6e-6 * z * z) * noise + rounding
        return torch.where(lost, 0, noisy)

    def _between(self, u, v):
        """The fields (B, H, W, n), interpolated between camera pixels, as a crop is."""
        column, row = u.floor().long(), v.floor().long()
        across, down = (u - column)[:, None, :, None], (v - row)[:, :, None, None]
        above, below = (
            torch.lerp(*(self.fields[self._at(r, c)] for c in (column, column + 1)), across)
            for r in (row, row + 1)
        )
        return torch.lerp(above, below, down)

    def _at(self, row, column):
        return (row % self.width * self.width)[:, :, None] + (column % self.width)[:, None, :]
