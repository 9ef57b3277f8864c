"""The four input representations and Models 1-4 (paper, section 2.1 and Fig. 2).

All are made from the cropped depth image, its box and its cube, batched, on the device
of the batch; S is the side of the crop. Everything has the range of the image frame:
near +1, far -1, and -1 where there is nothing.
"""

import torch

LAYERS, VOXEL_DEPTH = 64, 32

# Model → the inputs that it concatenates, in order (Fig. 2).
MODELS = {
    1: ("depth",),
    2: ("depth", "projection", "layers"),
    3: ("depth", "projection", "voxels"),
    4: ("depth", "projection", "layers", "voxels"),
}
# The depth image fills the three channels that weights pretrained on colour images expect.
CHANNELS = {"depth": 3, "projection": 3, "layers": LAYERS, "voxels": VOXEL_DEPTH}


def input_channels(model, layers=LAYERS, voxel_depth=VOXEL_DEPTH):
    """Channels of the input of Model 1-4, see :func:`build_input`."""
    channels = CHANNELS | {"layers": layers, "voxels": voxel_depth}
    return sum(channels[name] for name in inputs_of(model))


def inputs_of(model):
    """Names of the inputs of Model 1-4; ``ValueError`` for another number."""
    if model not in MODELS:
        raise ValueError(f"model is {model!r}, wanted one of {list(MODELS)}")
    return MODELS[model]


def build_input(crops, model, layers=LAYERS, voxel_depth=VOXEL_DEPTH):
    """The input tensor of one of Models 1-4, by plain concatenation of channels.

    Parameters
    ----------
    crops : CropBatch
    model : {1, 2, 3, 4}
    layers, voxel_depth : int
        Channels of the multi-layer depth and of the depth voxels.

    Returns
    -------
    tensor, (B, input_channels(model, layers, voxel_depth), S, S)
    """
    make = {
        "depth": depth_image,
        "projection": project_points,
        "layers": lambda crops: layer_depth(crops, layers),
        "voxels": lambda crops: voxelize(crops, voxel_depth),
    }
    return torch.cat([make[name](crops) for name in inputs_of(model)], dim=1)


def depth_image(crops):
    """(1) The depth image itself, in three equal channels: (B, 3, S, S)."""
    return crops.image.expand(-1, CHANNELS["depth"], -1, -1)


def point_cloud(crops):
    """The depth image's pixels as points of the cube.

    Parameters
    ----------
    crops : CropBatch

    Returns
    -------
    points : tensor, (B, S*S, 3)
        x, y, z in [0, 1] through the cube: x right, y down, z towards the far face.
    valid : tensor, (B, S*S), bool
        Pixels that are not background and lie inside the cube.
    """
    image = crops.image[:, 0]
    size = image.shape[-1]
    centres = (torch.arange(size, device=image.device, dtype=image.dtype) + 0.5) / size
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    d = (image + 1) / 2
    uvd = torch.stack([u.expand_as(d), v.expand_as(d), d], dim=-1).flatten(1, 2)
    points = (crops.to_camera(uvd) - crops.cube_centre[:, None]) / 200.0 + 0.5
    inside = ((points >= 0) & (points < 1)).all(dim=-1)
    return points, inside & (d.flatten(1) > 0)


def project_points(crops):
    """(2) The point cloud seen along the three axes of the cube.

    Parameters
    ----------
    crops : CropBatch

    Returns
    -------
    tensor, (B, 3, S, S)
        Planes x-y (row y, column x), z-y (row y, column z) and z-x (row x, column z). Where
        several points fall into a cell the nearest to the viewer counts: the one with the
        least z, the greatest x, the least y. It is drawn from +1 (near) to -1 (far).
    """
    points, valid = point_cloud(crops)
    size = crops.image.shape[-1]
    x, y, z = points.unbind(dim=-1)
    column = (points * size).long().clamp_(0, size - 1)
    i, j, k = column.unbind(dim=-1)
    cells = torch.stack([j * size + i, j * size + k, i * size + k], dim=1)
    values = torch.stack([1 - 2 * z, 2 * x - 1, 1 - 2 * y], dim=1)
    values = torch.where(valid[:, None], values, -1)
    planes = torch.full_like(values, -1).scatter_reduce_(2, cells, values, reduce="amax")
    return planes.unflatten(2, (size, size))


def layer_depth(crops, layers=LAYERS):
    """(3) Multi-layer depth: layer k keeps the depths behind plane k.

    The planes cut the cube from near to far into ``layers`` slices, so that the first
    layer is the whole hand and the last its farthest slice. One depth image gives a ray no
    second hit, so the multi-hit tracing that the paper speaks of could find nothing more.

    Parameters
    ----------
    crops : CropBatch
    layers : int

    Returns
    -------
    tensor, (B, layers, S, S)
    """
    planes = torch.arange(layers, device=crops.image.device, dtype=crops.image.dtype)
    planes = 1 - 2 * planes / layers
    kept = crops.image < planes[:, None, None] - 1e-6
    kept[:, 0] = True
    return torch.where(kept, crops.image, -1)


def voxelize(crops, depth=VOXEL_DEPTH):
    """(4) Depth voxels: the cells of the cube that hold a point of the cloud.

    Parameters
    ----------
    crops : CropBatch
    depth : int
        Cells through the cube; the other two sides have the image's.

    Returns
    -------
    tensor, (B, depth, S, S)
        +1 in occupied cells, -1 elsewhere; slice 0 is the far face, as in the voxel frame.
    """
    points, valid = point_cloud(crops)
    size = crops.image.shape[-1]
    i = (points[..., 0] * size).long().clamp_(0, size - 1)
    j = (points[..., 1] * size).long().clamp_(0, size - 1)
    k = ((1 - points[..., 2]) * depth).long().clamp_(0, depth - 1)
    # Points outside go to one cell behind the volume's end.
    cells = torch.where(valid, (k * size + j) * size + i, depth * size * size)
    volume = crops.image.new_full((len(points), depth * size * size + 1), -1)
    return volume.scatter_(1, cells, 1.0)[:, :-1].unflatten(1, (depth, size, size))
