"""The stream: rays against the NumPy renderer, crops against crop_hand, and what a batch keeps."""

import shutil
from itertools import islice

import numpy as np
import pytest
import torch

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand, SyntheticStream
from senorita_lib.datasets.boxes import hand_box
from senorita_lib.datasets.synthetic import posing, spherecast, stream
from senorita_lib.datasets.synthetic.castcrop import crop_depth, pixels_of, rays_of, rough_box
from senorita_lib.datasets.synthetic.frames import pose_spheres
from senorita_lib.datasets.synthetic.handmodel import PILLS, SHAPES, WEDGES
from senorita_lib.datasets.synthetic.posepool import draw_pool
from senorita_lib.datasets.synthetic.sensor import sense
from senorita_lib.datasets.synthetic.spherecast import Hulls, Surfaces, cast_depth
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.hand import joints_to_bones

SMALL = Camera(119.0, 121.0, 78.4, 61.3, 160, 120)


@pytest.fixture(scope="module")
def small():
    return make()


def make(**arguments):
    return SyntheticStream(**({"batch": 8, "size": 64, "pool": 60, "progress": False} | arguments))


def joints_of(some, index):
    return some._posed(some._draws(index))[2]


def crop_camera(box, size):
    """A camera whose pixels are those of a crop."""
    x, y, scale = float(box[0]), float(box[1]), size / float(box[2] - box[0])
    return Camera(
        SR300.fx * scale, SR300.fy * scale, (SR300.cx - x) * scale - 0.5,
        (SR300.cy - y) * scale - 0.5, size, size,
    )  # fmt: skip


def rays_of_camera(camera):
    x = (torch.arange(camera.width, dtype=torch.float64) - camera.cx) / camera.fx
    y = (torch.arange(camera.height, dtype=torch.float64) - camera.cy) / camera.fy
    return x[None].float(), y[None].float()


def surfaces_of(centres, radii, pills, wedges):
    hulls = Hulls(pills, wedges)
    return hulls.surfaces(torch.tensor(centres)[None].double(), torch.tensor(radii)[None].double())


def assert_same_depth(got, wanted):
    hit = np.isfinite(wanted)
    other = np.isfinite(got) != hit
    both = hit & ~other
    far = np.abs(got[both] - wanted[both]) > 0.01
    assert other.sum() + far.sum() <= 3


# ----------------------------------------------------------------------------------- spherecast
def test_depth_is_that_of_the_numpy_renderer():
    hands, size = SyntheticHand(seed=3), 128
    for i in range(6):
        pose = hands.pose(i)
        centres, radii = pose_spheres(pose)
        surfaces = surfaces_of(centres, radii, PILLS, WEDGES)
        box, _ = rough_box(surfaces, torch.tensor(pose.joints[None]).float(), SR300)
        rays = rays_of(*pixels_of(box, size), SR300)
        got = cast_depth(surfaces, *rays)[0]
        assert got.dtype == torch.float32
        wanted = render_depth(centres, radii, PILLS, WEDGES, crop_camera(box[0], size))
        assert np.isfinite(wanted).mean() > 0.05
        assert_same_depth(got.numpy(), wanted)


MESHES = {
    "spheres alone": ([[0, 0, 300], [40, 10, 280]], [20, 9], [], []),
    "one swallows two": ([[0, 0, 300], [3, 0, 300], [0, 2, 301]], [25, 5, 4], [], [[0, 1, 2]]),
    "three times the same": ([[0, 0, 300]] * 3, [25] * 3, [[0, 1]], [[0, 1, 2]]),
    "on one line": ([[-40, 0, 300], [0, 0, 300], [40, 0, 300]], [10, 12, 14], [], [[0, 1, 2]]),
    "pill at the camera": ([[0, 0, 200], [0, 0, 260]], [8, 30], [[0, 1]], []),
    "pill away from it": ([[0, 0, 200], [0, 0, 260]], [30, 8], [[0, 1]], []),
    "radii of zero": ([[-40, 0, 300], [0, 30, 300], [40, 0, 320]], [0, 0, 0], [], [[0, 1, 2]]),
    "seen edge-on": ([[0, 0, 250], [0, -9, 300], [0, 9, 350]], [6, 6, 6], [], [[0, 1, 2]]),
    "far outside": ([[900, 0, 300], [950, 0, 300]], [10, 10], [[0, 1]], []),
}  # fmt: skip


@pytest.mark.parametrize("name", MESHES)
def test_degenerate_meshes(name):
    centres, radii, pills, wedges = MESHES[name]
    surfaces = surfaces_of(centres, radii, pills, wedges)
    got = cast_depth(surfaces, *rays_of_camera(SMALL))[0].numpy()
    assert not np.isnan(got).any()
    assert_same_depth(got, render_depth(centres, radii, pills, wedges, SMALL))


