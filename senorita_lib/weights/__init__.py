"""Trained weights that come with the package, each with a card of what it is and cannot do.

``python -m senorita_lib.weights RUN NAME`` packs those of a finished run.
"""

import argparse
import hashlib
import json
from pathlib import Path

from senorita_lib.evaluation import POSES, format_table
from senorita_lib.files import atomic_write
from senorita_lib.model import HandPoseNet

FOLDER = Path(__file__).parent


def find_weights(name):
    """The file of weights that come with the package.

    Parameters
    ----------
    name : str
        Such as ``small``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there are none of that name.
    ValueError
        If the file is not what its card says.
    """
    path, card = FOLDER / f"{name}.safetensors", FOLDER / f"{name}.json"
    if not card.is_file():
        raise FileNotFoundError(
            f"{name} is not there, wanted weights, the folder of a finished run or one of {names()}"
        )
    wanted = json.loads(card.read_text())["sha256"]
    if not path.is_file() or _digest(path) != wanted:
        raise ValueError(f"{path} is missing or damaged, wanted the file of sha256 {wanted[:12]}…")
    return path


def names():
    """Names of the weights that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def pack(run, name, folder=FOLDER):
    """Weights of a finished run as float16, with what is known of them.

    Parameters
    ----------
    run : path
        The folder of the run.
    name : str
    folder : path
        Where ``NAME.safetensors`` and ``NAME.json`` go.

    Returns
    -------
    dict
        What ``NAME.json`` holds: the run's result, images seen and the file's sha256.
    """
    run, folder = Path(run), Path(folder)
    weights = folder / f"{name}.safetensors"
    result = json.loads((run / "result.json").read_text())
    HandPoseNet.load(run / "model.safetensors").save(weights, half=True)
    card = {
        **result,
        "seconds": json.loads((run / "timing.json").read_text()),
        "bytes": weights.stat().st_size,
        "sha256": _digest(weights),
    }
    atomic_write(folder / f"{name}.json", (json.dumps(card, indent=1) + "\n").encode())
    return card


def describe(name, folder=FOLDER):
    """The figures of a card as text: recipe, images seen and errors on the five splits."""
    card = json.loads((Path(folder) / f"{name}.json").read_text())
    rows = {label: card["errors"][key] for key, label in POSES.items()}
    seen = ", ".join(f"{images:,} ({stage})" for stage, images in card["images"].items())
    minutes = sum(card["seconds"].values()) / 60
    return "\n".join(
        [
            f"recipe {card['recipe']['name']}, Model {card['recipe']['model']}, "
            f"seed {card['recipe']['seed']}, {card['bytes'] / 1e6:.1f} MB, "
            f"sha256 {card['sha256'][:12]}…",
            f"images seen: {seen}; {minutes:.0f} minutes on {card['device']}",
            format_table(rows, "mean joint error on synthetic test frames, mm"),
        ]
    )


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    """Pack a run's weights and print their card."""
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.weights", description=__doc__)
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("name")
    chosen = parser.parse_args()
    try:
        pack(chosen.run, chosen.name)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(describe(chosen.name))
