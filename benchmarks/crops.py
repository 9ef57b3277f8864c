"""Which way of cropping keeps the hand best, on synthetic frames, where the truth is known."""

import sys

from senorita_lib.datasets import SyntheticHand
from senorita_lib.experiments.cropstudy import compare_crops, quality_table


def main(count=400):
    """Print one table for boxes as given, and for rougher ones."""
    hands = SyntheticHand(seed=4)
    for slack in (0.0, 0.1, 0.2):
        how = f"moved by {slack:.0%} (sd), each side grown by up to {2 * slack:.0%}"
        print(f"{count} frames, boxes", how if slack else "as given")
        print(quality_table(compare_crops(hands, range(count), slack=slack)))


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
