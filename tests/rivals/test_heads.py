import pytest
import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import CropBatch
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe
from senorita_lib.rivals.a2j import A2J
from senorita_lib.rivals.awr import pixels, read_maps, true_maps

SIZE = 16  # cells of a map


def scene(batch=2):
    """A slanted depth image with background on its left, and poses near what it shows."""
    rng = torch.Generator().manual_seed(0)
    image = torch.linspace(-0.5, 0.5, 4 * SIZE).expand(batch, 3, 4 * SIZE, -1).clone()
    image[..., : SIZE // 2] = -1
    uvd = 0.4 + 0.2 * torch.rand(batch, 21, 3, generator=rng)
    return image, uvd


def network(head, **changes):
    torch.manual_seed(0)
    return HandPoseNet(find_recipe("tiny", head=head, **changes), torch.full((20,), 30.0))


def test_perfect_maps_of_awr_say_the_joint():
    image, uvd = scene()
    maps = true_maps(uvd, image, SIZE)
    assert maps.shape == (2, 21, 4, SIZE, SIZE)
    reading = read_maps(maps, image)
    torch.testing.assert_close(reading.uvd, uvd, atol=1e-4, rtol=0)
    assert reading.spread.max() < 0.01  # all pixels say the same
    # Direction and closeness, by hand, at one pixel.
    places, shown = pixels(image, SIZE)
    offset = uvd[1, 5] - places[1, 0, :, 3, 9]
    assert shown[1, 0, 3, 9] and not shown[..., :2].any()
    torch.testing.assert_close(maps[1, 5, :3, 3, 9], offset / offset.norm())
    assert maps[1, 5, 3, 3, 9].item() == pytest.approx(1 - offset.norm().item() / 0.5, abs=1e-6)
    assert not maps[..., :2].any()


def test_background_and_an_empty_image_leave_awr_finite():
    image, uvd = scene()
    noise = torch.randn(2, 21, 4, SIZE, SIZE)
    other = noise.clone()
    other[..., :2] += 100  # what background says counts nothing
    torch.testing.assert_close(read_maps(noise, image).uvd, read_maps(other, image).uvd)
    assert read_maps(noise, torch.full_like(image, -1)).uvd.isfinite().all()


def test_anchors_of_a2j_vote_for_the_joint():
    """With offsets that all point to the joint, any responses give it."""
    head, (image, uvd) = A2J(8, 8, 21), scene()
    anchors = (torch.arange(SIZE) + 0.5) / SIZE

    def towards(features):
        u = uvd[:, :, 0, None, None] - anchors
        v = uvd[:, :, 1, None, None] - anchors[:, None]
        both = torch.stack(torch.broadcast_tensors(u, v), dim=2)
        return SIZE * both.flatten(1, 2)

    head.offset.forward = towards
    head.depth.forward = lambda features: (
        SIZE * (uvd[:, :, 2, None, None] - 0.5).expand(-1, -1, SIZE, SIZE)
    )
    reading = head.read(torch.randn(2, 8, 2, 2), image)
    torch.testing.assert_close(reading.uvd, uvd, atol=1e-5, rtol=0)
    assert reading.dense.shape == (2, 21, 2) and reading.spread.max() < 1e-3
    losses = head.losses(reading, uvd, image)
    assert losses["L_jt"] < 1e-6 < losses["L_anchor"]


def test_responses_that_move_by_an_anchor_move_the_pose():
    head, (image, _) = A2J(8, 8, 21), scene()
    response = torch.zeros(2, 21, SIZE, SIZE)
    response[..., 5, 7] = 50.0
    for name in ("offset", "depth"):
        values = {"offset": 42, "depth": 21}[name]
        getattr(head, name).forward = lambda _, n=values: torch.zeros(2, n, SIZE, SIZE)
    poses = []
    for moved in (response, response.roll((1, 2), (2, 3))):
        head.response.forward = lambda _, moved=moved: moved
        poses.append(head.read(torch.randn(2, 8, 2, 2), image).uvd)
    wanted = torch.tensor([2 / SIZE, 1 / SIZE, 0]).expand(2, 21, 3)
    torch.testing.assert_close(poses[1] - poses[0], wanted)


@pytest.mark.parametrize("read", ["awr", "a2j"])
def test_gradients_are_those_of_the_read_out(read):
    image, _ = scene(1)
    if read == "awr":
        small = torch.nn.functional.interpolate(image, size=4).double()
        maps = torch.randn(1, 2, 4, 4, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda m: read_maps(m, small).uvd, maps)
        return
    head = A2J(4, 4, 2).double().eval()
    features = torch.randn(1, 4, 1, 1, dtype=torch.float64, requires_grad=True)
    read = lambda f: head.read(f, image).uvd  # noqa: E731
    assert torch.autograd.gradcheck(read, features, atol=1e-4)


@pytest.mark.parametrize("head", ["a2j", "awr"])
def test_a_recipes_head_predicts_and_learns(head):
    model = network(head)
    image, uvd = scene(4)
    crops = CropBatch(image[:, :1], torch.tensor([[0.0, 0, 64, 64]] * 4),
                      torch.tensor([[0.0, 0, 500]] * 4), SR300)  # fmt: skip
    prediction = model(crops)
    assert prediction.uvd.shape == (4, 21, 3) and prediction.reading.spread.shape == (4, 21, 3)
    assert prediction.refinement.joints_mm.isfinite().all()
    optimizer = torch.optim.Adam(model.estimator.parameters(), 1e-3)
    before = None
    for _ in range(30):
        reading = model(crops, refine=False).reading
        losses = model.estimator.head.losses(reading, uvd, image)
        before = before or {name: value.item() for name, value in losses.items()}
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    for name, value in losses.items():
        assert value < before[name], name
