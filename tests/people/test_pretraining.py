import json
import shutil

import numpy as np
import pytest
import torch
from bodyfiles import entry, human36m, person, write_human36m, write_image, write_mpii
from conftest import QUICK

from senorita_lib.losses import pose_loss
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights
from senorita_lib.people import Human36m, Mpii, SyntheticBody, pretraining
from senorita_lib.people.__main__ import main
from senorita_lib.people.crops import cut_body
from senorita_lib.people.pretraining import (
    BodyBatches,
    body_errors,
    body_network,
    body_pose_loss,
    body_recipe,
    predict_people,
    pretrain,
    starting_weights,
)
from senorita_lib.people.readers import People
from senorita_lib.recipes import RECIPES, find_recipe
from senorita_lib.training.stages import train

RECIPE = QUICK.override(pretrain=True, pretrain_images=48)


@pytest.fixture(scope="module")
def people():
    """Forty of them, drawn once."""
    sets = [SyntheticBody(40, side=48)]
    images = [sets[0].image(index) for index in range(40)]
    sets[0].image = images.__getitem__
    return sets


@pytest.fixture(scope="module")
def learned(people, tmp_path_factory):
    """A finished pretraining that no test changes."""
    return pretrain(RECIPE, tmp_path_factory.mktemp("learned"), people, progress=False)


def weights(path):
    return read_weights(path, BODY_FORMAT)[1]


def read(path, name="people.json"):
    """What a run has written beside its weights."""
    return json.loads((path.parent / name).read_text())


def assert_same(run, other):
    assert read(run) == read(other) and read(run, "log.json") == read(other, "log.json")
    torch.testing.assert_close(weights(run), weights(other), rtol=0, atol=0)


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


