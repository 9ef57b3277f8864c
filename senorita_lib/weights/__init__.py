"""Trained weights that come with the package, each with a card of what it is and cannot do.

``python -m senorita_lib.weights RUN NAME`` packs those of a finished run.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from senorita_lib.evaluation import POSES, format_table
from senorita_lib.files import PathLike, atomic_write, read_json, user_path
from senorita_lib.model import HandPoseNet

FOLDER = Path(__file__).parent


def known_weights() -> list[str]:
    """Names of the weights that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def find_weights(name: str) -> Path:
    """The file of weights that come with the package, such as ``small``.

    Raises ``FileNotFoundError`` if there are none, ``ValueError`` if their card says otherwise.
    """
    path, card = FOLDER / f"{name}.safetensors", FOLDER / f"{name}.json"
    if not card.is_file():
        wanted = f"wanted weights, the folder of a finished run or one of {known_weights()}"
        raise FileNotFoundError(f"{user_path(name)} is not there, {wanted}")
    digest = read_json(card, "sha256")["sha256"]
    if not path.is_file() or file_digest(path) != digest:
        raise ValueError(f"{path} is missing or damaged, wanted the file of sha256 {digest[:12]}…")
    return path


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pack(run: PathLike, name: str, folder: PathLike = FOLDER) -> dict[str, Any]:
    """Write ``NAME.safetensors``, a run's weights as float16, and ``NAME.json``, their card."""
    if Path(name).name != name:
        raise ValueError(f"name is {name!r}, wanted a word for the weights, such as small")
    run, folder = user_path(run), user_path(folder)
    weights = folder / f"{name}.safetensors"
    model = HandPoseNet.load(run / "model.safetensors")
    result, seconds = (read_json(run / f"{n}.json") for n in ("result", "timing"))
    model.save(weights, half=True)
    size, digest = weights.stat().st_size, file_digest(weights)
    card: dict[str, Any] = {**result, "seconds": seconds, "bytes": size, "sha256": digest}
    atomic_write(folder / f"{name}.json", json.dumps(card, indent=1) + "\n")
    return card


def describe(name: str, folder: PathLike = FOLDER) -> str:
    """The figures of a card as text: recipe, images seen and errors on the five splits."""
    card = read_json(user_path(folder) / f"{name}.json")
    recipe = card["recipe"]
    head = f"recipe {recipe['name']}, Model {recipe['model']}, seed {recipe['seed']}"
    file = f"{card['bytes'] / 1e6:.1f} MB, sha256 {card['sha256'][:12]}…"
    seen = ", ".join(f"{images:,} ({stage})" for stage, images in card["images"].items())
    rows = {label: card["errors"][key] for key, label in POSES.items()}
    table = format_table(rows, "mean joint error on synthetic test frames, mm")
    return f"{head}, {file}\nimages seen: {seen}\n{table}"