def test_nothing_at_all():
    surfaces = Hulls([], []).surfaces(torch.zeros(2, 0, 3), torch.zeros(2, 0))
    depth = cast_depth(surfaces, torch.zeros(2, 5), torch.zeros(2, 4))
    assert depth.shape == (2, 4, 5)
    assert depth.isinf().all()


def test_random_hulls():
    rng = np.random.default_rng(0)
    for _ in range(8):
        centres, radii = [0, 0, 260] + rng.uniform(-50, 50, (5, 3)), rng.uniform(4, 26, 5)
        hulls = [[0, 1], [3, 4]], [[1, 2, 3], [0, 3, 4]]
        got = cast_depth(surfaces_of(centres, radii, *hulls), *rays_of_camera(SMALL))[0].numpy()
        assert_same_depth(got, render_depth(centres, radii, *hulls, SMALL))


def test_pieces_do_not_matter(small, monkeypatch):
    centres, radii, _ = small._posed(small._draws(0))
    surfaces = small.hulls.surfaces(centres, radii)
    x = torch.linspace(-0.2, 0.2, 40).expand(8, -1)
    y = torch.linspace(-0.2, 0.2, 30).expand(8, -1)
    depth = cast_depth(surfaces, x, y)
    assert depth.shape == (8, 30, 40)
    for budget in (1, 30 * 40 * 3, 1 << 22):
        monkeypatch.setattr(spherecast, "_CACHED", budget)
        assert torch.equal(cast_depth(surfaces, x, y), depth)
    one = cast_depth(Surfaces(*(kind[3:4] for kind in surfaces)), x[3:4], y[3:4])
    assert torch.equal(one[0], depth[3])


def test_shapes_that_do_not_fit_are_refused(small):
    with pytest.raises(ValueError, match=r"radii have shapes .*, wanted \(B, n, 3\) and \(B, n\)"):
        small.hulls.surfaces(torch.zeros(2, 38, 3), torch.zeros(38))
    surfaces = surfaces_of([[0, 0, 300.0]], [9.0], [], [])
    with pytest.raises(ValueError, match=r"wanted \(1, W\) and \(1, H\)"):
        cast_depth(surfaces, torch.zeros(2, 4), torch.zeros(1, 4))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_is_the_same():
    eager, compiled = (make(size=32, pool=20, compiled=flag).batch(0)[0] for flag in (False, True))
    assert spherecast._fused_cast.refused is None
    assert torch.equal(eager.box, compiled.box)
    assert ((eager.image - compiled.image).abs() > 1e-3).float().mean() < 1e-3


# ------------------------------------------------------------------------------------------ crop
def test_crops_are_those_of_crop_hand(small):
    """Of frames that the NumPy renderer makes of the same poses, without noise or background."""
    boxes, shifts, centres, images = [], [], [], []
    for index in range(4):
        spheres, radii, joints = small._posed(small._draws(index))
        surfaces = small.hulls.surfaces(spheres, radii)
        box, coarse_z = rough_box(surfaces, joints, SR300)
        depth = cast_depth(surfaces, *rays_of(*pixels_of(box, 64), SR300))
        crops = crop_depth(depth, box, coarse_z, SR300)
        for i in range(len(crops)):
            frame = render_depth(spheres[i], radii[i], PILLS, WEDGES, SR300)
            frame = np.rint(np.where(frame < 4000, frame, 0)).astype(np.uint16)
            hand = crop_hand(frame, hand_box(joints[i].numpy(), SR300), size=64)
            shifts.append(crops.box[i].numpy() - hand.box)
            boxes.append(np.abs(shifts[-1]).max())
            centres.append(np.abs(crops.cube_centre[i].numpy() - hand.cube_centre).max())
            if boxes[-1] == 0:
                images.append(np.abs(crops.image[i, 0].numpy() - hand.image))
    assert np.mean(np.array(boxes) <= 2) > 0.9
    assert max(boxes) <= 5
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.3  # not to one side
    assert max(centres) < 3
    assert len(images) > 8
    assert np.mean(np.array(images) > 0.02) < 0.02  # silhouettes


def test_a_hand_that_no_ray_meets_gives_an_empty_crop():
    surfaces = surfaces_of([[0, 0, 300.0]], [0.01], [], [])
    joints = torch.zeros(1, 21, 3) + torch.tensor([80.0, 30.0, 400.0])
    box, coarse_z = rough_box(surfaces, joints, SR300)
    assert coarse_z.item() == pytest.approx(400)
    crop = crop_depth(torch.zeros(1, 32, 32), box, coarse_z, SR300)
    assert (crop.image == -1).all()
    assert crop.cube_centre.isfinite().all()


