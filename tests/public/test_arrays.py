"""Arrays, flags and devices as others pass them: used where they can be, else one sentence."""

import numpy as np
import pytest
import torch

from senorita_lib import evaluation, hand, renderer, submission
from senorita_lib.boxes import find_hand_box
from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import CropBatch, HandNotFoundError, crop_hand
from senorita_lib.datasets import Hands19, SyntheticHand
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.estimator import PoseEstimator, soft_argmax
from senorita_lib.predictor import Predictor
from senorita_lib.refinement import BoneRefiner, crop_bone_patches
from senorita_lib.renderer import plain_volumes, render_skeleton, skeleton_volume_loss
from senorita_lib.representations import build_input
from senorita_lib.submission import write_submission

FRAMES = [SyntheticHand(seed=5).frame(index) for index in range(8)]
FRAME = FRAMES[0]
SMALL = {"size": (4, 4, 4)}


@pytest.mark.parametrize("value", ["no", "", 0, 1, None, np.array([True]), torch.tensor([0])])
def test_a_flag_is_a_boolean(value, predictor, tmp_path):
    pose, crops = torch.rand(1, 21, 3), CropBatch.stack([crop_hand(FRAME.depth, FRAME.box)])
    calls = {
        "left": lambda: predictor.predict(FRAME.depth, SR300, FRAME.box, left=value),
        "skip_degenerate": lambda: Hands19(tmp_path, skip_degenerate=value),
        "pose_stream": lambda: BoneRefiner(torch.ones(20), pose_stream=value),
        "half": lambda: predictor.model.save(tmp_path / "x", half=value),
        "refine": lambda: predictor.model(crops, refine=value),
    }
    if value is not None:
        calls["compiled"] = lambda: skeleton_volume_loss(pose, pose, compiled=value, **SMALL)
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"^{name} is .*, wanted True"):
            call()


def test_hand_trackers_words_for_left_and_right_are_understood(predictor):
    def pose(left):
        return predictor.predict(FRAME.depth, SR300, FRAME.box, left=left).joints_mm

    poses = {left: pose(left) for left in (False, True)}
    assert np.abs(poses[True] - poses[False]).max() > 1
    for word, left in (("Left", 1), ("RIGHT", 0), (np.True_, 1), (torch.tensor(False), 0)):
        np.testing.assert_array_equal(pose(word), poses[bool(left)])


def test_nothing_under_a_mask_is_used(predictor, tmp_path):
    far = FRAME.depth > np.median(FRAME.depth[FRAME.depth > 0])
    trap = np.where(far, 200, FRAME.depth).astype(np.uint16)  # a surface before the hand
    wanted = predictor.predict(np.where(far, 0, FRAME.depth), SR300, FRAME.box).joints_mm
    for depth in (trap, trap.astype(np.float32)):
        found = predictor.predict(np.ma.masked_array(depth, far), SR300, FRAME.box).joints_mm
        np.testing.assert_array_equal(found, wanted)
    pose = np.stack([FRAME.joints, FRAMES[1].joints]).astype(float)
    one = np.ma.masked_array(pose, np.arange(pose.size).reshape(pose.shape) == 7)
    for predicted in (one, list(one), one.astype(int)):
        with pytest.raises(ValueError, match="masked or not finite"):
            evaluation.mean_joint_error(predicted, pose)
    with pytest.raises(ValueError, match="thresholds have values that are masked"):
        evaluation.success_curve(pose, pose, np.ma.masked_array([1, 2], [0, 1]))
    for found in (evaluation.ensemble([one, one]), SR300.project(one), hand.joints_to_bones(one)):
        assert np.isnan(found).any() and not np.ma.isMaskedArray(found)
    with pytest.raises(ValueError, match="four finite numbers"):
        crop_hand(FRAME.depth, np.ma.masked_array(FRAME.box, [0, 0, 1, 0]))
    assert not hand_box(np.ma.masked_array(pose, True), SR300).any()
    with pytest.raises(ValueError, match="joints of a.png are not finite"):
        write_submission(tmp_path / "a.zip", ["a.png", "b.png"], one)
    one[0] = np.ma.masked  # a frame without a hand
    write_submission(tmp_path / "a.zip", ["a.png", "b.png"], one)
    first = submission._read_member(tmp_path / "a.zip").split(b"\n")[0].split(b"\t")
    assert set(map(float, first[1:])) == {0}


