"""Milliseconds for patches and networks on one frame; inputs.py and renderer.py have the rest."""

import time

import cv2
import numpy as np
import torch

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.hand import BONES
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe
from senorita_lib.refinement import crop_bone_patches


def milliseconds(function, *arguments, seconds=1.0):
    """Least time of a call in a second of them: whatever else runs can only add to it."""
    function(*arguments)
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def plain_patches(image, uvd, size):
    """Bone by bone with OpenCV."""
    patches = []
    for child, parent in BONES:
        ends = uvd[[child, parent], :2] * 256
        low, high = ends.min(0), ends.max(0)
        centre, extent = (low + high) / 2, np.maximum(high - low, 10) * 1.5
        x1, y1 = np.maximum((centre - extent / 2).astype(int), 0)
        x2, y2 = np.minimum((centre + extent / 2).astype(int) + 1, 256)
        patches.append(cv2.resize(image[y1:y2, x1:x2], (size, size)))
    return patches


def main():
    """Print the table."""
    frame = SyntheticHand().frame(0)
    crop = crop_hand(frame.depth, frame.box)
    crops = CropBatch.stack([crop])
    uvd = torch.from_numpy(crop.to_uvd(frame.joints))[None].float()
    network = HandPoseNet(find_recipe("tiny"), torch.full((20,), 40.0)).eval()
    small = CropBatch.stack([crop_hand(frame.depth, frame.box, size=64)])

    with torch.no_grad():
        initial = network.estimate(small)
        rows = [
            (
                "20 patches, 96 + 48 + 24",
                lambda: crop_bone_patches(crops.image, uvd),
                lambda: [plain_patches(crop.image, uvd[0].numpy(), s) for s in (96, 48, 24)],
            ),
            ("estimator, tiny", lambda: network.estimate(small), None),
            (
                "refiner, tiny",
                lambda: network.refiner(small.image, initial, small.to_camera(initial)),
                None,
            ),
        ]
        times = [
            (name, milliseconds(ours), plain and milliseconds(plain)) for name, ours, plain in rows
        ]
    print(
        f"{'one frame':<26}{'ms':>8}{'plain':>9}{'ratio':>8}   ({torch.get_num_threads()} threads)"
    )
    for name, ours, plain in times:
        ratio = f"{plain:>9.1f}{plain / ours:>8.1f}" if plain else ""
        print(f"{name:<26}{ours:>8.2f}{ratio}")


if __name__ == "__main__":
    main()