# ---------------------------------------------------------------------------------------- sensor
def test_noise_is_that_of_the_numpy_sensor(small, monkeypatch):
    monkeypatch.setattr(stream, "_WALLS", 0)
    rng, here, there = np.random.default_rng(0), [], []
    for index in range(3):
        crops, joints = small.batch(index)
        spheres, radii, _ = small._posed(small._draws(index))
        for i in range(len(crops)):
            exact = render_depth(spheres[i], radii[i], PILLS, WEDGES, SR300)
            hand = crop_hand(sense(rng, exact), hand_box(joints[i].numpy(), SR300), size=64)
            for image, values in ((crops.image[i, 0].numpy(), here), (hand.image, there)):
                kept = image > -1
                inner = kept[1:-1, 1:-1] & kept[:-2, 1:-1] & kept[2:, 1:-1]
                bend = (image[2:] + image[:-2] - 2 * image[1:-1])[:, 1:-1][inner]
                values.append((kept.mean(), np.median(np.abs(bend))))
    here, there = np.mean(here, axis=0), np.mean(there, axis=0)
    np.testing.assert_allclose(here, there, rtol=0.1)


def test_a_wall_is_behind_the_hand(monkeypatch):
    some = make(batch=24)
    monkeypatch.setattr(stream, "_WALLS", 0)
    alone, _ = some.batch(0)
    monkeypatch.setattr(stream, "_WALLS", 1)
    walled, _ = some.batch(0)
    assert torch.equal(alone.box, walled.box)
    more = (walled.image > -1).float().mean((1, 2, 3)) - (alone.image > -1).float().mean((1, 2, 3))
    assert (more > 0.05).sum() >= 4  # the others' is beyond the cube
    both = (alone.image > -1) & (walled.image > -1) & (walled.image < 1)
    shift = (walled.cube_centre - alone.cube_centre)[:, 2, None, None, None] / 100
    assert ((walled.image - shift - alone.image)[both].abs() < 0.05).float().mean() > 0.98


# ---------------------------------------------------------------------------------------- stream
def test_batches(small):
    for crops, joints in islice(small, 4):
        assert isinstance(crops, CropBatch)
        assert crops.image.shape == (8, 1, 64, 64)
        assert (crops.box.shape, crops.cube_centre.shape) == ((8, 4), (8, 3))
        assert joints.shape == (8, 21, 3)
        for values in (crops.image, crops.box, crops.cube_centre, joints):
            assert values.dtype == torch.float32
            assert values.isfinite().all()
            assert not values.requires_grad
        assert crops.image.min() == -1
        assert crops.image.max() <= 1
        assert ((crops.image > -1).float().mean((1, 2, 3)) > 0.03).all()
        assert torch.equal(crops.box, crops.box.round())
        side = crops.box[:, 2:] - crops.box[:, :2]
        assert (side[:, 0] == side[:, 1]).all()


def test_deterministic_whatever_was_drawn_before(small):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = small.batch(7)
    assert torch.equal(torch.get_rng_state(), state)
    small.batch(3)
    again = next(islice(make(), 7, None))
    for one, other in ((first, again), (first, small.batch(7))):
        assert torch.equal(one[1], other[1])
        for name in ("image", "box", "cube_centre"):
            assert torch.equal(getattr(one[0], name), getattr(other[0], name))
    for other in (small.batch(8), make(seed=1).batch(7), make(split="interp").batch(7)):
        assert not torch.equal(first[1], other[1])
    assert not torch.equal(first[0].image[0], first[0].image[1])


def test_one_pose_gives_many_images():
    crops, joints = make(pool=1).batch(0)
    bones = torch.linalg.cross(joints[:, 2] - joints[:, 0], joints[:, 5] - joints[:, 0])
    bones = bones / bones.norm(dim=1, keepdim=True)
    assert 0.02 < (bones - bones[:1]).norm(dim=1).max() < 0.6  # turned, by little
    assert joints.mean(1).std(0).min() > 10  # elsewhere
    assert len({tuple(box.tolist()) for box in crops.box}) == 8


def test_hands_are_where_the_frames_have_them():
    joints = joints_of(make(batch=300, pool=300), 0).numpy()
    middle = joints.mean(axis=1)
    assert 460 < middle[:, 2].mean() < 560
    assert (middle[:, 2] > 349).all() and (middle[:, 2] < 801).all()
    uv = SR300.project(joints)[..., :2]
    outside = ((uv < 0) | (uv > [639, 479])).any(axis=(1, 2))
    assert 0.005 < outside.mean() < 0.15
    assert (uv.mean(axis=1).std(axis=0) > [70, 40]).all()


