"""Two processes on the CPU, started as torchrun does; one test starts them by torchrun itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK, ROOT, as_settings
from torch import nn
from torch.multiprocessing import ProcessExitedException, start_processes

from senorita_lib.datasets.crops import CropSet
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights
from senorita_lib.people import crops, pretraining
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.recipes import Recipe, find_recipe
from senorita_lib.training import processes, stages
from senorita_lib.training.checkpoints import load_checkpoint
from senorita_lib.training.loop import images_seen

pytestmark = pytest.mark.slow

# Networks train in float64 here. In float32 the least rounding grows: RMSprop's first steps go by
# the gradient's sign alone, and rounding decides on that of a gradient that is nearly zero. What
# is left of this growth in Step 2, which is tenfold a step, bounds its steps and the tolerance.
TOLERANCE = 1e-6
SMALL = QUICK.override(refine_images=12, refine_rate_factor=0.01, validate_images=16)
SHORT = {"pose_images": 8, "volume_images": 8, "refine_images": 8}
RELEASED = find_recipe("released").model_dump(
    include={"fusion", "patches", "orientation", "refiner_gradient", "distance", "ends",
             "volume_difference", "balance"},
)  # fmt: skip
CONVERGED = {"pose_images": 16, "converged": 0.999, "patience": 1, "validate_images": 4}
RUNS = {  # and the images that their stages see
    "whole": (SMALL, [48, 40, 12]),
    "released": (SMALL.override(**SHORT, **RELEASED), [8, 8, 8]),
    "converged": (SMALL.override(**SHORT | CONVERGED, precise_bn=True), [8, 16, 8]),
}


def train_in_float64(name, data, folder, patch=setattr):
    """A run of ``RUNS``."""

    def wide_batch(*arguments):
        narrow, joints = narrow_batch(*arguments)
        names = "image", "box", "cube_centre"
        return replace(narrow, **{n: getattr(narrow, n).double() for n in names}), joints.double()

    class Wide(HandPoseNet):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.double()

    patch(stages, "HandPoseNet", Wide)
    if (narrow_batch := CropSet.batch).__name__ != "wide_batch":
        patch(CropSet, "batch", wide_batch)
    return stages.train(RUNS[name][0], data, folder, progress=False, checkpoint_seconds=0)


def pretrain_in_float64(folder, patch=setattr):
    """A pretraining on a few people."""
    network, cut = pretraining.body_network, crops.cut_body
    patch(pretraining, "body_network", lambda recipe: network(recipe).double())
    patch(pretraining, "cut_body", lambda *given: [part.astype(np.float64) for part in cut(*given)])
    recipe = SMALL.override(pretrain=True, pretrain_images=80)
    people = [SyntheticBody(24, side=48)]
    return pretraining.pretrain(recipe, folder, people, progress=False, checkpoint_seconds=0)


def python(*arguments):
    """A Python that runs to its end."""
    done = subprocess.run(
        [sys.executable, *(str(word) for word in arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT}/tests"},
        cwd=ROOT, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def start_two(case, *arguments):
    """Two processes, forked, so that all is imported once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    start_processes(in_each_process, (case, *arguments), nprocs=2, start_method="fork")


def in_each_process(rank, case, data, *arguments):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
    replace_file = os.replace

    def refuse(source, target):  # by this every file takes its place; crops may be anyone's
        assert Path(target).is_relative_to(data), f"the second process writes {target}"
        replace_file(source, target)

    with processes.process_group():
        if not processes.is_first():
            os.replace = refuse
        globals()[case](data, *arguments)


def everything(data, folder):
    """All of ``RUNS``; norms, which are those of the whole batch; one that cannot be shared."""
    logs = {name: train_in_float64(name, data, Path(folder) / name).log for name in RUNS}
    assert processes.broadcast(logs) == logs
    pretrain_in_float64(Path(folder) / "people")
    (network, batch), part = norms(), int(os.environ["RANK"])
    found = passed(processes.parallel(network), batch.chunk(2)[part])
    rows, state = passed(*norms())
    rows[1] *= 2  # each half's loss is its own mean, so their sum is twice that of the whole batch
    wanted = rows.chunk(2, dim=1)[part], state
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    wanted = "^refine_batch is 3, wanted a multiple of the 2 processes"
    with pytest.raises(ValueError, match=wanted):  # at the start, though its stage is the last
        stages.train(SMALL.override(refine_batch=3), data, f"{folder}/odd", progress=False)