def speckled(depth, corners, count, seed):
    depth, rng, (x1, y1, x2, y2) = depth.copy(), np.random.default_rng(seed), map(int, corners)
    stray = rng.integers(100, 250, count, np.uint16)
    depth[rng.integers(y1, y2, count), rng.integers(x1, x2, count)] = stray
    return depth


@pytest.mark.parametrize("options", [{}, {"foreground": "valley"}, {"centre": "box"}])
def test_a_few_stray_pixels_do_not_move_the_crop(options):
    skipped = 0
    for seed, frame in enumerate(FRAMES):
        clean = crop_hand(frame.depth, frame.box, **options)
        assert clean.steps["skipped"] == []
        crop = crop_hand(speckled(frame.depth, frame.box, 10, seed), frame.box, **options)
        assert np.abs(crop.cube_centre - clean.cube_centre).max() < 5
        skipped += bool(crop.steps["skipped"])
    assert skipped or "foreground" in options
    alone = speckled(np.zeros_like(FRAME.depth), FRAME.box, 10, 0)
    with pytest.raises(HandNotFoundError, match="holds no hand: 10 pixels at"):
        crop_hand(alone, FRAME.box, **options)


@pytest.mark.parametrize("every", [1, 4])  # whatever the number of pixels
def test_a_few_stray_pixels_do_not_hide_the_hand_from_the_finder(every):
    width, height = 640 // every, 480 // every
    intrinsics = np.array([SR300.fx, SR300.fy, SR300.cx, SR300.cy]) / every
    small = Camera(*intrinsics, width, height)
    for seed, frame in enumerate(FRAMES):
        depth = frame.depth[::every, ::every]
        stray = speckled(depth, (0, 0, width, height), 55 // every, seed)
        found, wanted = find_hand_box(stray, small), find_hand_box(depth, small)
        np.testing.assert_allclose(found, wanted, atol=8 / every)


@pytest.mark.parametrize("far", [65.535, 30.0])
def test_metres_are_seen_by_the_median(far):
    metres = FRAME.depth / 1000
    metres[0, 0] = far
    wall = np.where(FRAME.depth > 0, metres, far)  # fills all that is no surface
    for depth in (metres, wall, FRAME.depth / 10):
        with pytest.raises(ValueError, match="looks like m or cm, wanted mm"):
            crop_hand(depth, FRAME.box)
    with pytest.raises(ValueError, match="wanted mm, 65535 at most"):
        crop_hand(FRAME.depth * 1e3, FRAME.box)  # µm
    renderers = np.where(FRAME.depth > 0, FRAME.depth.astype(float), 1e10)  # its "nothing"
    assert (crop_hand(renderers, FRAME.box).image == crop_hand(FRAME.depth, FRAME.box).image).all()


def test_tensors_of_any_kind_are_used(predictor):
    depth = torch.from_numpy(FRAME.depth.astype(np.float32))
    box = torch.from_numpy(FRAME.box.astype(np.float32)).requires_grad_()
    wanted = predictor.predict(FRAME.depth, SR300, FRAME.box).joints_mm
    for given in (depth.clone().requires_grad_(), depth.to_sparse(), depth.half(), depth.int()):
        for corners in (box, list(box)):
            found = predictor.predict(given, SR300, corners).joints_mm
            np.testing.assert_array_equal(found, wanted)
    rough = predictor.predict(depth.bfloat16(), SR300, FRAME.box).joints_mm  # steps of 2 mm
    assert np.abs(rough - wanted).max() < 10
    pose = torch.zeros(2, 21, 3, requires_grad=True)
    for other in (pose.detach() + 1, pose.bfloat16() + 1, [*(pose + 1)]):
        assert evaluation.mean_joint_error(pose, other) == pytest.approx(3**0.5)
    crops = CropBatch.stack([crop_hand(FRAME.depth, FRAME.box, size=32)])
    crops.image.requires_grad_()
    assert not build_input(crops, 4).requires_grad
    assert not BoneRefiner(torch.ones(20, requires_grad=True)).bone_lengths.requires_grad
    whole = Camera(torch.tensor(475.0), np.float32(475), 320, 240, 640.0, np.int64(480))
    assert whole == Camera(475, 475, 320, 240, 640, 480) and type(whole.width) is int


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Camera("475", 475, 320, 240, 640, 480), "fx is '475', wanted a number"),
        (lambda: Camera(475, None, 320, 240, 640, 480), "fy is None, wanted a number"),
        (lambda: Camera(475, 475, 320, 240, 640.5, 480), "width is 640.5, wanted a whole number"),
        (lambda: Predictor.load("small", device="gpu"), "device is 'gpu', wanted 'cpu' or"),
        (lambda: Predictor.load("small", device="cuda:99"), "device is 'cuda:99', wanted"),
        (lambda: CropBatch(*torch.zeros(3, 1, 4)).to("cuda:99"), "device is 'cuda:99', wanted"),
        (lambda: plain_volumes(torch.zeros(1, 21, 3), [1, 0]), "bones are .1, 0., wanted pairs"),
        (lambda: render_skeleton(torch.zeros(1, 21, 3), gamma="0.1"), "gamma is '0.1', wanted a"),
        (lambda: build_input(torch.zeros(1, 1, 8, 8), 1), "crops are Tensor, wanted a CropBatch"),
        (lambda: BoneRefiner(torch.ones(21)), r"bone_lengths have shape \(21,\), wanted"),
        (lambda: soft_argmax(np.zeros((1, 1, 2, 2, 2))), "logits is ndarray, wanted a tensor"),
        (lambda: PoseEstimator()(np.zeros((1, 3, 64, 64))), "inputs is ndarray, wanted a tensor"),
        (lambda: crop_bone_patches([0], torch.ones(1, 21, 2)), "image is list, wanted a tensor"),
        (lambda: evaluation.mean_joint_error([[1, 2], [3]], []), "predicted is .*, wanted an arr"),
        (lambda: evaluation.mean_joint_error("x", []), "predicted is <U1, wanted numbers"),
        (lambda: crop_hand(torch.zeros(480, 640, device="meta"), FRAME.box), "depth_mm is tensor"),
    ],
)
def test_what_cannot_be_used_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        call()