def test_joints_lie_in_the_crops(small):
    uvd = torch.cat([crops.to_uvd(joints) for crops, joints in islice(small, 8)])
    inside = (uvd >= 0) & (uvd <= 1)
    assert inside[..., :2].all(-1).float().mean() > 0.97
    assert inside.all(-1).float().mean() > 0.93


@pytest.mark.parametrize("split", ["train", "shape", "viewp", "artic", "extrap"])
def test_bins_are_kept(split):
    held = {"shape": "s", "viewp": "v", "artic": "p", "extrap": "svp"}.get(split, "")
    joints = joints_of(make(split=split, batch=400, pool=100), 0).double().numpy()
    lengths = np.linalg.norm(joints_to_bones(joints), axis=-1).reshape(-1, 5, 4)[..., ::-1]
    apart = np.abs(lengths[:, None] - [shape.bones for shape in SHAPES]).max(axis=(2, 3))
    assert apart.min(axis=1).max() < 1e-3
    allowed = {
        "s": (apart.argmin(axis=1), posing.SEEN_SHAPES, posing.UNSEEN_SHAPES),
        "v": (posing.view_bin(joints), posing.SEEN_VIEWS, posing.UNSEEN_VIEWS),
        "p": (posing.bent_fingers(joints), posing.SEEN_PATTERNS, posing.UNSEEN_PATTERNS),
    }
    for axis, (found, seen, unseen) in allowed.items():
        assert set(found.tolist()) <= set(unseen if axis in held else seen)
        assert len(set(found.tolist())) >= 4


def test_view_bins_are_those_of_posing():
    rng = np.random.default_rng(0)
    poses = [posing.draw_pose(rng, SR300, views=range(posing.N_VIEWS)) for _ in range(300)]
    joints = np.array([pose.joints for pose in poses])
    got = stream._view_bins(torch.tensor(joints))
    np.testing.assert_array_equal(got.numpy(), posing.view_bin(joints))


def test_pool_holds_the_poses_and_does_not_depend_on_workers():
    pool = draw_pool(9, "viewp", 4, workers=1)
    assert pool.tobytes() == draw_pool(9, "viewp", 4, workers=2).tobytes()
    hands = SyntheticHand(4)
    for i in (0, 8):
        pose = hands.pose(i, "viewp")
        centres, radii = pose_spheres(pose)
        middle = pose.joints.mean(axis=0)
        np.testing.assert_allclose(pool[i]["joints"] + middle, pose.joints, atol=1e-3)
        got = pool[i]["centres"] + pose.forearm * pool[i]["reach"] + middle
        np.testing.assert_allclose(got, centres, atol=1e-3)
        np.testing.assert_allclose(pool[i]["radii"], radii, rtol=1e-6)
        assert pool[i]["view"] == pose.view


def test_arms_stay_away_from_the_camera():
    some = make(batch=300, pool=200)
    for index in range(4):
        centres, radii, _ = some._posed(some._draws(index))
        assert (centres[..., 2] - radii).min() > 100


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"split": "val"}, "split is 'val', wanted one of train, interp"),
        ({"batch": 0}, "batch is 0, wanted a whole number from 1"),
        ({"pool": 0.5}, "pool is 0.5, wanted a whole number from 1"),
        ({"seed": -1}, "seed is -1, wanted a whole number from 0"),
    ],
)
def test_arguments_that_make_no_sense(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(**arguments)


def test_negative_batches_are_refused(small):
    with pytest.raises(ValueError, match="index is -1, wanted a whole number from 0"):
        small.batch(-1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_graphics_card_gives_the_batches_of_the_cpu():
    there = make(size=96, device="cuda")
    there.batch(0)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        crops, joints = there.batch(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert crops.image.is_cuda and joints.is_cuda
    wanted, wanted_joints = make(size=96).batch(1)
    torch.testing.assert_close(joints.cpu(), wanted_joints, atol=1e-2, rtol=0)
    crops = crops.to("cpu")
    assert (crops.box - wanted.box).abs().max() <= 1  # whole pixels, so rounding may differ
    same = (crops.box == wanted.box).all(1)
    assert same.sum() >= 6
    torch.testing.assert_close(crops.cube_centre, wanted.cube_centre, atol=1, rtol=0)
    assert ((crops.image - wanted.image)[same].abs() > 0.02).float().mean() < 0.01
