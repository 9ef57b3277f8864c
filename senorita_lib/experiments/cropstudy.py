"""How well each way of cropping keeps the hand and drops the rest, where the truth is known."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd

from senorita_lib.cropping import HandNotFoundError, crop_hand
from senorita_lib.datasets.synthetic.frames import SyntheticHand

Way = tuple[Literal["otsu", "valley"], Literal["mass", "box"]]  # foreground and centre
WAYS: tuple[Way, ...] = (("otsu", "mass"), ("otsu", "box"), ("valley", "mass"), ("valley", "box"))
_WAY = ("foreground", "centre")
COLUMNS = ("hand lost", "arm", "background", "off centre", "joints out", "bad frames")
_SKIN_MM = 15  # a pixel this near to the exact surface shows it


def compare_crops(
    hands: SyntheticHand, indices: Iterable[int], *, slack: float = 0.0
) -> pd.DataFrame:
    """Crop synthetic frames in every way and compare with what their pixels really show.

    Boxes are as rough as a detector's: moved by normal draws with a standard deviation of ``slack``
    of their longer side, and each side grows by up to twice as much.

    Means over the frames, a row for each foreground and centre of
    :func:`~senorita_lib.cropping.crop_hand`: the share of the hand's pixels that the crop lost; the
    shares of its pixels that show the arm, and neither hand nor arm; the distance of the cube's
    centre from the middle of the hand's visible points, mm; the share of joints outside the box or
    cube; and the share of frames that lost over a tenth of the hand, or in which none was found.
    """
    found = np.array([_frame(hands, index, slack) for index in indices])
    bad = (found[..., :1] > 0.1).astype(float)
    means = np.nanmean(np.concatenate([found, bad], axis=-1), axis=0)
    return pd.DataFrame(means, pd.MultiIndex.from_tuples(WAYS, names=_WAY), COLUMNS)


def _frame(hands: SyntheticHand, index: int, slack: float) -> np.ndarray:
    """One frame's values of ``COLUMNS`` but the last, (ways, 5)."""
    pose, frame = hands.pose(index), hands.frame(index)
    flesh = np.abs(frame.depth - hands.surface(pose)) < _SKIN_MM
    hand = flesh & hands.mask(pose)
    v, u = np.nonzero(hand)
    if not len(u):  # it lies outside the picture: nothing to lose
        return np.array([[0.0] + 4 * [np.nan]] * len(WAYS))
    middle = hands.camera.unproject(np.stack([u, v, frame.depth[v, u]], axis=1).astype(float))
    rng = np.random.default_rng([hands.seed, index])
    shift, grow = rng.normal(size=2) * slack, rng.uniform(0, 2 * slack)
    longer = (frame.box[2:] - frame.box[:2]).max()
    box = frame.box + longer * np.concatenate([shift - grow, shift + grow])
    rows = []
    for foreground, centre in WAYS:
        try:
            crop = crop_hand(frame.depth, box, hands.camera, foreground=foreground, centre=centre)
        except HandNotFoundError:
            rows.append([1.0] + 4 * [np.nan])
            continue
        row, column = np.nonzero(crop.steps["hand_depth"])
        kept = np.zeros_like(hand)
        kept[row + int(crop.box[1]), column + int(crop.box[0])] = True
        uvd = crop.to_uvd(np.asarray(frame.joints))
        lost = 1 - (kept & hand).sum() / hand.sum()
        arm, behind = ((kept & part).sum() / kept.sum() for part in (flesh & ~hand, ~flesh))
        off = float(np.linalg.norm(crop.cube_centre - middle.mean(axis=0)))
        rows.append([lost, arm, behind, off, ((uvd < 0) | (uvd > 1)).any(axis=1).mean()])
    return np.array(rows)


def quality_table(quality: pd.DataFrame) -> str:
    """The comparison as text."""
    forms = ("{:.2%}", "{:.1%}", "{:.2%}", "{:.1f} mm", "{:.1%}", "{:.1%}")
    formatters = {name: form.format for name, form in zip(COLUMNS, forms, strict=True)}
    widths = [10, 6, 10, 7, 11, 11, 11, 11]
    return quality.reset_index().to_string(index=False, formatters=formatters, col_space=widths)
