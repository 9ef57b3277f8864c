"""One frame's way through the networks, recorded: what each module gets and gives."""

from typing import Any, NamedTuple

import torch

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.model import Prediction
from senorita_lib.training.stages import crop_options


class Call(NamedTuple):
    """A module's first argument in a forward pass, and what it returned.

    A norm's output is what the ReLU after it, which works in place, has made of it.
    """

    input: Any
    output: Any


def record(model, crops):
    """What goes into each module and comes out of it, in one forward pass without gradient.

    Parameters
    ----------
    model : HandPoseNet
        Runs as for prediction, and is left as it was.
    crops : CropBatch

    Returns
    -------
    dict
        Module's name, as in ``named_modules``, to :class:`Call`; "" is the whole network.
    """
    calls, hooks = {}, []
    modes = [(module, module.training) for module in model.modules()]
    for name, module in model.named_modules():

        def keep(_, arguments, output, name=name):
            calls[name] = Call(arguments[0], output)

        hooks.append(module.register_forward_hook(keep))
    try:
        with torch.no_grad():
            model.eval()(crops)
    finally:
        for module, training in modes:
            module.training = training
        for hook in hooks:
            hook.remove()
    return calls


def shape_text(tensor):
    """A tensor's shape as the figures print it: ``1 × 21 × 3``."""
    return " × ".join(map(str, tensor.shape))


class Flow(NamedTuple):
    """One frame's way through a network.

    Attributes
    ----------
    crops : CropBatch
        Of the one frame.
    calls : dict
        What :func:`record` says of it.
    prediction : Prediction
    true_mm : tensor, (1, 21, 3), or None
        Camera frame, mm.
    patches : str
        Style of the patches, as in the recipe.
    """

    crops: CropBatch
    calls: dict
    prediction: Prediction
    true_mm: torch.Tensor | None
    patches: str

    @property
    def size(self):
        """Side of the crop, px."""
        return self.crops.image.shape[-1]

    def pixels(self, joints_mm):
        """Joints (1, 21, 3), camera frame, mm, in pixels of the crop: array (21, 2)."""
        return self.crops.to_uvd(joints_mm)[0, :, :2].cpu().numpy() * self.size - 0.5


def follow(model, frame, camera):
    """One frame's way through a network with heat maps.

    Parameters
    ----------
    model : HandPoseNet
    frame : Frame
    camera : Camera

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If the model has no heat maps.
    HandNotFoundError
        If the frame's box holds no hand.
    """
    recipe = model.recipe
    if recipe.head != "integral":
        raise ValueError(f"model has a {recipe.head!r} head, wanted 'integral', with heat maps")
    found = crop_hand(frame.depth, frame.box, camera, **crop_options(recipe))
    crops = CropBatch.stack([found]).to(next(model.parameters()).device)
    calls = record(model, crops)
    true = None if frame.joints is None else torch.as_tensor(frame.joints).to(crops.image)[None]
    return Flow(crops, calls, calls[""].output, true, recipe.patches)


def patch_stages(calls):
    """For each scale of the patch stream its calls: convolution, norm, ReLU, pooling, stage."""
    parts = [(name.split("."), call) for name, call in calls.items()]
    parts = [(name[2:], call) for name, call in parts if name[:2] == ["refiner", "patch_stream"]]
    scales = dict.fromkeys(name[0] for name, _ in parts)
    return [[call for name, call in parts if name[0] == scale] for scale in scales]
