"""The README's pictures: each is drawn, and the README shows those and no others."""

import re

import pytest
from conftest import ROOT

from senorita_lib.figures.pictures import PICTURES
from senorita_lib.figures.style import FINGER_COLOURS, png


def test_readme_shows_what_make_pictures_draws():
    shown = re.findall(r"pictures/(\w+)\.png", (ROOT / "README.md").read_text("utf-8"))
    assert set(shown) == set(PICTURES) == {path.stem for path in (ROOT / "pictures").iterdir()}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_in_the_size_of_the_committed_one(name):
    drawn, kept = png(PICTURES[name]()), (ROOT / "pictures" / f"{name}.png").read_bytes()
    assert drawn[:24] == kept[:24]  # the header: width and height


def test_readme_has_no_gaps():
    assert not re.search(r"@[A-Z]+@|TODO|XXX", (ROOT / "README.md").read_text("utf-8"))


def test_the_fingers_colours_are_the_fingers_alone():
    for path in (ROOT / "senorita_lib").glob("*.py"):
        found = [colour for colour in FINGER_COLOURS if colour in path.read_text("utf-8").lower()]
        assert not found or path.stem == "plotting", f"{path.name} has {found}"
