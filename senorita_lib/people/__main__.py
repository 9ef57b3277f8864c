"""What MPII and Human3.6M hold and lack: ``python -m senorita_lib.people ROOT``."""

import argparse

import pandas as pd
from tqdm.contrib.concurrent import thread_map

from senorita_lib.commands import command
from senorita_lib.people.batches import find_people
from senorita_lib.people.crops import BodySet


def problems(people: BodySet, missing: list[str]) -> list[str]:
    """What is wrong with the images that exist, each read once: a sentence for each bad one."""
    gone = set(missing)
    there = {name: row for row, name in enumerate(people.names) if name not in gone}

    def problem(row: int) -> str:
        try:
            people.image(row)
        except (ValueError, OSError) as error:
            return str(error)
        return ""

    return [words for words in thread_map(problem, there.values(), desc="images") if words]


@command
def main(arguments: list[str] | None = None) -> None:
    """Command line: print the table; exit status 1 if an image is missing or cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.people", description=__doc__)
    parser.add_argument("root", help="the folder that holds MPII, Human36M or both")
    chosen = parser.parse_args(arguments)
    table: dict[str, list[int]] = {}
    bad: list[str] = []
    for people in find_people(chosen.root):
        missing = people.missing()
        bad += (own := problems(people, missing))
        images = len(set(people.names))
        table[type(people).__name__] = [images, len(people), len(missing), len(own)]
    columns = ["images", "labelled people", "missing images", "problems"]
    print(pd.DataFrame([*table.values()], [*table], columns).to_string(), *bad[:9], sep="\n")
    parser.exit(int(any(missing or wrong for _, _, missing, wrong in table.values())))


if __name__ == "__main__":
    main()
