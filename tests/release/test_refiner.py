from functools import partial

import numpy as np
import pytest
import torch

from senorita_lib.hand import joints_to_bones
from senorita_lib.refinement import BoneRefiner
from senorita_lib.release.refiner import Refiner


def test_raw_orientations_are_bones_in_mm(crops, hand):
    """Refined bone = initial bone + residual, whatever lengths are given."""
    torch.manual_seed(0)
    small = {"patch_sizes": (32, 16, 8), "hidden": 8, "channels": 2}
    joints = torch.from_numpy(hand)
    uvd = crops.to_uvd(joints)
    refiner = Refiner(torch.full((20,), torch.nan), **small)
    refined = refiner(crops.image, uvd, joints)
    assert refined.orient is joints_to_bones
    assert torch.equal(refined.initial_orientation, joints_to_bones(joints))
    wanted = (refined.initial_orientation + refined.residual_orientation).detach()
    np.testing.assert_allclose(joints_to_bones(refined.joints_mm.detach()), wanted, atol=1e-3)


def test_style_of_the_patches_reaches_the_network(crops, hand):
    """The same weights, other patches, another residual."""
    joints = torch.from_numpy(hand)
    residuals = []
    for kind in (BoneRefiner, partial(Refiner, orientation="unit")):
        torch.manual_seed(0)
        refiner = kind(torch.ones(20), patch_sizes=(16, 8, 8), hidden=4)
        refined = refiner.eval()(crops.image, crops.to_uvd(joints), joints)
        residuals.append(refined.residual_orientation)
    assert not torch.equal(*residuals)


def test_sizes_that_cannot_be_pooled_are_refused_at_once():
    with pytest.raises(ValueError, match=r"sizes are \(96, 50, 24\), wanted the first"):
        Refiner(torch.ones(20), patch_sizes=(96, 50, 24))
