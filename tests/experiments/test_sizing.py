"""What sizing.py derives by hand is what torch counts, to the last parameter, MAC and byte."""

from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from senorita_lib.experiments import sizing
from senorita_lib.experiments.sizing import estimator_rows, refiner_rows
from senorita_lib.experiments.sizing_check import measure
from senorita_lib.figures.sizing import sizing_figure
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe

BATCH = 2


def build(recipe, device="cpu"):
    torch.manual_seed(0)
    with torch.device(device):
        return HandPoseNet(recipe, torch.linspace(20, 70, 20)).train()


def measure_estimator(recipe, network, device="cpu", batch=BATCH):
    shape = batch, network.estimator.in_channels, recipe.image_size, recipe.image_size
    return measure(network.estimator, torch.zeros(shape, device=device))


def initial_pose(recipe):
    """What the refiner reads: image, joints in uvd and mm, with a gradient if it flows on."""
    generator = torch.Generator().manual_seed(0)
    image = 2 * torch.rand(BATCH, 1, recipe.image_size, recipe.image_size, generator=generator) - 1
    uvd = torch.rand(BATCH, 21, 3, generator=generator)
    return image, *(x.requires_grad_(recipe.refiner_gradient) for x in (uvd, 200 * uvd))


def derived(rows, batch=BATCH):
    sums = sizing.total(rows)
    return sums.parameters, batch * sums.macs, sizing.kept_bytes(rows, batch)


@pytest.mark.parametrize("model", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["tiny", "small", "paper", "best", "released"])
def test_each_recipe_has_the_derived_size(name, model):
    """On the meta device, where the paper's size costs nothing."""
    recipe = find_recipe(name, model=model)
    network = build(recipe, "meta")
    measured = measure_estimator(recipe, network, "meta")
    assert measured == derived(estimator_rows(recipe))
    parameters = sum(p.numel() for p in network.refiner.parameters())
    assert parameters == sizing.total(refiner_rows(recipe)).parameters


def test_paper_has_its_parameters():
    recipe = find_recipe("paper")
    assert sizing.total(estimator_rows(recipe)).parameters == 34_340_736
    assert sizing.total(refiner_rows(recipe)).parameters == 64_712_380


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tiny", {}),
        ("tiny", {"model": 4, "block": "bottleneck", "layers": (1, 2, 1, 1)}),
        ("tiny", {"model": 4, "fusion": "stems"}),
        ("tiny", {"model": 3, "fusion": "stems", "block": "bottleneck"}),
        ("tiny", {"image_size": 96, "head": "regression"}),
        ("small", {"model": 2}),
    ],
)
def test_real_estimator_keeps_the_derived_bytes(name, changes):
    recipe = find_recipe(name, **changes)
    network, rows = build(recipe), estimator_rows(recipe)
    assert measure_estimator(recipe, network) == derived(rows)
    assert measure_estimator(recipe, network, batch=3) == derived(rows, 3)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("tiny", {}),
        ("tiny", {"refiner_gradient": False}),
        ("tiny", {"bone_length": "initial"}),
        ("tiny", {"bone_length": "initial", "refiner_gradient": False}),
        ("tiny", {"orientation": "raw", "pose_stream": False}),
        ("tiny", {"orientation": "raw", "patches": "released", "refiner_gradient": False}),
        ("small", {"pose_stream": False}),
        ("paper", {}),
    ],
)
def test_real_refiner_keeps_the_derived_bytes(name, changes):
    """Not on the meta device, which knows no autocast, not even one that is switched off."""
    recipe = find_recipe(name, **changes)
    assert measure(build(recipe).refiner, *initial_pose(recipe)) == derived(refiner_rows(recipe))


def test_whole_network_adds_only_its_frames_of_reference(crops):
    """From uvd to the camera frame: three values for each joint, one for each image."""
    recipe = find_recipe("tiny")
    network, rows = build(recipe), estimator_rows(recipe) + refiner_rows(recipe)
    parameters, macs, kept = derived(rows, len(crops))
    assert measure(network, crops) == (parameters, macs, kept + 4 * len(crops) * (21 * 3 + 1))


def test_backward_pass_has_the_forwards_macs_twice_less_the_stems():
    recipe = find_recipe("tiny")
    network, rows = build(recipe), estimator_rows(recipe)
    inputs = torch.zeros(BATCH, 3, 64, 64)
    counter = FlopCounterMode(display=False)
    with counter:
        network.estimator(inputs).sum().backward()
    stem = next(row.macs for row in rows if row.macs)
    assert counter.get_total_flops() == 2 * BATCH * (3 * sizing.total(rows).macs - stem)


def test_refiners_backward_pass_has_less_than_twice_its_forward():
    """FC layers' MACs twice; the convolutions' and the chain's once, as their inputs need none.

    torch's counter takes the gradient of a grouped convolution's weights for that of a full
    one, 20 times as much (it forgets the groups there, forward it does not).
    """
    recipe = find_recipe("tiny")
    network, macs = build(recipe), Counter()
    for row in refiner_rows(recipe):
        kind = "chain" if "chain" in row.name else "FC" if len(row.shape) == 2 else "convolution"
        macs[kind] += 2 * BATCH * row.macs
    counter = FlopCounterMode(display=False)
    joints_mm = network.refiner(*initial_pose(recipe)).joints_mm
    with counter:
        joints_mm.sum().backward()
    counts = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    assert counts["aten.convolution_backward"] == 20 * macs["convolution"]
    assert counts["aten.bmm"] == 2 * macs["FC"] + macs["chain"]


def test_bytes_and_operations_of_training():
    recipe = find_recipe("paper")
    rows = estimator_rows(recipe)
    sums = sizing.total(rows)
    assert sizing.kept_bytes(rows, 6) - sizing.kept_bytes(rows, 5) == sums.kept
    assert sizing.training_bytes(rows, 6) == 12 * sums.parameters + 6 * sums.kept + sums.once
    refiner = sizing.total(refiner_rows(recipe))
    images = 70_000 * 6, 18_000 * 4
    wanted = 6 * (sum(images) * sums.macs + images[1] * refiner.macs)
    assert sizing.training_flops(recipe) == wanted


def test_parts_add_up_and_are_drawn():
    recipe = find_recipe("tiny")
    rows = estimator_rows(recipe) + refiner_rows(recipe)
    parts = sizing.by_part(rows)
    assert list(parts)[0] == "stem" and list(parts)[-1] == "last FC"
    assert sizing.total(parts.values())[3:] == sizing.total(rows)[3:]
    panels = sizing_figure({"one": rows, "two": rows}).axes
    for panel, field in zip(panels, ("parameters", "macs", "kept"), strict=True):
        widths = [patch.get_width() for patch in panel.patches]
        assert len(widths) == 2 * len(parts)
        assert sum(widths) * 10 ** (9 if field == "macs" else 6) == pytest.approx(
            2 * getattr(sizing.total(rows), field)
        )
