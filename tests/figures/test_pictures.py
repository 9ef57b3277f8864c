"""Pictures of README and docs: each is drawn, and they show those and no others."""

import re

from conftest import ROOT

from senorita_lib.figures.pictures import draw_pictures
from senorita_lib.figures.style import png


def test_readme_and_docs_show_what_make_pictures_draws() -> None:
    drawn = {name: png(figure) for name, figure in draw_pictures().items()}
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    text = "".join(page.read_text("utf-8") for page in pages)
    shown = re.findall(r"pictures/(\w+)\.png", text)
    assert set(shown) == set(drawn) == {path.stem for path in (ROOT / "pictures").iterdir()}
    for name, picture in drawn.items():
        kept = (ROOT / "pictures" / f"{name}.png").read_bytes()
        assert picture[:24] == kept[:24]  # the header: width and height
