"""Two processes on the CPU, started by torchrun, which runs this very file in each of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK
from torch import nn

from senorita_lib.datasets.crops import CropSet
from senorita_lib.datasets.synthetic.stream import SyntheticStream
from senorita_lib.model import BODY_FORMAT, HandPoseNet, read_weights
from senorita_lib.people import batches as bodybatches
from senorita_lib.people import pretraining
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.recipes import Recipe, find_recipe
from senorita_lib.refinement import _fc_stage
from senorita_lib.training import processes
from senorita_lib.training import stages as training
from senorita_lib.training.checkpoints import alone_in, load_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# Networks train in float64 here. In float32 the least rounding grows: RMSprop's first steps go by
# the gradient's sign alone, and rounding decides on that of a gradient that is nearly zero. What
# is left of this growth in Step 2, which is tenfold a step, bounds its steps and the tolerance.
TOLERANCE = 1e-6
SMALL = QUICK.override(refine_images=12, refine_rate_factor=0.01, validate_images=16)
SHORT = {"pose_images": 8, "volume_images": 8, "refine_images": 8}
RELEASED = {
    name: getattr(find_recipe("released"), name)
    for name in (
        *("fusion", "patches", "orientation", "refiner_gradient", "distance", "ends"),
        *("volume_difference", "balance"),
    )
}
RUNS = {
    "whole": SMALL,
    "stream": SMALL.override(source="stream", pool=8, **SHORT),
    "released": SMALL.override(**SHORT, **RELEASED),
    "converged": SMALL.override(
        converged=0.999, patience=1, validate_images=4, **SHORT | {"pose_images": 16}
    ),
    "timed": SMALL.override(volume_images=80, refine_images=8),
}
SECONDS = {"pose": 0, "volume": 0, "refine": 0}


def train_in_float64(name, data, folder, patch=setattr, **options):
    """A run of ``RUNS``."""

    def widened(batch):
        def wide(*arguments):
            crops, joints = batch(*arguments)
            names = "image", "box", "cube_centre"
            wider = {name: getattr(crops, name).double() for name in names}
            return replace(crops, **wider), joints.double()

        return wide

    class Wide(HandPoseNet):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.double()

    patch(training, "HandPoseNet", Wide)
    for source in (CropSet, SyntheticStream):
        if source.batch.__name__ != "wide":
            patch(source, "batch", widened(source.batch))
    seconds = {"seconds": SECONDS} if name == "timed" else {}
    options = {"progress": False, "checkpoint_seconds": 0, **seconds} | options
    return training.train(RUNS[name], data, folder, **options)


def pretrain_in_float64(folder, patch=setattr):
    """A pretraining on a few people."""
    network, cut, sample = (
        pretraining.body_network, pretraining.cut_body, bodybatches.cut_body,
    )  # fmt: skip

    def wide(cut):
        def wider(*arguments):
            return [part.astype(np.float64) for part in cut(*arguments)]

        return wider

    patch(pretraining, "body_network", lambda recipe: network(recipe).double())
    patch(pretraining, "cut_body", wide(cut))
    patch(bodybatches, "cut_body", wide(sample))
    recipe = SMALL.override(pretrain=True, pretrain_images=80)
    people = [SyntheticBody(24, side=48)]
    options = {"progress": False, "checkpoint_seconds": 0}
    return pretraining.pretrain(recipe, folder, people, **options)


def torchrun(*arguments):
    """Two processes; returns what came of it and their last words."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(word) for word in (*command, *arguments)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    own = [line for line in done.stderr.splitlines() if "[rank" in line]
    words = "\n".join(own) or done.stderr  # one that aborts has no words of its own
    return done, words[-3000:]


# ------------------------------------------------------------ what each of the two processes does
def in_each_process(case, data, *arguments):
    """Called by torchrun."""
    replace_file = os.replace

    def refuse(source, target):  # by this every file takes its place; crops may be anyone's
        assert Path(target).is_relative_to(data), f"the second process writes {target}"
        replace_file(source, target)

    with processes.process_group():
        if not processes.is_first():
            os.replace = refuse
        globals()[case](data, *arguments)


def everything(data, folder, notes):
    """All of ``RUNS``, each process noting its log; norms; a batch that cannot be shared."""
    for name in RUNS:
        options = {}
        if name == "timed" and not processes.is_first():
            options = {"seconds": dict.fromkeys(SECONDS, 1e9)}  # the first one's clock counts
        run = train_in_float64(name, data, Path(folder) / name, **options)
        rank = "first" if processes.is_first() else "second"
        Path(notes, f"{name}_{rank}.json").write_text(json.dumps(run.log))
    run = pretrain_in_float64(Path(folder) / "people")
    Path(notes, f"people_{rank}.json").write_text(json.dumps(run.log))
    share_norms(notes)
    try:
        training.train(SMALL.override(refine_batch=3), data, f"{folder}/odd", progress=False)
    except ValueError as error:
        Path(notes, f"odd_{rank}.txt").write_text(str(error))


def train_whole(data, folder, stage=None, step=None):
    """One of ``RUNS``; at a step of a stage the first process kills torchrun, if told so."""
    run_step = training.Trainer.step

    def failing(self, number, batch):
        if processes.is_first() and [str(self.stage), str(number)] == [stage, step]:
            os.kill(os.getppid(), signal.SIGKILL)
        return run_step(self, number, batch)

    training.Trainer.step = failing
    train_in_float64("whole", data, folder)


def share_norms(folder):
    """Half of a batch through norms that are shared."""
    rank = int(os.environ["RANK"])
    found = {}
    for name, (network, batch) in networks().items():
        processes.share_batch_norms(network)
        found[name] = passed(network, batch.chunk(2)[rank])
        found[name]["parameters"] = [processes.mean(g) for g in found[name]["parameters"]]  # as DDP
    torch.save(found, f"{folder}/norms_{rank}.pt")


def networks():
    """Norms of all kinds, each with a batch."""
    torch.manual_seed(0)
    kinds = {
        "1d": (nn.BatchNorm1d(5), (8, 5)),
        "2d": (nn.BatchNorm2d(3, eps=1e-3, momentum=0.3), (8, 3, 4, 6)),
        "per bone": (_fc_stage(4, 3), (8, 20, 4)),
    }
    for norm, _ in kinds.values():
        for parameter in norm.parameters():
            nn.init.normal_(parameter, mean=1.0)
    return {
        name: (nn.Sequential(norm).double(), 3 + 2 * torch.randn(shape, dtype=torch.float64))
        for name, (norm, shape) in kinds.items()
    }


def passed(network, batch):
    """What comes of a batch in training, and then of the same one in eval mode."""
    batch = batch.clone().requires_grad_()
    output = network(batch)
    (output**3).mean().backward()
    parameters = [parameter.grad for parameter in network.parameters()]
    later = network.eval()(batch)
    found = {"output": output, "input": batch.grad, "later": later, "parameters": parameters}
    return found | {"state": network.state_dict()}


# --------------------------------------------------------------------------------------- tests
@pytest.fixture(scope="module")
def together(small_data, tmp_path_factory):
    """Folder of the runs by two processes, beside it ``notes``."""
    folder = tmp_path_factory.mktemp("together")
    notes = tmp_path_factory.mktemp("notes")
    done, words = torchrun(__file__, "everything", small_data, folder, notes)
    assert done.returncode == 0, words
    return folder, notes


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one_does(name, together, small_data, tmp_path, monkeypatch):
    """Losses, weights of the balance, validation errors, poses, the end of each stage, weights."""
    run = train_in_float64(name, small_data, tmp_path, monkeypatch.setattr)
    folder, notes = together
    want_close(folder / name, tmp_path)
    logs = [json.loads((notes / f"{name}_{rank}.json").read_text()) for rank in ("first", "second")]
    assert logs[0] == logs[1] == json.loads((folder / name / "log.json").read_text())
    seen = [max(r["images"] for r in run.log if r["stage"] == s) for s in training.STAGES]
    wanted = {"whole": [48, 40, 12], "converged": [8, 16, 8], "timed": [40, 40, 8]}
    assert seen == wanted.get(name, [8, 8, 8])
    left = {path.name for path in (folder / name).iterdir()}
    assert left == {path.name for path in tmp_path.iterdir()}


def test_two_processes_learn_people_as_one_does(together, tmp_path, monkeypatch):
    """Although one of them has those with 2D labels and the other those with depths."""
    run = pretrain_in_float64(tmp_path, monkeypatch.setattr)
    folder, notes = together
    want_close(folder / "people", tmp_path)
    logs = [json.loads((notes / f"people_{rank}.json").read_text()) for rank in ("first", "second")]
    assert logs[0] == logs[1]
    both = [
        read_weights(f / run.weights.name, BODY_FORMAT)[1] for f in (folder / "people", tmp_path)
    ]
    for name, value in both[0].items():
        torch.testing.assert_close(value, both[1][name], rtol=0, atol=TOLERANCE, msg=name)
    left = {path.name for path in (folder / "people").iterdir()}
    assert left == {path.name for path in tmp_path.iterdir()}


def want_close(one, two):
    """Two folders with the same run, but for rounding."""
    logs = [json.loads((folder / "log.json").read_text()) for folder in (one, two)]
    for found, wanted in zip(*logs, strict=True):
        assert found.keys() == wanted.keys()
        assert (found["stage"], found["images"]) == (wanted["stage"], wanted["images"])
        for key in found.keys() - {"stage", "strip_mm"}:
            assert found[key] == pytest.approx(wanted[key], rel=TOLERANCE), (key, found)
        if "strip_mm" in found:  # rounded to 0.1
            np.testing.assert_allclose(found["strip_mm"], wanted["strip_mm"], atol=0.11)
    weights = [load_checkpoint(folder)["model"] for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=0, atol=TOLERANCE, msg=key)


def test_killed_processes_go_on_in_any_number(together, small_data, tmp_path, monkeypatch):
    """Killed in the second stage, then on with two and with one."""
    folder = tmp_path / "two"
    done, words = torchrun(__file__, "train_whole", small_data, folder, 1, 5)
    assert done.returncode == -signal.SIGKILL, words
    with alone_in(folder):  # waits for torchrun's processes, which must end with it
        state = load_checkpoint(folder)
    assert (state["stage"], state["images"]) == (1, 0)
    shutil.copytree(folder, tmp_path / "one")
    train_in_float64("whole", small_data, tmp_path / "one", monkeypatch.setattr)
    want_close(tmp_path / "one", together[0] / "whole")
    done, words = torchrun(__file__, "train_whole", small_data, folder)
    assert done.returncode == 0, words
    want_close(folder, together[0] / "whole")


@pytest.mark.parametrize("name", networks())
def test_shared_norms_are_those_of_the_whole_batch(name, together):
    halves = [torch.load(together[1] / f"norms_{rank}.pt")[name] for rank in range(2)]
    wanted = passed(*networks()[name])
    # Each half's loss is its own mean, so their sum is twice that of the whole batch.
    close(torch.cat([half["input"] for half in halves]), 2 * wanted["input"])
    for key in ("output", "later"):
        close(torch.cat([half[key] for half in halves]), wanted[key])
    for half in halves:
        close(half["parameters"], wanted["parameters"])
        assert half["state"].keys() == wanted["state"].keys()
        close(half["state"], wanted["state"])


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_batch_that_cannot_be_shared_is_refused(together):
    """At the start, though its stage is the last."""
    for rank in ("first", "second"):
        sentence = (together[1] / f"odd_{rank}.txt").read_text()
        assert sentence == "refine_batch is 3, wanted a multiple of the 2 processes"


def test_unknown_kind_of_norm_is_refused():
    with pytest.raises(TypeError, match="is a LazyNorm, wanted torch's batch norms"):
        processes.share_batch_norms(nn.Sequential(LazyNorm(3)))


class LazyNorm(nn.BatchNorm1d):
    def forward(self, features):
        return features


def test_command_line_under_torchrun(small_data, tmp_path):
    """In float32; only the first process prints."""
    values = {k: v for k, v in json.loads(SMALL.to_json()).items() if k not in ("name", "model")}
    settings = [f"{k}={json.dumps(v)}" for k, v in (values | SHORT).items()]
    command = "-m", "senorita_lib", "tiny", "--data", small_data, "--folder", tmp_path / "run"
    done, words = torchrun(*command, "--set", *settings)
    assert done.returncode == 0, words
    head, *validations, title, splits, _, _, _ = done.stdout.splitlines()
    assert Recipe.from_json(head) == SMALL.override(**SHORT)
    assert title == "Model 1, mean joint error, mm" and "EXTRAP" in splits
    assert len(validations) == 3 and all("validation: initial" in line for line in validations)
    one = training.train(SMALL.override(**SHORT), small_data, tmp_path / "one", progress=False)
    two = json.loads((tmp_path / "run" / "result.json").read_text())
    assert two["errors"]["initial"] == pytest.approx(one.result["errors"]["initial"], rel=0.02)


if __name__ == "__main__":
    in_each_process(*sys.argv[1:])
