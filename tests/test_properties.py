"""What must hold for any input: frames fit together, scenes move their crop, garbage is refused.

The same cases are drawn in every run.
"""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from senorita_lib.augmentation import Draws, augment
from senorita_lib.boxes import find_hand_box
from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch, HandCrop, crop_hand, otsu_threshold
from senorita_lib.estimator import soft_argmax
from senorita_lib.release.foreground import valley_threshold
from senorita_lib.renderer import render_skeleton
from senorita_lib.representations import project_points, voxelize


def cases(count):
    return settings(max_examples=count, derandomize=True, database=None)


seeds = st.integers(0, 2**32 - 1)


def close(found, wanted, scale):
    """Equal up to rounding: some 1e2 steps of the type at the size of the largest term."""
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    found, wanted = np.asarray(found), np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, atol=100 * np.finfo(wanted.dtype).eps * scale)


@st.composite
def cameras(draw):
    """From a thumbnail to 4k, fields of view from 30 to 100 degrees."""
    width, height = draw(st.integers(64, 4000)), draw(st.integers(48, 3000))
    focal = st.floats(0.42 * width, 1.9 * width)
    return Camera(draw(focal), draw(focal), width * draw(st.floats(0.3, 0.7)),
                  height * draw(st.floats(0.3, 0.7)), width, height)  # fmt: skip


@given(
    cameras(), st.sampled_from([np.asarray, torch.from_numpy]),
    st.sampled_from([np.float32, np.float64]), seeds,
)  # fmt: skip
@cases(60)
def test_camera_pixel_and_uvd_round_trip_alone_and_in_a_batch(camera, make, dtype, seed):
    rng = np.random.default_rng(seed)
    xyz = make(rng.uniform([-500, -500, 100], [500, 500, 2000], (4, 21, 3)).astype(dtype))
    close(camera.unproject(camera.project(xyz)), xyz, scale=5000)
    uvz = make(rng.uniform([0, 0, 100], [camera.width, camera.height, 2000], (21, 3)).astype(dtype))
    close(camera.project(camera.unproject(uvz)), uvz, scale=4000)
    # Crops somewhere in the image, without a picture.
    side = rng.uniform(20, 400, (3, 1))
    corner = rng.uniform(0, [camera.width, camera.height], (3, 2)) - side / 2
    box = np.concatenate([corner, corner + side], axis=-1).astype(np.float32)
    centre = rng.uniform([-200, -200, 250], [200, 200, 1500], (3, 3)).astype(np.float32)
    batch = CropBatch(None, torch.from_numpy(box), torch.from_numpy(centre), camera)
    values = rng.uniform(-0.5, 1.5, (3, 21, 3)).astype(dtype)
    uvd = torch.from_numpy(values)
    xyz = batch.to_camera(uvd)
    # u and v are pixels less the box's corner, over its side, which may be 20 px.
    close(batch.to_uvd(xyz), uvd, scale=4000 / 20)
    for i in range(3):
        crop, one = HandCrop(None, box[i], centre[i], camera), make(values[i])
        alone = crop.to_camera(one)
        close(crop.to_uvd(alone), one, scale=4000 / 20)
        close(crop.to_camera(crop.to_uvd(alone)), alone, scale=5000)
        close(xyz[i], torch.as_tensor(alone), scale=5000)
        close(batch.to_uvd(xyz)[i], crop.to_uvd(xyz[i]), scale=4000 / 20)
    # A row of u and a column of v do for a whole picture of d.
    u, v, d = uvd[0, :, 0], uvd[1, :, None, 1], uvd[..., 2:].expand(3, 21, 21)
    picture = torch.stack([u.expand_as(d), v.expand_as(d), d], dim=-1)
    assert torch.equal(torch.stack(batch.lift(u, v, d), dim=-1), batch.to_camera(picture))


@given(st.tuples(*[st.integers(4, 12)] * 3), seeds)
@cases(40)
def test_uvd_and_voxel_round_trip(size, seed):
    """Heat maps and skeleton volumes both have the cell centres of n uvd - 1/2."""
    depth, height, width = size
    n = torch.tensor([width, height, depth])
    cell = torch.from_numpy(np.random.default_rng(seed).integers(0, n))
    logits = torch.zeros(1, 1, *size, dtype=torch.float64)
    logits[0, 0, cell[2], cell[1], cell[0]] = 1000
    uvd = soft_argmax(logits)
    np.testing.assert_allclose(n * uvd[0, 0] - 0.5, cell, atol=1e-9)
    # A bone that is one point: the volume is 1 in its cell and less elsewhere.
    ends = (n * uvd - 0.5).expand(1, 2, 3)
    volume = render_skeleton(ends, bones=((0, 1),), size=size)[0, 0]
    z, y, x = np.unravel_index(int(volume.argmax()), size)
    assert (x, y, z) == tuple(cell.tolist()) and volume.max() == pytest.approx(1)


