"""What training and inference cost: ``training.py [RECIPES] [--all-models]``.

Images a second of each stage, in float32 and bfloat16; what a step's parts take, each on its own,
and its operators; what another layout or optimizer would bring; the refiner on top of the
estimator, and beside twenty networks in a loop. Rows take turns.
"""

import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.crops import CropSet
from senorita_lib.estimator import soft_argmax
from senorita_lib.hand import bones_to_joints
from senorita_lib.recipes import find_recipe
from senorita_lib.refinement import GroupedLinear
from senorita_lib.representations import build_input
from senorita_lib.training.loop import STAGES, training_precision
from senorita_lib.training.stages import Trainer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FRAMES = 64
PRECISIONS = "float32", "bfloat16"


def times(calls, seconds=4.0, least=3):
    """Least and median milliseconds of each call by name; the calls take turns."""
    spent = {name: [] for name in calls}
    for call in calls.values():  # compiles, makes the optimizer's state
        timed(call)
    end = time.perf_counter() + seconds
    while len(spent[name := next(iter(calls))]) < least or time.perf_counter() < end:
        for name, call in calls.items():
            spent[name].append(timed(call))
    return {name: (min(ms), statistics.median(ms)) for name, ms in spent.items()}


def timed(call):
    """Milliseconds of one call, the device's work included."""
    wait()
    start = time.perf_counter()
    call()
    wait()
    return 1e3 * (time.perf_counter() - start)


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def synthetic_crops(recipe):
    """A set of crops as training reads it, and milliseconds that one crop takes."""
    hands, options = SyntheticHand(), {"foreground": recipe.foreground, "centre": recipe.centre}
    frames = [hands.frame(i) for i in range(FRAMES)]

    def cut(frame):
        return crop_hand(frame.depth, frame.box, size=recipe.image_size, **options)

    crops = [cut(frame) for frame in frames]
    ms = [timed(lambda frame=frame: cut(frame)) for frame in frames]
    rows = {
        "images": np.stack([crop.image for crop in crops]).astype(np.float16),
        "boxes": np.stack([crop.box for crop in crops]).astype(np.float32),
        "cube_centres": np.stack([crop.cube_centre for crop in crops]).astype(np.float32),
        "joints": np.stack([frame.joints for frame in frames]).astype(np.float32),
        "found": np.ones(FRAMES, bool),
    }
    names = [f"{i}.png" for i in range(FRAMES)]
    return CropSet(names, ["train"] * FRAMES, **rows), (min(ms), statistics.median(ms))


def begin(trainer, stage):
    """A stage's network and optimizer; its batch size."""
    trainer.stage, trainer.images = STAGES.index(stage), 0
    trainer.begin_stage()
    return trainer.plan()[1]


def stage_table(recipe, trainers):
    """Whole steps as training takes them, in both precisions."""
    for stage in STAGES:
        batch, calls = 0, {}
        for precision, trainer in trainers.items():
            batch = begin(trainer, stage)
            calls[precision] = lambda trainer=trainer, batch=batch: trainer.step(0, batch)
        ms = times(calls)
        line = f"  {stage:<7}{batch:>7}"
        for precision in PRECISIONS:
            least, median = ms[precision]
            own = "*" if precision == training_precision(recipe.precision, DEVICE) else " "
            line += f"{least:>14.1f}{median:>9.1f}{1e3 * batch / median:>9.1f}{own}"
        print(line + f"{ms['float32'][1] / ms['bfloat16'][1]:>8.2f}", flush=True)


def part_calls(trainer, stage, batch):
    """The parts of a step by name, each on its own."""
    recipe, model = trainer.recipe, trainer.model
    trainer.step(0, batch)  # gradients for the optimizer
    crops, joints_mm = trainer.batches(trainer.stage, 0, batch)
    options = recipe.model, recipe.depth_layers, recipe.voxel_depth
    inputs, true = build_input(crops, *options), crops.to_uvd(joints_mm)

    def estimator():
        model.estimator.zero_grad(set_to_none=True)
        with trainer.autocast():
            uvd = model.estimator(inputs)
        uvd.sum().backward()

    with torch.no_grad(), trainer.autocast():
        maps = model.estimator.heatmaps(inputs)

    def expectation():
        soft_argmax(maps.detach().requires_grad_()).sum().backward()

    def volume():
        uvd = (true + 0.02).requires_grad_()
        cells = recipe.volume_size
        trainer.volume_loss(cells * uvd - 0.5, cells * true - 0.5).backward()

    def refiner():
        model.refiner.zero_grad(set_to_none=True)
        start = [t.clone().requires_grad_(recipe.refiner_gradient) for t in (true, joints_mm)]
        with trainer.autocast():
            found = model.refiner(crops.image, *start)
        (found.residual_orientation.sum() + found.joints_mm.sum()).backward()

    def optimizer():
        for group in trainer.optimizer.param_groups:
            group["lr"] = 0.0  # the same work, and the weights stay
        trainer.optimizer.step()

    def patches():
        model.refiner.cut(crops.image, true)

    calls = {
        "step": lambda: trainer.step(0, batch),
        "batch": lambda: trainer.batches(trainer.stage, 0, batch),
        "inputs": lambda: build_input(crops, *options),
        "estimator, both ways": estimator,
        "  of it soft-argmax": expectation,
    }
    if stage == "volume":
        calls["volume loss, both ways"] = volume
    else:
        calls |= {"refiner, both ways": refiner, "  of it patches": patches}
    return calls | {"optimizer": optimizer}


