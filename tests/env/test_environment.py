"""Holds pyproject.toml, the lock, environment.yml and the code's imports against each other."""

import ast
import json
import re
import sys
import tomllib
from importlib import metadata

import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import senorita_lib

LOCK = ROOT / "env" / "requirements.lock"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
CAMERA = EXTRAS.pop("camera")  # not in the lock: not every machine has its wheels
DECLARED = [*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]
PIN_LINES = [line for line in LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
PINS = dict(line.split("==") for line in PIN_LINES if line.count("==") == 1)

# torch's CUDA build names these itself, by exact version; its CPU build has none of them.
OF_TORCH_ALONE = ("nvidia-", "cuda-", "triton")
# What the lock is resolved for; the running Python may be another.
LOCKED_FOR = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}
# Where a module's name is not its distribution's.
DISTRIBUTION = {
    "cv2": "opencv-python", "mpl_toolkits": "matplotlib", "PIL": "pillow", "yaml": "pyyaml",
    "griffe": "griffelib",
}  # fmt: skip


def test_lock_pins_each_package_once_to_a_public_release_in_its_declared_range():
    pin = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9]+(\.[0-9]+)*(\.post[0-9]+)?")
    assert [line for line in PIN_LINES if not pin.fullmatch(line)] == []  # no +cpu, no >=, no hash
    assert [name for name in PINS if name.startswith(OF_TORCH_ALONE)] == []
    assert len(PINS) == len(PIN_LINES) > 100
    for wanted in map(Requirement, [*DECLARED, *PYPROJECT["build-system"]["requires"]]):
        assert wanted.specifier, f"{wanted} has no lower bound"
        assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)]), wanted


def test_lock_names_all_that_its_packages_need_and_admits_the_oldest_python():
    """Of packages that are installed here in the locked release."""
    missing, refused = [], []
    installed = {canonicalize_name(found.name): found for found in metadata.distributions()}
    for name in PINS.keys() & installed:
        found = installed[name]
        if found.version.partition("+")[0] != PINS[name]:
            continue
        python = SpecifierSet(found.metadata.get("Requires-Python", ""))
        if not python.contains(LOCKED_FOR["python_full_version"]):
            refused.append(f"{name} wants Python {python}")
        for needed in map(Requirement, found.requires or []):
            pinned = PINS.get(canonicalize_name(needed.name))
            if needed.marker and not needed.marker.evaluate(LOCKED_FOR):
                continue
            fits = pinned is not None and needed.specifier.contains(pinned)
            if not fits and not needed.name.startswith(OF_TORCH_ALONE):
                missing.append(f"{name} needs {needed}")
    assert missing == refused == []


def test_conda_environment_installs_the_lock_and_the_project_and_nothing_else():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, *rest = environment["dependencies"]
    assert rest == ["pip", {"pip": [f"-r {LOCK.relative_to(ROOT).as_posix()}", "-e ."]}]
    assert python == f"python={LOCKED_FOR['python_version']}"
    assert SpecifierSet(PROJECT["requires-python"]).contains(LOCKED_FOR["python_version"])


FOLDERS = ("senorita_lib", "notebooks", "tests", "benchmarks", "examples", "env", "docs")
SOURCES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.*"))
    if path.suffix in (".py", ".ipynb") and ".ipynb_checkpoints" not in path.parts
]


def imported(path):
    """Distributions that a module or a notebook imports itself, at any depth."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        text = re.sub(r"^[%!].*", "", text, flags=re.M)
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module.partition(".")[0])
    beside = (*path.parent.iterdir(), *(ROOT / "tests").iterdir())
    modules -= {"senorita_lib", *(other.stem for other in beside)} | sys.stdlib_module_names
    return {canonicalize_name(DISTRIBUTION.get(module, module)) for module in modules}


def test_imports_only_what_is_declared():
    """Training runs where no extra is installed; only figures and sliders need one."""
    for path in SOURCES:
        declared = DECLARED
        if ROOT / "senorita_lib" in path.parents:
            extra = EXTRAS["notebooks"] if path.parent.name == "figures" else []
            extra = CAMERA if path.name == "realsense.py" else extra
            declared = [*PROJECT["dependencies"], *extra]
        names = {canonicalize_name(Requirement(line).name) for line in declared}
        assert imported(path) <= names, path


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(\d.*?)\]", changelog, re.M)[1]
    assert senorita_lib.__version__ == citation["version"] == newest
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT  # the build takes __version__ of the package
