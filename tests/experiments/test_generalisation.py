"""Frames under other conditions, and the table of errors."""

import numpy as np
import pytest

from senorita_lib.camera import SR300
from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.experiments.generalisation import CONDITIONS, main, measure, table
from senorita_lib.predictor import Predictor

FRAMES = [SyntheticHand(3).frame(i, "interp") for i in range(3)]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_joints_stay_where_they_are_seen(condition):
    for frame in FRAMES:
        seen = CONDITIONS[condition](frame)
        camera = seen.camera
        assert seen.depth.shape == (camera.height, camera.width)
        u, v = np.rint(camera.project(seen.joints)[:, :2].astype(float).T).astype(int)
        u0, v0 = np.rint(SR300.project(frame.joints)[:, :2].astype(float).T).astype(int)
        if condition == "half resolution":
            u0, v0 = 2 * u, 2 * v
        found, before = seen.depth[v, u].astype(int), frame.depth[v0, u0].astype(int)
        same = found == before
        if condition == "holding a box":
            assert 0.3 < same.mean() < 1 and (found <= before)[before > 0].all()
            continue
        assert same.mean() > 0.9  # others are rounded to a neighbour
        assert np.median(np.abs(found[found > 0] - seen.joints[found > 0, 2])) < 20
        x1, y1, x2, y2 = seen.box
        assert x1 <= u.min() + 1 and u.max() - 1 <= x2 and y1 <= v.min() + 1 and v.max() - 1 <= y2


def test_the_table_sums_up_the_frames():
    predictor = Predictor.load("small")
    errors, rows = measure(predictor, FRAMES), table(predictor, "some", FRAMES)
    assert rows.loc["some", "error_mm"] == pytest.approx(errors["error_mm"].mean())
    assert rows.loc["some", "frames"] == 3 and rows.loc["some", "missing"] == 0
    # A left hand is the mirror of a right one.
    assert rows.loc["some left hands", "error_mm"] == pytest.approx(errors["error_mm"].mean(), 0.02)
    assert rows.loc["some rolled by 180°", "error_mm"] < errors["error_mm"].mean() + 5
    assert rows.loc["some", "outside, %"] < 5 and rows.loc["some", "centre_mm"] < 15


def test_command_line(capsys):
    main(["small", "--sets", "mesh", "--count", "2"])
    assert "mesh half resolution" in capsys.readouterr().out
