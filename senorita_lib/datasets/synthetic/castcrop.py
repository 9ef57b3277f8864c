"""Crops of hands that are cast rather than photographed, in batches on a device.

The crop is that of :func:`senorita_lib.cropping.crop_hand` with its defaults, except that what is
hand (with its arm) is known and needs no threshold, that the rough centre comes from a coarse
image, and that rays go through the crop's own pixels. No shape depends on data.
"""

import torch

from senorita_lib.camera import SR300
from senorita_lib.cropping import CUBE_MM, NOMINAL_MM, SIDE_PX, CropBatch
from senorita_lib.datasets.synthetic.spherecast import cast_depth

_COARSE = 65  # rays along the side of the coarse image; odd, so that one is in its middle


def pixels_of(box, size):
    """Columns u (B, size) and rows v (B, size), pixel frame, of crops with boxes (B, 4)."""
    shares = (torch.arange(size, device=box.device) + 0.5) / size
    side = box[:, 2:3] - box[:, :1]
    return box[:, :1] + side * shares, box[:, 1:2] + side * shares


def rays_of(u, v, camera):
    """Rays through columns and rows, as :func:`.cast_depth`'s."""
    return (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy


def rough_box(surfaces, joints, camera, compiled=None):
    """Box and coarse depth of hands, from a coarse image of the square around their joints.

    Parameters
    ----------
    surfaces : Surfaces
        Of B hands with their arms.
    joints : tensor, (B, 21, 3)
        Camera frame, mm.
    camera : Camera
    compiled : bool, optional
        As in :func:`~senorita_lib.datasets.synthetic.spherecast.cast_depth`.

    Returns
    -------
    box : tensor, (B, 4)
        x1, y1, x2, y2 of the square crops, whole pixels.
    coarse_z : tensor, (B,)
        Mean depth around the rough centre, mm.
    """
    middle, side = _square(joints, camera)
    steps = torch.arange(_COARSE, device=joints.device) - _COARSE // 2
    offsets = side * steps / (_COARSE - 1)
    u, v = middle[:, :1] + offsets, middle[:, 1:] + offsets
    depth = cast_depth(surfaces, *rays_of(u, v, camera), compiled)
    hand = (depth < torch.inf) & _inside(u, v, camera)
    # The hand's pixel nearest to the middle; of several the leftmost, of those the uppermost.
    places = steps + _COARSE // 2
    rank = steps**2 + steps[:, None] ** 2
    rank = (rank * _COARSE + places) * _COARSE + places[:, None]
    first = torch.where(hand, rank, rank.numel() ** 2).flatten(1).amin(1)
    found = first < rank.numel() ** 2
    first = torch.where(found, first, _COARSE // 2 * (_COARSE + 1))  # the middle
    column, row = first // _COARSE % _COARSE, first % _COARSE
    rough = middle + offsets.gather(1, torch.stack([column, row], dim=1)).round()
    z = depth.flatten(1).gather(1, (row * _COARSE + column)[:, None])[:, 0]
    z = torch.where(found, z, joints[..., 2].mean(1))
    near = hand & ((depth - z[:, None, None]).abs() <= CUBE_MM / 2)
    mean = torch.where(near, depth, 0).sum((1, 2)) / near.sum((1, 2)).clamp_min(1)
    coarse_z = torch.where(found, mean, z)
    side = (NOMINAL_MM / coarse_z * SIDE_PX * camera.fx / SR300.fx)[:, None]
    corner, side = (rough - side / 2).trunc(), side.floor()
    return torch.cat([corner, corner + side], dim=1), coarse_z


def _square(joints, camera, margin=14.0):
    """Middle pixel (B, 2) and side (B, 1) of the square around boxes.hand_box's box."""
    uvz = camera.project(joints)
    low, high = [], []
    for axis, focal, size in ((0, camera.fx, camera.width), (1, camera.fy, camera.height)):
        border = margin / uvz[..., 2] * focal
        low.append((uvz[..., axis] - border).amin(1).floor().clamp(0, size))
        high.append((uvz[..., axis] + border).amax(1).ceil().clamp(0, size))
    low, high = torch.stack(low, dim=1), torch.stack(high, dim=1)
    return low + ((high - low) / 2).floor(), (high - low).amax(1, keepdim=True)


def _inside(u, v, camera):
    """Which pixels (B, H, W) of columns u (B, W) and rows v (B, H) the camera has."""
    across, down = (u + 0.5, camera.width), (v + 0.5, camera.height)
    across, down = ((at >= 0) & (at < size) for at, size in (across, down))
    return across[:, None, :] & down[:, :, None]


def crop_depth(depth, box, coarse_z, camera):
    """Crops of depth that was taken at their own pixels.

    Parameters
    ----------
    depth : tensor, (B, size, size)
        mm, 0 or ``inf`` where nothing returned.
    box : tensor, (B, 4)
        Pixel frame.
    coarse_z : tensor, (B,)
        mm.
    camera : Camera

    Returns
    -------
    CropBatch
    """
    u, v = pixels_of(box, depth.shape[1])
    hand = ((depth - coarse_z[:, None, None]).abs() <= CUBE_MM / 2) & _inside(u, v, camera)
    hand &= depth > 0
    number = hand.sum((1, 2))
    sums = torch.stack(
        [
            (hand.sum(1) * u).sum(1),
            (hand.sum(2) * v).sum(1),
            torch.where(hand, depth, 0).sum((1, 2)),
        ],
        dim=1,
    )
    middle = torch.cat([(box[:, :2] + box[:, 2:]) / 2, coarse_z[:, None]], dim=1)
    mean = torch.where(number[:, None] > 0, sums / number.clamp_min(1)[:, None], middle)
    centre = camera.unproject(mean)
    near = ((centre[:, 2, None, None] - depth) / CUBE_MM + 0.5).clamp(0, 1)
    image = torch.where(hand, 2 * near - 1, -1)
    return CropBatch(image[:, None], box, centre, camera)