def part_table(trainer):
    """Milliseconds an image and shares of a step, of the volume and of the refine stage."""
    for stage in STAGES[1:]:
        batch = begin(trainer, stage)
        ms = {name: least for name, (least, _) in times(part_calls(trainer, stage, batch)).items()}
        step = ms.pop("step")
        ms["the rest"] = step - sum(t for name, t in ms.items() if not name.startswith(" "))
        print(f"\n  {stage}, batch {batch}, {trainer.precision}: parts, least times")
        for name, value in {"step": step, **ms}.items():
            goal = "goal: at most 3 % (paper)" if name.startswith("volume") else ""
            print(f"    {name:<26}{value / batch:>9.3f} ms an image{value / step:>8.1%}   {goal}")


def operator_table(trainer, steps=5, most=8):
    """Where a step of the pose stage spends its time, by operator, as torch.profiler tells."""
    batch, kind = begin(trainer, "pose"), DEVICE.replace("cuda", "device")
    trainer.step(0, batch)
    with torch.profiler.profile() as profile:
        for step in range(steps):
            trainer.step(step, batch)
    spent = {e.key: getattr(e, f"self_{kind}_time_total") for e in profile.key_averages()}
    whole = sum(spent.values())
    print(f"\n  pose, batch {batch}, {trainer.precision}: operators by their own time")
    for name in sorted(spent, key=spent.get, reverse=True)[:most]:
        ms = spent[name] / steps / batch / 1e3
        print(f"    {name:<44}{ms:>9.3f} ms an image{spent[name] / whole:>8.1%}")


def change_table(recipe, crops):
    """Steps of the pose stage with one thing changed each, beside the step as it is."""
    names = ["as it is", "channels-last", "optimizer at once"]
    names += ["compiled"] * (DEVICE == "cuda")  # on processors: runtimes.py
    made = {name: Trainer(recipe, crops, Path(), DEVICE) for name in names}
    batch = {begin(trainer, "pose") for trainer in made.values()}.pop()
    made["channels-last"].model.to(memory_format=torch.channels_last)
    for group in made["optimizer at once"].optimizer.param_groups:
        group["foreach"] = True
    if "compiled" in made:
        made["compiled"].model.estimator.backbone.compile()
    calls = {name: lambda t=trainer: t.step(0, batch) for name, trainer in made.items()}
    ms = {name: least for name, (least, _) in times(calls, seconds=20).items()}
    print(f"\n  pose, batch {batch}, {made['as it is'].precision}: one thing changed, least times")
    for name, value in ms.items():
        print(f"    {name:<44}{value / batch:>9.3f} ms an image{value / ms['as it is']:>8.2f}")


