"""Files that other programs read: each in its program's form, and calling what the kit has."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml
from conftest import NOTEBOOKS, ROOT

from senorita_lib.datasets import write_synthetic
from senorita_lib.datasets.synthetic.frames import describe_splits
from senorita_lib.weights import file_digest

FORMS = [
    ("citation-file-format", "CITATION.cff"),
    ("github-workflows", ".github/workflows/*.yml"),
    ("github-issue-forms", ".github/ISSUE_TEMPLATE/[0-9]*.yml"),
    ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
CI = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
ENTRIES = CI["jobs"]["make"]["strategy"]["matrix"]["include"]


def makes(text):
    return set(re.findall(r"\bmake ([a-z-]+)", text))


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="check-jsonschema missing")
@pytest.mark.parametrize(("schema", "pattern"), FORMS, ids=[form for form, _ in FORMS])
def test_form_is_the_one_that_its_reader_wants(schema, pattern):
    paths = sorted(ROOT.glob(pattern))
    assert paths
    call = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*call, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_github_runs_the_targets_of_ci_on_each_python():
    called = {target for entry in ENTRIES for target in makes(entry["command"])}
    assert makes((ROOT / ".ci" / "run").read_text("utf-8")) <= called
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert called <= set(targets)
    pythons = {entry["python"] for entry in ENTRIES if "TESTS=tests " in entry["command"]}
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert pythons == set(re.findall(r"Python :: (3\.\d+)", text))
    for step in CI["jobs"]["make"]["steps"]:
        assert re.fullmatch(r"\S+@(v\d+|[0-9a-f]{40})", step.get("uses", "a@v1"))


def test_hook_names_the_tests_of_the_notebooks_form():
    """The hook's own command finds them, with the running Python."""
    (entry,) = (hook["entry"] for hook in HOOKS if hook["id"] == "notebooks")
    program, *rest = entry.split()
    assert program == ".venv/bin/python"
    call = [sys.executable, *rest, "-p", "no:cacheprovider", "--collect-only"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"{2 * len(NOTEBOOKS)} tests " in done.stdout, done.stdout


def test_containers_install_the_lock():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    assert "make env" in container["postCreateCommand"]
    wanted = (ROOT / ".binder" / "requirements.txt").read_text("utf-8").splitlines()
    lines = [line for line in wanted if not line.startswith(("#", "--"))]
    assert lines == ["-r ../env/requirements.lock", "-e ."]
    python = (ROOT / ".binder" / "runtime.txt").read_text("utf-8").strip()
    assert python == f"python-{container['image'].split(':')[1].split('-')[0]}"


def test_data_card_tells_the_splits_as_the_generator_draws_them():
    text = (ROOT / "docs" / "cards" / "synthetic.md").read_text("utf-8")
    assert re.search(r"```text\n(.*?)\n```", text, re.S)[1] == describe_splits()


def croissant(root):
    call = [sys.executable, ROOT / "env" / "croissant.py", root]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_file_is_described_and_has_its_hash(tmp_path):
    root = write_synthetic(tmp_path, 3, 1, workers=1, progress=False)
    done, folder = croissant(root), root / "Task 1"
    assert done.returncode == 0, done.stderr
    metadata = json.loads((folder / "croissant.json").read_text("utf-8"))
    described = {folder / "croissant.json", folder / "synthetic.json"}
    for entry in metadata["distribution"]:
        if entry["@type"] == "cr:FileSet":
            described |= set(folder.glob(entry["includes"]))
        else:
            described.add(folder / entry["contentUrl"])
            assert entry["sha256"] == file_digest(folder / entry["contentUrl"])
    assert described == {path for path in folder.rglob("*") if path.is_file()}
    assert len(metadata["recordSet"]) == 5
    assert "train 3, test_per_split 1, seed 0" in metadata["description"]


def test_another_data_set_is_refused(tmp_path):
    (tmp_path / "training_bbs.txt").touch()
    done = croissant(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} has no synthetic.json, wanted a synthetic data set\n"
