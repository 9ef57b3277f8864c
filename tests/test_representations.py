import numpy as np
import pytest
import torch

from senorita_lib import representations
from senorita_lib.cropping import CropBatch
from senorita_lib.representations import layer_depth, point_cloud, project_points, voxelize


@pytest.fixture(scope="module")
def released(golden):
    """The authors' crops as a batch whose pixels lie where their code puts them."""
    data, crop = golden("inputs_test_mode"), golden("crop")
    limits = torch.from_numpy(data["lims"])
    centre = torch.stack([limits[:, i : i + 2].mean(dim=1) for i in (0, 2, 4)], dim=1)
    box = torch.from_numpy(crop["out_box_xyxy"])
    half_a_pixel = (box[:, 2:3] - box[:, 0:1]) / 512
    image = torch.from_numpy(np.rint(data["aug_img"] * 256) / 255 * 2 - 1).float()
    return CropBatch(image=image[:, None], box=box - half_a_pixel, cube_centre=centre), data


def test_layers_match_the_release(released):
    crops, data = released
    ours = (layer_depth(crops) + 1) / 2 * 255 / 256
    # Their first layer lacks the pixels on the near face itself; ours is the whole hand.
    near_face = (crops.image == 1).sum(dim=(1, 2, 3)) * 255 / 256
    ours_sums = ours.sum(dim=(2, 3))
    ours_sums[:, 0] -= near_face
    np.testing.assert_allclose(ours_sums, data["layered64_sum_per_slice"], rtol=1e-5, atol=1e-3)
    slices = data["layered64_slice_ids"]
    wanted = data["layered64_slices"][slices > 0]
    np.testing.assert_allclose(ours[0, slices[slices > 0]], wanted, atol=1e-5)
    sums = ((layer_depth(crops, 32) + 1) / 2 * 255 / 256).sum(dim=(2, 3))
    np.testing.assert_allclose(sums[:, 1:], data["layered32_sum_per_slice"][:, 1:], rtol=1e-5)


def test_projections_match_the_release(released):
    crops, data = released
    samples = data["proj_samples"]
    ours = (project_points(crops)[samples] + 1) / 2 * 255 / 256
    for plane, name in enumerate(("proj_xy", "proj_zy", "proj_zx")):
        theirs = torch.from_numpy(data[name])
        # Theirs lets points in front of or beside the cube pile up at index 0; ours drops them.
        inner = (slice(None), slice(1, None), slice(1, None))
        difference = (ours[:, plane] - theirs)[inner].abs()
        occupied = (theirs[inner] > 0) | (ours[:, plane][inner] > 0)
        assert occupied.sum() > 1000
        # A point that float32 puts across a cell's border makes two cells differ.
        assert (difference[occupied] > 2e-3).float().mean() < 0.01, name


def test_point_cloud_is_the_surface_of_the_crop(crops):
    points, valid = point_cloud(crops)
    xyz = (points - 0.5) * 200 + crops.cube_centre[:, None]
    image = crops.image.flatten(1)
    uvd = crops.to_uvd(xyz)
    np.testing.assert_allclose((2 * uvd[..., 2] - 1)[valid], image[valid], atol=1e-4)
    assert not valid[image == -1].any() and valid.any(dim=1).all()


def test_voxels_hold_exactly_the_points(crops):
    volume = voxelize(crops)
    assert volume.shape == (4, 32, 64, 64)
    points, valid = point_cloud(crops)
    for sample in range(4):
        x, y, z = points[sample, valid[sample]].T
        cells = torch.stack([(1 - z) * 32, y * 64, x * 64], dim=1).int()
        wanted = set(map(tuple, cells.tolist()))
        assert set(map(tuple, (volume[sample] == 1).nonzero().tolist())) == wanted
    assert set(volume.unique().tolist()) == {-1.0, 1.0}


def test_projections_see_the_nearest_point(crops):
    planes = project_points(crops)
    points, valid = point_cloud(crops)
    for sample in range(4):
        x, y, z = points[sample, valid[sample]].double().numpy().T
        for plane, (row, column, value) in enumerate(
            [(y, x, 1 - 2 * z), (y, z, 2 * x - 1), (x, z, 1 - 2 * y)]
        ):
            wanted = np.full((64, 64), -1.0)
            np.maximum.at(wanted, ((row * 64).astype(int), (column * 64).astype(int)), value)
            np.testing.assert_allclose(planes[sample, plane], wanted, atol=1e-5)


def test_layers_are_the_depths_behind_their_plane(crops):
    layers = layer_depth(crops, 8)
    image = crops.image
    assert torch.equal(layers[:, :1], image)
    for k in range(1, 8):
        depth = (1 - image) / 2  # 0 near, 1 far
        wanted = torch.where(depth > k / 8 + 1e-6, image, -1)
        assert torch.equal(layers[:, k : k + 1], wanted)


@pytest.mark.parametrize("model", representations.MODELS)
def test_models_concatenate_their_inputs(crops, model):
    inputs = representations.build_input(crops, model)
    assert inputs.shape == (4, representations.input_channels(model), 64, 64)
    makers = (representations.depth_image, project_points, layer_depth, voxelize)
    alone = dict(zip(representations.CHANNELS, makers, strict=True))
    wanted = [alone[name](crops) for name in representations.MODELS[model]]
    assert torch.equal(inputs, torch.cat(wanted, dim=1))
    assert inputs.min() >= -1 and inputs.max() <= 1 and inputs.isfinite().all()
    assert representations.input_channels(model) == {1: 3, 2: 70, 3: 38, 4: 102}[model]
    fewer = representations.build_input(crops, model, layers=16, voxel_depth=8)
    assert fewer.shape[1] == representations.input_channels(model, 16, 8)
    with pytest.raises(ValueError, match=r"model is 5, wanted one of \[1, 2, 3, 4\]"):
        representations.build_input(crops, 5)
