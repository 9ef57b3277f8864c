import json
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from bodyfiles import entry, human36m, person, write_human36m, write_image, write_mpii

from senorita_lib.losses import pose_loss
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights, write_weights
from senorita_lib.people import Human36m, Mpii, pretraining
from senorita_lib.people.batches import BodyBatches, People
from senorita_lib.people.crops import cut_body
from senorita_lib.people.pretraining import (
    body_errors,
    body_network,
    body_pose_loss,
    body_recipe,
    median_pose,
    predict_people,
    pretrain,
    starting_weights,
)
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.recipes import RECIPES, find_recipe
from senorita_lib.training.stages import train


@pytest.fixture
def recipe(quick):
    return quick.override(pretrain=True, pretrain_images=48)


@pytest.fixture(scope="module")
def people():
    """Forty of them, drawn once."""
    sets = [SyntheticBody(40, side=48)]
    images = [sets[0].image(index) for index in range(40)]
    sets[0].image = images.__getitem__
    return sets


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def weights(run):
    return read_weights(run.weights, BODY_FORMAT)[1]


# ------------------------------------------------------------------------------- what is learned
def test_2d_labels_pull_along_u_and_v_alone():
    torch.manual_seed(0)
    predicted = torch.rand(2, 16, 3, requires_grad=True)
    true = torch.rand(2, 16, 3)
    true[0, :, 2] = torch.nan
    true[1, 3] = torch.nan
    body_pose_loss(predicted, true).backward()
    pull = predicted.grad
    assert (pull[0, :, 2] == 0).all() and (pull[1, 3] == 0).all()
    known = ~true.isnan()
    # As strong as in eq. 3, whatever else is known.
    torch.testing.assert_close(pull[known].abs(), torch.full((77,), 64 / (2 * 16 * 3)))
    whole = torch.rand(2, 16, 3)
    assert body_pose_loss(predicted, whole) == pose_loss(predicted, whole)


def test_batches_are_half_of_each_kind(recipe, people):
    everybody = People([SyntheticBody(9, side=48), people[0]])
    rows, held = everybody.split(0.1)
    assert not set(held) & set(np.concatenate(rows)) and len(held) == 4
    batches = BodyBatches(body_recipe(recipe), everybody, rows, "cpu")
    images, uvd = batches(0, 6)
    assert images.shape == (6, 3, 32, 32) and images.min() >= -1 and images.max() <= 1
    flat = uvd[..., 2].isnan().all(dim=1)
    assert flat.sum() == 3 and not uvd[..., :2].isnan().any()
    again = BodyBatches(body_recipe(recipe), everybody, rows, "cpu")
    for step in (3, 0, 1):  # a batch is a function of seed and step
        one, other = batches(step, 6), again(step, 6)
        assert all(
            torch.equal(a.nan_to_num(9), b.nan_to_num(9)) for a, b in zip(one, other, strict=True)
        )
    assert not torch.equal(batches(0, 6)[0], batches(1, 6)[0])
    only = BodyBatches(body_recipe(recipe), everybody, [rows[0], rows[1][:0]], "cpu")
    assert only(0, 6)[1][..., 2].isnan().all()
    with pytest.raises(ValueError, match="there are 1 people of a kind .* batch of 4"):
        BodyBatches(body_recipe(recipe), everybody, [rows[0][:1], rows[1]], "cpu")


def test_several_sets_are_one(people):
    first, second = SyntheticBody(3, side=48), people[0]
    everybody = People([first, second])
    assert len(everybody) == 43
    for row, frame in ((2, first[2]), (3, second[0]), (42, second[39])):
        assert everybody[row].name == frame.name
        assert np.array_equal(everybody[row].image, frame.image)
        assert np.array_equal(everybody.keypoints[row], frame.keypoints, equal_nan=True)


