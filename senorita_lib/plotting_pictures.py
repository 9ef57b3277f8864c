"""The README's pictures: ``python -m senorita_lib.plotting_pictures FOLDER`` draws them."""

import sys
from pathlib import Path

from senorita_lib import plotting
from senorita_lib.datasets import SyntheticHand
from senorita_lib.plotting_networks import overview_figure, refiner_figure
from senorita_lib.predictor import Predictor


def pipeline():
    """The paper's Fig. 1."""
    return overview_figure(*_model_and_frame())


def refinement():
    """The paper's Fig. 4."""
    return refiner_figure(*_model_and_frame())


def _model_and_frame():
    """The package's weights, and a hand of a test split that they get right."""
    return Predictor.load("small").model, SyntheticHand(seed=0).frame(1, split="interp")


PICTURES = {"pipeline": pipeline, "refinement": refinement}


def main(folder):
    """Draw all pictures into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        path = folder / f"{name}.png"
        path.write_bytes(plotting.png(draw()))
        print(f"{path} drawn")


if __name__ == "__main__":
    main(sys.argv[1])
