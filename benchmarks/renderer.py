"""The renderer and its loss beside the form that one writes down first: times, memory, growth."""

import ctypes
import subprocess
import sys
from pathlib import Path

import torch
from inputs import milliseconds

from senorita_lib.hand import BONES
from senorita_lib.renderer import plain_volumes, render_skeleton, skeleton_volume_loss

# Of the authors' C++, one thread, one pose: forward; forward and backward.
RELEASED_MS = {"forward": 7.4, "loss and gradient": 16.9}
FORMS = ("ours", "pieces", "plain")  # compiled; uncompiled; as a newcomer would write it


def poses(batch, device="cpu", n=32):
    """Predicted and true joints (B, 21, 3), voxel frame, some cells apart."""
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(batch, 21, 3, generator=generator) * n
    predicted = true + torch.randn(batch, 21, 3, generator=generator)
    return predicted.to(device).requires_grad_(), true.to(device)


def work(what, form, batch, device="cpu"):
    """The call that is measured."""
    predicted, true = poses(batch, device)
    compiled = form == "ours"

    def forward():
        with torch.no_grad():
            if form == "plain":
                return plain_volumes(predicted)
            return render_skeleton(predicted, compiled=compiled)

    def loss_and_gradient():
        if form == "plain":
            loss = (plain_volumes(predicted) - plain_volumes(true)).abs().sum() / batch
        else:
            loss = skeleton_volume_loss(predicted, true, compiled=compiled)
        return torch.autograd.grad(loss, predicted)

    return forward if what == "forward" else loss_and_gradient


def peak_megabytes(what, form, batch):
    """What a call adds to the memory of a process of its own."""
    code = f"import renderer; print(renderer.added_megabytes({what!r}, {form!r}, {batch}))"
    command = [sys.executable, "-c", code]
    here = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=here)
    return float(done.stdout.splitlines()[-1])


def added_megabytes(what, form, batch):
    """Peak of a call over what the process holds before it, its second time."""
    call = work(what, form, batch)
    call()
    ctypes.CDLL(None).malloc_trim(0)  # hand back what the first call freed
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak counts anew from here
    before = _kilobytes("VmHWM")
    call()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def table():
    """Times and memory of the three forms."""
    heads = "".join(f"{form:>9}" for form in FORMS)
    print(f"20 × 32³, {torch.get_num_threads()} threads{'ms':>18}{'':>22}{'MB':>17}")
    print(f"{'':<18}{'batch':>6}{heads}{'ratio':>7}{heads}{'ratio':>7}")
    for what, released in RELEASED_MS.items():
        for batch in (1, 6, 32):
            ms = [milliseconds(work(what, form, batch), seconds=2) for form in FORMS]
            mb = [peak_megabytes(what, form, batch) for form in FORMS]
            line = f"{what:<18}{batch:>6}" + "".join(f"{value:9.2f}" for value in ms)
            line += f"{ms[2] / ms[0]:7.1f}" + "".join(f"{value:9.1f}" for value in mb)
            print(line + f"{mb[0] / mb[2]:7.2f}")
        print(f"{'  authors, C++':<18}{1:>6}{released:9.1f}")


def growth():
    """How the loss with its gradient grows from one pose, 20 bones, 32³."""

    def ms(batch=1, bones=20, n=32):
        predicted, true = poses(batch, n=n)
        how = {"size": (n, n, n), "compiled": True}

        def call():
            loss = skeleton_volume_loss(predicted, true, BONES[:bones], **how)
            return torch.autograd.grad(loss, predicted)

        return milliseconds(call)

    print("\nloss and gradient, ms")
    for name, values in (("batch", (1, 2, 4, 8, 16)), ("bones", (5, 10, 20)), ("n", (16, 32, 64))):
        print(f"{name:>6}" + "".join(f"{value:>8}" for value in values))
        print(" " * 6 + "".join(f"{ms(**{name: value}):8.2f}" for value in values))


def on_device(device="cuda"):
    """Times on a graphics card, and beside a forward and backward pass of the estimator."""
    from senorita_lib.estimator import PoseEstimator

    network = PoseEstimator(3).to(device)
    images = torch.randn(6, 3, 256, 256, device=device)

    def step():
        network(images).sum().backward()

    def waiting(call):
        def run():
            call()
            torch.cuda.synchronize()

        return milliseconds(run)

    whole = waiting(step)
    print(f"\n{torch.cuda.get_device_name()}, batch 6, ms; estimator, both ways, {whole:.1f}")
    for what in RELEASED_MS:
        ms = [waiting(work(what, form, 6, device)) for form in FORMS]
        shares = "".join(
            f"{form} {value:.2f} ({value / whole:.1%})  "
            for form, value in zip(FORMS, ms, strict=True)
        )
        print(f"{what:<18} {shares}")


if __name__ == "__main__":
    table()
    growth()
    if torch.cuda.is_available():
        on_device()
