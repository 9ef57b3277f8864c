"""The stream: its batches are the generator's frames, in order, for any number of workers."""

from itertools import islice

import numpy as np
import pytest
import torch

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


@pytest.mark.parametrize(
    ("seed", "options"), [(3, {}), (0, {"foreground": "valley", "centre": "box"})]
)
@pytest.mark.parametrize("split", ["train", "extrap"])
def test_batches_are_the_generators_frames(seed, options, split):
    crops, joints = make(seed=seed, split=split, **options).batch(1)
    assert isinstance(crops, CropBatch)
    frames = [SyntheticHand(seed).frame(4 + i, split) for i in range(4)]
    wanted = CropBatch.stack(crop_hand(f.depth, f.box, size=48, **options) for f in frames)
    assert_same((crops, joints), (wanted, torch.from_numpy(np.stack([f.joints for f in frames]))))


def test_any_start_any_number_of_workers_and_any_part(batches):
    for got, wanted in zip(islice(make(seed=3, start=1, workers=2), 3), batches[1:], strict=True):
        assert_same(got, wanted)
    assert_same(next(iter(make(seed=3, start=2))), batches[2])
    crops, joints = make(seed=3, part=slice(1, 3)).batch(2)
    assert torch.equal(crops.image, batches[2][0].image[1:3])
    assert torch.equal(joints, batches[2][1][1:3])


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
