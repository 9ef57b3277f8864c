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
    draw_hand,
    grid_figure,
    mime_bundle,
    new_figure,
    png,
    show,
)


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int)


@pytest.fixture
def image():
    image = np.full((16, 16), -1.0)
    image[4:12, 4:12] = np.linspace(-0.9, 0.9, 8)
    return image


def test_a_caption_goes_below_the_picture_and_changes_nothing_in_it():
    figure, _ = new_figure(width=3)
    plain, told = (pixels(png(figure, None, words)) for words in ("", "what to see " * 20))
    assert told.shape[1] == plain.shape[1] and len(told) > len(plain)
    np.testing.assert_array_equal(told[: len(plain)], plain)
    below = told[len(plain) :]
    assert below.min() < 128
    assert (below[:, -2:] == 255).all() and (below[-1] == 255).all()  # no word is cut off


@pytest.mark.parametrize("width", [2, 4, 12])
def test_captions_of_any_width_fit(width):
    figure, _ = new_figure(width=width, height=1)
    told = pixels(png(figure, None, "WORDS OF MANY WIDTHS, as 12 × 12 mm, till it ends; " * 4))
    below = told[80:]
    assert (below[:, -2:] == 255).all() and (below[-1] == 255).all()


def test_a_caption_is_also_the_text_for_who_sees_no_picture(monkeypatch):
    shown = []
    monkeypatch.setattr(
        IPython.display, "display", lambda bundle, **options: shown.append((bundle, options))
    )
    show(new_figure()[0], caption="A square.")
    ((bundle, options),) = shown
    assert bundle["text/plain"] == "A square."
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "A square."}}}
    assert set(mime_bundle(new_figure()[0])) == {"image/png", "text/plain"}


def test_images_have_one_scale_in_mm_and_grey_ones_none(image):
    figure = grid_figure([image] * 5, list("ab"), columns=2, row_names=["first", "second"])
    *cells, bar = figure.axes
    assert bar.get_ylabel() == NEARER
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−100", "−50", "0", "50", "100"]
    shown = cells[0].images[0]
    np.testing.assert_array_equal(shown.get_array(), image)
    assert shown.get_clim() == (-0.999, 1)  # below is background
    assert [cell.get_ylabel() for cell in cells[::2]] == ["first", "second", ""]
    assert [cell.get_title() for cell in cells[:2]] == ["a", "b"]
    assert len(grid_figure([image], colours=GREY_MAP, columns=1).axes) == 1


def test_a_scale_is_as_long_beside_many_rows_as_beside_one(image):
    lengths = []
    for rows in (1, 6):
        figure = grid_figure([image] * rows, columns=1)
        figure.canvas.draw()
        lengths.append(figure.axes[-1].get_window_extent().height)
    assert lengths[1] < 1.5 * lengths[0]


def test_depth_and_image_of_one_place_have_one_colour():
    """Near is bright in both, and the colours are the same at the cube's ends."""
    figure, (axes,) = new_figure(1, 2)
    depth = draw_depth(axes[0], np.array([[400.0, 500.0, 600.0]]), "", False, (400, 600))
    crop = draw_crop(axes[1], np.array([[1.0, 0.0, -0.999]]))
    colours = [shown.to_rgba(shown.get_array()) for shown in (depth, crop)]
    np.testing.assert_allclose(*colours, atol=0.02)
    assert colours[0][0, 0].sum() > colours[0][0, 2].sum()
    nothing = draw_depth(axes[0], np.array([[0.0, 500.0]]), "", False)
    np.testing.assert_array_equal(
        nothing.to_rgba(nothing.get_array())[0, 0], IMAGE_MAP(np.ma.masked)
    )


def test_a_halo_is_white_and_below_the_bones():
    points = np.stack([np.linspace(0, 100, 21), np.linspace(0, 100, 21) ** 1.1], axis=1)
    drawn = []
    for halo in (False, True):
        figure, ((axes,),) = new_figure(1, 1)
        axes.imshow(np.zeros((120, 170)), cmap="gray")
        axes.set_axis_off()
        draw_hand(axes, points, dots=0, halo=halo)
        drawn.append(pixels(png(figure, None)))
    white = [(picture > 250).all(axis=-1).sum() for picture in drawn]
    assert white[1] > white[0]
