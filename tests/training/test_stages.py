import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import SPLITS, check_submission, mean_joint_error
from senorita_lib.experiments.tables import load_results, paper_tables, results_table
from senorita_lib.hand import joints_to_bones
from senorita_lib.model import HandPoseNet, weights_digest
from senorita_lib.recipes import find_recipe
from senorita_lib.training.checkpoints import load_checkpoint, save_checkpoint
from senorita_lib.training.evaluate import constant_pose, predict_crops
from senorita_lib.training.stages import STAGES, has_converged, learning_rate, strip_frames, train


@pytest.fixture
def recipe(quick):
    return quick


def weights(path, part=""):
    state = HandPoseNet.load(path / "model.safetensors").state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith(part)}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("model", "fusion"), [(1, "concat"), (2, "concat"), (3, "concat"), (4, "concat"), (4, "stems")]
)
def test_all_stages_run_for_each_model(recipe, small_data, tmp_path, model, fusion):
    recipe = recipe.override(model=model, fusion=fusion)
    folder = tmp_path / f"model_{model}"
    run = train(recipe, small_data, folder, progress=False)
    assert list(dict.fromkeys(row["stage"] for row in run.log)) == [
        "pose",
        "volume",
        "refine",
    ]
    assert any("L_3dske" in row for row in run.log)
    assert any("L_res_ori" in row and "w_res_ori" in row for row in run.log)
    assert set(run.result["errors"]["refined"]) == set(SPLITS)
    first, second = paper_tables(results_table(load_results(tmp_path)), {})
    for split, mm in run.result["errors"]["refined"].items():
        assert first[f"Model {model}, refined"][split].mean == pytest.approx(mm)
        # One model is its own ensemble.
        assert second["ensemble of 1, mean"][split].mean == pytest.approx(mm)
    again = train(recipe, small_data, folder, progress=False)
    assert again.result == run.result and same(again.model.state_dict(), weights(folder))


def test_the_same_weights_are_the_same_start(recipe, tmp_path):
    """Two files of them may differ: what they say of themselves stands in any order."""
    torch.manual_seed(0)
    model = HandPoseNet(recipe, torch.ones(20))
    paths = [tmp_path / f"{i}.safetensors" for i in range(2)]
    for path in paths:
        model.save(path)
    assert weights_digest(paths[0]) == weights_digest(paths[1])
    with torch.no_grad():
        model.estimator.head[-1].bias[3] += 1e-3
    model.save(paths[1])
    assert weights_digest(paths[0]) != weights_digest(paths[1])


def test_strip_frames_are_those_whose_poses_the_log_keeps(recipe, small_data, tmp_path):
    run = train(recipe, small_data, tmp_path, progress=False)
    strip = strip_frames(recipe, small_data, progress=False)
    kept = [row["strip_mm"] for row in run.log if "strip_mm" in row]
    _, refined = predict_crops(run.model, strip)  # the last validation comes after the last step
    np.testing.assert_allclose(kept[-1], refined, atol=0.051)
    everything = Hands19(small_data, "train")
    held = max(1, round(len(everything) * recipe.validation_share))
    assert set(strip.names) <= set(everything.names[-held:])


def test_the_log_is_watched_as_it_grows(recipe, small_data, tmp_path):
    lengths = []
    run = train(
        recipe, small_data, tmp_path, progress=True, watch=lambda log: lengths.append(len(log))
    )
    assert lengths == sorted(lengths) and lengths[-1] == len(run.log)
    lengths.clear()
    train(recipe, small_data, tmp_path, progress=False, watch=lambda log: lengths.append(1))
    assert not lengths  # a finished run does not grow


