"""The README's pictures: ``python -m senorita_lib.plotting_pictures FOLDER`` draws them."""

import sys
from pathlib import Path

import torch

from senorita_lib import plotting
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.plotting3d import draw_volumes
from senorita_lib.refinement import bone_patch_boxes
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import project_points


def pipeline_figure(index=32):
    """One synthetic frame on its way through the kit."""
    frame = SyntheticHand(seed=0).frame(index)
    crop = crop_hand(frame.depth, frame.box)
    size = len(crop.image)
    uvd = torch.from_numpy(crop.to_uvd(frame.joints))[None].float()
    figure, axes = plotting.new_figure(1, 5, width=13, height=3.3)
    first, second, third, fourth, last = axes[0]
    plotting.draw_depth(first, frame.depth, "depth image, 640 × 480", colourbar=False)
    plotting.draw_box(first, crop.box)
    plotting.draw_crop(second, crop.image, "coarse-to-fine crop, 256 × 256")
    planes = project_points(CropBatch.stack([crop]))[0]
    plotting.draw_crop(third, planes[1], "one of four inputs: z-y projection")
    plotting.draw_crop(fourth, crop.image, "21 joints, 20 bone patches")
    plotting.draw_patch_boxes(fourth, bone_patch_boxes(uvd)[0], size, opacity="70")
    plotting.draw_hand(fourth, uvd[0] * size - 0.5)
    last.remove()
    last = figure.add_subplot(1, 5, 5, projection="3d")
    draw_volumes(last, render_skeleton(32 * uvd - 0.5)[0].numpy(), threshold=0.6)
    last.set_title("3D skeleton volumes, 20 × 32³", fontsize=9)
    return figure


def main(folder):
    """Draw all pictures into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("pipeline", pipeline_figure),):
        path = folder / f"{name}.png"
        path.write_bytes(plotting.png(draw()))
        print(f"{path} drawn")


if __name__ == "__main__":
    main(sys.argv[1])
