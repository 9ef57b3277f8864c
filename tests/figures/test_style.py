"""What all figures share: the scale of depth."""

import numpy as np

from senorita_lib.figures import style


def test_images_have_one_scale_in_mm_and_grey_ones_none() -> None:
    image = np.linspace(-1, 0.9, 256).reshape(16, 16)
    *cells, bar = style.grid_figure([image] * 5, list("ab"), columns=2).axes
    assert bar.get_ylabel() == style.NEARER
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−100", "−50", "0", "50", "100"]
    np.testing.assert_array_equal(cells[0].images[0].get_array(), image)
    assert cells[0].images[0].get_clim() == (-0.999, 1)  # below is background
    assert len(style.grid_figure([image], colours=style.GREY_MAP, columns=1).axes) == 1
