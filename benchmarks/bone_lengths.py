"""The weights ``small`` with the training set's bone lengths and with the initial pose's, mm."""

import numpy as np

from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.evaluation import format_table, split_errors
from senorita_lib.files import project_path
from senorita_lib.predictor import Predictor
from senorita_lib.training.evaluate import predict_crops
from senorita_lib.training.stages import crop_options


def main():
    """Print mean joint errors on the synthetic test frames."""
    root = project_path("data/hands19_synthetic")
    write_synthetic(root)
    model = Predictor.load("small").model
    crops = load_crops(Hands19(root, "test", skip_degenerate=False), **crop_options(model.recipe))
    rows = {}
    for length in ("train", "initial"):
        model.refiner.length = length
        names = "initial pose", f"lengths: {length}"
        poses = dict(zip(names, predict_crops(model, crops), strict=True))
        for name, joints in poses.items():
            rows[name] = split_errors(joints, crops.joints, np.array(crops.splits))
    print(format_table(rows, "small, mean joint error, mm"))


if __name__ == "__main__":
    main()