def test_batches_are_half_of_each_kind(people):
    everybody = People([SyntheticBody(9, side=48), people[0]])
    rows, held = everybody.split(0.1)
    assert not set(held) & set(np.concatenate(rows)) and len(held) == 4
    batches = BodyBatches(body_recipe(RECIPE), everybody, rows, "cpu")
    images, uvd = batches(0, 6)
    assert images.shape == (6, 3, 32, 32) and images.min() >= -1 and images.max() <= 1
    flat = uvd[..., 2].isnan().all(dim=1)
    assert flat.sum() == 3 and not uvd[..., :2].isnan().any()
    again = BodyBatches(body_recipe(RECIPE), everybody, rows, "cpu")
    for step in (3, 1, 0):  # a batch is a function of seed and step
        torch.testing.assert_close(again(step, 6), batches(step, 6), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(batches(0, 6)[0], images) and not torch.equal(batches(1, 6)[0], images)
    only = BodyBatches(body_recipe(RECIPE), everybody, [rows[0], rows[1][:0]], "cpu")
    assert only(0, 6)[1][..., 2].isnan().all()


def test_network_learns_people(people, tmp_path):
    """From how far off it was drawn to much less, in the image and in space."""
    longer = RECIPE.override(
        pretrain_images=2_400, pose_images=2_400, volume_images=0, milestones=(1_800,),
        batch=16, learning_rate=2e-3, rotation=0.0, scale=(1.0, 1.0), shift=0.0,
    )  # fmt: skip
    run = pretrain(longer, tmp_path, people, progress=False)
    losses = [row["L_jt"] for row in read(run, "log.json") if "L_jt" in row]
    assert losses[-1] < 0.75 * losses[0]
    network, everybody, rows = body_network(body_recipe(longer)), People(people), np.arange(30)
    drawn = body_errors(predict_people(network, everybody, rows, 32), everybody, rows)
    network.load_state_dict(weights(run))
    learned = body_errors(predict_people(network, everybody, rows, 32), everybody, rows)
    assert all(learned[key] < 0.8 * drawn[key] for key in drawn) and len(drawn) == 2


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


def test_models_share_one_pretraining(people, learned):
    stamp = learned.stat().st_mtime_ns
    other = RECIPE.override(model=4, volume_images=40, refine_images=0, gamma=0.2, fusion="stems")
    assert body_recipe(other) == body_recipe(RECIPE)
    assert pretrain(other, learned.parent, people, progress=False) == learned
    assert learned.stat().st_mtime_ns == stamp
    result = read(learned)
    assert result["people"] == {"2D": 20, "3D": 20} and result["images"] == 48
    assert set(result["validation"]) == {"validation_percent", "validation_body_mm"}
    # The schedule is Step 1's at the same shares.
    body = body_recipe(RECIPE.override(pretrain_images=880))  # Step 1 has 88 images
    assert body.milestones == (240, 640) and body.pose_images == 880
    assert (body.volume_images, body.refine_images, body.validate_images) == (0, 0, 110)


def test_interrupted_pretraining_resumes_bit_for_bit(people, learned, tmp_path, monkeypatch):
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
            pretrain(RECIPE, tmp_path, people, **options)
    assert_same(pretrain(RECIPE, tmp_path, people, **options), learned)
    assert not cuts


def test_hands_begin_with_what_people_have_taught(learned, small_data, tmp_path):
    """Without a step the weights are still those of people."""
    for model in (1, 4):
        told = RECIPE.override(model=model, pose_images=0, volume_images=0, refine_images=0)
        folder = tmp_path / str(model)
        run = train(told, small_data, folder, start=learned, progress=False)
        report = json.loads((folder / "transfer.json").read_text())
        assert bool(report["widened"]) == (model == 4) and len(report["rebuilt"]) == 2
        assert not report["left"] and len(report["copied"]) > 30
        state, source = run.model.estimator.state_dict(), weights(learned)
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
        image = np.resize(drawn.image(listed["id"] % 10), (listed["height"], listed["width"], 3))
        write_image(root / "Human36M" / "images" / listed["file_name"], image)
    return root


def test_mpii_and_human36m_are_learned_from_their_files(both, tmp_path):
    run = pretrain(RECIPE, tmp_path / "one", both, progress=False)
    frames = 3 * 4 * 2  # sequences, cameras, and of six frames each fifth
    assert read(run)["people"] == {"2D": 9, "3D": frames}
    sets = [Mpii(both / "MPII"), Human36m(both / "Human36M")]
    assert_same(pretrain(RECIPE, tmp_path / "two", sets, progress=False), run)


def test_table_of_what_is_there(both, tmp_path, capsys):
    """Of either set or both; one whose file is missing is not passed over."""

    def status(root):
        with pytest.raises(SystemExit) as stop:
            main([str(root)])
        return stop.value.code, *capsys.readouterr()

    code, said, _ = status(both)
    head, mpii, human = [line.split() for line in said.splitlines()]
    assert code == 0 and head == ["images", "labelled", "people", "missing", "images", "problems"]
    assert mpii == ["Mpii", "9", "9", "0", "0"] and human == ["Human36m", "24", "24", "0", "0"]
    root = shutil.copytree(both / "MPII", tmp_path / "MPII")
    (root / "images" / "3.jpg").unlink()
    (root / "images" / "4.jpg").write_bytes(b"")
    code, said, _ = status(tmp_path)
    _, mpii, missing, empty = said.splitlines()
    assert code == 1 and mpii.split() == ["Mpii", "9", "9", "1", "1"]
    assert "3.jpg" in missing and "4.jpg (0 bytes) is truncated" in empty
    (root / "mpii_human_pose_v1_u12_1.mat").unlink()
    for place, sentence in ((tmp_path, "MPII does not hold mpii_human"), (root, "holds neither")):
        code, _, said = status(place)
        assert code == 1 and sentence in said and said.count("\n") == 1


def test_recipe_and_start_have_to_agree(learned, small_data, tmp_path):
    scratch, folder = RECIPE.override(pretrain=False), tmp_path / "run"
    for kind, recipe, start, said in (
        (ValueError, RECIPE, None, "has pretrain = True and start is None, wanted the weigh"),
        (ValueError, scratch, learned, "has weights of people .* pretrain = Fal"),
        (FileNotFoundError, RECIPE, tmp_path / "nowhere", "nowhere is not there"),
    ):
        with pytest.raises(kind, match=said):
            train(recipe, small_data, folder, start=start, progress=False)
    assert not folder.exists()
    with pytest.raises(ValueError, match="has format 'senorita-body 1', wanted 'senorita-hand 1'"):
        HandPoseNet.load(learned)


def test_recipes_that_differ_about_people_keep_them_apart(people, tmp_path):
    """As the models of `released` do; those of all others share one pretraining."""
    for name in RECIPES:
        of_models = [body_recipe(find_recipe(name, model=m)) for m in (1, 2, 3, 4)]
        assert all(one == of_models[0] for one in of_models) == (name != "released")
    short = RECIPE.override(pretrain_images=4)
    seeds = (short.override(seed=seed) for seed in (0, 1, 0))
    paths = [starting_weights(recipe, tmp_path, people, progress=False) for recipe in seeds]
    assert paths[0] == paths[2] != paths[1] and paths[0].parent.parent == tmp_path
    scratch = RECIPE.override(pretrain=False)
    assert starting_weights(scratch, tmp_path) is None
    with pytest.raises(ValueError, match="people is '/some' and recipe 'tiny' has pretrain = Fal"):
        starting_weights(scratch, tmp_path, "/some")


def test_too_few_people_or_images_and_others_are_refused(learned, tmp_path):
    folder = learned.parent
    for recipe, count, place, said in (
        (RECIPE.override(pretrain_images=3), 40, tmp_path, "images is 3, wanted at least a batch"),
        (RECIPE, 1, tmp_path, "one person with 2D labels alone, wanted none or at"),
        (RECIPE, 3, tmp_path, "one person with depths, wanted none or at"),
        (RECIPE, 4, tmp_path, "there are 1 people of a kind .* batch of 4"),
        (RECIPE.override(seed=1), 40, folder, "json is of another recipe, with seed = 0, wanted"),
        (RECIPE, 40, folder, "people.json is of another data set"),
    ):
        people = [SyntheticBody(count, seed=1, side=48)]
        with pytest.raises(ValueError, match=said):
            pretrain(recipe, place, people, progress=False)


def test_people_of_a_few_missing_images_are_left_out(people):
    """As with copies of MPII that lack some; many missing images are refused."""

    def lossy(count, *lost):
        some = SyntheticBody(count, side=48)
        some.missing = lambda: [some.names[index] for index in lost]
        return some

    with pytest.raises(FileNotFoundError, match="1 of 40 images are missing in .*, first ..body_"):
        People([people[0], lossy(40, 3)])
    lost = lossy(300, 7, 250)
    with pytest.warns(UserWarning, match="2 of 300 images .*: their people are left out"):
        everybody = People([people[0], lost])
    assert len(everybody) == 338 and everybody.spatial.sum() == 20 + 149
    names = [everybody.names[row] for row in (40 + 6, 40 + 7, 337)]
    assert names == ["body_000006", "body_000008", "body_000299"]
    assert np.array_equal(everybody.keypoints[40 + 7], lost.keypoints[8], equal_nan=True)
    assert np.array_equal(everybody[40 + 7].image, lost.image(8))
    assert everybody.identity != People([people[0], SyntheticBody(300, side=48)]).identity
