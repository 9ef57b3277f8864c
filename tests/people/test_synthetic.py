import numpy as np
import pytest

from senorita_lib.people.crops import cut_body
from senorita_lib.people.keypoints import BODY_BONES, KEYPOINT_NAMES, PELVIS
from senorita_lib.people.pretraining import to_camera
from senorita_lib.people.synthetic import (
    PARTS,
    SyntheticBody,
    _surface,
    draw_body,
    draw_person,
    pose_body,
)

QUARTER = np.pi / 2
SHAPES = {"trunk": 3, "head": 3, "hips": (2, 2), "knees": 2, "shoulders": (2, 3), "elbows": 2}
standing = {name: np.zeros(shape) for name, shape in SHAPES.items()}


def test_a_person_is_a_function_of_seed_and_index_and_half_have_2d_labels_alone():
    few, many, others = SyntheticBody(3), SyntheticBody(20), SyntheticBody(3, seed=1)
    for index in (2, 0, 1):
        assert np.array_equal(few.image(index), many.image(index))
        assert np.array_equal(few.keypoints[index], many.keypoints[index], equal_nan=True)
        assert not np.array_equal(few.image(index), others.image(index))
    assert few.identity != many.identity != others.identity
    assert many.spatial.tolist() == [False, True] * 10
    assert np.isfinite(many.keypoints[..., :2]).all()
    assert np.isnan(many.keypoints[::2, :, 2]).all() and np.isnan(many.cameras[::2]).all()
    np.testing.assert_allclose(many.keypoints[1::2, PELVIS, 2], 0, atol=1e-3)
    assert np.isfinite(many.cameras[1::2]).all()


def test_keypoints_lie_inside_their_boxes_and_in_the_flesh():
    """No keypoint in front of the surface that is seen; and uvd goes back to the camera."""
    people = SyntheticBody(30, side=128)
    for index in range(30):
        _, keypoints, spheres, camera = draw_person(0, index, 128)
        low, high = people.boxes[index].reshape(2, 2)
        uv = people.keypoints[index, :, :2]
        assert (uv > low).all() and (uv < high).all()
        depth, _ = _surface(spheres, camera, dict.fromkeys(PARTS, 0))
        u, v = uv.round().astype(int).T
        surface, own = depth[v, u], keypoints[:, 2]
        seen = surface < np.inf
        assert seen.sum() >= 15  # the top of the head lies on its outline
        assert (own[seen] > surface[seen] - 15).all()
        assert 0.03 < (depth < np.inf).mean() < 0.7
        if index % 2:
            uvd = cut_body(people[index], 32)[1]
            (found,) = to_camera(uvd[None], people.boxes[[index]], people.cameras[[index]])
            wanted = keypoints - keypoints[PELVIS]
            np.testing.assert_allclose(found - found[PELVIS], wanted, atol=0.05)
    image = people.image(0)
    assert image.shape == (128, 128, 3) and image.dtype == np.uint8 and image.std() > 15


def test_bones_keep_their_lengths_and_both_sides_are_alike():
    rng, lengths = np.random.default_rng(0), []
    for _ in range(20):
        keypoints = draw_body(rng)[0]
        bones = [keypoints[child] - keypoints[parent] for child, parent in BODY_BONES]
        lengths.append(np.linalg.norm(bones, axis=1))
    lengths = np.array(lengths) / np.array(lengths)[:, :1]  # people have their own size
    fixed = [b for b, (child, _) in enumerate(BODY_BONES) if child not in (7, 8, 12, 13)]
    assert lengths[:, fixed].std(axis=0).max() < 1e-6  # where the spine and the shoulders are not
    by_child = {KEYPOINT_NAMES[c]: lengths[0, b] for b, (c, _) in enumerate(BODY_BONES)}
    for name, length in by_child.items():
        assert length == pytest.approx(by_child[name.replace("left", "right")])
    assert 1600 < np.ptp(pose_body(**standing)[:16, 1]) < 1800  # mm, from ankle to head top


@pytest.mark.parametrize(
    ("name", "axis", "least", "most", "angles"),
    [
        ("left_shoulder", 0, 100, 300, {}), ("right_shoulder", 0, -300, -100, {}),
        ("head_top", 1, -900, -600, {}), ("left_ankle", 1, 800, 900, {}),
        ("left_ankle", 2, 300, 500, {"knees": [0, QUARTER]}),  # to the back
        ("right_knee", 2, -500, -300, {"hips": [[QUARTER, 0], [0, 0]]}),  # to the front
        ("right_ankle", 0, -900, -400, {"hips": [[0, 0.5], [0, 0]]}),  # apart
        ("left_wrist", 0, 600, 800, {"shoulders": [[0, 0, 0], [0, QUARTER, 0]]}),
        ("left_wrist", 2, -300, -200, {"elbows": [0, QUARTER]}),
        ("head_top", 0, 100, 500, {"trunk": [0, 0.5, 0]}),  # leans to the left
        ("left_shoulder", 2, -200, -50, {"trunk": [0, 0, 0.5]}),  # turns to the right
        ("head_top", 2, -900, -500, {"trunk": [QUARTER, 0, 0]}),
    ],
)  # fmt: skip
def test_joints_bend_as_people_do(name, axis, least, most, angles):
    """Facing the camera: x to the person's left, y down, z to the back; mm from the pelvis."""
    points = pose_body(**standing | {key: np.array(value) for key, value in angles.items()})
    assert least < points[KEYPOINT_NAMES.index(name), axis] < most


def test_kept_images_are_the_same_whatever_the_workers(tmp_path):
    people = SyntheticBody(7, side=32)
    drawn = [people.image(index) for index in range(7)]
    for workers in (1, 2):
        kept = people.keep(tmp_path / str(workers), workers, progress=False)
        assert all(np.array_equal(kept.image(i), image) for i, image in enumerate(drawn))
    (path,) = (tmp_path / "2").glob("*.npy")
    stamp = path.stat().st_mtime_ns
    people.keep(tmp_path / "2", progress=False)
    assert path.stat().st_mtime_ns == stamp  # drawn once
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="people_7_32px_seed_0.*is damaged, wanted images"):
        SyntheticBody(7, side=32).keep(tmp_path / "2", progress=False)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [((0,), "count is 0"), ((2.5,), "t is 2.5"), ((3, -1), "seed is -1"), ((3, 0, 0), "side is 0")],
)
def test_numbers_that_make_no_sense_are_refused(arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        SyntheticBody(*arguments)
