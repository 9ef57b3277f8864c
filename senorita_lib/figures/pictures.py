"""Pictures of README and docs: ``python -m senorita_lib.figures.pictures FOLDER`` draws them."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from senorita_lib.camera import SR300
from senorita_lib.commands import command
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic.clip import moving_hand
from senorita_lib.datasets.synthetic.posedhand import posed_hand
from senorita_lib.evaluation import success_curve
from senorita_lib.experiments.regimes import effects
from senorita_lib.experiments.tables import load_results
from senorita_lib.figures import style
from senorita_lib.figures.networks import overview_figure, refiner_figure
from senorita_lib.figures.ownframes import draw_frame
from senorita_lib.figures.results import effects_figure
from senorita_lib.figures.volumes import draw_volumes
from senorita_lib.files import atomic_write, project_path, user_path
from senorita_lib.predictor import Predictor
from senorita_lib.refinement import bone_patch_boxes
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import layer_depth, project_points, voxelize


def draw_pictures() -> dict[str, Figure]:
    """By name: Figs. 1 and 4 of the paper, a predicted pose, a small picture for each notebook, and
    what eq. 4 and the refinement bring.
    """
    hands, predictor = SyntheticHand(seed=0), Predictor.load("small")
    frame = hands.frame(1, split="interp")  # a test frame that the weights get right
    pictures = {"pipeline": overview_figure(predictor.model, frame)}
    pictures["refinement"] = refiner_figure(predictor.model, frame)
    for figure in pictures.values():
        figure.set_dpi(160)  # for small letters
    first = hands.frame(32)
    pictures["01"], (axes,) = style.new_figure(1, 2, 3.6, 1.6, width_ratios=(4, 3))
    crop = crop_hand(first.depth, first.box)
    style.draw_depth(axes[0], first.depth, colourbar=False)
    style.draw_box(axes[0], crop.box)
    style.draw_crop(axes[1], crop.image)
    second = hands.frame(11)
    pictures["02"], (axes,) = style.new_figure(1, 4, 3.6, 1.0)
    crops = CropBatch.stack([crop_hand(second.depth, second.box)])
    images = [crops.image[0, 0], project_points(crops)[0, 1], layer_depth(crops)[0, 32]]
    images.append(2 * voxelize(crops)[0].amax(dim=0))  # white: occupied
    for cell, image in zip(axes, images, strict=True):
        style.draw_crop(cell, image)
    pictures["03"], (axes,) = style.new_figure(1, 2, 3.6, 1.9, subplot_kw={"projection": "3d"})
    joints = torch.tensor(posed_hand(turn=(25, 5, 0))).float()[None]
    for cell, gamma in zip(axes, (0.1, 0.5), strict=True):
        draw_volumes(cell, render_skeleton(joints, gamma=gamma, compiled=False)[0].numpy())
        cell.set_title(f"γ = {gamma}", fontsize=9)

    pose = predictor.predict(frame.depth, SR300, frame.box)
    pictures["pose"], (axes,) = style.new_figure(1, 3, 6.5, 2.6, width_ratios=(3, 2, 1.4))
    style.draw_depth(axes[0], frame.depth, colourbar=False)
    style.draw_hand(axes[0], pose.pixels, halo=True)
    x1, y1, x2, y2 = frame.box
    axes[0].set(xlim=(x1 - 50, x2 + 50), ylim=(y2 + 25, y1 - 25))
    for cell, x, name in ((axes[1], 0, "from the camera"), (axes[2], 2, "from the side")):
        style.draw_hand(cell, pose.joints_mm[:, [x, 1]], width=2.2, dots=14)
        cell.set(title=name, xlabel=f"{'xyz'[x]} (mm)", ylabel="y (mm)", aspect="equal")
        cell.invert_yaxis()

    pictures["04"], (axes,) = style.new_figure(1, 3, 3.6, 1.3)
    crop, poses = pose.crop, (pose.initial_mm, pose.initial_mm, pose.joints_mm)
    for cell, joints_mm in zip(axes, poses, strict=True):
        style.draw_crop(cell, crop.image, colours=style.GREY_MAP)
        uvd = torch.tensor(crop.to_uvd(joints_mm))
        if cell is axes[1]:
            style.draw_patch_boxes(cell, bone_patch_boxes(uvd[None])[0], len(crop.image))
        else:
            style.draw_hand(cell, uvd[:, :2] * len(crop.image) - 0.5, dots=4)

    pictures["05"], (axes,) = style.new_figure(1, 2, 3.6, 1.8, sharey=True)
    for number, seeds in load_results(project_path("results/tiny")).items():
        _, arrays = next(iter(seeds.values()))
        for cell, split in zip(axes, ("interp", "extrap"), strict=True):
            rows = arrays["splits"] == split
            curve = success_curve(arrays["refined"][rows], arrays["joints"][rows], np.arange(81))
            cell.plot(100 * curve, label=f"Model {number}")
            cell.set(xlabel="worst joint (mm)", ylim=(0, 100))
            cell.set_title(split.upper(), fontsize=9)
    axes[0].set_ylabel("frames (%)")
    axes[1].legend(fontsize=7, frameon=False)
    pictures["effects"] = effects_figure(effects())
    clip = [frame.depth for frame in moving_hand(48)[::20]]
    pictures["06"], (axes,) = style.new_figure(1, len(clip), 3.6, 1.3)
    for cell, depth in zip(axes, clip, strict=True):
        draw_frame(cell, depth, predictor.predict(depth, SR300))
    return pictures


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: draw all pictures."""
    parser = argparse.ArgumentParser("python -m senorita_lib.figures.pictures", description=__doc__)
    parser.add_argument("folder", help="for the pictures")
    folder = user_path(parser.parse_args(arguments).folder)
    pictures = draw_pictures()
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in pictures.items():
        atomic_write(folder / f"{name}.png", style.png(figure))
        print(f"{folder / name}.png drawn")


if __name__ == "__main__":
    main()
