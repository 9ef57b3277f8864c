import json

import numpy as np
import pytest
from conftest import ROOT

from senorita_lib.evaluation import TEST_SPLITS
from senorita_lib.experiments import ensembles, regimes


def test_what_is_kept_can_be_read(capsys):
    ensembles.main(["--kept"])
    printed = capsys.readouterr().out
    assert "\nModel 1 (" in printed
    assert f"```\n{printed}```" in (ROOT / "docs" / "lower_errors.md").read_text()


def test_four_models_and_four_seeds_are_merged_and_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="holds no poses, wanted networks that were trained"):
        ensembles.table()
    rng, frames, runs = np.random.default_rng(0), 10, {}
    true = rng.uniform(-100, 400, (frames, 21, 3))
    splits = np.array(TEST_SPLITS * (frames // 5))
    for model, start in regimes.MODELS.items():
        for seed in range(4):
            initial = true + rng.normal(0, 10, true.shape)
            runs[model, seed] = {"joints": true, "initial": initial, "splits": splits}
            folder = regimes.run_folder(start, seed, regimes.NETWORK)
            folder.mkdir(parents=True)
            np.savez(folder / "predictions.npz", **runs[model, seed])
            recipe = regimes.recipe_of(start, seed, regimes.NETWORK).model_dump()
            (folder / "result.json").write_text(json.dumps({"recipe": recipe, "errors": {}}))
    ensembles.main(["--kept"])
    lines = {line[:28].strip(): line[28:].split() for line in capsys.readouterr().out.splitlines()}
    found = ensembles.table()
    mm = found.groupby(["trial", "seed"])["mm"].mean()
    merged = np.mean([runs[model, 2]["initial"] for model in regimes.MODELS], axis=0)
    assert mm["four models", 2] == pytest.approx(
        np.linalg.norm(merged - true, axis=-1).mean(), abs=0.1
    )
    turned = np.mean([runs[1, seed]["initial"] for seed in range(4)], axis=0)
    assert mm["four seeds"].index.tolist() == [0]  # others would share networks with it
    assert mm["four seeds", 0] == pytest.approx(
        np.linalg.norm(turned - true, axis=-1).mean(), abs=0.1
    )
    assert len(lines["four models − Model 1 (4)"]) >= 5
    assert len(lines["four models − four seeds (1)"]) >= 5
    rows = ensembles.rows(found)
    gain = mm["four models"].mean() - mm["Model 1"].mean()
    assert np.mean([e.mean for e in rows["four models − Model 1 (4)"].values()]) == pytest.approx(
        gain
    )