def test_loss_under_torch_func_equals_the_loss():
    one, two = torch.rand(2, 3, 2, 21, 3).mul(4).unbind()

    def loss(predicted, true):
        return skeleton_volume_loss(predicted, true, **SMALL)

    leaves = [pose.clone().requires_grad_() for pose in one]
    values = [loss(*pair) for pair in zip(leaves, two, strict=True)]
    gradients = torch.stack(torch.autograd.grad(values, leaves))
    assert torch.equal(torch.vmap(loss)(one, two), torch.stack(values).detach())
    assert torch.equal(torch.vmap(loss, (1, None))(one.transpose(0, 1), two[0])[0], values[0])
    assert torch.equal(torch.func.grad(loss)(one[0], two[0]), gradients[0])
    assert torch.equal(torch.vmap(torch.func.grad(loss))(one, two), gradients)
    assert torch.equal(torch.func.jacrev(loss)(one[0], two[0]), gradients[0])
    drawn = torch.vmap(lambda pose: render_skeleton(pose, compiled=True, **SMALL))(one)
    assert torch.equal(drawn[0], render_skeleton(one[0], **SMALL))
    assert renderer.kernels.fused_volumes.refused is None  # later calls are compiled as ever


def test_fullgraph_around_the_loss_is_refused_in_words():
    pose = torch.rand(1, 21, 3)
    whole = torch.compile(lambda p: skeleton_volume_loss(p, pose, **SMALL) * 2, fullgraph=True)
    wanted = "skeleton_volume_loss compiles what it needs itself, wanted torch.compile without"
    with pytest.raises(torch._dynamo.exc.TorchDynamoException, match=wanted):
        whole(pose + 1)
