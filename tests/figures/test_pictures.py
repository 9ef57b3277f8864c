"""The README's pictures: each is drawn, and the README shows those and no others."""

import re

from conftest import ROOT

from senorita_lib.figures.pictures import draw_pictures
from senorita_lib.figures.style import png


def test_readme_shows_what_make_pictures_draws() -> None:
    drawn = {name: png(figure) for name, figure in draw_pictures().items()}
    shown = re.findall(r"pictures/(\w+)\.png", (ROOT / "README.md").read_text("utf-8"))
    assert set(shown) == set(drawn) == {path.stem for path in (ROOT / "pictures").iterdir()}
    for name, picture in drawn.items():
        kept = (ROOT / "pictures" / f"{name}.png").read_bytes()
        assert picture[:24] == kept[:24]  # the header: width and height
