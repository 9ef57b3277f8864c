"""The README's pictures: ``python -m senorita_lib.figures.pictures FOLDER`` draws them."""

import sys
from pathlib import Path

import numpy as np
import torch

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic.posedhand import posed_hand
from senorita_lib.evaluation import success_curve
from senorita_lib.experiments.tables import load_results
from senorita_lib.figures import style as plotting
from senorita_lib.figures.bone_network import refiner_figure
from senorita_lib.figures.networks import overview_figure
from senorita_lib.figures.volumes import draw_volumes
from senorita_lib.paths import project_path
from senorita_lib.predictor import Predictor
from senorita_lib.refinement import bone_patch_boxes
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import layer_depth, project_points, voxelize

HANDS = SyntheticHand(seed=0)


def pipeline():
    """The paper's Fig. 1."""
    return _sharp(overview_figure(*_model_and_frame()))


def refinement():
    """The paper's Fig. 4."""
    return _sharp(refiner_figure(*_model_and_frame()))


def _model_and_frame():
    """The package's weights, and a hand of a test split that they get right."""
    return Predictor.load("small").model, HANDS.frame(1, split="interp")


def _sharp(figure):
    """For small letters: twice as many pixels."""
    figure.set_dpi(160)
    return figure


def cropping():
    """A frame and its crop, for notebook 01."""
    frame = HANDS.frame(32)
    crop = crop_hand(frame.depth, frame.box)
    figure, (axes,) = plotting.new_figure(1, 2, width=3.6, height=1.6, width_ratios=(4, 3))
    plotting.draw_depth(axes[0], frame.depth, colourbar=False)
    plotting.draw_box(axes[0], crop.box)
    plotting.draw_crop(axes[1], crop.image)
    return figure


def inputs():
    """The four inputs, for notebook 02."""
    frame = HANDS.frame(11)
    crops = CropBatch.stack([crop_hand(frame.depth, frame.box)])
    images = [crops.image[0, 0], project_points(crops)[0, 1], layer_depth(crops)[0, 32]]
    images.append(2 * voxelize(crops)[0].amax(dim=0))  # white: occupied
    figure, (axes,) = plotting.new_figure(1, 4, width=3.6, height=1.0)
    for cell, image in zip(axes, images, strict=True):
        plotting.draw_crop(cell, image)
    return figure


def skeleton():
    """A hand's volumes at two γ, for notebook 03."""
    joints = torch.tensor(posed_hand(turn=(25, 5, 0))).float()[None]
    options = {"subplot_kw": {"projection": "3d"}}
    figure, (axes,) = plotting.new_figure(1, 2, width=3.6, height=1.9, **options)
    for cell, gamma in zip(axes, (0.1, 0.5), strict=True):
        draw_volumes(cell, render_skeleton(joints, gamma=gamma, compiled=False)[0].numpy())
        cell.set_title(f"γ = {gamma}", fontsize=9)
    return figure


def refined():
    """Initial and refined pose, and the patches between them, for notebook 04."""
    model, frame = _model_and_frame()
    crop = crop_hand(frame.depth, frame.box, size=model.recipe.image_size)
    with torch.inference_mode():
        prediction = model(CropBatch.stack([crop]))
    size = len(crop.image)
    poses = prediction.joints_mm, prediction.refinement.joints_mm
    initial, last = (crop.to_uvd(pose[0].numpy())[:, :2] for pose in poses)
    figure, (axes,) = plotting.new_figure(1, 3, width=3.6, height=1.3)
    for cell in axes:
        plotting.draw_crop(cell, crop.image, colours=plotting.GREY_MAP)
    plotting.draw_hand(axes[0], initial * size - 0.5, dots=4)
    boxes = bone_patch_boxes(torch.tensor(initial)[None])[0]
    plotting.draw_patch_boxes(axes[1], boxes, size)
    plotting.draw_hand(axes[2], last * size - 0.5, dots=4)
    return figure


def results():
    """Success curves of the kept results, for notebook 05."""
    figure, (axes,) = plotting.new_figure(1, 2, width=3.6, height=1.8, sharey=True)
    thresholds = np.arange(81)
    for model, seeds in load_results(project_path("results/tiny")).items():
        _, arrays = next(iter(seeds.values()))
        for cell, split in zip(axes, ("interp", "extrap"), strict=True):
            rows = arrays["splits"] == split
            curve = success_curve(arrays["refined"][rows], arrays["joints"][rows], thresholds)
            cell.plot(thresholds, 100 * curve, label=f"Model {model}")
            cell.set(xlabel="worst joint (mm)", ylim=(0, 100))
            cell.set_title(split.upper(), fontsize=9)
    axes[0].set_ylabel("frames (%)")
    axes[1].legend(fontsize=7, frameon=False)
    return figure


PICTURES = {
    "pipeline": pipeline,
    "refinement": refinement,
    "01": cropping,
    "02": inputs,
    "03": skeleton,
    "04": refined,
    "05": results,
}


def main(folder):
    """Draw all pictures into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        path = folder / f"{name}.png"
        path.write_bytes(plotting.png(draw()))
        print(f"{path} drawn")


if __name__ == "__main__":
    main(sys.argv[1])