def of_one_bone(layer, bone):
    """A layer of the refiner as one bone's own network has it, with the same weights."""
    if isinstance(layer, nn.Sequential):
        return nn.Sequential(*(of_one_bone(part, bone) for part in layer))
    state = {k: v.chunk(20)[bone] if v.ndim else v for k, v in layer.state_dict().items()}
    if isinstance(layer, GroupedLinear):
        own = nn.Linear(*layer.weight.shape[1:])
        state = {"weight": state["weight"][0].T, "bias": state["bias"][0, 0]}
    elif isinstance(layer, nn.Conv2d):
        own = nn.Conv2d(1, layer.out_channels // 20, layer.kernel_size)
    elif isinstance(layer, nn.BatchNorm2d):
        own = nn.BatchNorm2d(layer.num_features // 20)
    elif isinstance(layer, nn.BatchNorm1d):
        own = nn.BatchNorm1d(layer.num_features // 20)
    elif isinstance(layer, nn.Unflatten):
        return nn.Identity()
    else:
        return layer
    own.load_state_dict(state)
    return own


class BoneNetwork(nn.Module):
    """One bone's network as one would write it down first."""

    def __init__(self, refiner, bone):
        super().__init__()
        self.convolutions = nn.ModuleList(of_one_bone(s, bone) for s in refiner.patch_stream)
        self.features = of_one_bone(refiner.patch_features, bone)
        self.pose = of_one_bone(refiner.pose_stream, bone)
        self.residual = of_one_bone(refiner.residual, bone)

    def forward(self, patches, orientation):
        flat = [c(p).flatten(1) for c, p in zip(self.convolutions, patches, strict=True)]
        features = self.features(torch.cat(flat, dim=1))
        return self.residual(torch.cat([self.pose(orientation), features], dim=1))


def looped(refiner, networks, image, uvd, joints_mm):
    """The refined pose, bone by bone."""
    patches, initial = refiner.cut(image, uvd), refiner.orient(joints_mm)
    residuals = [
        network([patch[:, bone : bone + 1] for patch in patches], initial[:, bone])
        for bone, network in enumerate(networks)
    ]
    bones = initial + torch.stack(residuals, dim=1)
    return bones_to_joints(joints_mm[:, 0], refiner.turn(bones, joints_mm))


@torch.inference_mode()
def inference_table(model, crop_set):
    """One frame and sixteen, float32, with eval mode's batch norms."""
    model.eval()
    refiner = model.refiner
    print("\n  inference, ms; goal: the refiner takes at most 25 % more; float32")
    print("  batch  estimator  + refiner    more    refiner   a loop  ratio")
    networks = nn.ModuleList(BoneNetwork(refiner, bone) for bone in range(20)).to(DEVICE).eval()
    for batch in (1, 16):
        crops, _ = crop_set.batch(np.arange(batch), DEVICE)
        start = model(crops, refine=False)
        arguments = crops.image, start.uvd, start.joints_mm
        one, other = refiner(*arguments).joints_mm, looped(refiner, networks, *arguments)
        if not torch.allclose(one, other, rtol=1e-4, atol=1e-2):
            raise SystemExit(f"loop and refiner differ by {(one - other).abs().max():.2g} mm")
        calls = {
            "estimator": lambda crops=crops: model(crops, refine=False),
            "both": lambda crops=crops: model(crops),
            "grouped": lambda a=arguments: refiner(*a),
            "loop": lambda a=arguments: looped(refiner, networks, *a),
        }
        ms = {name: least for name, (least, _) in times(calls, seconds=2).items()}
        line = f"  {batch:>5}{ms['estimator']:>11.2f}{ms['both']:>11.2f}"
        line += f"{ms['both'] / ms['estimator'] - 1:>8.1%}"
        print(line + f"{ms['grouped']:>11.2f}{ms['loop']:>9.2f}{ms['loop'] / ms['grouped']:>7.1f}")


def describe_device():
    """Where this runs, and whether its processor computes bfloat16."""
    if DEVICE == "cuda":
        return f"{torch.cuda.get_device_name()}, bf16: {torch.cuda.is_bf16_supported()}"
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    found = sorted({flag for flag in flags if "bf16" in flag})
    capability = torch.backends.cpu.get_cpu_capability()
    says = f"bf16 instructions: {', '.join(found) or 'none'}" if flags else "flags not known"
    return f"CPU ({platform.machine()}, {capability}; {says}), {torch.get_num_threads()} threads"


def main(arguments):
    """Print the tables."""
    names = [name for name in arguments if not name.startswith("--")] or ["tiny", "small", "paper"]
    print(describe_device())
    heads = "".join(f"{name + ', ms':>14}{'median':>9}{'images/s':>9} " for name in PRECISIONS)
    for name in names:
        recipe = find_recipe(name)
        crops, (least, median) = synthetic_crops(recipe)
        print(f"\n== {name}; crop_hand, done once: {least:.2f} ms a frame, median {median:.2f}")
        every = "--all-models" in arguments or name in ("tiny", "small")
        for model in (1, 2, 3, 4) if every else (1,):
            recipe = find_recipe(name, model=model)
            trainers = {
                p: Trainer(recipe.override(precision=p), crops, Path(), DEVICE) for p in PRECISIONS
            }
            print(f"\n{name}, Model {model} (*: the recipe's own precision)")
            print(f"  stage    batch{heads}{'ratio':>7}")
            stage_table(recipe, trainers)
            own = trainers[training_precision(recipe.precision, DEVICE)]
            part_table(own)
            if model == 1:
                operator_table(own)
                change_table(recipe, crops)
            inference_table(trainers["float32"].model, crops)


if __name__ == "__main__":
    main(sys.argv[1:])
