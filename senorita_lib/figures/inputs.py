"""One channel of one input at a time: what it holds, and what it is called."""

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.representations import (
    CHANNELS,
    LAYERS,
    depth_image,
    layer_depth,
    project_points,
    voxelize,
)


def pose_input(hands, pose, name, layers=LAYERS):
    """One input of a posed hand, alone: what notebook 02's sliders draw.

    Parameters
    ----------
    hands : SyntheticHand
    pose : senorita_lib.datasets.synthetic.posing.HandPose
    name : {"depth", "projection", "layers", "voxels"}
    layers : int
        Of the multi-layer depth.

    Returns
    -------
    tensor, (channels, S, S)
        Image frame.
    """
    frame = hands.alone(pose)
    crops = CropBatch.stack([crop_hand(frame.depth, frame.box, hands.camera)])
    if name == "layers":
        return layer_depth(crops, layers)[0]
    return {"depth": depth_image, "projection": project_points, "voxels": voxelize}[name](crops)[0]


def channel_title(name, channel, layers=LAYERS):
    """What a channel of an input holds; mm are nearer than the cube's centre."""
    if name == "depth":
        return "depth image (all three channels are equal)"
    if name == "projection":
        return ("x-y, from the front", "z-y, from the side", "z-x, from above")[channel]
    if name == "layers":
        behind = f"what lies behind {100 - 200 * channel / layers:+.0f} mm" if channel else "all"
        title = f"layer {channel} of {layers}: {behind}"
    else:
        low, high = (200 * (channel + i) / CHANNELS["voxels"] - 100 for i in (0, 1))
        title = f"slice {channel} of {CHANNELS['voxels']}: from {low:+.0f} to {high:+.0f} mm"
    return title.replace("-", "−")
