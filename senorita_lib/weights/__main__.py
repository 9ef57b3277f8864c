"""``python -m senorita_lib.weights RUN NAME`` packs a run's weights."""

import argparse

from senorita_lib import weights
from senorita_lib.commands import command


@command
def main() -> None:
    """Command line: a run and a name."""
    what = "Pack the weights of a finished run and print their card."
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.weights", description=what)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("name", help="name of the weights, such as small")
    chosen = parser.parse_args()
    weights.pack(chosen.run, chosen.name)
    print(weights.describe(chosen.name))


if __name__ == "__main__":
    main()