def test_network_learns_people(recipe, people, tmp_path):
    """From how far off it was drawn to much less, in the image and in space."""
    longer = recipe.override(
        pretrain_images=2_400, pose_images=2_400, volume_images=0, milestones=(1_800,),
        batch=16, learning_rate=2e-3, rotation=0.0, scale=(1.0, 1.0), shift=0.0,
    )  # fmt: skip
    run = pretrain(longer, tmp_path, people, progress=False)
    losses = [row["L_jt"] for row in run.log if "L_jt" in row]
    assert losses[-1] < 0.75 * losses[0]
    network, rows = body_network(body_recipe(longer)), np.arange(30)
    drawn = body_errors(predict_people(network, People(people), rows, 32), People(people), rows)
    network.load_state_dict(weights(run))
    learned = body_errors(predict_people(network, People(people), rows, 32), People(people), rows)
    for key in ("validation_percent", "validation_body_mm"):
        assert learned[key] < 0.8 * drawn[key]


def test_errors_are_those_of_the_poses(people):
    everybody, rows = People(people), np.arange(4)
    true = np.stack([cut_body(everybody[row], 32)[1] for row in rows])
    assert body_errors(true, everybody, rows)["validation_percent"] < 1e-3
    off = np.nan_to_num(true, nan=0.5) + [0.03, 0.04, 0.0]
    errors = body_errors(off, everybody, rows)
    assert errors["validation_percent"] == pytest.approx(5, rel=1e-4)
    # All are moved alike, so that little is left relative to the pelvis.
    assert 0 <= errors["validation_body_mm"] < 30
    deep = off + np.array([0, 0, 0.05]) * (np.arange(16) == 3)[:, None]  # 100 mm in 2 m, of one
    more = body_errors(deep, everybody, rows)["validation_body_mm"] - errors["validation_body_mm"]
    assert more == pytest.approx(100 / 16, rel=0.2)
    assert "validation_body_mm" not in body_errors(off[::2], everybody, rows[::2])
    off[1, 5] = np.nan  # a broken network is no good one
    assert np.isnan(body_errors(off, everybody, rows)["validation_percent"])


def test_median_pose_is_a_guess_without_an_image(people):
    everybody, rows = People(people), np.arange(4, 40)
    uvd = np.stack([cut_body(everybody[row], 32)[1] for row in rows])
    found = median_pose(everybody, rows)
    np.testing.assert_allclose(found[:, :2], np.median(uvd[..., :2], axis=0), atol=1e-5)
    np.testing.assert_allclose(found[:, 2], np.median(uvd[1::2, :, 2], axis=0), atol=1e-5)
    assert np.isnan(median_pose(everybody, rows[::2])[:, 2]).all()


# ------------------------------------------------------------------------------------ the runs
def test_models_share_one_pretraining(recipe, people, tmp_path):
    run = pretrain(recipe, tmp_path, people, progress=False)
    stamp = run.weights.stat().st_mtime_ns
    other = recipe.override(model=4, volume_images=40, refine_images=0, gamma=0.2, fusion="stems")
    assert body_recipe(other) == body_recipe(recipe)
    assert pretrain(other, tmp_path, people, progress=False).result == run.result
    assert run.weights.stat().st_mtime_ns == stamp
    assert run.result["people"] == {"2D": 20, "3D": 20} and run.result["images"] == 48
    kinds = {"validation_percent", "validation_body_mm"}
    assert set(run.result["validation"]) == set(run.result["median pose"]) == kinds


def test_schedule_is_step_1s_at_the_same_shares(recipe):
    body = body_recipe(recipe.override(pretrain_images=880))  # Step 1 has 88 images
    assert body.milestones == (240, 640) and body.pose_images == 880
    assert (body.volume_images, body.refine_images, body.validate_images) == (0, 0, 110)


def test_interrupted_pretraining_resumes_bit_for_bit(recipe, people, tmp_path, monkeypatch):
    whole = pretrain(recipe, tmp_path / "whole", people, progress=False)
    step, cuts = pretraining.BodyTrainer.step, {5, 11}

    def failing(self, number, batch):
        if number in cuts:
            cuts.remove(number)
            raise KeyboardInterrupt
        return step(self, number, batch)

    monkeypatch.setattr(pretraining.BodyTrainer, "step", failing)
    options = {"progress": False, "checkpoint_seconds": 0}
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            pretrain(recipe, tmp_path / "cut", people, **options)
    run = pretrain(recipe, tmp_path / "cut", people, **options)
    assert not cuts and run.log == whole.log and run.result == whole.result
    assert same(weights(run), weights(whole))


