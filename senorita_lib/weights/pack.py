"""Pack the weights of a finished run and print their card."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from senorita_lib.commands import command
from senorita_lib.evaluation import POSES, format_table
from senorita_lib.files import atomic_write, read_json, user_path
from senorita_lib.model import HandPoseNet
from senorita_lib.weights import FOLDER, file_digest


def pack(
    run: str | os.PathLike[str], name: str, folder: str | os.PathLike[str] = FOLDER
) -> dict[str, Any]:
    """Write ``NAME.safetensors``, a run's weights as float16, and ``NAME.json``, their card."""
    if Path(name).name != name:
        raise ValueError(f"name is {name!r}, wanted a word for the weights, such as small")
    run, folder = user_path(run), user_path(folder)
    weights = folder / f"{name}.safetensors"
    model = HandPoseNet.load(run / "model.safetensors")
    result, seconds = (read_json(run / f"{n}.json") for n in ("result", "timing"))
    model.save(weights, half=True)
    card: dict[str, Any] = {
        **result, "seconds": seconds,
        "bytes": weights.stat().st_size, "sha256": file_digest(weights),
    }  # fmt: skip
    atomic_write(folder / f"{name}.json", json.dumps(card, indent=1) + "\n")
    return card


def describe(name: str, folder: str | os.PathLike[str] = FOLDER) -> str:
    """The figures of a card as text: recipe, images seen and errors on the five splits."""
    card = read_json(user_path(folder) / f"{name}.json")
    recipe = card["recipe"]
    rows = {label: card["errors"][key] for key, label in POSES.items()}
    seen = ", ".join(f"{images:,} ({stage})" for stage, images in card["images"].items())
    table = format_table(rows, "mean joint error on synthetic test frames, mm")
    return (
        f"recipe {recipe['name']}, Model {recipe['model']}, seed {recipe['seed']}, "
        f"{card['bytes'] / 1e6:.1f} MB, sha256 {card['sha256'][:12]}…\n"
        f"images seen: {seen}\n{table}"
    )


@command
def main() -> None:
    """Pack and describe."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.weights", description=__doc__)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("name", help="name of the weights, such as small")
    chosen = parser.parse_args()
    pack(chosen.run, chosen.name)
    print(describe(chosen.name))
