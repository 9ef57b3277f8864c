"""Every run and every result there is, and which of them are demonstrations."""

import json

from senorita_lib.evaluation import SPLITS
from senorita_lib.paths import project_path
from senorita_lib.recipes import Recipe

_IMAGES = ("pose_images", "volume_images", "refine_images")
_SIZE = ("image_size", "block", "layers", "widths", "head_channels", "depth_bins", "hidden")


def find_results():
    """Results of finished runs below ``runs/`` and ``results/``: {path from the root: result}.

    All JSON files that hold a recipe and errors, but for a study's runs, which are read through
    the study.
    """
    found, root = {}, project_path("")
    for folder in ("runs", "results"):
        for path in sorted((root / folder).rglob("*.json")):
            place = path.relative_to(root)
            if place.is_relative_to("runs/studies"):
                continue
            try:
                held = json.loads(path.read_text())
            except ValueError:  # of somebody else, or damaged
                continue
            if isinstance(held, dict) and {"recipe", "errors", "images"} <= held.keys():
                found[str(place)] = held
    return found


def kind_of(result):
    """What a result is worth, in words.

    "demonstration on a CPU", or "paper's size, NVIDIA …, 12 % of its images".

    Parameters
    ----------
    result : dict
        As in ``result.json``.
    """
    paper = Recipe()
    recipe, wanted = result["recipe"], json.loads(paper.to_json())
    whole = all(recipe.get(name, wanted[name]) == wanted[name] for name in _SIZE)
    size = "paper's size" if whole else "demonstration"
    device = result["device"]
    words = f"{size} on a CPU" if device.startswith("cpu") else f"{size}, {device}"
    share = sum(result["images"].values()) / sum(getattr(paper, name) for name in _IMAGES)
    return f"{words}, {share:.0%} of its images" if whole and share < 0.995 else words


def inventory_table(results):
    """A line for each result: where, what, how much it saw, its refined poses' errors.

    Parameters
    ----------
    results : dict
        Of :func:`find_results`.
    """
    if not results:
        return "no finished run, no result"
    rows = [("refined, mm", "recipe", "model", "seed", "images", *SPLITS, "kind")]
    for place, result in results.items():
        recipe, errors = result["recipe"], result["errors"]["refined"]
        cells = [f"{errors[s]:.1f}" if s in errors else "-" for s in SPLITS]
        images = f"{sum(result['images'].values()):,}"
        what = recipe["name"], str(recipe["model"]), str(recipe["seed"]), images
        rows.append((place, *what, *cells, kind_of(result)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = (0, 1, len(widths) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
