from dataclasses import replace

import numpy as np
import pytest

from senorita_lib.camera import SR300
from senorita_lib.checks import check_predictor
from senorita_lib.predictor import Predictor

SMALL = Predictor.load("small")


class Wrapped:
    """Our predictor with one thing done otherwise."""

    def __init__(self, before=None, after=None):
        self.before, self.after = before, after

    def predict(self, depth_mm, camera, box=None, left="auto"):
        given = (depth_mm, camera, box, left)
        pose = SMALL.predict(*(self.before(*given) if self.before else given))
        return self.after(pose) if self.after else pose


def changes_its_input(depth, camera, box, left):
    depth[:10] = 1
    return depth, camera, box, left


def takes_any_unit(depth, camera, box, left):
    return depth * np.float32(1000 if 0 < depth.max() < 20 else 1), camera, box, left


def takes_any_size(depth, camera, box, left):
    return np.resize(depth, (camera.height, camera.width)), camera, box, left


def knows_one_camera(pose):
    """As if every image were as wide; scaled about the camera, joints stay at their pixels."""
    return replace(pose, joints_mm=pose.joints_mm * pose.crop.camera.width / 640)


def shaky(pose):
    joints = pose.joints_mm + np.random.default_rng().normal(0, 1, (21, 3))
    return replace(pose, joints_mm=joints, pixels=SR300.project(joints)[:, :2])


def in_the_middle(pose):
    joints = pose.joints_mm + [0, 0, 500] - pose.joints_mm.mean(axis=0)
    return replace(pose, joints_mm=joints, pixels=pose.crop.camera.project(joints)[:, :2])


def changed(name, change):
    return Wrapped(after=lambda pose: replace(pose, **{name: change(getattr(pose, name))}))


BROKEN = {
    "input: depth_mm was changed": Wrapped(changes_its_input),
    "depth in metres gave a pose, wanted a ValueError": Wrapped(takes_any_unit),
    "another size than its camera's gave a pose": Wrapped(takes_any_size),
    "twice as many pixels, the same hand: .* mm apart": Wrapped(after=knows_one_camera),
    "a left hand is a right one in a mirror: .* mm apart": Wrapped(lambda *v: (*v[:3], False)),
    "twice the same: .* mm apart, wanted 0.01 at most": Wrapped(after=shaky),
    "a moved picture moves the pixels: .* px apart": Wrapped(after=in_the_middle),
    "form: joints_mm is int": changed("joints_mm", lambda joints: joints.astype(int)),
    "form: pixels is float32 of shape \\(20, 2\\), wanted floats": changed(
        "pixels", lambda p: p[1:]
    ),
    "form: pixels has NaN": changed("pixels", lambda pixels: pixels * np.nan),
    "form: pixels are 1.41 px from the joints": changed("pixels", lambda pixels: pixels + 1),
}


def test_our_weights_pass():
    passed = check_predictor(SMALL)
    assert len(passed) == 10 and passed[0].startswith("form: ")


@pytest.mark.slow
def test_a_network_of_the_papers_crop_passes(trained):
    assert len(check_predictor(Predictor.load(trained.folder))) == 10


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_broken_predictor_is_told_what_is_wrong(sentence):
    with pytest.raises(AssertionError, match=sentence):
        check_predictor(BROKEN[sentence])
