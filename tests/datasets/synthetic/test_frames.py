"""The synthetic HANDS19: anatomy, handedness, splits, sensor, and the files it writes."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, shared

from senorita_lib.camera import SR300
from senorita_lib.datasets import Hands19, SyntheticHand, write_synthetic
from senorita_lib.datasets.files import encode_depth, image_name
from senorita_lib.datasets.hands19 import hand_box
from senorita_lib.datasets.synthetic import frames as synthetic
from senorita_lib.datasets.synthetic import handmodel, posing
from senorita_lib.datasets.synthetic.frames import SyntheticTest, pose_spheres
from senorita_lib.datasets.synthetic.handmodel import MEDIAN_BONES, SHAPES, palm_frame
from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.hand import joints_to_bones

HANDS = SyntheticHand(seed=0)

# Shapes, views and patterns of bent fingers: seen in training, and held back.
BINS = (
    (posing.SEEN_SHAPES, posing.SEEN_VIEWS, posing.SEEN_PATTERNS),
    (posing.UNSEEN_SHAPES, posing.UNSEEN_VIEWS, posing.UNSEEN_PATTERNS),
)


@pytest.fixture(scope="module")
def poses():
    return [HANDS.pose(i) for i in range(300)]


@pytest.fixture(scope="module")
def frames():
    return [HANDS.frame(i) for i in range(40)]


def bone_lengths(joints):
    """(..., 5, 4), wrist to tip."""
    lengths = np.linalg.norm(joints_to_bones(joints), axis=-1)
    return lengths.reshape(*lengths.shape[:-1], 5, 4)[..., ::-1]


def handedness(joints):
    """Positive for a right hand in a right-handed frame, for each finger (..., 4); which are bent.

    Hold up your right hand so that you see its palm: fingers up, thumb to your right. Fingers
    bend towards you. So (to the thumb's side, along the fingers, where fingers bend to) is
    (right, up, towards you), which is right-handed. x right, y down, z forward is as well.
    """
    thumb_side = joints[..., 2, :] - joints[..., 5, :]  # index minus little finger's MCP
    first = joints[..., 9::3, :] - joints[..., 2:6, :]
    rest = joints[..., 11::3, :] - joints[..., 9::3, :]
    cosine = (first * rest).sum(-1)
    cosine /= np.linalg.norm(first, axis=-1) * np.linalg.norm(rest, axis=-1)
    turn = (np.cross(first, rest) * thumb_side[..., None, :]).sum(-1)
    return turn, cosine < np.cos(np.radians(35))


def test_handedness_of_a_hand_built_by_hand_and_of_generated_ones(poses):
    """Right palm seen, in camera axes: up is -y, towards the viewer is -z, thumb at +x."""
    joints = np.zeros((21, 3))
    for finger, x in enumerate((20, 0, -20, -40), start=1):  # bent towards the viewer
        joints[1 + finger] = [x, -70, 0]
        joints[6 + 3 * finger : 9 + 3 * finger] = [x, -110, 0], [x, -110, -30], [x, -90, -30]
    assert (handedness(joints)[0] > 0).all()
    assert (handedness(joints * [-1, 1, 1])[0] < 0).all()
    np.testing.assert_allclose(palm_frame(joints)[:, 2], [0, 0, -1], atol=0.3)
    joints = np.array([pose.joints for pose in poses])
    turn, bent = handedness(joints)
    assert bent.sum() > 200
    assert (turn[bent] > 0).all()
    # The thumb is on the index finger's side and bends no finger's way but its own.
    thumb_side = ((joints[:, 1] - joints[:, 0]) * (joints[:, 2] - joints[:, 5])).sum(-1)
    assert (thumb_side > 0).all()


@pytest.mark.parametrize("name", ["poses_intel_animbank", "poses_handyjs_right"])
def test_real_right_hands_agree(name):
    turn, bent = handedness(np.load(shared(f"real/{name}.npz"))["joints"].astype(float))
    assert bent.sum() > 50
    assert (turn[bent] > 0).mean() > 0.97


def test_shapes_have_the_medians_of_real_labels_and_poses_the_lengths_of_their_shape(poses):
    lengths = np.array([shape.bones for shape in SHAPES])
    np.testing.assert_allclose(np.median(lengths, axis=0), MEDIAN_BONES, rtol=0.05)
    size = lengths.mean(axis=(1, 2))
    thickness = [s.thickness for s in SHAPES] / size * size.mean()
    flesh = size / size.mean(), [s.width for s in SHAPES], thickness
    assert np.abs(np.triu(np.corrcoef(flesh), 1)).max() < 0.55  # they vary independently
    assert (np.std(flesh, axis=1) > 0.03).all() and np.ptp(flesh[0]) > 0.15
    for pose in poses[:100]:
        np.testing.assert_allclose(bone_lengths(pose.joints), SHAPES[pose.shape].bones, rtol=1e-6)
        rigid = pose.local @ pose.rotation.T + pose.translation
        np.testing.assert_allclose(pose.joints, rigid, atol=1e-6)
        assert np.linalg.det(pose.rotation) == pytest.approx(1)


def test_joint_limits_and_couplings():
    rng = np.random.default_rng(1)
    for pattern in range(posing.N_PATTERNS):
        angles = posing.draw_angles(rng, pattern, 100)
        mcp, spread, pip, dip = np.moveaxis(np.degrees(angles.fingers), -1, 0)
        for angle, least, most in ((mcp, -20, 98), (pip, 0, 110), (dip, -8.001, 80)):
            assert least <= angle.min() <= angle.max() <= most
        assert np.abs(spread).max() < 40
        assert np.abs(spread[mcp > 70]).max(initial=0) < 10  # flexed fingers hardly spread
        assert np.corrcoef(pip.ravel(), dip.ravel())[0, 1] > 0.25


def test_flesh_does_not_pass_through_flesh_and_joints_lie_inside(poses):
    deep = [posing.overlap(SHAPES[pose.shape], pose.local) for pose in poses]
    assert np.mean(np.array(deep) < 3) > 0.95
    assert max(deep) < 12
    behind = []
    for pose in poses[:60]:
        parts = []
        for hulls in (handmodel.PILLS, handmodel.WEDGES):
            corners = hulls.shape[1]
            cells = np.indices([9] * corners).reshape(corners, -1).T
            spheres = np.column_stack(pose_spheres(pose))  # x, y, z, radius
            parts.append((cells[cells.sum(axis=1) == 8] / 8 @ spheres[hulls]).reshape(-1, 4))
        points, sizes = np.split(np.concatenate(parts), [3], axis=1)
        gap = np.linalg.norm(pose.joints[:, None] - points, axis=-1) - sizes[:, 0]
        assert gap.min(axis=1).max() < -4  # mm below the skin, in any direction
        assert gap.min() > -25
        pixel = np.rint(SR300.project(pose.joints)[:, :2]).astype(int)
        seen = ((pixel >= 0) & (pixel < [640, 480])).all(axis=1)
        at = HANDS.surface(pose)[pixel[seen, 1], pixel[seen, 0]]
        assert np.isfinite(at).all()  # each joint projects onto the hand
        behind += list(pose.joints[seen, 2] - at)
    assert min(behind) > 4 and 7 < np.median(behind) < 20


def test_hands_are_seen_as_a_short_range_camera_sees_them(poses):
    joints = np.array([pose.joints for pose in poses])
    up = np.degrees(np.arccos(-palm_frame(joints)[:, 1, 1]))
    assert 0.92 < (up < 45).mean() < 0.99 and (up > 90).mean() < 0.02
    rng = np.random.default_rng(5)
    bins = posing.SEEN_SHAPES, range(posing.N_VIEWS), posing.SEEN_PATTERNS
    views = [posing.draw_pose(rng, SR300, *bins).view for _ in range(900)]
    assert len(set(views)) >= posing.N_VIEWS - 1  # thin somewhere, but hardly empty
    z = joints.mean(axis=1)[:, 2]
    assert 460 < z.mean() < 560
    assert 349 <= z.min() <= z.max() <= 801
    uv = SR300.project(joints)[..., :2]
    outside = ((uv < 0) | (uv > [639, 479])).any(axis=-1)
    assert 0.005 < outside.any(axis=1).mean() < 0.12
    assert outside.mean() < 0.03
    assert (uv.mean(axis=1).std(axis=0) > [70, 40]).all()


SEEN = {
    "train": "svp", "interp": "svp", "shape": "vp", "artic": "sv", "viewp": "sp", "extrap": "",
}  # fmt: skip


@pytest.mark.parametrize("split", SEEN)
def test_splits_mean_what_they_say(split):
    """From joints alone: unseen values never occur in training, seen ones do."""
    drawn = [HANDS.pose(i, split) for i in range(150)]
    joints = np.array([pose.joints for pose in drawn])
    lengths = np.array([shape.bones for shape in SHAPES])
    apart = np.abs(bone_lengths(joints)[:, None] - lengths).max(axis=(2, 3))
    assert apart.min(axis=1).max() < 1e-3
    found = apart.argmin(axis=1), posing.view_bin(joints), posing.bent_fingers(joints)
    for axis, (name, values) in enumerate(zip(("shape", "view", "pattern"), found, strict=True)):
        seen, unseen = (set(bins[axis]) for bins in BINS)
        assert not seen & unseen
        assert set(values.tolist()) <= (seen if name[0] in SEEN[split] else unseen)
        assert len(set(values.tolist())) >= 4
        assert values.tolist() == [getattr(pose, name) for pose in drawn]


def test_seen_values_are_all_in_training():
    drawn = [HANDS.pose(i) for i in range(1200)]
    for name, seen in zip(("shape", "view", "pattern"), BINS[0], strict=True):
        assert {getattr(pose, name) for pose in drawn} == set(seen)


def test_frames_do_not_depend_on_order_and_version_and_differ():
    first = HANDS.frame(7)
    np.testing.assert_array_equal(first.depth, SyntheticHand(seed=0).frame(7).depth)
    assert first.name == "image_D00000007.png"
    for other in (HANDS.frame(8), HANDS.frame(7, "interp"), SyntheticHand(1).frame(7)):
        assert not np.array_equal(first.joints, other.joints)
    with pytest.raises(ValueError, match="split is 'val', wanted one of train, interp"):
        HANDS.frame(0, "val")
    # The same bytes as in earlier versions; if that must change, raise ``GENERATOR``.
    digest = hashlib.sha256()
    for split in SEEN:
        frame = SyntheticHand(seed=3).frame(7, split)
        for values in (frame.depth, frame.box, frame.joints.round(2)):
            digest.update(np.ascontiguousarray(values).tobytes())
    assert digest.hexdigest()[:16] == "b503878ee41eb460"


def test_frames_look_like_a_sensor(frames):
    background, missing, error = [], [], []
    for i, frame in enumerate(frames):
        pose = HANDS.pose(i)
        exact = HANDS.surface(pose)
        assert (frame.shape, frame.view, frame.pattern) == pose.bins
        np.testing.assert_allclose(frame.joints, pose.joints, atol=1e-3)
        assert (frame.depth.shape, frame.depth.dtype) == ((480, 640), np.uint16)
        hand = np.isfinite(exact) & (exact < 900)
        missing.append((frame.depth[hand] == 0).mean())
        kept = hand & (frame.depth > 0) & (exact < 620)  # no background is that near
        error.append(frame.depth[kept] - exact[kept])
        background.append(((frame.depth > 0) & np.isinf(exact)).mean())
        values = frame.depth[frame.depth > 0]
        assert len(values) > 3000 and values.min() > 150 and values.max() < 1250
        x1, y1, x2, y2 = frame.box
        assert frame.box.dtype == np.int64 and 0 <= x1 < x2 <= 640 and 0 <= y1 < y2 <= 480
        uv = np.clip(SR300.project(frame.joints)[:, :2], 0, [640, 480])
        assert ((uv >= [x1, y1]) & (uv <= [x2, y2])).all()
    low, middle, high = np.percentile(np.concatenate(error), [16, 50, 84])
    assert abs(middle) < 0.2
    assert 0.4 < (high - low) / 2 < 2
    assert 0.005 < np.mean(missing) < 0.15
    assert 0.1 < np.mean(np.array(background) < 0.01) < 0.7  # some frames have a background
    cut = np.array([[0.0, 0, 500]] * 20 + [[500, 0, 500.0]])
    assert hand_box(cut, SR300)[2] == 640


def contents(root):
    files = sorted((root / "Task 1").rglob("*"))  # the reader's index is not the generator's
    return {p.relative_to(root): p.read_bytes() for p in files if p.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("small")
    assert write_synthetic(root, 12, 2, workers=1, progress=False) == root
    return root


def test_layout_is_read_by_the_reader(small):
    assert {p.name for p in (small / "Task 1").iterdir()} == {
        "training_images", "test_images", "training_joint_annotation.txt", "training_bbs.txt",
        "test_bbs.txt", "test_joint_annotation.txt", "test_splits.txt", "synthetic.json",
    }  # fmt: skip
    train = Hands19(small)
    assert train.names == [image_name(i) for i in range(12)]
    test, drawn = Hands19(small, "test"), SyntheticTest(2)
    assert len(test) == len(drawn) == 10
    pairs = [(train[i], HANDS.frame(i)) for i in (0, 11)]
    for one, other in pairs + [(test[place], drawn[place]) for place in (0, 7, 9)]:
        assert (one.name, one.split) == (other.name, other.split)
        np.testing.assert_array_equal(one.depth, other.depth)
        np.testing.assert_allclose(one.joints, other.joints, atol=1e-4)
        np.testing.assert_array_equal(one.box, other.box)
    assert sorted(test.splits) == sorted(2 * TEST_SPLITS)
    assert test.splits != sorted(test.splits)  # mixed, as in the challenge
    for split in TEST_SPLITS:
        part = Hands19(small, split)
        wanted = {HANDS.frame(i, split).depth.tobytes() for i in range(2)}
        assert {frame.depth.tobytes() for frame in part} == wanted


def test_bytes_do_not_depend_on_the_workers_and_a_second_call_makes_none(small, tmp_path):
    write_synthetic(tmp_path, 12.0, 2, workers=2.0, progress=False)  # whole numbers
    assert contents(tmp_path) == contents(small)
    before = {p: p.stat().st_mtime_ns for p in small.rglob("*")}
    write_synthetic(small, 12, 2, progress=False)
    assert {p: p.stat().st_mtime_ns for p in small.rglob("*")} == before


def test_resumes_and_repairs(small, tmp_path, monkeypatch):
    root = shutil.copytree(small, tmp_path / "copy")
    folder, images = root / "Task 1", root / "Task 1" / "training_images"
    stamp = json.loads((folder / "synthetic.json").read_text())
    (folder / "synthetic.json").write_text(json.dumps({**stamp, "complete": False}))
    (folder / "test_splits.txt").unlink()
    (images / image_name(3)).unlink()
    half = (images / image_name(5)).read_bytes()
    (images / image_name(5)).write_bytes(half[: len(half) // 2])
    (images / f"{image_name(6)}.123.part").write_bytes(half)
    (images / image_name(7)).write_bytes(b"")
    made = []
    frame = SyntheticHand.frame
    monkeypatch.setattr(SyntheticHand, "frame", lambda self, *a: made.append(a) or frame(self, *a))
    write_synthetic(root, 12, 2, workers=1, progress=False)
    assert made == [(3, "train"), (5, "train"), (7, "train")]
    assert contents(root) == contents(small)
    (images / image_name(1)).unlink()  # of a finished set
    write_synthetic(root, 12, 2, workers=1, progress=False)
    assert contents(root) == contents(small)


def test_killed_writer_leaves_its_turn_and_its_frames_to_the_next(tmp_path):
    root, images = tmp_path / "killed", tmp_path / "killed" / "Task 1" / "training_images"
    command = [sys.executable, "-m", "senorita_lib.datasets.synthetic", str(root)]
    command += ["--train", "60", "--test-per-split", "1", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while first.poll() is None and len(list(images.glob("*.png"))) < 5:
        time.sleep(0.02)
    second = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    time.sleep(0.1)
    first.kill()
    first.wait()
    kept = {p: p.stat().st_mtime_ns for p in images.glob("*.png")}
    assert 5 <= len(kept) < 60
    assert not (images.parent / "training_bbs.txt").exists()
    write_synthetic(root, 60, 1, workers=1, progress=False)  # one of the two waits
    assert second.communicate()[0]
    assert second.returncode == 0
    assert all(p.stat().st_mtime_ns == then for p, then in kept.items())
    write_synthetic(tmp_path / "whole", 60, 1, workers=1, progress=False)
    assert contents(root) == contents(tmp_path / "whole")


def test_other_settings_and_damaged_stamps_are_refused(small, tmp_path, capsys):
    sentence = r"holds .* with train=12, test_per_split=2, seed=0, .*, wanted train=13, .*seed=5"
    with pytest.raises(ValueError, match=sentence):
        write_synthetic(small, 13, 2, seed=5, progress=False)
    (tmp_path / "Task 1").mkdir()
    (tmp_path / "Task 1" / "synthetic.json").write_text('{"settings"')
    with pytest.raises(ValueError, match=r"synthetic.json is damaged, wanted the settings"):
        write_synthetic(tmp_path, 1, 1, progress=False)
    for name, value, least in (("train", 0, 1), ("seed", 1.5, 0), ("workers", 0, 1)):
        with pytest.raises(ValueError, match=f"{name} is {value}, wanted a whole .* from {least}"):
            write_synthetic(tmp_path / "never", progress=False, **{name: value})
    assert not (tmp_path / "never").exists()
    synthetic.main([str(small), "--train", "12", "--test-per-split", "2"])
    assert "12 training frames, 2 of each of the test splits" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        synthetic.main([str(small), "--train", "13"])
    assert "wanted train=13" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["Task 1", "Task1", "Task_1", "."])
def test_a_data_set_of_another_name_is_not_shadowed(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "training_bbs.txt").write_text("")
    with pytest.raises(ValueError, match="not synthetic, wanted an empty folder"):
        write_synthetic(tmp_path, train=2, test_per_split=1, progress=False)
    assert len(list(tmp_path.iterdir())) == 1


def test_images_of_another_data_set_are_not_taken_up(tmp_path):
    """Its lists may not be there yet; its images have the same names."""
    image = tmp_path / "Task 1" / "training_images" / image_name(0)
    image.parent.mkdir(parents=True)
    image.write_bytes(encode_depth(np.full((480, 640), 777, np.uint16)))
    with pytest.raises(ValueError, match="holds image_D00000000.png, wanted an empty folder"):
        write_synthetic(tmp_path, train=2, test_per_split=1, progress=False)
    image.rename(tmp_path / "camera.json")
    with pytest.raises(ValueError, match="holds camera.json, wanted an empty folder"):
        write_synthetic(tmp_path, train=2, test_per_split=1, progress=False)


def test_other_cameras():
    wide = dataclasses.replace(SR300, width=847, height=479)
    frames = [SyntheticHand(camera=wide).frame(i) for i in range(6)]
    assert {frame.depth.shape for frame in frames} == {(479, 847)}
    with pytest.raises(ValueError, match="camera is 1280x720, wanted up to 1024 px a side"):
        SyntheticHand(camera=dataclasses.replace(SR300, width=1280, height=720))
