import dataclasses

import numpy as np
import pytest

from senorita_lib.camera import SR300


def test_axes_are_right_down_forward():
    xyz = np.array([[0.0, 0, 500], [10, 0, 500], [0, 10, 500]])
    u, v, z = SR300.project(xyz).T
    assert u[0] == SR300.cx and v[0] == SR300.cy
    assert u[1] > u[0] and v[2] > v[0] and (z == 500).all()


def test_matches_the_authors_pinhole(golden):
    data = golden("geometry")
    np.testing.assert_allclose(SR300.project(data["joints"])[..., :2], data["pinhole"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [("fx", 0, "positive"), ("width", 0, "positive"), ("fy", np.inf, "finite"),
     ("cy", np.nan, "finite")],
)  # fmt: skip
def test_impossible_cameras_are_refused(name, value, found):
    with pytest.raises(ValueError, match=f"not {found}"):
        dataclasses.replace(SR300, **{name: value})
