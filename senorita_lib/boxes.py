"""Where the hand is in a depth frame, when nobody says so."""

import cv2
import numpy as np

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import NOMINAL_MM, SIDE_PX, HandNotFoundError, checked_depth

# Least share of the square that a hand takes at its depth: a fist seen from its end shows a tenth.
_LEAST_SHARE = 0.03


def find_hand_box(depth_mm: np.ndarray, camera: Camera) -> np.ndarray:
    """A box x1, y1, x2, y2, pixel frame, around the hand, as wide as a hand is at its depth.

    Hand and arm must be what is nearest to the camera. Raises ``ValueError`` if ``depth_mm``
    cannot be used, :class:`.HandNotFoundError` if no surface is large enough.
    """
    depth = checked_depth(depth_mm, camera)
    found, tries = "no depth", 40  # of 50 mm each: strays may lie 2 m before the hand
    while tries and (near := depth[depth > 0]).size:
        tries -= 1
        few = min(50, near.size // 2)  # stray pixels may lie nearer
        front = int(np.partition(near, few)[few])
        mask = ((depth > 0) & (depth < front + 150)).astype(np.uint8)
        _, labels = cv2.connectedComponents(mask)
        nearest = np.bincount(labels[mask.astype(bool) & (depth < front + 50)])
        blob = labels == nearest.argmax()
        points = np.argwhere(blob)[:, ::-1].astype(np.float32)
        side = SIDE_PX * NOMINAL_MM / float(np.median(depth[blob])) * camera.fx / SR300.fx
        stray = (depth > 0) & (depth < front + 50)
        if len(points) >= _LEAST_SHARE * side * side:
            stray &= ~blob
            if not stray[depth <= front].any():  # they would move the front
                break
        elif found == "no depth":
            found = f"{len(points)} connected pixels nearest, at {front} mm"
        depth = np.where(stray, 0, depth)
    else:
        raise HandNotFoundError(f"depth_mm has {found}, wanted a hand")
    # An arm comes in over the image's border, or from below; the hand is at its other end.
    limits = np.array([camera.width, camera.height]) - 4
    root = points[((points < 3) | (points > limits)).any(axis=1)]
    if not len(root):
        root = points[points[:, 1] > points[:, 1].max() - 3]
    away = np.linalg.norm(points - root.mean(axis=0), axis=1)
    points = points[np.linalg.norm(points - points[away.argmax()], axis=1) < 0.8 * side]
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return np.concatenate([centre - side / 2, centre + side / 2])
