"""The stream: its batches are the generator's frames, in order, for any number of workers."""

import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from conftest import ROOT

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand, SyntheticStream
from senorita_lib.datasets.synthetic import stream


def make(**arguments):
    return SyntheticStream(**({"batch": 4, "size": 48, "workers": 0} | arguments))


def assert_same(one, other):
    assert torch.equal(one[1], other[1])
    for name in ("image", "box", "cube_centre"):
        assert torch.equal(getattr(one[0], name), getattr(other[0], name))


@pytest.fixture(scope="module")
def batches():
    return list(islice(make(seed=3), 4))


def test_batches_are_the_generators_frames(batches):
    hands = SyntheticHand(3)
    for number, (crops, joints) in enumerate(batches):
        assert isinstance(crops, CropBatch)
        frames = [hands.frame(4 * number + i) for i in range(4)]
        wanted = CropBatch.stack(crop_hand(f.depth, f.box, size=48) for f in frames)
        true = torch.from_numpy(np.stack([f.joints for f in frames]))
        assert_same((crops, joints), (wanted, true))


def test_arguments_are_those_of_generator_and_crop():
    (crops, joints), _ = islice(make(split="extrap", foreground="valley", centre="box"), 2)
    frame = SyntheticHand().frame(2, "extrap")
    crop = crop_hand(frame.depth, frame.box, size=48, foreground="valley", centre="box")
    np.testing.assert_array_equal(crops.image[2, 0].numpy(), crop.image)
    np.testing.assert_array_equal(joints[2].numpy(), frame.joints)


def test_any_start_any_number_of_workers_and_any_part(batches):
    for got, wanted in zip(islice(make(seed=3, start=1, workers=2), 3), batches[1:], strict=True):
        assert_same(got, wanted)
    assert_same(next(iter(make(seed=3, start=2))), batches[2])
    crops, joints = make(seed=3, part=slice(1, 3)).batch(2)
    assert torch.equal(crops.image, batches[2][0].image[1:3])
    assert torch.equal(joints, batches[2][1][1:3])


def test_script_without_a_guard(tmp_path):
    """Workers do not run the caller's script anew."""
    script = tmp_path / "script.py"
    script.write_text(
        "from senorita_lib.datasets import SyntheticStream\n"
        "print(len(next(iter(SyntheticStream(batch=2, size=32, workers=1)))[0]))\n"
    )
    command = [sys.executable, "-W", "error", script]
    run = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == ("2\n", 0), run.stderr


def test_frame_without_a_hand_is_replaced(monkeypatch):
    first = make(batch=1).batch(1 << 60)
    crop_frame, before = stream.crop_frame, [None]

    def crop(*arguments, **options):
        return before.pop() if before else crop_frame(*arguments, **options)

    monkeypatch.setattr(stream, "crop_frame", crop)
    assert_same(make(batch=1).batch(0), first)


def test_arguments_that_make_no_sense():
    with pytest.raises(ValueError, match="foreground is 'x', wanted 'otsu' or 'valley'"):
        make(foreground="x").batch(0)
    with pytest.raises(ValueError, match="split is 'val', wanted one of train, interp"):
        make(split="val")
    for name, value, least in (("batch", 0, 1), ("seed", -1, 0), ("start", 0.5, 0)):
        with pytest.raises(ValueError, match=f"{name} is {value}, wanted a whole .* from {least}"):
            make(**{name: value})
