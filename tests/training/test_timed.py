import json

import pytest
import torch

from senorita_lib.evaluation import SPLITS
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe
from senorita_lib.training.timed import fit, main, timed_run, write_parts


def test_recipe_is_scaled_until_it_fits():
    recipe = find_recipe("tiny")
    speeds = {"pose": 100.0, "volume": 50.0, "refine": 40.0}  # 144 + 96 + 160 = 400 s
    assert fit(recipe, speeds, 500) == recipe
    half = fit(recipe, speeds, 200)
    assert (half.pose_images, half.volume_images, half.refine_images) == (7_200, 2_400, 3_200)
    assert half.milestones == (6_000, 9_600) and half.validate_images == 1_800
    with pytest.raises(ValueError, match="10 s of training see 480 images in Step 1, wanted"):
        fit(recipe, speeds, 10)


def test_a_timed_run_leaves_its_result_and_its_weights(quick, small_data, tmp_path):
    recipe = quick.override(source="stream", pool=40, batch=4)
    result = timed_run(recipe, 20.0, small_data, tmp_path / "runs", tmp_path, progress=False)
    assert result["minutes"] < 20
    assert json.loads((tmp_path / f"{result['name']}.json").read_text()) == result
    assert set(result["errors"]["refined"]) == set(SPLITS)
    assert result["recipe"]["source"] == "stream" and "torch" in result["versions"]
    assert result["images"] == {"pose": 48, "volume": 40, "refine": 48}  # time to spare: none cut
    assert set(result["images_per_second"]) == set(result["seconds"]) == set(result["images"])
    again = timed_run(recipe, 20.0, small_data, tmp_path / "runs", tmp_path, progress=False)
    assert again["errors"] == result["errors"]


def test_a_stage_that_pose_leaves_images_to_has_no_limit(quick, small_data, tmp_path):
    """Though the recipe gives it none, so that nothing is known of its speed."""
    recipe = quick.override(
        source="stream", pool=40, pose_images=80, volume_images=0, validate_images=4,
        converged=0.999, patience=1,
    )  # fmt: skip
    result = timed_run(recipe, 20.0, small_data, tmp_path / "runs", tmp_path, progress=False)
    assert result["images"]["pose"] + result["images"]["volume"] == 80


def test_parts_join_to_the_weights_in_float16(quick, tmp_path):
    torch.manual_seed(0)
    model = HandPoseNet(quick, torch.ones(20))
    path = tmp_path / "model.safetensors"
    parts = write_parts(model, path, part_bytes=20_000)
    assert len(parts) > 2 and all(part.stat().st_size <= 20_000 for part in parts)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    wanted = model.state_dict()
    for name, tensor in HandPoseNet.load(path).state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-3, atol=1e-6)


def test_too_large_numbers_are_refused_by_name(quick, tmp_path):
    model = HandPoseNet(quick, torch.ones(20))
    torch.nn.init.constant_(model.refiner.residual.weight, 1e6)
    with pytest.raises(ValueError, match="residual.weight has 1e.06, wanted no more than 65504"):
        model.save(tmp_path / "model.safetensors", half=True)
    assert not list(tmp_path.iterdir())


def test_command_line_refuses_in_one_sentence(capsys):
    with pytest.raises(SystemExit):
        main(["tiny", "--set", "modle=2"])
    assert "no 'modle', the nearest known name is 'model'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tiny", "--set", "source=file"])
    assert "source = 'file', wanted one of" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["tiny", "--set", "model"])
    assert "override is 'model', wanted NAME=VALUE" in capsys.readouterr().err