@pytest.mark.slow
def test_killed_run_ends_like_an_uninterrupted_one(recipe, small_data, tmp_path):
    """SIGKILL from outside in each of the three stages, then the same call again."""
    recipe = recipe.override(pose_images=240, volume_images=240, refine_images=240)
    whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    folder = tmp_path / "killed"

    def stage_reached():
        for name in ("checkpoint.pt", "checkpoint.before.pt"):  # the first is away for an instant
            with suppress(FileNotFoundError):
                return torch.load(folder / name)["stage"]
        return -1

    code = """
import sys
from senorita_lib.recipes import Recipe
from senorita_lib.training.stages import train
recipe = Recipe.from_json(sys.argv[1])
train(recipe, *sys.argv[2:], progress=False, checkpoint_seconds=0)
"""
    command = [sys.executable, "-c", code, recipe.to_json(), str(small_data), str(folder)]
    killed = []
    for stage in range(3):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 600
        while stage_reached() < stage:
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline, f"stage {stage} was not reached"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.append(stage_reached())
    assert killed == [0, 1, 2]
    run = train(recipe, small_data, folder, progress=False)
    assert same(weights(folder), weights(tmp_path / "whole"))
    assert run.log == whole.log
    assert run.result == whole.result


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interrupted_run_resumes_bit_for_bit(recipe, small_data, tmp_path, monkeypatch, precision):
    recipe = recipe.override(precision=precision)
    whole = train(recipe, small_data, tmp_path / "whole", progress=False)

    from senorita_lib.training import stages as training

    run_step = training.Trainer.step
    cuts = {(0, 11), (1, 5), (2, 11)}  # (stage, step): behind a checkpoint, before any, behind one

    def failing(self, step, batch):
        if (self.stage, step) in cuts:
            cuts.remove((self.stage, step))
            raise KeyboardInterrupt
        return run_step(self, step, batch)

    monkeypatch.setattr(training.Trainer, "step", failing)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, small_data, tmp_path / "cut", progress=False, checkpoint_seconds=0)
    run = train(recipe, small_data, tmp_path / "cut", progress=False)
    assert not cuts
    assert run.log == whole.log
    assert same(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_damaged_checkpoint_is_named_and_the_one_before_is_used(recipe, small_data, tmp_path):
    whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    folder = tmp_path / "whole"
    (folder / "result.json").unlink()
    last = folder / "checkpoint.pt"
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1  # one bit of a tensor: torch would not see it
    last.write_bytes(data)
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged .*checkpoint.before.pt"):
        run = train(recipe, small_data, folder, progress=False)
    assert run.log == whole.log and run.result == whole.result


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_damaged_checkpoints_are_refused_by_name(tmp_path, damage):
    save_checkpoint(tmp_path, {"a": torch.ones(100)})
    path = tmp_path / "checkpoint.pt"
    path.write_bytes({"cut": path.read_bytes()[:500], "empty": b"", "text": b"x" * 500}[damage])
    with pytest.raises(ValueError, match="checkpoint.pt is damaged .*remove it"):
        load_checkpoint(tmp_path)


def test_checkpoint_runs_no_code(tmp_path):
    class Bad:
        def __reduce__(self):
            return print, ("code of the file ran",)

    save_checkpoint(tmp_path, {"a": Bad()})
    with pytest.raises(ValueError, match="damaged .UnpicklingError"):
        load_checkpoint(tmp_path)


def test_kill_between_the_two_renamings_loses_nothing(tmp_path, monkeypatch):
    """A checkpoint is there, whole, whenever the process ends."""
    for images in range(3):
        save_checkpoint(tmp_path, {"images": images})
    replace, calls = os.replace, []

    def failing(source, target):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(target)
        replace(source, target)

    monkeypatch.setattr("senorita_lib.training.checkpoints.os.replace", failing)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, {"images": 3})
    assert load_checkpoint(tmp_path) == {"images": 2}


def test_convergence_rule():
    assert not has_converged([30.0, 20, 19.9], 0.01, 3)
    assert not has_converged([30.0, 20, 19.9, 19.8, 19.7], 0.01, 3)  # one and a half percent
    assert has_converged([30.0, 20, 19.9, 19.95, 19.85], 0.01, 3)
    assert has_converged([20.0, 25, 24, 23], 0.01, 3)  # from a rate too high


def test_eq_4_joins_when_validation_has_converged(recipe, small_data, tmp_path):
    """And Step 1 sees as many images as ever."""
    quick = recipe.override(validate_images=4, converged=0.999, patience=1)
    run = train(quick, small_data, tmp_path / "quick", progress=False)
    seen = {name: max(r["images"] for r in run.log if r["stage"] == name) for name in STAGES}
    assert seen == {"pose": 32, "volume": 56, "refine": 48}  # two validations after 24
    slow = train(recipe, small_data, tmp_path / "slow", progress=False)
    assert max(r["images"] for r in slow.log if r["stage"] == "pose") == 48


