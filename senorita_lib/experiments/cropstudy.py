"""How well each way of cropping keeps the hand and drops the rest, where the truth is known."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from senorita_lib.cropping import HandNotFoundError, crop_hand

WAYS = tuple(product(("otsu", "valley"), ("mass", "box")))  # foreground and centre
_SKIN_MM = 15  # a pixel this near to the exact surface shows it


@dataclass(frozen=True)
class CropQuality:
    """What a way of cropping does to frames, means over them.

    Attributes
    ----------
    lost : float
        Share of the hand's pixels that the crop does not hold.
    arm, background : float
        Share of the crop's pixels that show the arm, or neither hand nor arm.
    off_centre : float
        Distance of the cube's centre from the middle of the hand's visible points, mm.
    joints_out : float
        Share of joints outside the crop's box or its cube.
    bad : float
        Share of frames that lose over a tenth of the hand, or in which none is found.
    """

    lost: float
    arm: float
    background: float
    off_centre: float
    joints_out: float
    bad: float


def compare_crops(hands, indices, split="train", *, slack=0.0):
    """Crop synthetic frames in every way and compare with what their pixels really show.

    Parameters
    ----------
    hands : SyntheticHand
    indices : iterable of int
    split : str
    slack : float
        How rough the boxes are, as a detector's: moved by normal draws with a standard deviation
        of this share of their longer side, and on each side grown by up to twice as much.

    Returns
    -------
    dict
        (foreground, centre), as :func:`senorita_lib.cropping.crop_hand` takes them, to
        :class:`CropQuality`.
    """
    found = [_frame(hands, index, split, slack) for index in indices]
    qualities = {}
    for way, rows in zip(WAYS, np.moveaxis(np.array(found), 1, 0), strict=True):
        lost, *others = rows.T
        means = [float(np.nanmean(column)) for column in others]
        qualities[way] = CropQuality(float(lost.mean()), *means, float((lost > 0.1).mean()))
    return qualities


def _frame(hands, index, split, slack):
    """Rows of one frame, (ways, 5)."""
    pose, frame = hands.pose(index, split), hands.frame(index, split)
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
        uvd = crop.to_uvd(frame.joints)
        rows.append(
            [
                1 - (kept & hand).sum() / hand.sum(),
                (kept & flesh & ~hand).sum() / kept.sum(),
                (kept & ~flesh).sum() / kept.sum(),
                np.linalg.norm(crop.cube_centre - middle.mean(axis=0)),
                ((uvd < 0) | (uvd > 1)).any(axis=1).mean(),
            ]
        )
    return np.array(rows)


def quality_table(qualities):
    """The comparison as lines of text."""
    lines = [
        f"{'foreground':>10} {'centre':>6} {'hand lost':>10} {'arm':>7} {'background':>11}"
        f" {'off centre':>11} {'joints out':>11} {'bad frames':>11}"
    ]
    for (foreground, centre), q in qualities.items():
        lines.append(
            f"{foreground:>10} {centre:>6} {q.lost:>10.2%} {q.arm:>7.1%} {q.background:>11.2%}"
            f" {q.off_centre:>8.1f} mm {q.joints_out:>11.1%} {q.bad:>11.1%}"
        )
    return "\n".join(lines)
