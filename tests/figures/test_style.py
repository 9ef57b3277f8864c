"""What all figures share: captions, the scale of depth, hands drawn over colours."""

import IPython.display
import numpy as np
import pytest

from senorita_lib.figures import style


def test_a_caption_is_also_the_alt_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple] = []
    monkeypatch.setattr(IPython.display, "display", lambda b, **kwargs: shown.append((b, kwargs)))
    style.show(style.new_figure()[0], caption="A square.")
    ((bundle, options),) = shown
    assert bundle["text/plain"] == "A square."
    assert options == {"raw": True, "metadata": {"image/png": {"alt": "A square."}}}
    assert set(bundle) == {"image/png", "text/plain"}


def test_images_have_one_scale_in_mm_and_grey_ones_none() -> None:
    image = np.linspace(-1, 0.9, 256).reshape(16, 16)
    *cells, bar = style.grid_figure([image] * 5, list("ab"), columns=2).axes
    assert bar.get_ylabel() == style.NEARER
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−100", "−50", "0", "50", "100"]
    np.testing.assert_array_equal(cells[0].images[0].get_array(), image)
    assert cells[0].images[0].get_clim() == (-0.999, 1)  # below is background
    assert len(style.grid_figure([image], colours=style.GREY_MAP, columns=1).axes) == 1