def test_other_recipe_is_refused(recipe, small_data, tmp_path):
    train(recipe, small_data, tmp_path, progress=False)
    with pytest.raises(
        ValueError, match="result.json is of another recipe, with seed = 0, wanted 1"
    ):
        train(recipe.override(seed=1), small_data, tmp_path, progress=False)
    (tmp_path / "result.json").unlink()
    with pytest.raises(ValueError, match="checkpoint.pt is of another recipe"):
        train(recipe.override(seed=1), small_data, tmp_path, progress=False)


def test_a_run_from_before_a_value_came_to_be_is_the_papers(recipe, small_data, tmp_path):
    whole = train(recipe, small_data, tmp_path, progress=False)
    path = tmp_path / "result.json"
    result = json.loads(path.read_text())
    assert result["recipe"].pop("pose_stream") is True
    path.write_text(json.dumps(result))
    again = train(recipe, small_data, tmp_path, progress=False)
    assert same(again.model.state_dict(), whole.model.state_dict())
    with pytest.raises(ValueError, match="with pose_stream = True, wanted False"):
        train(recipe.override(pose_stream=False), small_data, tmp_path, progress=False)


def test_a_run_begins_with_anothers_weights(recipe, small_data, tmp_path):
    first = train(recipe.override(refine_images=0), small_data, tmp_path / "first", progress=False)
    start = first.folder / "model.safetensors"
    second = recipe.override(pose_images=0, volume_images=0, refine_images=0)
    run = train(second, small_data, tmp_path / "second", progress=False, start=start)
    assert same(weights(run.folder), weights(first.folder))
    assert run.result["images"] == {}
    with pytest.raises(ValueError, match="result.json is of another data set"):
        train(second, small_data, tmp_path / "second", progress=False)
    # A refiner that was not trained is not taken, so another one fits.
    other = second.override(hidden=12)
    run = train(other, small_data, tmp_path / "other", progress=False, start=start)
    assert same(weights(run.folder, "estimator."), weights(first.folder, "estimator."))
    whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    whole = whole.folder / "model.safetensors"
    for changes, begin in (({"hidden": 12}, whole), ({"layers": (2, 1, 1, 1)}, start)):
        wanted = recipe.override(**changes)
        with pytest.raises(ValueError, match=r"has .* of shape .*, wanted .* as in the recipe"):
            train(wanted, small_data, tmp_path / "third", progress=False, start=begin)
    deep = recipe.override(layers=(2, 1, 1, 1), pose_images=0, volume_images=0, refine_images=0)
    start = train(deep, small_data, tmp_path / "deep", progress=False).folder / "model.safetensors"
    with pytest.raises(ValueError, match=r"has estimator.* of shape .*, wanted none as in"):
        train(recipe, small_data, tmp_path / "fourth", progress=False, start=start)


def test_other_data_set_is_refused(recipe, small_data, tmp_path):
    folder = tmp_path / "run"
    train(recipe, small_data, folder, progress=False)
    other = tmp_path / "other"
    write_synthetic(other, train=48, test_per_split=4, seed=1, workers=2, progress=False)
    with pytest.raises(ValueError, match="result.json is of another data set"):
        train(recipe, other, folder, progress=False)
    (folder / "result.json").unlink()
    with pytest.raises(ValueError, match="checkpoint.pt is of another data set"):
        train(recipe, other, folder, progress=False)


def test_damaged_files_are_refused_by_name(recipe, small_data, tmp_path):
    train(recipe, small_data, tmp_path, progress=False)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="model.safetensors is damaged"):
        HandPoseNet.load(path)
    with pytest.raises(FileNotFoundError, match="is not there"):
        HandPoseNet.load(tmp_path / "other.safetensors")


def test_test_frames_without_labels_give_a_submission(recipe, small_data, tmp_path):
    """As in HANDS19 itself, whose test joints and splits are not published."""
    root = tmp_path / "hands19"
    shutil.copytree(small_data, root, ignore=shutil.ignore_patterns("crops"))
    for name in ("test_joint_annotation.txt", "test_splits.txt"):
        (root / "Task 1" / name).unlink()
    run = train(recipe, root, tmp_path / "model_1", progress=False)
    assert run.result["errors"]["refined"] == {}
    boxes = root / "Task 1" / "test_bbs.txt"
    assert check_submission(run.folder / "submission.zip", boxes) == 20
    with pytest.raises(ValueError, match="without labels"):
        load_results(tmp_path)


