"""What a stereo depth camera makes of a scene: a noise law that shares nothing with ``sensor``."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from senorita_lib.camera import Camera


@dataclass(frozen=True)
class Stereo:
    """How good the camera is; each frame draws its own share of the strengths."""

    baseline: float = 50.0  # mm between its two eyes
    coarser: tuple[int, ...] = (1, 1, 2)  # its pixels are as many of the image's wide
    parts: float = 10.0  # steps of disparity in a pixel
    tear: float = 0.6  # px by which neighbours at an edge change places
    ripple: float = 0.1  # px, of smooth error in disparity
    window: int = 3  # px, side of the blocks that are compared: 1, 3 or 5
    speckle: float = 0.01  # share of pixels without a match
    reach: float = 1100.0  # mm

    def sense(
        self, rng: np.random.Generator, depth: npt.NDArray[np.float32], camera: Camera
    ) -> npt.NDArray[np.uint16]:
        """Depth (height, width), mm, 0 where nothing is found, of exact depth, ``inf`` allowed."""
        strength, c = rng.uniform(0.5, 1.5), int(rng.choice(self.coarser))
        focal = self.baseline * camera.fx / c
        disparity = np.float32(focal) / depth[c // 2 :: c, c // 2 :: c]
        height, width = disparity.shape
        # Edges tear: what is seen at a pixel comes from one nearby.
        v, u = np.indices(disparity.shape) + np.rint(
            self.tear * strength * rng.standard_normal((2, height, width))
        ).astype(int)
        disparity = disparity[v.clip(0, height - 1), u.clip(0, width - 1)]
        # Blocks are matched as a whole, which rounds off corners and mixes near and far.
        disparity = cv2.medianBlur(disparity, self.window)
        disparity = cv2.blur(disparity, (self.window, self.window))
        noise = rng.standard_normal((2, height, width)).astype(np.float32)
        smooth = [cv2.GaussianBlur(field, (0, 0), 2.0) * 7 for field in noise]  # of variance 1
        matched = disparity > 0
        disparity += np.float32(self.ripple * strength) * smooth[0]
        disparity = np.rint(disparity * self.parts) / np.float32(self.parts)
        # What one eye sees beside a nearer thing is hidden from the other.
        other = np.arange(width) - disparity
        nearest = np.minimum.accumulate(other[:, ::-1], axis=1)[:, ::-1]
        lost = ~matched | (nearest < other - 1.5) | (disparity < focal / self.reach)
        lost |= smooth[1] > np.quantile(smooth[1], 1 - self.speckle * strength)
        found = np.where(lost, 0, np.float32(focal) / np.where(lost, 1, disparity) + 0.5)
        whole = found.astype(np.uint16).repeat(c, axis=0).repeat(c, axis=1)
        return whole[: depth.shape[0], : depth.shape[1]]
