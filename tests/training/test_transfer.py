import pytest
import torch

from senorita_lib.estimator import PoseEstimator
from senorita_lib.model import HandPoseNet
from senorita_lib.people.pretraining import body_network, body_recipe
from senorita_lib.recipes import RECIPES, find_recipe
from senorita_lib.release.stems import two_stems
from senorita_lib.representations import input_channels
from senorita_lib.training.transfer import transfer

SHAPE = {"block": "basic", "layers": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "head_channels": 8}
FIRST = "backbone.conv1.weight"


def network(channels=3, joints=21, seed=0, **changes):
    torch.manual_seed(seed)
    return PoseEstimator(channels, joints=joints, **SHAPE | {"depth_bins": 4} | changes)


def people(**changes):
    """A network of people whose norms have seen something."""
    one = network(joints=16, seed=1, **changes)
    one(torch.randn(4, 3, 32, 32))
    return one


@pytest.mark.parametrize(
    ("model", "head"), [*((model, "integral") for model in (1, 2, 3, 4)), (4, "regression")]
)
def test_every_layer_up_to_the_penultimate_is_copied(model, head):
    channels, source = input_channels(model, 4, 4), people(head=head).state_dict()
    hand = network(channels, head=head)
    before = {k: v.clone() for k, v in hand.state_dict().items()}
    report = transfer(source, hand)
    state, last = hand.state_dict(), len(hand.head) - 1
    rebuilt = {f"head.{last}.weight", f"head.{last}.bias"}
    assert set(report.rebuilt) == rebuilt and not report.left
    assert {own[0] / there[0] for there, own in report.rebuilt.values()} == {21 / 16}
    assert all(torch.equal(state[name], before[name]) for name in rebuilt)
    assert set(report.widened) == (set() if model == 1 else {FIRST})
    assert set(report.copied) == set(state) - rebuilt - set(report.widened)
    assert all(torch.equal(state[name], source[name]) for name in report.copied)
    assert any("running_mean" in name for name in report.copied)
    assert not any(torch.equal(state[n], before[n]) for n in report.copied if n.endswith("mean"))


@pytest.mark.parametrize("channels", [3, 6, 54, 7])
def test_first_convolution_repeats_the_colours(channels):
    """So that an input of equal channels answers as a grey image."""
    hand, source = network(channels).eval(), people().eval()
    report = transfer(source.state_dict(), hand)
    grey = torch.randn(2, 1, 32, 32)
    one = source.backbone(grey.expand(-1, 3, -1, -1))
    other = hand.backbone(grey.expand(-1, channels, -1, -1))
    torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5)
    wide, weight = (net.state_dict()[FIRST] for net in (hand, source))
    for channel in range(channels):
        colour = channel % 3
        often = len(range(colour, channels, 3))
        torch.testing.assert_close(wide[:, channel], weight[:, colour] / often)
    if channels == 6:
        assert f"widened  {FIRST}    8x3x7x7 -> 8x6x7x7" in str(report).splitlines()


def test_other_shapes_are_left_and_told():
    hand = network(layers=(1, 2, 1, 1), depth_bins=5)
    before = {k: v.clone() for k, v in hand.state_dict().items()}
    report = transfer(people().state_dict(), hand)
    assert report.left and all(name.startswith("backbone.layer2.1") for name in report.left)
    assert all(source is None and own is not None for source, own in report.left.values())
    assert all(torch.equal(hand.state_dict()[name], before[name]) for name in report.left)
    other = transfer(hand.state_dict(), network(joints=16))
    assert all(own is None and source is not None for source, own in other.left.values())


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_of_two_stems_that_of_the_depth_image_is_the_colours(block):
    source = network(joints=16, seed=1, block=block).state_dict()
    hand = network(9, backbone=two_stems(6), block=block)
    report, state = transfer(source, hand), hand.state_dict()
    second = {name for name in state if "stems.second" in name}
    assert set(report.left) == second | {"backbone.layer1.0.conv1.weight"} and len(second) == 6
    for name in ("conv1.weight", "bn1.weight"):
        assert torch.equal(state[f"backbone.stems.depth.{name}"], source[f"backbone.{name}"])
    assert any("layer1.0.downsample" in name for name in report.copied) == (block == "bottleneck")


def test_weights_that_fit_nowhere_are_refused():
    """Their norms have counters of one shape, and so may a norm's weights; that does not count."""
    wider = network(widths=(12, 12, 12, 12), head_channels=12).state_dict()
    wanted = "nothing of these weights fits this network: backbone.conv1.weight is .* there and 8x3"
    for weights in ({}, {"something.else": torch.zeros(3)}, wider):
        with pytest.raises(ValueError, match=wanted):
            transfer(weights, network())


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("model", [1, 4])
def test_all_of_a_recipe_fits_its_own_pretraining(name, model):
    recipe = find_recipe(name, model=model)
    with torch.device("meta"):
        hand = HandPoseNet(recipe, torch.zeros(20)).estimator
        report = transfer(body_network(body_recipe(recipe)).state_dict(), hand)
    stems = recipe.fusion == "stems" and model == 4
    new = ("backbone.stems.second", "backbone.layer1.0.conv1") if stems else ("none",)
    assert all(left.startswith(new) for left in report.left) and bool(report.left) == stems
    assert bool(report.widened) == (model == 4 and not stems)
    assert len(report.rebuilt) == 2 and len(report.copied) > 50