X, Y = (np.arange(640) - SR300.cx) / SR300.fx, (np.arange(480)[:, None] - SR300.cy) / SR300.fy
# A palm with a thumb and a finger, mm from the palm.
OFFSETS = np.array([[0, 0, 0], [45, 15, -20], [-12, -58, -15]])
RADII = (48, 16, 13)
SIZE = 128  # of a crop


def spheres(centres):
    """Depth frame of spheres before a wall, mm."""
    depth = np.full((480, 640), 900.0)
    a = X**2 + Y**2 + 1
    for centre, radius in zip(centres, RADII, strict=True):
        b = X * centre[0] + Y * centre[1] + centre[2]
        root = b**2 - a * (centre @ centre - radius**2)
        hit = root > 0
        depth[hit] = np.minimum(depth[hit], (b[hit] - np.sqrt(root[hit])) / a[hit])
    return np.rint(depth).astype(np.int32)


def box_around(point):
    u, v, _ = np.rint(SR300.project(np.asarray(point, float)))
    return np.array([u - 75, v - 75, u + 75, v + 75])


def box_centre(crop):
    return np.asarray(crop.box).reshape(2, 2).mean(axis=0)


def assert_lands(crops, joint):
    """A patch at a joint, the nearest thing to the camera, is where each frame has the joint."""
    uvd = crops.to_uvd(joint)[0, 0].double().numpy()
    image = crops.image[0, 0].numpy()
    # Resampling leaves the patch's edges grey: either moves by less than a pixel.
    rows, columns = np.nonzero(image > 2 * uvd[2] - 1 - 0.04)
    np.testing.assert_allclose([columns.mean(), rows.mean()], SIZE * uvd[:2] - 0.5, atol=1)
    column, row = np.rint(SIZE * uvd[:2] - 0.5).astype(int)
    assert image[row, column] == pytest.approx(2 * uvd[2] - 1, abs=0.02)
    # Metric x and y of the cube, not the box's u and v, are those of voxels and projections.
    x, y, z = (joint[0, 0] - crops.cube_centre[0]).double().numpy() / 200 + 0.5
    volume = voxelize(crops)[0]
    nearest = volume.amax(dim=(1, 2)).eq(1).nonzero().max()
    assert nearest == pytest.approx(32 * uvd[2] - 0.5, abs=0.6)
    assert 1 - z == pytest.approx(uvd[2], abs=1e-5)
    # Of a patch 4 cells wide rounding may put a part into the next slice, or leave a gap.
    for seen in (volume[nearest] == 1, project_points(crops)[0, 0] > 2 * uvd[2] - 1 - 0.04):
        cells = seen.nonzero().double().mean(dim=0)
        np.testing.assert_allclose(cells, [SIZE * y - 0.5, SIZE * x - 0.5], atol=1.5)


@given(
    place=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    height=st.integers(12, 30),
    palm=st.tuples(st.floats(-90, 90), st.floats(-50, 50), st.floats(420, 600)),
    angle=st.floats(-30, 30),
    scale=st.floats(0.75, 1.25),
    shift=st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)),
)
@cases(40)
def test_a_joint_is_at_one_place_in_every_frame(place, height, palm, angle, scale, shift):
    palm = np.array(palm)
    depth = spheres(palm + OFFSETS)
    u, v, _ = np.rint(SR300.project(palm)).astype(int) + (*place, 0)
    nearest = int(depth.min()) - height
    depth[v - 4 : v + 5, u - 4 : u + 5] = nearest
    crops = CropBatch.stack([crop_hand(depth, box_around(palm), size=SIZE)])
    joint = torch.from_numpy(SR300.unproject(np.array([[[u, v, nearest]]], np.float32)))
    assert_lands(crops, joint)
    draws = Draws(torch.tensor([angle]), torch.tensor([scale]), torch.tensor([shift]))
    assert_lands(*augment(crops, joint, draws))


