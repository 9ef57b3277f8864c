"""Randomised sensing: labels stay true, and each effect does what it says."""

import numpy as np
import pytest
import torch

from senorita_lib import sensing
from senorita_lib.sensing import EFFECTS, randomise

SIZE = 96


@pytest.fixture(scope="module")
def scene():
    """A ball before a wall with nothing around, (40, 1, 96, 96), and joints in the ball."""
    at = np.arange(SIZE) - SIZE / 2
    square = at**2 + at[:, None] ** 2
    depth = np.where(square < 1600, 560.0, 0)
    depth = np.where(square < 625, 500 - np.sqrt(np.maximum(625 - square, 0)), depth)
    uv = 0.5 + 0.1 * np.random.default_rng(0).uniform(-1, 1, (40, 21, 2))
    batch = torch.from_numpy(np.repeat(depth[None, None], 40, axis=0)).float()
    return batch, torch.from_numpy(uv).float()


def drawn(scene, *effects, seed=0):
    """Each effect on every sample; without one the whole chain."""
    depth, uv = scene
    generator = torch.Generator().manual_seed(seed)
    if not effects:
        return randomise(depth, generator, uv)
    for effect in effects:
        depth = effect(sensing._Some(depth, uv, generator))
    return depth


def test_depends_on_the_generator_alone_and_changes_nothing_that_it_is_given(scene):
    before = scene[0].clone()
    assert torch.equal(drawn(scene), drawn(scene))
    assert not torch.equal(drawn(scene), drawn(scene, seed=1))
    assert torch.equal(scene[0], before)


def test_depths_stay_where_they_are(scene):
    """Away from borders, the mean of what is still seen is right within a few mm."""
    depth, middle = drawn(scene), slice(SIZE // 2 - 8, SIZE // 2 + 8)
    seen, wanted = depth[..., middle, middle], scene[0][..., middle, middle].mean()
    means = [float(sample[sample > 0].mean()) for sample in seen if (sample > 0).any()]
    assert len(means) > 35
    assert abs(np.mean(means) - wanted) < 1.5 and np.std(means) < 6
    assert (depth >= 0).all() and depth.isfinite().all()


def test_silhouettes_stay_where_they_are(scene):
    """What swells, shrinks or is displaced moves by some pixels, and not to one side."""
    moved = drawn(scene, sensing._swell, sensing._shrink, sensing._resample)
    ball = (moved > 0) & (moved < 520)
    share = ball.float().sum(dim=(2, 3))
    u = (ball.float().sum(dim=2) * torch.arange(SIZE)).sum(dim=2) / share
    assert (u - SIZE / 2).abs().max() < 1.5 and (u - SIZE / 2).mean().abs() < 0.4
    assert (ball.any(dim=2).sum(dim=2) - 49).abs().max() <= 8


LOST = {"shrink": 0.1, "resample": 0.1, "shadow": 0.1, "grains": 0.07, "spots": 0.2,
        "steep": 0.35, "cut_arm": 0.75, "cut_sides": 0.75}  # fmt: skip


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
def test_each_effect_alone(scene, effect):
    """It changes samples, and takes away no more than a share of the pixels."""
    moved = drawn(scene, effect)
    assert (moved != scene[0]).flatten(1).any(dim=1).float().mean() > 0.5
    lost = ((moved == 0) & (scene[0] > 0)).flatten(1).float().mean(dim=1)
    assert lost.max() <= LOST.get(effect.__name__.strip("_"), 0)
    if effect is sensing._blur:
        assert (moved - scene[0]).abs().max() < 2
    elif effect is sensing._quantise:
        error = (moved - scene[0])[scene[0] > 0].abs()
        assert error.max() < 6.6 * (560 / 500) ** 2 / 2 + 2


@pytest.mark.parametrize("effect", [sensing._cut_arm, sensing._cut_sides])
def test_joints_are_never_cut_away(scene, effect):
    rows = (scene[1] * SIZE).long()
    at = drawn(scene, effect)[torch.arange(40)[:, None], 0, rows[..., 1], rows[..., 0]]
    assert (at[:, 2:] > 0).float().mean() > 0.9  # the arm ends a little behind the wrist
