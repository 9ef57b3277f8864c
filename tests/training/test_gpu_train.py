import json
import runpy

import pytest
import torch
from conftest import QUICK, ROOT, as_settings

from senorita_lib.evaluation import SPLITS
from senorita_lib.model import HandPoseNet
from senorita_lib.recipes import find_recipe


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "benchmarks" / "gpu_train.py"))


def test_recipe_is_scaled_until_it_fits(script):
    recipe = find_recipe("tiny")
    speeds = {"pose": 100.0, "volume": 50.0, "refine": 40.0}  # 144 + 96 + 160 = 400 s
    assert script["fit"](recipe, speeds, 500) == recipe
    half = script["fit"](recipe, speeds, 200)
    assert (half.pose_images, half.volume_images, half.refine_images) == (7_200, 2_400, 3_200)
    assert half.milestones == (6_000, 9_600) and half.validate_images == 1_800
    assert half.pretrain_images == recipe.pretrain_images / 2
    with pytest.raises(ValueError, match="10 s allow 480 images in Step 1, wanted"):
        script["fit"](recipe, speeds, 10)


def test_parts_join_to_the_weights_in_float16(script, tmp_path):
    torch.manual_seed(0)
    model, path = HandPoseNet(QUICK, torch.ones(20)), tmp_path / "model.safetensors"
    script["write_parts"](model, path, part_bytes=20_000)
    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 2 and all(part.stat().st_size <= 20_000 for part in parts)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    wanted, found = model.state_dict(), HandPoseNet.load(path).state_dict()
    torch.testing.assert_close(found, dict(wanted), rtol=1e-3, atol=1e-6)
    torch.nn.init.constant_(model.refiner.residual.weight, 1e6)
    with pytest.raises(ValueError, match="residual.weight has 1e.06, wanted no more than 65504"):
        model.save(tmp_path / "large.safetensors", half=True)
    assert not (tmp_path / "large.safetensors").exists()


@pytest.mark.slow
def test_a_short_run_leaves_its_result_and_its_weights(script, small_data, tmp_path):
    recipe = QUICK.override(source="stream", batch=2, pose_images=160)
    folders = "--data", small_data, "--runs", tmp_path / "runs", "--results", tmp_path / "out"
    arguments = ["tiny", "--minutes", 60, *folders, "--set", *as_settings(recipe)]
    script["main"].__globals__.update(WARM_UP=1, STEPS=5)
    for _ in range(2):  # the second call finds all done
        script["main"]([str(argument) for argument in arguments])
    (path,) = (tmp_path / "out").glob("*.json")
    result = json.loads(path.read_text())
    assert set(result["errors"]["refined"]) == set(SPLITS)
    assert result["images"] == {"pose": 160, "volume": 40, "refine": 48}  # time to spare
    assert path.with_suffix(".safetensors.00").exists()
