"""Every run and every result there is, and which of them are demonstrations."""

import json

from senorita_lib.evaluation import SPLITS
from senorita_lib.paths import project_path
from senorita_lib.recipes import Recipe

_IMAGES = ("pose_images", "volume_images", "refine_images")
_SIZE = ("image_size", "block", "layers", "widths", "head_channels", "depth_bins", "hidden")


def find_results(folders=("runs", "results"), apart=("runs/studies",)):
    """Results of finished runs below some folders: {path from the project's root: result}.

    Parameters
    ----------
    folders : sequence of path
        Searched for JSON files that hold a recipe and errors; counted from the project's root.
    apart : sequence of path
        Left out: a study's runs are read through the study.

    Returns
    -------
    dict
        In the order of paths.
    """
    found = {}
    root = project_path("")
    for folder in folders:
        for path in sorted(project_path(folder).rglob("*.json")):
            place = path.relative_to(root) if path.is_relative_to(root) else path
            if any(place.is_relative_to(other) for other in apart):
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
    rows = [("", "recipe", "model", "seed", "images", *SPLITS, "kind")]
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