def test_learning_rate_follows_the_papers_steps():
    recipe = find_recipe("paper")
    rates = [learning_rate(recipe, 0, 6 * i) for i in (0, 9_999, 10_000, 34_000)]
    assert rates == pytest.approx([7e-4, 7e-4, 1.4e-4, 2.8e-5])
    assert learning_rate(recipe, 1, 6 * 58_000) == pytest.approx(7e-4 / 125)
    assert learning_rate(recipe, 2, 0) == pytest.approx(7e-5)


def test_constant_pose_is_the_best_constant(small_data):
    crops = load_crops(Hands19(small_data, "train"), size=32, progress=False)

    def error(pose):
        return mean_joint_error(pose + crops.cube_centres[:, None], crops.joints)

    best = constant_pose(crops)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert error(best) <= error(best + rng.normal(size=best.shape)) + 1e-6
    assert error(best) <= error((crops.joints - crops.cube_centres[:, None]).mean(axis=0)) + 1e-6


def test_bone_lengths_are_the_training_sets(recipe, small_data, tmp_path):
    train(recipe, small_data, tmp_path, progress=False)
    joints = Hands19(small_data, "train").joints
    wanted = np.linalg.norm(joints_to_bones(joints), axis=-1).mean(axis=0)
    np.testing.assert_allclose(weights(tmp_path)["refiner.bone_lengths"], wanted, rtol=1e-5)


def test_bfloat16_does_not_round_the_geometry(recipe, crops):
    """Poses, bones and joints of a narrow pass fit each other as those of a wide one do."""
    net = HandPoseNet(recipe, torch.full((20,), 31.0)).eval()
    wide = net(crops)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = net(crops)
    assert narrow.uvd.dtype == narrow.refinement.joints_mm.dtype == torch.float32
    assert not torch.equal(narrow.uvd, wide.uvd)  # the networks were narrow
    torch.testing.assert_close(narrow.joints_mm, crops.to_camera(narrow.uvd))
    lengths = joints_to_bones(narrow.refinement.joints_mm).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((4, 20), 31.0), rtol=1e-4, atol=0)


def test_detached_refiner_leaves_the_estimator_alone(recipe, crops):
    for flows in (True, False):
        net = HandPoseNet(recipe.override(refiner_gradient=flows), torch.ones(20))
        net(crops).refinement.joints_mm.sum().backward()
        reached = any(
            p.grad is not None and p.grad.abs().sum() > 0 for p in net.estimator.parameters()
        )
        assert reached is flows


def test_missing_data_set_is_named(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(recipe, tmp_path / "nowhere", tmp_path / "run", progress=False)


def test_missing_image_is_named(recipe, small_data, tmp_path):
    root = tmp_path / "hands19"
    shutil.copytree(small_data, root, ignore=shutil.ignore_patterns("crops"))
    (root / "Task 1" / "training_images" / "image_D00000007.png").unlink()
    with pytest.raises(OSError, match=r"image_D00000007\.png is missing"):
        train(recipe, root, tmp_path / "run", progress=False)


def test_crops_are_made_once(small_data):
    dataset = Hands19(small_data, "interp")
    one = load_crops(dataset, size=32, progress=False)
    folder = next((dataset.root / "crops").glob("interp_32_*"))
    stamp = (folder / "images.npy").stat().st_mtime_ns
    two = load_crops(dataset, size=32, progress=False)
    assert (folder / "images.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(one.images, two.images)
    assert one.found.all()
    crops, joints = two.batch([0, 1])
    uvd = crops.to_uvd(joints)
    assert ((uvd > -0.2) & (uvd < 1.2)).all()


@pytest.mark.slow
def test_tiny_beats_the_best_constant_pose_on_every_split(trained):
    errors = trained.result["errors"]
    for split in SPLITS:
        assert errors["refined"][split] < 0.75 * errors["constant"][split], split
        assert errors["initial"][split] < 0.75 * errors["constant"][split], split