@pytest.mark.slow
def test_killed_pretraining_ends_like_an_uninterrupted_one(recipe, tmp_path):
    code = """
import sys
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.people.pretraining import pretrain
from senorita_lib.recipes import Recipe
recipe, people = Recipe.from_json(sys.argv[1]), [SyntheticBody(40, side=48)]
pretrain(recipe, sys.argv[2], people, progress=False, checkpoint_seconds=0)
"""
    recipe = recipe.override(pretrain_images=320)
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, recipe.to_json(), str(folder)])

    def images():
        with suppress(FileNotFoundError):
            return torch.load(folder / "checkpoint.pt")["images"]
        return 0

    deadline = time.monotonic() + 300
    while not images():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < images() < 320
    people = [SyntheticBody(40, side=48)]
    run = pretrain(recipe, folder, people, progress=False)
    whole = pretrain(recipe, tmp_path / "whole", people, progress=False)
    assert same(weights(run), weights(whole)) and run.log == whole.log


def test_hands_begin_with_what_people_have_taught(recipe, people, small_data, tmp_path):
    body = pretrain(recipe, tmp_path / "people", people, progress=False)
    for model in (1, 4):
        told = recipe.override(model=model, pose_images=8, volume_images=8, refine_images=8)
        folder = tmp_path / str(model)
        run = train(told, small_data, folder, start=body.weights, progress=False)
        report = json.loads((folder / "transfer.json").read_text())
        assert bool(report["widened"]) == (model == 4) and len(report["rebuilt"]) == 2
        assert not report["left"]
        assert run.model.recipe == told
    # Without a step the weights are still those of people.
    none = recipe.override(pose_images=0, volume_images=0, refine_images=0)
    run = train(none, small_data, tmp_path / "none", start=body.weights, progress=False)
    state, source = run.model.estimator.state_dict(), weights(body)
    report = json.loads((tmp_path / "none" / "transfer.json").read_text())
    assert len(report["copied"]) > 30
    assert all(torch.equal(state[name], source[name]) for name in report["copied"])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A folder with a small MPII and a small Human3.6M, in their own formats."""
    root, drawn = tmp_path_factory.mktemp("both"), SyntheticBody(10, side=160)
    entries = []
    for index in range(10):
        write_image(root / "MPII" / "images" / f"{index}.jpg", drawn.image(index))
        points = [(k, *(uv + 1)) for k, uv in enumerate(drawn.keypoints[index, :, :2])]
        entries.append(entry(f"{index}.jpg", person(points, (80.5, 70.5), scale=0.5)))
    write_mpii(root / "MPII", entries, train=[1] * 9 + [0])
    files = human36m(frames=6)
    write_human36m(root / "Human36M", files)
    for listed in files["data"]["images"]:
        shape = listed["height"], listed["width"], 3
        image = np.random.default_rng(listed["id"]).integers(0, 255, (10, 10, 3)).astype(np.uint8)
        image = np.resize(image, shape)
        write_image(root / "Human36M" / "images" / listed["file_name"], image)
    return root


def test_mpii_and_human36m_are_learned_from_their_files(recipe, both, tmp_path):
    run = pretrain(recipe, tmp_path / "one", both, progress=False)
    frames = 3 * 4 * 2  # sequences, cameras, and of six frames each fifth
    assert run.result["people"] == {"2D": 9, "3D": frames}
    sets = [Mpii(both / "MPII"), Human36m(both / "Human36M")]
    again = pretrain(recipe, tmp_path / "two", sets, progress=False)
    assert again.result == run.result and same(weights(again), weights(run))
    (both / "Human36M" / "images" / sets[1].names[0]).rename(both / "away.jpg")
    with pytest.raises(FileNotFoundError, match="1 of 24 images are missing, s_01_act_02"):
        pretrain(recipe, tmp_path / "three", both, progress=False)


# -------------------------------------------------------------------------------- what is wrong
def test_recipe_and_start_have_to_agree(recipe, people, small_data, tmp_path):
    body = pretrain(recipe, tmp_path / "people", people, progress=False)
    with pytest.raises(ValueError, match="has pretrain = True and start is None, wanted the weigh"):
        train(recipe, small_data, tmp_path / "run", progress=False)
    scratch = recipe.override(pretrain=False)
    with pytest.raises(
        ValueError, match="body.safetensors has weights of people .* pretrain = Fal"
    ):
        train(scratch, small_data, tmp_path / "run", start=body.weights, progress=False)
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        train(recipe, small_data, tmp_path / "run", start=tmp_path / "nowhere", progress=False)
    assert not (tmp_path / "run").exists()
    odd = tmp_path / "odd.safetensors"
    write_weights(odd, BODY_FORMAT, recipe, {"something": torch.zeros(1)})
    with pytest.raises(ValueError, match="nothing of these weights fits this network"):
        train(recipe, small_data, tmp_path / "odd", start=odd, progress=False)
    with pytest.raises(ValueError, match="has format 'senorita-body 1', wanted 'senorita-hand 1'"):
        HandPoseNet.load(body.weights)


def test_recipes_that_differ_about_people_keep_them_apart(recipe, people, tmp_path):
    """As the models of `released` do; those of all others share one pretraining."""
    found = {}
    for name, shared in ((n, n != "released") for n in RECIPES):
        of_models = [body_recipe(find_recipe(name, model=m)) for m in (1, 2, 3, 4)]
        assert all(one == of_models[0] for one in of_models) == shared
    for seed in (0, 1, 0):
        other = recipe.override(seed=seed)
        path = starting_weights(other, tmp_path, people, progress=False)
        assert found.setdefault(seed, path) == path and path.parent.parent == tmp_path
    assert found[0] != found[1]
    assert starting_weights(recipe.override(pretrain=False), tmp_path) is None
    with pytest.raises(
        ValueError, match="people is '/some' and recipe 'tiny' has pretrain = False"
    ):
        starting_weights(recipe.override(pretrain=False), tmp_path, "/some")


def test_too_few_people_or_images_are_told(recipe, people, tmp_path):
    with pytest.raises(ValueError, match="pretrain_images is 3, wanted at least a batch of 4"):
        pretrain(recipe.override(pretrain_images=3), tmp_path, people, progress=False)
    for count, wanted in ((1, "2D labels alone"), (3, "depths")):
        with pytest.raises(ValueError, match=f"there is one person with {wanted}, wanted none or"):
            pretrain(recipe, tmp_path, [SyntheticBody(count, side=48)], progress=False)
    with pytest.raises(ValueError, match="there are 1 people of a kind to train on"):
        pretrain(recipe, tmp_path, [SyntheticBody(4, side=48)], progress=False)


def test_other_people_or_recipe_are_refused(recipe, people, tmp_path):
    pretrain(recipe, tmp_path, people, progress=False)
    with pytest.raises(
        ValueError, match="people.json is of another recipe, with seed = 0, wanted 1"
    ):
        pretrain(recipe.override(seed=1), tmp_path, people, progress=False)
    with pytest.raises(ValueError, match="people.json is of another data set"):
        pretrain(recipe, tmp_path, [SyntheticBody(40, seed=1, side=48)], progress=False)


def test_many_missing_images_are_told_before_anything_is_trained(recipe, people, tmp_path):
    lost = Lossy(40, lost=[3, 7])
    with pytest.raises(
        FileNotFoundError, match="2 of 40 images are missing, body_000003 first, wan"
    ):
        pretrain(recipe, tmp_path, [people[0], lost], progress=False)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_people_of_a_few_missing_images_are_left_out(recipe, people, tmp_path):
    """As with copies of MPII that lack some."""
    lost = Lossy(300, lost=[7, 250])
    with pytest.warns(UserWarning, match="2 of 300 images .*: their people are left out"):
        everybody = People([people[0], lost])
    assert len(everybody) == 338 and everybody.spatial.sum() == 20 + 149
    names = [everybody[row].name for row in (40 + 6, 40 + 7, 337)]
    assert names == ["body_000006", "body_000008", "body_000299"]
    assert np.array_equal(everybody.keypoints[40 + 7], lost.keypoints[8], equal_nan=True)
    assert everybody.identity != People([people[0], SyntheticBody(300, side=48)]).identity


class Lossy(SyntheticBody):
    """A set some of whose images are not there."""

    def __init__(self, count, lost):
        super().__init__(count, side=48)
        self.lost = lost

    def missing(self):
        return [self.names[index] for index in self.lost]

    def image(self, index):
        assert index not in self.lost
        return super().image(index)
