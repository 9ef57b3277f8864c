"""Milliseconds of crop, four inputs and bone patches of one frame, beside plain NumPy and OpenCV.

The plain forms are what one writes down first; they must give the same result (but for the
patches, whose plain boxes end at whole pixels).
"""

import time

import cv2
import numpy as np
import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.hand import BONES
from senorita_lib.refinement import crop_bone_patches
from senorita_lib.representations import (
    LAYERS,
    VOXEL_DEPTH,
    build_input,
    depth_image,
    layer_depth,
    project_points,
    voxelize,
)

SIZE = 256


def milliseconds(function, *arguments, seconds=1.0):
    """Least time of a call in a second of them: whatever else runs can only add to it."""
    function(*arguments)
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def plain_crop(depth, box):
    """Section 3 step by step: image, box, centre of mass."""
    x1, y1, x2, y2 = (int(v) for v in box)
    side = max(x2 - x1, y2 - y1)
    x, y = (x1 + x2) // 2 - side // 2, (y1 + y2) // 2 - side // 2
    margin = 300
    padded = np.pad(depth, margin)
    square = padded[margin + y : margin + y + side, margin + x : margin + x + side].astype(float)
    threshold = plain_otsu(square[square > 0].astype(int))
    front = np.where(square <= threshold, square, 0)
    v, u = np.nonzero(front)
    nearest = np.hypot(v - side // 2, u - side // 2).argmin()
    centre_x, centre_y, z = x + u[nearest], y + v[nearest], front[v[nearest], u[nearest]]
    average = front[(front > 0) & (np.abs(front - z) <= 100)].mean()

    side = 500 / average * 210
    x, y, side = int(centre_x - side / 2), int(centre_y - side / 2), int(side)
    hand = padded[margin + y : margin + y + side, margin + x : margin + x + side].astype(float)
    mask = (hand > 0) & (np.abs(hand - average) <= 100)
    v, u = np.nonzero(mask)
    z = hand[mask].mean()
    centre = [(u.mean() + x - SR300.cx) * z / SR300.fx, (v.mean() + y - SR300.cy) * z / SR300.fy, z]
    near = np.where(mask, np.clip((z - hand) / 100, -1, 1) + 1, 0).astype(np.float32)
    # Not cv2.resize: its corners are those of pixels, a box's are centres of pixels.
    u, v = np.meshgrid(*[(np.arange(SIZE, dtype=np.float32) + 0.5) * side / SIZE] * 2)
    near, share = (
        cv2.remap(part, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for part in (near, mask.astype(np.float32))
    )
    image = np.where(share >= 0.5, near / np.maximum(share, 0.5) - 1, -1)
    return image, np.array([x, y, x + side, y + side]), np.array(centre)


def plain_otsu(values):
    """Otsu's threshold: the cut with the largest variance between the two groups."""
    count = np.bincount(values).astype(float)
    mass = count * np.arange(len(count))
    below, mass_below = count.cumsum()[:-1], mass.cumsum()[:-1]
    above, mass_above = count.sum() - below, mass.sum() - mass_below
    with np.errstate(invalid="ignore"):
        gap = mass_below / below - mass_above / above
    best = np.nanargmax(below * above * gap**2)
    return best if abs(gap[best]) >= 100 else values.max()  # one surface is not cut in two


def plain_points(crop):
    """The point cloud in the cube, [0, 1]: one (x, y, z) for each pixel of the hand."""
    x1, y1, x2, y2 = crop.box.astype(float)
    v, u = np.nonzero(crop.image > -1)
    z = crop.cube_centre[2] - 100.0 * crop.image[v, u]
    x = ((u + 0.5) / SIZE * (x2 - x1) + x1 - SR300.cx) * z / SR300.fx
    y = ((v + 0.5) / SIZE * (y2 - y1) + y1 - SR300.cy) * z / SR300.fy
    points = (np.stack([x, y, z], axis=1) - crop.cube_centre) / 200 + 0.5
    return points[((points >= 0) & (points < 1)).all(axis=1)]


def plain_projections(crop):
    """In order of nearness, so that the nearest point of a cell is written last."""
    x, y, z = plain_points(crop).T
    planes = np.full((3, SIZE, SIZE), -1, np.float32)
    views = [(y, x, 1 - 2 * z), (y, z, 2 * x - 1), (x, z, 1 - 2 * y)]
    for plane, (row, column, value) in zip(planes, views, strict=True):
        order = value.argsort()
        cells = (row[order] * SIZE).astype(int), (column[order] * SIZE).astype(int)
        plane[cells] = value[order]
    return planes


def plain_layers(crop):
    """Layer by layer."""
    maps = np.empty((LAYERS, SIZE, SIZE), np.float32)
    for k in range(LAYERS):
        maps[k] = np.where(crop.image < 1 - 2 * k / LAYERS, crop.image, -1)
    return maps


def plain_voxels(crop):
    """The cells in which there is a point."""
    x, y, z = plain_points(crop).T
    volume = np.full((VOXEL_DEPTH, SIZE, SIZE), -1, np.float32)
    k, j, i = (1 - z) * VOXEL_DEPTH, y * SIZE, x * SIZE
    volume[k.astype(int), j.astype(int), i.astype(int)] = 1
    return volume


def plain_input(crop):
    """The input of Model 4."""
    depth = np.stack([crop.image] * 3)
    return np.concatenate([depth, plain_projections(crop), plain_layers(crop), plain_voxels(crop)])


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


def check(name, ours, plain, share=0.0):
    """Stop where more than a share of the values differ."""
    different = (np.abs(np.asarray(ours) - plain) > 1e-3).mean()
    if different > share:
        raise SystemExit(f"{name}: {different:.2%} of the values differ, wanted up to {share:.2%}")


@torch.inference_mode()
def main():
    """Print the table."""
    frame = SyntheticHand().frame(0)
    crop = crop_hand(frame.depth, frame.box)
    crops = CropBatch.stack([crop])
    image, box, centre = plain_crop(frame.depth, frame.box)
    check("crop's box and centre", [*crop.box, *crop.cube_centre], [*box, *centre])
    # OpenCV places samples on a grid of 1/32 px, which moves single pixels of the silhouette.
    check("crop's image", crop.image, image, share=2e-3)

    frame_arguments = (frame.depth, frame.box)
    rows = [
        ("crop", crop_hand, frame_arguments, plain_crop, frame_arguments, 2),
        ("(1) depth image", depth_image, (crops,), lambda c: np.stack([c.image] * 3), (crop,), ""),
        ("(2) three projections", project_points, (crops,), plain_projections, (crop,), ""),
        (f"(3) {LAYERS} layers", layer_depth, (crops,), plain_layers, (crop,), ""),
        (f"(4) voxels, {VOXEL_DEPTH} deep", voxelize, (crops,), plain_voxels, (crop,), ""),
        ("all four (Model 4)", build_input, (crops, 4), plain_input, (crop,), 6),
    ]
    uvd = torch.from_numpy(crop.to_uvd(frame.joints))[None].float()

    def all_plain_patches():
        return [plain_patches(crop.image, uvd[0].numpy(), size) for size in (96, 48, 24)]

    patches = crop_bone_patches, (crops.image, uvd), all_plain_patches, (), ""
    rows.append(("20 patches, 96 + 48 + 24", *patches))
    threads = f"({torch.get_num_threads()} threads)"
    print(f"{'one frame':<26}{'ms':>8}{'plain':>9}{'ratio':>8}{'budget':>8}   {threads}")
    for name, ours, arguments, plain, plain_arguments, budget in rows:
        if name != "crop" and plain is not all_plain_patches:
            # A point on the border of two cells may be rounded into either.
            check(name, ours(*arguments)[0], plain(*plain_arguments), share=1e-3)
        our_ms, plain_ms = milliseconds(ours, *arguments), milliseconds(plain, *plain_arguments)
        print(f"{name:<26}{our_ms:>8.2f}{plain_ms:>9.2f}{plain_ms / our_ms:>8.1f}{budget:>8}")


if __name__ == "__main__":
    main()
