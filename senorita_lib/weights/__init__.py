"""Trained weights that come with the package, each with a card of what it is and cannot do.

``python -m senorita_lib.weights RUN NAME`` packs those of a finished run.
"""

import hashlib
from pathlib import Path

from senorita_lib.files import read_json, user_path

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
