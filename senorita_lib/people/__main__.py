"""What MPII and Human3.6M hold and lack: ``python -m senorita_lib.people ROOT``."""

import argparse
from functools import partial

import pandas as pd
from tqdm.contrib.concurrent import thread_map

from senorita_lib.commands import command
from senorita_lib.people.crops import BodySet
from senorita_lib.people.readers import find_people

_MISSING = "is missing, wanted an image"


def problem(people: BodySet, row: int) -> str:
    """What is wrong with a person's image, if anything."""
    try:
        people.image(row)
    except FileNotFoundError as error:
        return f"{error.filename} {_MISSING}"
    except (ValueError, OSError) as error:
        return str(error)
    return ""


@command
def main(arguments: list[str] | None = None) -> None:
    """Command line: print the table; exit status 1 if an image is missing or cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.people", description=__doc__)
    parser.add_argument("root", help="the folder that holds MPII, Human36M or both")
    table, bad = {}, []
    for people in find_people(parser.parse_args(arguments).root):
        rows = {name: row for row, name in enumerate(people.names)}.values()
        found = [*filter(None, thread_map(partial(problem, people), rows, desc="images"))]
        missing = sum(said.endswith(_MISSING) for said in found)
        table[type(people).__name__] = len(rows), len(people), missing, len(found) - missing
        bad += found
    columns = ["images", "labelled people", "missing images", "problems"]
    print(pd.DataFrame([*table.values()], [*table], columns).to_string(), *bad[:9], sep="\n")
    parser.exit(int(bool(bad)))


if __name__ == "__main__":
    main()
