"""The four input representations and Models 1-4 (paper, section 2.1 and Fig. 2).

All are made from a batch of crops of side S, on its device, and have the range of the image
frame: near +1, far -1, and -1 where there is nothing.
"""

import torch
from torch import Tensor

from senorita_lib.cropping import CUBE_MM, CropBatch

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


def input_channels(model: int, layers: int = LAYERS, voxel_depth: int = VOXEL_DEPTH) -> int:
    """Channels of the input of Model 1-4, see :func:`build_input`."""
    return sum(inputs_of(model, layers, voxel_depth).values())


def inputs_of(model: int, layers: int = LAYERS, voxel_depth: int = VOXEL_DEPTH) -> dict[str, int]:
    """The inputs of Model 1-4 and the channels of each."""
    if model not in list(MODELS):
        raise ValueError(f"model is {model!r}, wanted one of {list(MODELS)}")
    channels = CHANNELS | {"layers": layers, "voxels": voxel_depth}
    return {name: channels[name] for name in MODELS[model]}


def build_input(
    crops: CropBatch, model: int, layers: int = LAYERS, voxel_depth: int = VOXEL_DEPTH
) -> Tensor:
    """The input of one of Models 1-4, (B, channels, S, S), by plain concatenation of channels.

    ``layers`` and ``voxel_depth`` are the channels of the multi-layer depth and the depth voxels.
    No gradient flows to the crops.
    """
    return _fill(crops, inputs_of(model, layers, voxel_depth))


@torch.no_grad()
def _fill(crops: CropBatch, channels: dict[str, int]) -> Tensor:
    """Inputs, each of so many channels, side by side; each is written where it stays."""
    if not isinstance(crops, CropBatch):
        raise ValueError(f"crops are {type(crops).__name__}, wanted a CropBatch")
    count, widths = crops.image.shape[0], list(channels.values())  # len is fixed when exported
    inputs = crops.image.new_empty(count, sum(widths), *crops.image.shape[2:])
    cloud = point_cloud(crops) if {"projection", "voxels"} & channels.keys() else ()
    for name, part in zip(channels, inputs.split_with_sizes(widths, dim=1), strict=True):
        if name == "depth":
            part.copy_(depth_image(crops))
        elif name == "layers":
            _write_layers(part, crops.image)
        elif name == "projection":
            _write_projections(part, *cloud)
        elif name == "voxels":
            _write_voxels(part, *cloud)
    return inputs


def depth_image(crops: CropBatch) -> Tensor:
    """(1) The depth image itself, in three equal channels: (B, 3, S, S)."""
    return crops.image.expand(-1, CHANNELS["depth"], -1, -1)


def point_cloud(crops: CropBatch) -> tuple[Tensor, Tensor]:
    """The depth image's pixels as points (B, S*S, 3), and which are inside the cube, (B, S*S).

    x, y, z in [0, 1] through the cube: x right, y down, z towards the far face.
    """
    image = crops.image[:, 0]
    size = image.shape[-1]
    centres = (torch.arange(size, device=image.device, dtype=image.dtype) + 0.5) / size
    d = (image + 1) / 2
    # Each coordinate is contiguous in memory, which makes every step on the cloud faster.
    points = torch.stack(crops.lift(centres, centres[:, None], d), dim=1).flatten(2)
    points = (points - crops.cube_centre[:, :, None].to(points)) / CUBE_MM + 0.5
    inside = ((points >= 0) & (points < 1)).all(dim=1)
    return points.transpose(1, 2), inside & (d.flatten(1) > 0)


def project_points(crops: CropBatch) -> Tensor:
    """(2) The point cloud seen along the three axes of the cube, (B, 3, S, S).

    Planes x-y (row y, column x), z-y (row y, column z) and z-x (row x, column z). Where several
    points fall into a cell, the nearest to the viewer counts: the one with the least z, the
    greatest x, the least y. It is drawn from +1 (near) to -1 (far).
    """
    return _fill(crops, {"projection": 3})


def _write_projections(planes: Tensor, points: Tensor, valid: Tensor) -> None:
    size = planes.shape[-1]
    x, y, z = points.unbind(dim=-1)
    i, j, k = _cells(points, size).unbind(dim=-1)
    cells = torch.stack([j * size + i, j * size + k, i * size + k], dim=1).long()
    values = torch.stack([1 - 2 * z, 2 * x - 1, 1 - 2 * y], dim=1)
    values.masked_fill_(~valid[:, None], -1)  # as an empty cell, so that they change nothing
    planes.fill_(-1).flatten(2).scatter_reduce_(2, cells, values, reduce="amax")


def _cells(coordinates: Tensor, n: int) -> Tensor:
    """The cell of n along an axis in which coordinates in [0, 1] lie."""
    return (coordinates * n).int().clamp_(0, n - 1)


def layer_depth(crops: CropBatch, layers: int = LAYERS) -> Tensor:
    """(3) Multi-layer depth, (B, layers, S, S): layer k keeps the depths behind plane k.

    The planes cut the cube from near to far: the first layer is the whole hand, the last its
    farthest slice. In one depth image the paper's multi-hit tracing could find nothing more.
    """
    return _fill(crops, {"layers": layers})


def _write_layers(maps: Tensor, image: Tensor) -> None:
    layers = maps.shape[1]
    planes = 1 - 2 * torch.arange(layers, device=image.device, dtype=image.dtype) / layers - 1e-6
    planes[0] = 2  # in front of everything
    # A weight of 0 or 1 makes lerp exact; torch.where on a bool mask takes three times as long.
    behind = torch.lt(image, planes[:, None, None], out=maps)
    torch.lerp(image.new_full((), -1), image, behind, out=maps)


def voxelize(crops: CropBatch, depth: int = VOXEL_DEPTH) -> Tensor:
    """(4) Depth voxels, (B, depth, S, S): the cells of the cube that hold a point of the cloud.

    +1 in occupied cells, -1 elsewhere; slice 0 is the far face, as in the voxel frame.
    """
    return _fill(crops, {"voxels": depth})


def _write_voxels(volume: Tensor, points: Tensor, valid: Tensor) -> None:
    depth, size = volume.shape[1:3]
    i, j = _cells(points[..., 0], size), _cells(points[..., 1], size)
    k = _cells(1 - points[..., 2], depth)
    cells = ((k * size + j) * size + i).long()
    occupied = valid.to(volume.dtype).mul_(2).sub_(1)
    volume.fill_(-1).flatten(1).scatter_reduce_(1, cells, occupied, reduce="amax")
