"""What the heads cost on one backbone: ``heads.py [RECIPE]``, recipe ``small`` if not given.

Parameters, multiply-adds of one image, milliseconds of a training step (eq. 3 or the head's own
losses, in the recipe's precision), of the estimator on one image and on 32 (float32), and what
autograd keeps of an image. Rows take turns; the ratio is to the integral head in the same run.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from training import DEVICE, describe_device, synthetic_crops, times

from senorita_lib.recipes import find_recipe
from senorita_lib.representations import build_input
from senorita_lib.training.stages import Trainer

HEADS = "integral", "regression", "a2j", "awr"


def kept_bytes(trainer, batch):
    """Bytes that autograd keeps of a batch; weights are there anyway."""
    sizes, weights = {}, {p.untyped_storage().data_ptr() for p in trainer.model.parameters()}

    def note(tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            sizes[place] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = trainer.loss(0, batch)[1]
    loss.backward()
    return sum(sizes.values())


def main(arguments):
    """Print the table."""
    name = arguments[0] if arguments else "small"
    print(describe_device())
    recipes = {head: find_recipe(name, head=head) for head in HEADS}
    crop_set, _ = synthetic_crops(recipes["integral"])
    trainers = {h: Trainer(r, crop_set, Path(), DEVICE) for h, r in recipes.items()}
    crops, _ = crop_set.batch(np.arange(32), DEVICE)
    steps, ones, many, facts = {}, {}, {}, {}
    for head, trainer in trainers.items():
        batch, estimator = trainer.plan()[1], trainer.model.estimator
        inputs = build_input(crops, *trainer.model.inputs)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            estimator.eval()(inputs[:1])
        parameters = sum(p.numel() for p in estimator.parameters())
        kept = kept_bytes(trainer, batch) / batch
        facts[head] = parameters / 1e6, counter.get_total_flops() / 2e9, kept / 2**20
        steps[head] = lambda trainer=trainer, batch=batch: trainer.step(0, batch)

        def predict(count, estimator=estimator, inputs=inputs):
            with torch.inference_mode():
                estimator.eval()(inputs[:count])

        ones[head] = lambda predict=predict: predict(1)
        many[head] = lambda predict=predict: predict(32)
    precision = trainers["integral"].precision
    print(f"recipe {name}; batch of a step {batch}, in {precision}; medians")
    print(f"{'head':<12}{'million':>8}{'GMAC':>7}{'MB kept':>9}{'step, ms':>10}{'ratio':>7}"
          f"{'images/s':>10}{'1, ms':>8}{'ratio':>7}{'32, ms':>8}{'ratio':>7}")  # fmt: skip
    columns = [times(calls, seconds=8.0) for calls in (steps, ones, many)]
    for head, (parameters, macs, kept) in facts.items():
        line = f"{head:<12}{parameters:>8.2f}{macs:>7.2f}{kept:>9.1f}"
        for place, ms in enumerate(columns):
            median, base = ms[head][1], ms["integral"][1]
            line += f"{median:>{(10, 8, 8)[place]}.1f}{median / base:>7.2f}"
            if place == 0:
                line += f"{1e3 * batch / median:>10.1f}"
        print(line)


if __name__ == "__main__":
    main(sys.argv[1:])
