"""The figures of the networks show what a forward pass gives, legibly."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.evaluation import bone_angles, mean_joint_error
from senorita_lib.figures.networks import follow, overview_figure, refiner_figure
from senorita_lib.hand import joints_to_bones
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe
from senorita_lib.renderer import skeleton_volume_loss


@cache
def frame():
    return SyntheticHand(seed=0).frame(15, split="interp")


def network(**changes):
    torch.manual_seed(0)
    recipe = find_recipe("tiny", depth_bins=8, hidden=24, volume_size=8, **changes)
    return HandPoseNet(recipe, torch.full((20,), 30.0))


@cache
def draw(figure, **changes):
    return figure(network(**changes), frame())


def words(figure):
    return "\n".join(text.get_text() for text in figure.axes[0].texts)


def shapes(figure):
    found = re.findall(r"\d+(?: × \d+)+", words(figure))
    return {tuple(map(int, shape.split(" × "))) for shape in found}


@pytest.mark.parametrize(("model", "channels"), [(1, 3), (4, 38)])
def test_the_overview_prints_the_shapes_of_the_modules(model, channels):
    wanted = {
        (480, 640), (1, 1, 64, 64), (1, channels, 64, 64), (1, 128, 2, 2), (1, 64, 16, 16),
        (1, 21, 8, 16, 16), (1, 21, 3), (1, 20, 8, 8, 8), (1, 20, 32, 32), (16, 16), (8, 8),
        (1, 20, 3), (1, 20, 24), (1, 20, 48),
    }  # fmt: skip
    assert shapes(draw(overview_figure, model=model)) == wanted


def test_the_refiner_prints_a_bones_share_of_the_shapes_and_draws_the_tensors_themselves():
    figure = draw(refiner_figure, model=1)
    kernels = {(5, 5), (3, 3), (4, 4), (2, 2)}
    maps = {(4, 28, 28), (4, 7, 7), (4, 12, 12), (4, 6, 6)}
    assert shapes(figure) == kernels | maps | {(32, 32), (16, 16), (8, 8)}
    for sizes in ("484 → 24", "3 → 12", "12 → 24", "24 → 24", "48 → 3"):
        assert sizes in words(figure)
    net = network()
    seen = follow(net, frame())
    bone = int(bone_angles(seen.joints_mm, seen.refined.joints_mm)[0].argmax())
    drawn = [a.get_array() for axes in refiner_figure(net, frame()).axes for a in axes.images]
    stage, joined = (seen.calls[f"refiner.{n}"] for n in ("patch_stream.0", "residual"))
    tensors = stage[0][0, bone], *stage[1][0, 4 * bone : 4 * bone + 4]
    for tensor in (*tensors, joined[0][0, bone][:, None]):
        assert any(a.shape == tensor.shape and (a == tensor.numpy()).all() for a in drawn)


def test_errors_losses_and_arrows_are_those_of_the_prediction():
    net, true = network(model=1).eval(), torch.tensor(frame().joints)[None]
    with torch.no_grad():
        crop = crop_hand(frame().depth, frame().box, size=net.recipe.image_size)
        crops = CropBatch.stack([crop])
        prediction = net(crops)
    poses = [pose.numpy() for pose in (prediction.joints_mm, prediction.refinement.joints_mm)]
    overview, refiner = (draw(f, model=1) for f in (overview_figure, refiner_figure))
    errors = [f"mean joint error {mean_joint_error(pose, true):.1f} mm" for pose in poses]
    assert re.findall("mean joint error .* mm", words(overview)) == errors
    turned = bone_angles(*poses)[0]
    before, after = (f"{bone_angles(pose, true)[0, turned.argmax()]:.1f}°" for pose in poses)
    assert f"turned by {turned.max():.1f}°" in words(refiner)
    assert f"error {before}, then {after}" in words(refiner)
    size = net.recipe.volume_size
    predicted, wanted = (size * uvd - 0.5 for uvd in (prediction.uvd, crops.to_uvd(true)))
    options = {"size": (size,) * 3, "gamma": net.recipe.gamma, "compiled": False}
    assert f"{skeleton_volume_loss(predicted, wanted, **options):.0f} voxels" in words(overview)
    (arrows,) = (c for axes in overview.axes for c in axes.collections if hasattr(c, "U"))
    residual = prediction.refinement.residual_orientation[0, :, :2].numpy()
    drawn = np.stack([arrows.U, arrows.V], axis=1)
    np.testing.assert_allclose(drawn / np.abs(drawn).max(), residual / np.abs(residual).max(), 1e-4)
    bones = joints_to_bones(prediction.joints_mm)[0].numpy()
    (rosette,) = (axes for axes in overview.axes if len(axes.lines) == 20 and not axes.images)
    assert rosette.yaxis_inverted()  # y goes down, as in the pictures
    for line, bone in zip(rosette.lines, bones, strict=True):
        end = line.get_xydata()[1]
        np.testing.assert_allclose(end / np.hypot(*end), bone[:2] / np.hypot(*bone[:2]), atol=1e-3)


RAW = {"pose_stream": False, "orientation": "raw", "volume_difference": "smooth_l1"}
RELEASED = {"model": 3, "fusion": "stems", "patches": "released"}


@pytest.mark.parametrize("figure", [overview_figure, refiner_figure])
@pytest.mark.parametrize("changes", [{"model": 1}, {"model": 4}, RAW, RELEASED])
def test_nothing_overlaps(figure, changes):
    texts = [text for text in draw(figure, **changes).axes[0].texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]  # arrows have no words
    assert len(boxes) > 20
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), texts[i]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="has no labels, wanted a frame with joints"):
        follow(network(), replace(frame(), joints=None))
    with pytest.raises(ValueError, match="has a 'regression' head, wanted 'integral'"):
        follow(network(head="regression"), frame())
