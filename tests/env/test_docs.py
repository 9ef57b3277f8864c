"""README and docs: what they say is what there is."""

import re
import runpy
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from test_floors import imports

import senorita_lib
from senorita_lib.experiments.ledger import load_claims, load_ledger
from senorita_lib.weights import describe

README = (ROOT / "README.md").read_text("utf-8")
DOCS = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
# Read on the way by all sections, and of none.
INNER = {"__main__", "commands", "files", "notebook", "tables"}


def test_readmes_example_gives_a_pose() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    names: dict = {}
    exec(code, names)
    error = np.linalg.norm(names["pose"].joints_mm - names["frame"].joints, axis=-1).mean()
    assert error < 15 and names["pose"].pixels.shape == (21, 2)


def test_readme_is_short_and_tells_the_errors_of_the_weights_and_the_pythons() -> None:
    for name, *errors in (re.split(" {2,}", line) for line in describe("small").splitlines()[3:]):
        assert f"\n| {name} | {' | '.join(errors)} |\n".replace("|  |", "| |") in README
    pythons = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert f"Python {', '.join(pythons)}]" in README
    assert " | ".join(pythons) in (ROOT / "docs" / "badges" / "python.svg").read_text("utf-8")
    assert len(README.split()) < 1100
    claims = load_ledger()["claims"]
    n = Counter(row["verdict"] for row in claims)
    said = f"{n['supported']} are supported, {n['not supported']} are not, "
    said += f"{n['inconclusive']} are inconclusive"
    assert sum(n.values()) == n["supported"] + n["not supported"] + n["inconclusive"]
    assert f"of {len(claims)} claims, {said}" in " ".join(README.split())


def test_map_leads_from_each_section_to_a_module_its_test_and_a_notebook() -> None:
    rows = re.findall(r"^\| .* \| (.*\]\(.*) \| (.*) \| (.*) \|$", DOCS["map"], re.M)
    assert len(rows) > 12
    seen: set[str] = set()
    for row in rows:
        modules, tests, notebooks = (
            [(ROOT / "docs" / path).resolve(strict=True) for path in re.findall(r"\]\((.*?)\)", c)]
            for c in row
        )
        assert modules and tests
        files = [file for path in tests for file in (path, *path.rglob("*.py")) if file.is_file()]
        imported = set().union(*map(imports, files))
        for path in modules:
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            wide = {name, name.rpartition(".")[0]} if name.count(".") > 1 else {name}
            inside = {found for found in imported if found.startswith(f"{name}.")}
            assert path.suffix == ".toml" or inside or wide & imported, name
        seen |= {path.relative_to(ROOT).parts[1] for path in (*modules, *notebooks)}
    rooms = {
        path.name for path in (ROOT / "senorita_lib").glob("[!_]*") if path.suffix in ("", ".py")
    }
    assert rooms - {f"{name}.py" for name in INNER} <= seen
    assert {path.name for path in ROOT.glob("notebooks/*.ipynb")} <= seen
    sections = ["2.1", "2.2", "2.3", "2.4", "2.5", "3", "3.1", "4"]
    assert sorted(set(re.findall(r"^\| §([\d.]+)", DOCS["map"], re.M))) == sections


def test_page_of_the_release_has_the_ledgers_words() -> None:
    for row in load_claims()["differences"]:
        cells = (" ".join(row[key].split()) for key in ("matter", "paper", "release", "changes"))
        assert f"\n| {' | '.join(cells)} |\n" in DOCS["release"]


def test_site_warns_of_what_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """``make docs`` stops at a warning."""
    for needed in ("mkdocs", "griffe", "latex2mathml"):
        pytest.importorskip(needed)
    hooks = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "hooks.py")))
    text = "[a](../tests/test_hand.py) `[b](x.md)` [c](../senorita_lib/hand.py#d)"
    moved, linked = hooks.with_links(text, "docs/map.md", "map.md")
    assert moved == "[a](files/tests/test_hand.py.md) `[b](x.md)` [c](api/hand.md#d)"
    assert linked == {"tests/test_hand.py", "senorita_lib/hand.py"}
    good = hooks.on_page_content(r'<span class="arithmatex">\(\gamma\)</span>')
    assert "<math" in good and "γ" in good.replace("&#x003B3;", "γ") and not caplog.records
    hooks.with_links("[a](no.md)", "docs/map.md", "map.md")
    hooks.on_page_content(r'<span class="arithmatex">\(\gama\)</span>')
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    roles = hooks.griffe.Extensions(hooks.Roles())
    package = hooks.griffe.load("senorita_lib", search_paths=[ROOT], extensions=roles)
    parts = package["predictor.Predictor.predict"].docstring.parsed
    assert {"parameters", "raises"} <= {part.kind.value for part in parts}
    assert set(senorita_lib.__all__) == {name for n in hooks.modules().values() for name in n}
