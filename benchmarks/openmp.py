"""Images a second of a training step, idle and beside other work: ``openmp.py [SECONDS]``.

Waiting OpenMP threads spin by default; ``OMP_WAIT_POLICY=PASSIVE``, which the package sets where a
user has set nothing, lets them sleep. Ratios are to the default policy on an idle machine.
"""

import os
import subprocess
import sys
import time
from contextlib import ExitStack

SETTINGS = {
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
}
SITUATIONS = ("idle", "beside a busy process", "two trainings at once, each")


def train(seconds: float) -> None:
    """Steps of Model 1, ``tiny``, eq. 3 alone; prints images a second."""
    import torch  # before the package, which would set the policy

    from senorita_lib.losses import pose_loss
    from senorita_lib.model import HandPoseNet
    from senorita_lib.recipes import find_recipe

    recipe = find_recipe("tiny")
    torch.manual_seed(0)
    network = HandPoseNet(recipe, torch.full((20,), 30.0)).estimator
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-3)
    image = torch.rand(recipe.batch, 3, recipe.image_size, recipe.image_size)
    target = torch.rand(recipe.batch, 21, 3)
    start, images = 0.0, -5 * recipe.batch  # the first steps do not count
    while images <= 0 or time.perf_counter() < start + seconds:
        loss = pose_loss(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        images += recipe.batch
        if images == 0:
            start = time.perf_counter()
    print(images / (time.perf_counter() - start))


def measure(setting: dict[str, str], situation: str, seconds: float) -> float:
    """Images a second of one training under a setting, the mean over those that run."""
    command = [sys.executable, __file__, str(seconds), "train"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    environment = kept | setting
    with ExitStack() as stack:
        if "busy" in situation:
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(busy.kill)
        runs = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(2 if "two" in situation else 1)
        ]
        rates = [float(run.communicate()[0]) for run in runs]
    return sum(rates) / len(rates)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    if sys.argv[2:] == ["train"]:
        return train(seconds)
    base = None
    print(f"{'':12}" + "".join(f"{name:>30}" for name in SITUATIONS))
    for name, setting in SETTINGS.items():
        rates = [measure(setting, situation, seconds) for situation in SITUATIONS]
        base = base or rates[0]
        print(f"{name:12}" + "".join(f"{rate:20.0f}/s {rate / base:5.2f} x" for rate in rates))
    return None


if __name__ == "__main__":
    main()
