"""Whether predicted poses can be right hands, in mm, their joints in HANDS19's order."""

import numpy as np

from senorita_lib.hand import joints_to_bones

_NEAREST = 100  # mm; no hand is nearer to the camera, and in centimetres none is as far
_LONGEST_BONE = 300  # mm; three times what a hand has
_TOGETHER = (200, 1600)  # mm, of all bones; children's hands have 450 and more, big men's 1,100


def _by_finger(chain):
    """Where HANDS19's joints are if a finger's four, as ``chain`` counts them, come together."""
    first, *others = chain
    return [0, *range(first, 21, 4), *(4 * f + k for f in range(5) for k in others)]


# In its own order a hand's bones are shorter, together, than if it is read in one of these.
_ORDERS = {
    "finger by finger": _by_finger((1, 2, 3, 4)),
    "finger by finger, tips first": _by_finger((4, 3, 2, 1)),
    "with each finger's last three reversed": [*range(6), *(8 + i - i % 3 * 2 for i in range(15))],
    "with the five tips last": [*range(6), *(6 + i // 3 + i % 3 * 5 for i in range(15))],
    "with the wrist last": [20, *range(20)],
}
_HANDS19 = "HANDS19's order: wrist, five knuckles, then the other three of each finger"
# What hands have that are not right, and what was wanted.
VERDICTS = (
    *((f"their joints {words}", _HANDS19) for words in _ORDERS),
    ("bones of no hand's size", "{} to {} mm together".format(*_TOGETHER)),
    ("knuckles nearer to the wrist than to the next joints", _HANDS19),
    ("the look of left hands", "right ones, x right, y down and z forward"),
)


def impossible(hands):
    """What not even a poor prediction can be: the first such hand, and what it has, in words.

    Parameters
    ----------
    hands : array, (N, 21, 3)
        Camera frame, mm.

    Returns
    -------
    tuple of int and str, or None
    """
    nearest, depth = hands[..., 2].min(axis=1), hands[..., 2].mean(axis=1)
    longest = np.linalg.norm(joints_to_bones(hands), axis=-1).max(axis=1)
    bad = (nearest <= 0) | (depth < _NEAREST) | (longest > _LONGEST_BONE)
    if not bad.any():
        return None
    i = int(bad.argmax())
    if nearest[i] <= 0:
        what = f"a joint at z = {nearest[i]:g}, wanted more than 0"
    elif depth[i] < _NEAREST:
        what = f"a mean z of {depth[i]:.3g}, wanted mm, {_NEAREST} or more"
    else:
        what = f"a bone of {longest[i]:.0f} mm, wanted {_LONGEST_BONE} at most and x, y, z by turns"
    return i, what


def judge(hands):
    """For each hand (N, 21, 3) 0 if it looks right, else which of ``VERDICTS`` it is, from 1.

    Of real, synthetic and poorly predicted hands most look right; with another order of joints or
    of axes few do.
    """
    lengths = np.linalg.norm(joints_to_bones(hands), axis=-1)
    together = lengths.sum(axis=1)
    others = [
        np.linalg.norm(joints_to_bones(hands[:, order]), axis=-1).sum(axis=1)
        for order in _ORDERS.values()
    ]
    order = np.argmin([together, *others], axis=0)
    small_or_large = (together < _TOGETHER[0]) | (together > _TOGETHER[1])
    # Without the thumb, whose first joint lies at the wrist.
    to_knuckles, to_next = lengths[:, 7::4].sum(axis=1), lengths[:, 6::4].sum(axis=1)
    # Fingers bend towards the palm, which is on this side of a right hand's knuckles.
    palm = np.cross(hands[:, 2] - hands[:, 0], hands[:, 5] - hands[:, 0])
    tips = (hands[:, 11::3] - hands[:, 2:6]).sum(axis=1)
    left = (palm * tips).sum(axis=1) < 0
    size, knuckles, side = range(len(_ORDERS) + 1, len(VERDICTS) + 1)
    return np.select(
        [small_or_large, order > 0, to_next > to_knuckles, left], [size, order, knuckles, side]
    )
