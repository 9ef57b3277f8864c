"""Randomised sensing: labels stay true, and each effect does what it says."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from senorita_lib.sensing import Sensing, randomise

NONE = Sensing(**{field.name: 1.0 if field.name == "coarsest" else 0 for field in fields(Sensing)})
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


def drawn(scene, strengths, seed=0):
    return randomise(scene[0], torch.Generator().manual_seed(seed), scene[1], strengths)


def test_depends_on_the_generator_alone_and_changes_nothing_that_it_is_given(scene):
    before = scene[0].clone()
    assert torch.equal(drawn(scene, None), drawn(scene, None))
    assert not torch.equal(drawn(scene, None), drawn(scene, None, seed=1))
    assert torch.equal(scene[0], before)


def test_without_strengths_only_blurs_within_a_surface(scene):
    moved = drawn(scene, NONE)
    assert ((moved > 0) == (scene[0] > 0)).all()
    assert (moved - scene[0]).abs().max() < 2


def test_depths_stay_where_they_are(scene):
    """Away from borders, the mean of what is still seen is right within a few mm."""
    depth, true = drawn(scene, None), scene[0]
    middle = slice(SIZE // 2 - 8, SIZE // 2 + 8)
    seen = depth[..., middle, middle]
    wanted = true[..., middle, middle].mean()
    means = [float(sample[sample > 0].mean()) for sample in seen if (sample > 0).any()]
    assert len(means) > 35
    assert abs(np.mean(means) - wanted) < 1.5 and np.std(means) < 6
    assert (depth >= 0).all() and depth.isfinite().all()


def test_silhouettes_stay_where_they_are(scene):
    """What swells, shrinks or is displaced moves by some pixels, and not to one side."""
    strengths = replace(NONE, swell=1, coarsest=0.3, displace=2.5)
    ball = (drawn(scene, strengths) > 0) & (drawn(scene, strengths) < 520)
    at = torch.arange(SIZE)
    share = ball.float().sum(dim=(2, 3))
    u = (ball.float().sum(dim=2) * at).sum(dim=2) / share
    assert (u - SIZE / 2).abs().max() < 1.5 and (u - SIZE / 2).mean().abs() < 0.4
    width = ball.any(dim=2).sum(dim=2)
    assert (width - 49).abs().max() <= 8


@pytest.mark.parametrize(
    ("name", "most"),
    [("grains", 0.2), ("shadow", 0.35), ("cut", 0.75), ("white", 0), ("step", 0)],
)
def test_each_effect_alone(scene, name, most):
    """It changes some samples and not others, and takes away no more than a share of the pixels."""
    strength = getattr(Sensing(), name)
    plain, moved = drawn(scene, NONE), drawn(scene, replace(NONE, **{name: strength}))
    changed = (plain != moved).flatten(1).any(dim=1)
    assert 0.05 < changed.float().mean() <= 1
    lost = ((moved == 0) & (scene[0] > 0)).flatten(1).float().mean(dim=1)
    assert lost.max() <= most


def test_steps_of_depth_and_of_disparity(scene):
    moved = drawn(scene, replace(NONE, step=6.0))
    for sample, true in zip(moved, scene[0], strict=True):
        seen = true > 0
        assert (sample[seen] - true[seen]).abs().max() < 6.6 * (560 / 500) ** 2 / 2 + 2


def test_joints_are_never_cut_away(scene):
    moved = drawn(scene, replace(NONE, cut=0.35))
    rows = (scene[1] * SIZE).long()
    at = moved[torch.arange(40)[:, None], 0, rows[..., 1], rows[..., 0]]
    fingers = at[:, 2:]  # the arm ends a little behind the wrist
    assert (fingers > 0).float().mean() > 0.9