def killed(data, folder):
    """The run ``whole``, until both processes are killed in its second stage."""
    run_step = stages.Trainer.step

    def failing(self, number, batch):
        if (self.stage, number) == (1, 5):
            os.kill(os.getpid(), signal.SIGKILL)
        return run_step(self, number, batch)

    stages.Trainer.step = failing
    train_in_float64("whole", data, folder)


def norms():
    """Those of both kinds, and a batch."""
    torch.manual_seed(0)
    two = nn.BatchNorm2d(3, eps=1e-3, momentum=0.3)
    network = nn.Sequential(two, nn.Flatten(), nn.BatchNorm1d(72)).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, mean=1.0)
    return network, 3 + 2 * torch.randn((8, 3, 4, 6), dtype=torch.float64)


def passed(network, batch):
    """Of each row output, gradient, and output in eval mode; gradients of parameters, and state."""
    batch = batch.clone().requires_grad_()
    output = network(batch)
    (output**3).mean().backward()
    rows = torch.stack([output, batch.grad.flatten(1), network.eval()(batch)]).detach()
    return rows, [p.grad for p in network.parameters()] + [*network.state_dict().values()]


@pytest.fixture(scope="module")
def together(small_data, tmp_path_factory):
    """Folder of the runs by two processes."""
    folder = tmp_path_factory.mktemp("together")
    python(__file__, small_data, folder)
    return folder


@pytest.fixture(scope="module")
def alone(small_data, tmp_path_factory):
    """Folder of the same runs by one process."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in RUNS:
            train_in_float64(name, small_data, folder / name, monkeypatch.setattr)
        pretrain_in_float64(folder / "people", monkeypatch.setattr)
    return folder


@pytest.mark.parametrize("name", [*RUNS, "people"])
def test_two_processes_train_as_one_does(name, together, alone):
    """Losses, weights of the balance, validation errors, poses, the end of each stage, weights.

    Of people one process has those with 2D labels, the other those with depths.
    """
    one, two = alone / name, together / name
    assert_close(two, one)
    if name in RUNS:
        log = json.loads((two / "log.json").read_text())
        assert list(images_seen(log).values()) == RUNS[name][1]
    else:
        weights = [read_weights(f / pretraining.WEIGHTS, BODY_FORMAT)[1] for f in (one, two)]
        torch.testing.assert_close(*weights, rtol=0, atol=TOLERANCE)
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}


def assert_close(one, two):
    """Two folders with the same run, but for rounding."""
    logs = [json.loads((folder / "log.json").read_text()) for folder in (one, two)]
    for found, wanted in zip(*logs, strict=True):
        poses = [row.pop("sample_poses", []) for row in (found, wanted)]  # rounded to 0.1
        np.testing.assert_allclose(*poses, atol=0.11)
        assert found.pop("stage") == wanted.pop("stage")
        assert found == pytest.approx(wanted, rel=TOLERANCE)
    weights = [load_checkpoint(folder)["model"] for folder in (one, two)]
    torch.testing.assert_close(*weights, rtol=0, atol=TOLERANCE)


def test_killed_processes_resume_in_another_number(together, small_data, monkeypatch):
    folder = together / "killed"
    state = load_checkpoint(folder)
    assert (state["stage"], state["images"]) == (1, 0)
    train_in_float64("whole", small_data, folder, monkeypatch.setattr)
    assert_close(folder, together / "whole")


def test_command_line_under_torchrun(small_data, tmp_path):
    """In float32; only the first process prints."""
    recipe = SMALL.override(**SHORT)
    torchrun = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2
    command = "-m", "senorita_lib", "tiny", "--data", small_data, "--folder", tmp_path / "run"
    printed = python(*torchrun, *command, "--set", *as_settings(recipe))
    head, *validations, title, splits, _, _, _ = printed.splitlines()
    assert Recipe.from_json(head) == recipe
    assert title == "Model 1, mean joint error, mm" and "EXTRAP" in splits
    assert len(validations) == 3 and all("validation: initial" in line for line in validations)
    one = stages.train(recipe, small_data, tmp_path / "one", progress=False)
    two = json.loads((tmp_path / "run" / "result.json").read_text())
    assert two["errors"]["initial"] == pytest.approx(one.result["errors"]["initial"], rel=0.02)


def test_processes_end_with_torchrun():
    """A process that is left keeps the output open, which this waits for."""
    code = """
        import os, signal, time
        from torch import distributed
        from senorita_lib.training import processes
        def kill_parent(*_, **__):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        distributed.init_process_group = kill_parent
        os.environ |= {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        os.fork() and os.wait()
        with processes.process_group():
            pass
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL


if __name__ == "__main__":
    place, runs = sys.argv[1:]
    start_two("everything", place, runs)
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        start_two("killed", place, f"{runs}/killed")