@given(st.integers(-120, 120), st.integers(-90, 90), st.integers(-80, 80))
@cases(40)
def test_a_scene_that_moves_takes_its_crop_along(right, down, away):
    palm = np.array([0, 0, 520])
    depth = spheres(palm + OFFSETS)
    box = box_around(palm)
    still = crop_hand(depth, box)
    # Along the image, every whole number shifts by whole pixels, so all stays as it is.
    rolled = np.roll(depth, (down, right), axis=(0, 1))
    moved = crop_hand(rolled, box + [right, down, right, down])
    np.testing.assert_array_equal(moved.image, still.image)
    np.testing.assert_array_equal(moved.box, still.box + [right, down, right, down])
    centre = SR300.project(still.cube_centre.astype(float))
    uvz = SR300.project(moved.cube_centre.astype(float))
    np.testing.assert_allclose(uvz, centre + [right, down, 0], atol=1e-3)
    points = centre + [[0, 0, 0], [9, -20, 31]]
    uvd = moved.to_uvd(SR300.unproject(points + [right, down, 0]))
    np.testing.assert_allclose(uvd, still.to_uvd(SR300.unproject(points)), atol=1e-5)
    # Away from the camera, with the same pixels: a smaller box of the same size in mm.
    far = crop_hand(depth + away, box)
    np.testing.assert_allclose(far.cube_centre, SR300.unproject(centre + [0, 0, away]), atol=1e-3)
    side = far.box[2] - far.box[0]
    assert 0 <= 210 * 500 / (still.steps["coarse_z"] + away) - side < 1  # cut to whole pixels
    # Corner and side are cut, so the box's centre lies up to 1 + 1/2 px before the true one.
    np.testing.assert_allclose(box_centre(far), box_centre(still), atol=1.5)
    uvd = far.to_uvd(SR300.unproject(points + [0, 0, away]))
    in_box = (points[:, :2] - far.box[:2]) / side
    np.testing.assert_allclose(uvd[:, :2], in_box, atol=1e-5)
    np.testing.assert_allclose(uvd[:, 2], 0.5 - np.array([0, 31]) / 200, atol=1e-5)


@given(st.floats(-180, 180), st.tuples(st.floats(-60, 60), st.floats(-40, 40)))
@cases(40)
def test_a_scene_that_rolls_takes_its_crop_along(degrees, place):
    radians = np.deg2rad(degrees)
    cos, sin = np.cos(radians), np.sin(radians)
    roll = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])  # of row vectors, x towards y
    joints = np.array([*place, 500]) + OFFSETS
    still = crop_hand(spheres(joints), box_around(joints[0]))
    rolled = crop_hand(spheres(joints @ roll), box_around(joints[0] @ roll))
    # Some 10,000 pixels drawn anew, each within half a pixel and half a mm.
    np.testing.assert_allclose(rolled.cube_centre, still.cube_centre @ roll, atol=0.3)
    assert abs(rolled.steps["coarse_z"] - still.steps["coarse_z"]) < 0.3
    # The given box is rounded, the crop's corner cut by up to 1 px and its side too: the centre
    # lies up to 1/2 + 1 + 1/2 px before the true one along u and v, whichever way the scene rolls.
    axis = np.array([SR300.cx, SR300.cy])
    wanted = (box_centre(still) - axis) @ roll[:2, :2] + axis
    off, side = 2 * np.hypot(2, 2), rolled.box[2] - rolled.box[0]
    assert np.linalg.norm(box_centre(rolled) - wanted) < off
    assert abs(side - (still.box[2] - still.box[0])) <= 1
    before, after = still.to_uvd(joints) - 0.5, rolled.to_uvd(joints @ roll) - 0.5
    moved = np.linalg.norm(after[:, :2] - before[:, :2] @ roll[:2, :2], axis=1)
    assert moved.max() < (off + 0.5) / side
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=0.3 / 200)
    # And augmentation does to the crop what the roll does to the scene.
    draws = Draws(torch.tensor([degrees]), torch.ones(1), torch.zeros(1, 2))
    mine, _ = augment(CropBatch.stack([still]), torch.zeros(1, 21, 3), draws)
    np.testing.assert_allclose(mine.cube_centre[0], still.cube_centre @ roll, atol=1e-3)
    np.testing.assert_allclose(box_centre(mine), wanted, atol=1e-2)


