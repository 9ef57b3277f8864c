import json

import pytest

from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.inventory import find_results, inventory_table, kind_of
from senorita_lib.recipes import find_recipe


def result(recipe, device="cpu", errors=True):
    refined = {split: 20.0 + i for i, split in enumerate(SPLITS)} if errors else {}
    recipe = json.loads(recipe.to_json())
    images = {name: recipe[f"{name}_images"] for name in ("pose", "volume", "refine")}
    return {"recipe": recipe, "errors": {"refined": refined}, "images": images, "device": device}


@pytest.mark.parametrize(
    ("recipe", "device", "kind"),
    [
        ("tiny", "cpu", "demonstration on a CPU"),
        ("paper", "NVIDIA H100", "paper's size, NVIDIA H100"),
        ("paper", "cpu", "paper's size on a CPU"),
        ("small", "cuda:0", "demonstration, cuda:0"),
    ],
)
def test_a_result_says_what_it_is_worth(recipe, device, kind):
    recipe = find_recipe(recipe, model=3)  # a model's number is no matter of size
    assert kind_of(result(recipe, device)) == kind


def test_a_short_run_of_the_papers_size_says_so():
    recipe = find_recipe("paper").scaled(0.1)
    assert kind_of(result(recipe, "H100")) == "paper's size, H100, 10% of its images"
    assert kind_of(result(find_recipe("tiny").scaled(0.1))) == "demonstration on a CPU"


def test_all_results_are_found_but_those_of_studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    tiny = result(find_recipe("tiny"))
    files = {
        "runs/tiny/model_1/result.json": tiny,
        "runs/tiny/model_1/log.json": [{"images": 3}],
        "runs/studies/tiny/one/result.json": tiny,
        "results/timed/paper_1.json": result(find_recipe("paper", seed=2), "H100", errors=False),
        "results/studies/models.json": {"errors": {}, "recipe": "tiny"},
    }
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "half.json").write_text('{"recipe": ')
    for name, held in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(held))
    found = find_results()
    assert list(found) == ["runs/tiny/model_1/result.json", "results/timed/paper_1.json"]
    head, first, second = inventory_table(found).splitlines()
    assert head.split() == ["refined,", "mm", "recipe", "model", "seed", "images", *SPLITS, "kind"]
    assert first.split()[1:6] == ["tiny", "1", "0", "25,600", "20.0"]
    assert second.split()[3:11] == ["2", "492,000", *"-----", "paper's"]
    assert inventory_table({}) == "no finished run, no result"
