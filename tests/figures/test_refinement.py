"""Figures of the refiner: every patch, every bone, and arrows that turn."""

import json

import numpy as np
import pytest
import torch

from senorita_lib.evaluation import bone_angles
from senorita_lib.figures import refinement as plots
from senorita_lib.figures.style import png
from senorita_lib.hand import BONES, bones_to_joints, joints_to_bones
from senorita_lib.refinement import bone_patch_boxes, crop_bone_patches


@pytest.fixture
def one(crops):
    """The first of the crops, as a batch."""
    pick = {name: getattr(crops, name)[:1] for name in ("image", "box", "cube_centre")}
    return type(crops)(**pick)


@pytest.fixture
def poses(hand):
    """Initial, refined and true: one bone turned by a right angle, the others kept."""
    true = torch.from_numpy(hand[:1])
    bones = joints_to_bones(true)
    bones[0, 0] = torch.tensor([30.0, 0, 0])
    refined = bones.clone()
    refined[0, 0] = torch.tensor([0.0, 40, 0])
    return bones_to_joints(true[:, 0], bones), bones_to_joints(true[:, 0], refined), true


def test_a_row_of_patches_for_each_style(one, hand):
    uvd = one.to_uvd(torch.from_numpy(hand[:1]))
    cuts = {}
    for style in ("rectangle", "released"):
        patches = crop_bone_patches(one.image, uvd, (32, 16, 8), style=style)
        boxes = bone_patch_boxes(uvd, style=style, image_size=64)
        cuts[style] = boxes[0], [scale[0] for scale in patches]
    figure = plots.patches_figure(one.image[0, 0], uvd[0], cuts)
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert len(pictures) == 2 * (1 + 20 + 3)
    first = pictures[: len(pictures) // 2]
    np.testing.assert_allclose(first[1 + 5 * 3 + 1], cuts["rectangle"][1][0][7])  # wrist, index
    assert [p.shape[0] for p in first[-3:]] == [32, 16, 8]
    assert png(figure).startswith(b"\x89PNG")


def test_arrows_are_drawn_where_a_bone_turned(one, poses):
    initial, refined, true = poses
    figure = plots.residual_figure(one, initial, refined, true)
    turned, judged, bars = figure.axes
    (arrow,) = [text for text in turned.texts if text.arrow_patch]
    unturned = refined[0, BONES[0][1]] + torch.tensor([40.0, 0, 0])
    ends = torch.stack([unturned, refined[0, BONES[0][0]]])
    wanted = one.to_uvd(ends[None])[0, :, :2] * 64 - 0.5
    np.testing.assert_allclose([arrow.xyann, arrow.xy], wanted, atol=1e-3)
    assert not judged.texts
    heights = np.array([bar.get_height() for bar in bars.patches]).reshape(2, 20)
    # From the wrist outwards: the thumb's tip is the fourth.
    assert heights[0, 3] == pytest.approx(bone_angles(initial, true)[0, 0], abs=1e-3)
    assert heights[1, 3] == pytest.approx(bone_angles(refined, true)[0, 0], abs=1e-3)
    assert png(figure).startswith(b"\x89PNG")


def test_all_hands_have_bars_of_their_own(one, poses):
    angles = {"mean of 7 hands": (np.full(20, 30.0), np.full(20, 20.0))}
    figure = plots.residual_figure(one, *poses, angles)
    titles = [axes.get_title() for axes in figure.axes[2:]]
    assert titles[0].startswith("this hand: ")
    assert titles[1] == "mean of 7 hands: 30.0° before (pale), 20.0° after"


def test_hands_in_space_are_named_and_light(one, poses):
    plot = plots.residual_plot(one, *poses)
    named = {trace.name: trace for trace in plot.data if trace.showlegend}
    assert list(named) == ["truth", "initial", "refined"]
    for name, pose in zip(("initial", "refined", "truth"), poses, strict=True):
        assert named[name].x[0] == pytest.approx(pose[0, 0, 0].item(), abs=1e-3)
    assert len(json.dumps(plot.to_plotly_json(), default=str)) < 40_000
