"""The release's foreground: a histogram heuristic in place of Otsu's threshold.

The release computes :func:`senorita_lib.cropping.otsu_threshold`, but then uses what is below.
"""

import numpy as np


def valley_threshold(depth: np.ndarray) -> int:
    """The empty valley of the depth histogram behind the hand, mm, of a window (H, W), uint16 mm.

    It is the largest depth that counts as foreground; 0 for no threshold.
    """
    values = depth[depth > 0]
    if values.size == 0:
        return 0
    start, total = int(values.min()), values.size
    histogram = np.bincount(values - start)
    # Ten nearly empty bins (at most 5 each, under 4 together) behind a fifth of the mass.
    mass = i = 0
    while i < len(histogram):
        window = histogram[i : i + 10]
        if histogram[i]:
            mass += histogram[i]
            i += 1
            continue
        full = np.flatnonzero(window > 5)
        if not full.size and mass > 0.2 * total and window.sum() < 4:
            return start + i
        i += 1 + (int(full[0]) if full.size else 10)
    gap = _valley_between_peaks(histogram, total)
    return 0 if gap is None else start + gap


def _valley_between_peaks(histogram: np.ndarray, total: int) -> int | None:
    """The cut between the last two peaks (or three) that leaves 10-60 % of the pixels behind."""
    n, peaks = len(histogram), []
    reach = max(n // 6, 1)
    for i in np.flatnonzero(histogram >= 10).tolist():
        if histogram[i] >= histogram[max(0, i - reach + 1) : i + reach].max():
            peaks.append(i)
    if n <= 180 or len(peaks) < 2:
        return None
    first, last = peaks[-3 if len(peaks) > 3 and n > 380 else -2], peaks[-1]

    def leaves_enough(i: int) -> bool:
        return bool(0.1 * total < histogram[i:].sum() < 0.6 * total)

    near = max((last - first + 1) // 4, 1)
    lows = []
    for i in range(first, last):
        if histogram[i]:
            around = histogram[max(first, i - near + 1) : min(last, i + near)]
            if histogram[i] <= around.min():
                lows.append(i)
        else:
            end = min(last, i + 4)
            if (histogram[i:end] <= 1).all() and leaves_enough(end):
                return i
    # The release takes the shallowest of these minima, not the deepest.
    lowest = max(lows, key=lambda low: histogram[low], default=None)
    return lowest if lowest is not None and leaves_enough(lowest) else None
