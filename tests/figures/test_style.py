"""What all figures share: captions, the scale of depth, hands drawn over colours."""

import io

import IPython.display
import numpy as np
import pytest
from PIL import Image

from senorita_lib.figures.style import (
    GREY_MAP,
    IMAGE_MAP,
    NEARER,
    draw_crop,
    draw_depth,
    grid_figure,
    mime_bundle,
    new_figure,
    png,
    show,
)


@pytest.mark.parametrize("width", [2, 4, 12])
def test_a_caption_fits_below_the_picture_and_changes_nothing_in_it(width: int) -> None:
    figure, _ = new_figure(width=width, height=1)
    words = "WORDS OF MANY WIDTHS, as 12 × 12 mm, till it ends; " * 4
    plain, told = (
        np.asarray(Image.open(io.BytesIO(png(figure, None, text)))) for text in ("", words)
    )
    np.testing.assert_array_equal(told[: len(plain)], plain)
    below = told[len(plain) :]
    assert below.min() < 128
    assert (below[:, -2:] == 255).all() and (below[-1] == 255).all()  # no word is cut off


def test_a_caption_is_also_the_alt_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple] = []
    monkeypatch.setattr(
        IPython.display, "display", lambda bundle, **options: shown.append((bundle, options))
    )
    show(new_figure()[0], caption="A square.")
    ((bundle, options),) = shown
    assert bundle["text/plain"] == "A square."
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "A square."}}}
    assert set(mime_bundle(new_figure()[0])) == {"image/png", "text/plain"}


def test_images_have_one_scale_in_mm_and_grey_ones_none() -> None:
    image = np.linspace(-1, 0.9, 256).reshape(16, 16)
    *cells, bar = grid_figure([image] * 5, list("ab"), columns=2).axes
    assert bar.get_ylabel() == NEARER
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−100", "−50", "0", "50", "100"]
    np.testing.assert_array_equal(cells[0].images[0].get_array(), image)
    assert cells[0].images[0].get_clim() == (-0.999, 1)  # below is background
    assert len(grid_figure([image], colours=GREY_MAP, columns=1).axes) == 1


def test_depth_and_image_of_one_place_have_one_colour() -> None:
    """Near is bright in both, and the colours are the same at the cube's ends."""
    _, (axes,) = new_figure(1, 2)
    depth = draw_depth(axes[0], np.array([[400.0, 500.0, 600.0]]), "", False, (400, 600))
    crop = draw_crop(axes[1], np.array([[1.0, 0.0, -0.999]]))
    colours = [shown.to_rgba(shown.get_array()) for shown in (depth, crop)]
    np.testing.assert_allclose(*colours, atol=0.02)
    assert colours[0][0, 0].sum() > colours[0][0, 2].sum()
    nothing = draw_depth(axes[0], np.array([[0.0, 500.0]]), "", False)
    np.testing.assert_array_equal(
        nothing.to_rgba(nothing.get_array())[0, 0], IMAGE_MAP(np.ma.masked)
    )
