"""The counts are those that pencil and paper give, and those of the modules themselves."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from senorita_lib.experiments.sizing import Cost, estimator_costs, refiner_costs, total
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe

# Derived by hand layer by layer, once, and equal to torch's count: parameters, MACs, bytes.
# Notebook 05 derives the stem's.
PAPER = {
    1: Cost(34_340_736, 8_626_634_752, 145_227_776, 219_392),
    2: Cost(34_550_848, 12_069_109_760, 162_791_424, 219_392),
    4: Cost(34_651_200, 13_713_276_928, 171_180_032, 219_392),
}


@pytest.mark.parametrize("model", PAPER)
def test_papers_estimators(model):
    recipe = find_recipe("paper", model=model)
    costs = estimator_costs(recipe)
    assert total(costs.values()) == PAPER[model]
    levels = [f"level {i}" for i in (1, 2, 3, 4)]
    assert list(costs) == ["stem", *levels, "deconvolutions", "heat maps"]
    with torch.device("meta"):
        network = HandPoseNet(recipe, torch.ones(20)).estimator
    # The softmax is what the heat maps keep.
    assert costs["heat maps"][1:3] == (256 * 21 * 64 * 64**2, 4 * 21 * 64**3)
    assert sum(p.numel() for p in network.parameters()) == total(costs.values()).parameters


def test_papers_refiner():
    recipe = find_recipe("paper")
    costs = refiner_costs(recipe)
    assert total(costs.values()) == Cost(64_712_380, 106_930_540, 17_999_760, 190_160)
    flat = recipe.patch_channels * ((92 // 4) ** 2 + (44 // 2) ** 2 + 22**2)
    assert costs["patch FC"].macs == 20 * flat * recipe.hidden
    assert costs["last FC"].parameters == 20 * (2 * recipe.hidden * 3 + 3)


@pytest.mark.parametrize(
    ("changes", "kept", "once"),
    [
        ({}, 898_000, 50_000),
        ({"refiner_gradient": False}, 897_600, 49_680),
        ({"orientation": "raw", "pose_stream": False}, 850_880, 14_160),
        ({"bone_length": "initial"}, 898_560, 50_320),
    ],
)
def test_what_the_refiner_keeps_of_an_image(changes, kept, once):
    """Derived by hand: five numbers for each unit vector, and what its options add."""
    assert total(refiner_costs(find_recipe("tiny", **changes)).values())[2:] == (kept, once)


def test_other_heads_and_stems():
    costs = estimator_costs(find_recipe("tiny", head="regression"))
    assert costs["head"] == Cost(128 * 63 + 63, 128 * 63, 4 * 128, 0)
    for head in ("a2j", "awr"):
        recipe = find_recipe("tiny", head=head)
        network = HandPoseNet(recipe, torch.ones(20)).estimator
        counted = sum(parameter.numel() for parameter in network.parameters())
        assert total(estimator_costs(recipe).values()).parameters == counted
    two = estimator_costs(find_recipe("tiny", model=4, fusion="stems"))
    assert total(two.values()) == Cost(845_648, 86_425_600, 2_113_536, 9_664)


def test_backward_pass_has_the_forwards_macs_twice_less_the_stems():
    recipe = find_recipe("tiny")
    costs, network = estimator_costs(recipe), HandPoseNet(recipe, torch.ones(20)).estimator
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, 64, 64)).sum().backward()
    macs = 3 * total(costs.values()).macs - costs["stem"].macs
    assert counter.get_total_flops() == 2 * 2 * macs
