"""Imports go down only: from a figure to the method, never from the method to a figure."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "senorita_lib"
# From the ground up; a module imports from its own floor and from those below it.
FLOORS = (
    {"commands", "files", "tables", "_arguments", "_arrays", "hand", "camera"},
    {"cropping", "representations", "estimator", "renderer", "refinement", "losses",
     "augmentation", "boxes", "diagnosis", "evaluation", "submission", "realsense", "recipes",
     "sensing", "views"},
    {"release", "rivals"},
    {"model", "datasets"},
    {"training", "predictor", "weights", "recordings", "checks", "export"},
    {"people"},
    {"experiments"},
    {"figures", "notebook"},
    {"__main__", "console"},
)  # fmt: skip
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(LIBRARY.rglob("*.py"))
    if path != LIBRARY / "__init__.py"  # the public surface, which imports on demand
}


def floor(module: str) -> int:
    room = module.split(".")[1]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> set[str]:
    """Modules of the library that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_upward(module: str) -> None:
    above = [name for name in imports(MODULES[module]) if floor(name) > floor(module)]
    assert not above


def test_there_is_no_circle() -> None:
    graph = {module: imports(path) - {module} for module, path in MODULES.items()}
    while leaves := {module for module, needed in graph.items() if not needed}:
        graph = {module: needed - leaves for module, needed in graph.items() if needed}
    assert not graph
