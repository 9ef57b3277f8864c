"""Training on the open world: the same batches wherever a run resumes, and both hands told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK

from senorita_lib import predictor as predictors
from senorita_lib.boxes import hand_candidates
from senorita_lib.camera import SR300
from senorita_lib.datasets import Hands19, SyntheticHand
from senorita_lib.datasets.crops import load_crops
from senorita_lib.model import HandPoseNet
from senorita_lib.predictor import Predictor
from senorita_lib.training import stages
from senorita_lib.training.batches import Batches
from senorita_lib.training.views import open_crops

pytestmark = pytest.mark.slow
OPEN = QUICK.override(source="open", handedness=True, pose_images=16, volume_images=8,
                      refine_images=8, batch=8)  # fmt: skip


@pytest.fixture(scope="module")
def run(small_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    return stages.train(OPEN, small_data, folder / "run", progress=False)


def test_batches_depend_on_stage_and_step_alone(small_data):
    crops = load_crops(Hands19(small_data, "train"), progress=False, **stages.crop_options(OPEN))
    rows = np.arange(40)
    first, resumed = (Batches(OPEN, crops, rows, "cpu") for _ in range(2))
    seen = [first(0, step, 8) for step in range(3)]
    again, joints = resumed(0, 2, 8)
    assert torch.equal(again.image, seen[2][0].image) and torch.equal(joints, seen[2][1])
    # Half of a batch is in the next one too, seen from elsewhere.
    bones = [(joints[:, 3] - joints[:, 0]).norm(dim=-1) for _, joints in seen]
    torch.testing.assert_close(bones[0][4:], bones[1][:4])
    assert not torch.equal(seen[0][0].image[4:], seen[1][0].image[:4])


def test_a_run_of_another_open_world_is_refused(run, small_data, monkeypatch):
    monkeypatch.setattr(stages, "WORLD", stages.WORLD + 1)
    with pytest.raises(ValueError, match=r"result.json is of another data set"):
        stages.train(OPEN, small_data, run.folder, progress=False)


def test_left_hands_lie_where_a_mirror_shows_them():
    crops, joints = open_crops(6, 32, seed=5).batch(np.arange(6))
    both, mirror = stages.with_left(crops, 6), torch.tensor([-1.0, 1, 1])
    uvd = both.to_uvd(torch.cat([joints, joints * mirror]))
    flipped = torch.tensor([1.0, 0, 0]) + uvd[:6] * mirror
    torch.testing.assert_close(uvd[6:], flipped, atol=1e-5, rtol=0)
    assert torch.equal(both.image[6:], crops.image.flip(-1))


def test_a_stream_does_not_show_the_frames_to_validate_on(small_data):
    """Data set and stream have seed 0 by default."""
    recipe = QUICK.override(source="stream")
    crops = load_crops(Hands19(small_data, "train"), progress=False, **stages.crop_options(recipe))
    _, joints = Batches(recipe, crops, np.arange(40), "cpu")(0, 0, 8)
    apart = (np.linalg.norm(j[:, 11::3] - j[:, 8:18:3], axis=-1) for j in (joints, crops.joints))
    one, other = apart  # from fingertip to fingertip, (frames, 4), mm
    assert not np.isclose(one[:, None], other, rtol=1e-4).all(axis=-1).any()


def test_joints_lie_in_most_crops():
    held = open_crops(64, 64, seed=5)
    uvd = held.batch(np.arange(64))[0].to_uvd(torch.from_numpy(held.joints))
    assert ((uvd > 0) & (uvd < 1)).float().mean() > 0.85
    assert (np.float32(held.images) > -1).mean() > 0.08


def test_all_stages_run_and_both_hands_are_tried(run, small_data, monkeypatch):
    assert any("L_hand" in row for row in run.log)
    sample = stages.sample_frames(OPEN, small_data, progress=False)
    assert np.isfinite(sample.joints).all() and set(sample.splits) == {"OPEN"}
    predictor, frame = Predictor.load(run.folder), SyntheticHand(3).frame(0)
    monkeypatch.setattr(predictors, "_SURE", 1.0)  # no hand is taken for a left one
    found = predictor.predict(frame.depth, SR300, frame.box)
    told = predictor.predict(frame.depth, SR300, frame.box, left=False)
    assert 0 < found.left_probability < 1 and told.left_probability is None
    np.testing.assert_array_equal(found.joints_mm, told.joints_mm)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(("index", "refined_mm"), [(1, 0.3), (5, 0.1)])
def test_the_search_is_the_same_in_a_mirror_and_turned(run, left, index, refined_mm):
    """A mirrored frame, and one upside down, give the pose mirrored and upside down.

    A refiner of 8 images can make a tenth of a millimetre of the last digits of the initial pose.
    """
    predictor, frame = Predictor.load(run.folder), SyntheticHand(3).frame(index)
    pose = predictor.predict(frame.depth, SR300, frame.box, left=left)
    camera = replace(SR300, cx=639 - SR300.cx)
    x1, y1, x2, y2 = frame.box
    box, depth = (640 - x2, y1, 640 - x1, y2), frame.depth[:, ::-1]
    mirrored = predictor.predict(depth, camera, box, left=not left)
    camera = replace(camera, cy=479 - SR300.cy)
    box, depth = (640 - x2, 480 - y2, 640 - x1, 480 - y1), depth[::-1]
    turned = predictor.predict(depth, camera, box, left=left)
    for other, signs in ((mirrored, [-1, 1, 1]), (turned, [-1, -1, 1])):
        np.testing.assert_allclose(other.initial_mm * signs, pose.initial_mm, atol=0.01)
        np.testing.assert_allclose(other.joints_mm * signs, pose.joints_mm, atol=refined_mm)
    uvd = pose.crop.to_uvd(pose.initial_mm)
    assert ((uvd >= 0) & (uvd <= 1)).all() and pose.left == left and pose.spread_mm > 0


def test_a_clip_is_followed_with_one_look_a_frame(run, monkeypatch):
    predictor, frame = Predictor.load(run.folder), SyntheticHand(3).frame(1)
    first = predictor.predict(frame.depth, SR300, frame.box)
    seen, forward = [], HandPoseNet.forward

    def counting(model, crops, refine=True):
        seen.append(len(crops))
        return forward(model, crops, refine)

    monkeypatch.setattr(HandPoseNet, "forward", counting)
    monkeypatch.setattr(predictors, "_VAGUE_MM", np.inf)  # it has seen sixteen images
    predictor.predict(frame.depth, SR300, frame.box, last=first)
    assert seen == [1]
    x1, y1, x2, y2 = frame.box
    beside = first.pixels[:, 0].mean() + 1, y1, x2, y2
    predictor.predict(frame.depth, SR300, beside, last=first)
    assert seen[1] == 4  # searched in the box, where the last pose is not
    seen[1:] = []
    predictor.predict(frame.depth, SR300, frame.box, last=replace(first, searched_mm=0.1))
    assert seen[1:] == [1, 4, 1, 1, 5]  # turned by quarters, then upright, as both hands
    ends = len(hand_candidates(frame.depth, SR300)[: predictors._PLACES])
    assert ends > 1
    for clear, places in (np.inf, 1), (0.0, ends):
        monkeypatch.setattr(predictors, "_CLEAR_MM", clear)
        seen.clear()
        predictor.predict(frame.depth, SR300)
        assert seen == [4] * places + [1, 1, 5]