SMALL = Camera(47.5, 47.5, 31.6, 24.5, 64, 48)
H, W = SMALL.height, SMALL.width
ROWS, COLUMNS = np.mgrid[:H, :W]
HAND = np.where(np.hypot(COLUMNS - 32, ROWS - 24) < 8, 500, 900).astype(np.uint16)
NO_DEPTHS = [HAND.astype(np.uint8), HAND > 600, HAND / 1000, HAND // 100, HAND.astype(int) - 600,
             -1.0 * HAND, np.full((H, W), np.nan), HAND * 1e-300, HAND.T, None, [[1, 2], [3]],
             HAND * 1j, HAND.astype(object)]  # fmt: skip
NO_BOXES = [(5, 5, 5.5, 9), (40, 40, 20, 10), (W + 1, 0, W + 30, 30), (-90, -90, -1, -1), None,
            (np.nan, 0, 20, 20), (1, 2, 30), (1, 2, (3, 4), 5), "abcd"]  # fmt: skip


def noise(seed, high, dtype, share):
    """In a share of the pixels, 0 elsewhere."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, high, (H, W)) * (rng.random((H, W)) < share)).astype(dtype)


DTYPES = np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64
depths = st.one_of(
    st.sampled_from([HAND, HAND.astype(np.float16)]),
    st.builds(lambda row, z: np.where(row > ROWS, 500, z), st.integers(0, H), st.integers(1, 900)),
    # One value and a few others: of floating-point types also negative, NaN, infinite or huge.
    st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, (H, W))),
    st.builds(noise, seeds, st.sampled_from([700, 1500, 65_500]), st.sampled_from(DTYPES[2:]),
              st.sampled_from([0.03, 0.6, 1])),
)  # fmt: skip
boxes = st.just((0, 0, W, H)) | st.one_of(
    [st.tuples(*[corners] * 4) for corners in (st.floats(-20, 90), st.floats(-1e308, 1e308))]
).map(lambda box: [*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:])])


def one_sentence(error):
    """The library's own words, which say what was found and what was wanted."""
    text = str(error)
    assert re.fullmatch(r"(depth_mm|box|box_xyxy) .*(wanted|outside|holds no).*", text), text
    assert len(text) < 200


def crop_or_sentence(depth, box, size, **options):
    """Whether there was a crop."""
    try:
        crop = crop_hand(depth, box, SMALL, size=size, **options)
    except ValueError as error:
        one_sentence(error)
        return False
    assert crop.image.shape == (size, size) and crop.image.dtype == np.float32
    assert np.isfinite(crop.image).all() and np.abs(crop.image).max() <= 1
    assert np.isfinite(crop.box).all() and (crop.box[2:] > crop.box[:2]).all()
    assert np.isfinite(crop.cube_centre).all() and crop.cube_centre[2] > 0
    assert np.isfinite(crop.to_uvd(crop.cube_centre)).all()
    return True


@given(depths, boxes, st.sampled_from(["otsu", "valley"]), st.sampled_from(["mass", "box"]),
       st.sampled_from([1, 8, 33]))  # fmt: skip
@cases(300)
def test_any_depth_and_any_box_give_a_crop_or_one_sentence(depth, box, foreground, centre, size):
    crop_or_sentence(depth, box, size, foreground=foreground, centre=centre)
    try:
        box = find_hand_box(depth, SMALL)
    except ValueError as error:
        one_sentence(error)
        return
    assert box.shape == (4,) and np.isfinite(box).all() and (box[2:] > box[:2]).all()
    middle = (box[:2] + box[2:]) / 2
    assert (middle >= 0).all() and (middle <= [W, H]).all()
    crop_or_sentence(depth, box, size=8)


def test_what_is_no_depth_and_what_is_no_box_is_refused_in_one_sentence():
    assert crop_or_sentence(HAND.tolist(), torch.tensor([0, 0, W, H]), 8)
    assert not any(crop_or_sentence(depth, (0, 0, W, H), 8) for depth in NO_DEPTHS)
    assert not any(crop_or_sentence(HAND, box, 8) for box in NO_BOXES)
    for depth in NO_DEPTHS:
        with pytest.raises(ValueError) as caught:
            find_hand_box(depth, SMALL)
        one_sentence(caught.value)


@given(st.integers(1, 65535), st.integers(0, 300), st.integers(1, 400), seeds)
@cases(60)
def test_thresholds_keep_the_nearest_pixel(nearest, span, count, seed):
    rng = np.random.default_rng(seed)
    values = np.minimum(nearest + rng.integers(0, span + 1, count), 65535).astype(np.uint16)
    for threshold in (otsu_threshold, valley_threshold):
        found = threshold(values[None])
        assert found == 0 or values.min() <= found < values.max()
