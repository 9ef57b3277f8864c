import json
import multiprocessing
import os
import shutil
import time
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
import torch
from conftest import QUICK, SHORT, as_settings

from senorita_lib import __main__ as command_line
from senorita_lib.datasets import Hands19
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import SPLITS, check_submission, mean_joint_error
from senorita_lib.hand import joints_to_bones
from senorita_lib.model import HandPoseNet, weights_digest
from senorita_lib.representations import build_input
from senorita_lib.training import loop
from senorita_lib.training.checkpoints import load_checkpoint, save_checkpoint
from senorita_lib.training.evaluate import constant_pose, predict_crops
from senorita_lib.training.stages import STAGES, Trainer, sample_frames, train


@pytest.fixture(scope="module")
def whole(small_data, tmp_path_factory):
    """A finished run of ``QUICK``."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train(QUICK, small_data, folder, progress=False, checkpoint_seconds=0)


@pytest.fixture
def fresh(small_data, tmp_path):
    """The data set without crops, to change."""
    return shutil.copytree(small_data, tmp_path / "x", ignore=shutil.ignore_patterns("crops"))


def weights(folder, part=""):
    state = HandPoseNet.load(folder / "model.safetensors").state_dict()
    return {name: tensor for name, tensor in state.items() if name.startswith(part)}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("changes", [{}, {"model": 4, "fusion": "stems"}])
def test_all_stages_run(whole, small_data, tmp_path, changes):
    recipe = QUICK.override(**changes)
    run = whole if recipe == QUICK else train(recipe, small_data, tmp_path, progress=False)
    assert list(dict.fromkeys(row["stage"] for row in run.log)) == list(STAGES)
    assert any("L_3dske" in row for row in run.log)
    assert any("L_res_ori" in row and "w_res_ori" in row for row in run.log)
    assert set(run.result["errors"]["refined"]) == set(SPLITS)
    assert run.result["precision"] == "float32"
    again = train(recipe, small_data, run.folder, progress=False)
    assert again.result == run.result and same(again.model.state_dict(), weights(run.folder))


def test_log_is_watched_and_keeps_poses_of_sample_frames(whole, small_data, tmp_path):
    lengths = []
    run = train(QUICK, small_data, tmp_path, watch=lambda log: lengths.append(len(log)))
    assert lengths == sorted(lengths) and lengths[-1] == len(run.log)
    assert run.log == whole.log and same(weights(run.folder), weights(whole.folder))
    lengths.clear()
    train(QUICK, small_data, tmp_path, progress=False, watch=lambda log: lengths.append(1))
    assert not lengths  # a finished run does not grow
    sample = sample_frames(QUICK, small_data, progress=False)
    kept = [row["sample_poses"] for row in run.log if "sample_poses" in row]
    _, refined = predict_crops(run.model, sample)  # the last validation is after the last step
    np.testing.assert_allclose(kept[-1], refined, atol=0.051)
    everything = Hands19(small_data, "train")
    held = max(1, round(len(everything) * QUICK.validation_share))
    assert set(sample.names) <= set(everything.names[-held:])
    bones = np.linalg.norm(joints_to_bones(everything.joints), axis=-1).mean(axis=0)
    np.testing.assert_allclose(weights(run.folder)["refiner.bone_lengths"], bones, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"source": "open", "handedness": True, "refine_images": 0}]
)
def test_precise_norms_are_of_the_last_weights_and_change_nothing_else(
    whole, small_data, tmp_path, changes
):
    recipe = QUICK.override(**changes)
    if changes:
        whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    recipe = recipe.override(precise_bn=True)
    model = train(recipe, small_data, tmp_path / "run", progress=False).model
    for (name, own), other in zip(
        model.state_dict().items(), whole.model.state_dict().values(), strict=True
    ):
        counted = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        counted &= not changes or name.startswith("estimator.")
        assert torch.equal(own, other) != counted, name
    crops = load_crops(Hands19(small_data, "train"), size=recipe.image_size, progress=False)
    trainer, stem = Trainer(recipe, crops, tmp_path, "cpu"), model.estimator.backbone.conv1
    seen = trainer.precise_batches(recipe.refine_batch)
    with torch.no_grad():
        features = torch.stack([stem(build_input(trainer.mirrored(c)[0], 1)) for c in seen])
    norm = model.estimator.backbone.bn1
    mean, variance = features.mean((0, 1, 3, 4)), features.var((1, 3, 4)).mean(0)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1


def test_frames_without_labels_give_a_submission(fresh, tmp_path):
    """As in HANDS19 itself, whose test joints and splits are not published."""
    for name in ("test_joint_annotation.txt", "test_splits.txt"):
        (fresh / "Task 1" / name).unlink()
    run = train(SHORT, fresh, tmp_path / "run", progress=False)
    assert run.result["errors"]["refined"] == {}
    assert check_submission(run.folder / "submission.zip", fresh / "Task 1" / "test_bbs.txt") == 20


def test_labelled_frames_of_no_known_split_have_an_error(fresh, tmp_path, capsys):
    (fresh / "Task 1" / "test_splits.txt").unlink()
    command = "tiny", "--data", fresh, "--folder", tmp_path, "--set", *as_settings(SHORT)
    command_line.main([str(word) for word in command])
    *_, splits, _, _, refined = capsys.readouterr().out.splitlines()
    result = json.loads((tmp_path / "result.json").read_text())
    assert splits.split() == ["TEST"] and result["frames"] == dict.fromkeys(SPLITS, 0) | {
        "TEST": 20
    }
    assert float(refined.split()[-1]) == pytest.approx(
        result["errors"]["refined"]["TEST"], abs=0.01
    )


def test_another_precision_is_told(tmp_path, small_data, monkeypatch):
    train(SHORT, small_data, tmp_path, progress=False, checkpoint_seconds=0)
    (tmp_path / "result.json").unlink()
    monkeypatch.setattr(loop, "training_precision", lambda *_: "bfloat16")
    with pytest.warns(UserWarning, match="checkpoint.pt is in float32, going on in bfloat16"):
        train(SHORT, small_data, tmp_path, progress=False)


def test_constant_pose_is_the_best_constant(small_data):
    crops = load_crops(Hands19(small_data, "train"), size=32, progress=False)
    centres, best = crops.cube_centres[:, None], constant_pose(crops)
    others = [best + move for move in np.random.default_rng(0).normal(size=(20, 21, 3))]
    others.append((crops.joints - centres).mean(axis=0))
    errors = [mean_joint_error(pose + centres, crops.joints) for pose in (best, *others)]
    assert errors[0] <= min(errors[1:]) + 1e-6


def test_tiny_beats_the_best_constant_pose_on_every_split(trained):
    errors = trained.result["errors"]
    for split, pose in product(SPLITS, ("initial", "refined")):
        assert errors[pose][split] < 0.75 * errors["constant"][split], (split, pose)


def test_killed_run_ends_like_an_uninterrupted_one(small_data, tmp_path):
    """SIGKILL from outside in each of the three stages, then the same call again."""
    recipe = QUICK.override(pose_images=160, volume_images=160, refine_images=160)
    whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    folder, often = tmp_path / "killed", {"progress": False, "checkpoint_seconds": 0}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["senorita_lib.training.stages"])  # which takes seconds, once

    def stage_reached():
        for name in ("checkpoint.pt", "checkpoint.before.pt"):  # the first is away for an instant
            with suppress(FileNotFoundError):
                return torch.load(folder / name)["stage"]
        return -1

    killed = []
    for stage in range(3):
        process = context.Process(target=train, args=(recipe, small_data, folder), kwargs=often)
        process.start()
        deadline = time.monotonic() + 600
        while stage_reached() < stage:
            assert process.is_alive(), "the run ended before it was killed"
            assert time.monotonic() < deadline, f"stage {stage} was not reached"
            time.sleep(0.01)
        process.kill()
        process.join()
        killed.append(stage_reached())
    assert killed == [0, 1, 2]
    run = train(recipe, small_data, folder, progress=False)
    assert same(weights(folder), weights(tmp_path / "whole"))
    assert run.log == whole.log and run.result == whole.result


@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16", "precise_bn": True}])
def test_interrupted_run_resumes_bit_for_bit(whole, small_data, tmp_path, monkeypatch, changes):
    """Though a bit of the last checkpoint was flipped: the one before is used, with a warning."""
    recipe = QUICK.override(**changes)
    if recipe != QUICK:
        whole = train(recipe, small_data, tmp_path / "whole", progress=False)
    run_step = Trainer.step
    cuts = {(0, 11), (1, 5), (2, 11)}  # (stage, step): behind a checkpoint, before any, behind one

    def failing(self, step, batch):
        if (self.stage, step) in cuts:
            cuts.remove((self.stage, step))
            raise KeyboardInterrupt
        return run_step(self, step, batch)

    monkeypatch.setattr(Trainer, "step", failing)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(recipe, small_data, tmp_path / "cut", progress=False, checkpoint_seconds=0)
    last = tmp_path / "cut" / "checkpoint.pt"
    data = bytearray(last.read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + 512)  # more than the file's padding
    data[middle] = bytes(byte ^ 1 for byte in data[middle])  # torch would not see it in a tensor
    last.write_bytes(data)
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged .*checkpoint.before.pt"):
        run = train(recipe, small_data, tmp_path / "cut", progress=False)
    assert not cuts and run.log == whole.log and run.result == whole.result
    assert same(weights(run.folder), weights(whole.folder))


class Code:
    """An object whose loading would run code."""

    def __reduce__(self):
        return print, ("code of the file ran",)


def test_damaged_checkpoints_are_refused_by_name(tmp_path):
    for value, cut, found in (({}, 500, "BadZip"), ({}, 0, "BadZip"), (Code(), None, "Unpickling")):
        save_checkpoint(tmp_path, {"a": value, "b": torch.ones(100)})
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(path.read_bytes()[:cut])
        (tmp_path / "checkpoint.before.pt").unlink(missing_ok=True)
        with pytest.raises(ValueError, match=f"checkpoint.pt is damaged .{found}.*remove it"):
            load_checkpoint(tmp_path)


def test_kill_between_the_two_renamings_loses_nothing(tmp_path, monkeypatch):
    """A checkpoint is there, whole, whenever the process ends."""
    for images in range(3):
        save_checkpoint(tmp_path, {"images": images})
    replace = os.replace

    def failing(source, target):
        if target.name == "checkpoint.pt":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("senorita_lib.training.checkpoints.os.replace", failing)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, {"images": 3})
    assert load_checkpoint(tmp_path) == {"images": 2}


def test_eq_4_joins_when_validation_has_converged():
    """That Step 1 sees as many images as ever, test_processes.py shows."""
    assert not loop.has_converged([30.0, 20, 19.9], 0.01, 3)
    assert not loop.has_converged([30.0, 20, 19.9, 19.8, 19.7], 0.01, 3)  # one and a half percent
    assert loop.has_converged([30.0, 20, 19.9, 19.95, 19.85], 0.01, 3)
    assert loop.has_converged([20.0, 25, 24, 23], 0.01, 3)  # from a rate too high


def test_precision_is_what_the_processor_computes(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(loop, "_CPU_INFO", info)
    assert loop.training_precision("auto", "cpu") == "float32"
    narrow, wide = "bfloat16", "float32"
    for flags, found in (("avx2 avx512_bf16", narrow), ("amx_bf16", narrow), ("avx2", wide)):
        info.write_text(f"flags : {flags}")
        assert loop.training_precision("auto", "cpu") == found
        assert all(loop.training_precision(kind, "cpu") == kind for kind in (narrow, wide))


def test_a_run_starts_from_anothers_weights(whole, small_data, tmp_path):
    def run(name, recipe, start=None):
        return train(recipe, small_data, tmp_path / name, progress=False, start=start)

    none = QUICK.override(pose_images=0, volume_images=0, refine_images=0)
    first = run("first", none.override(pose_images=8))
    start = first.folder / "model.safetensors"
    second = run("second", none, start)
    assert same(weights(second.folder), weights(first.folder)) and second.result["images"] == {}
    with pytest.raises(ValueError, match="result.json is of another data set"):
        run("second", none)
    # A refiner that was not trained is not taken, so another one fits.
    other = run("other", none.override(hidden=12), start)
    assert same(weights(other.folder, "estimator."), weights(first.folder, "estimator."))
    trained = whole.folder / "model.safetensors"
    for changes, begin in (({"hidden": 12}, trained), ({"layers": (2, 1, 1, 1)}, start)):
        with pytest.raises(ValueError, match=r"has .* of shape .*, wanted .* as in the recipe"):
            run("third", QUICK.override(**changes), begin)
    start = run("deep", none.override(layers=(2, 1, 1, 1))).folder / "model.safetensors"
    with pytest.raises(ValueError, match=r"has estimator.* of shape .*, wanted none as in"):
        run("fourth", QUICK, start)


def test_digest_is_of_the_weights_not_of_the_file(tmp_path):
    """safetensors writes its metadata in any order."""
    model = HandPoseNet(QUICK, torch.ones(20))

    def digest(name):
        model.save(tmp_path / name)
        return weights_digest(tmp_path / name)

    one, same_again = digest("one"), digest("two")
    torch.nn.init.constant_(model.estimator.head[-1].bias[3], 1e-3)
    assert one == same_again != digest("two")


def test_other_recipes_and_data_sets_are_refused(whole, small_data, fresh, tmp_path):
    copy = shutil.copytree(whole.folder, tmp_path / "copy")
    path = copy / "result.json"
    result = json.loads(path.read_text())
    assert result["recipe"].pop("pose_stream") is True  # an old recipe, which had the default
    path.write_text(json.dumps(result))
    again = train(QUICK, small_data, copy, progress=False)
    assert same(again.model.state_dict(), whole.model.state_dict())
    with pytest.raises(ValueError, match="with pose_stream = True, wanted False"):
        train(QUICK.override(pose_stream=False), small_data, copy, progress=False)
    labels = fresh / "Task 1" / "training_joint_annotation.txt"
    *numbers, last = labels.read_text().rstrip("\n").split("\t")
    labels.write_text("\t".join([*numbers, str(float(last) + 1)]) + "\n")
    for file in ("result.json", "checkpoint.pt"):
        with pytest.raises(ValueError, match=f"{file} is of another recipe, with seed = 0, want"):
            train(QUICK.override(seed=1), small_data, copy, progress=False)
        with pytest.raises(ValueError, match=f"{file} is of another data set"):
            train(QUICK, fresh, copy, progress=False)
        path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"^volume_loss has .*'size', wanted a function of"):
        train(QUICK, tmp_path, tmp_path, volume_loss=lambda predicted, true: 0)


def test_bfloat16_does_not_round_the_geometry(crops):
    """Poses, bones and joints of a narrow pass fit each other as those of a wide one do."""
    net = HandPoseNet(QUICK, torch.full((20,), 31.0)).eval()
    wide = net(crops)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = net(crops)
    assert narrow.uvd.dtype == narrow.refinement.joints_mm.dtype == torch.float32
    assert not torch.equal(narrow.uvd, wide.uvd)  # the networks were narrow
    torch.testing.assert_close(narrow.joints_mm, crops.to_camera(narrow.uvd))
    lengths = joints_to_bones(narrow.refinement.joints_mm).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((4, 20), 31.0), rtol=1e-4, atol=0)


@pytest.mark.parametrize("flows", [True, False])
def test_detached_refiner_leaves_the_estimator_alone(crops, flows):
    net = HandPoseNet(QUICK.override(refiner_gradient=flows), torch.ones(20))
    net(crops).refinement.joints_mm.sum().backward()
    gradients = [p.grad for p in net.estimator.parameters() if p.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in gradients) is flows
