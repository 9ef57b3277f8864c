"""The hand network as an ONNX file, for runtimes other than PyTorch.

One graph holds input representation, estimator and refiner of a batch of crops of any camera.
``python -m senorita_lib.export small small.onnx`` writes the weights ``small``, with the extra
``onnx``.
"""

import argparse
import copy
import logging
import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

import senorita_lib
from senorita_lib.camera import Camera
from senorita_lib.commands import command
from senorita_lib.cropping import CUBE_MM, CropBatch
from senorita_lib.files import PathLike, user_path, whole_file
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.model import HandPoseNet, tensors_digest, weights_digest
from senorita_lib.predictor import weights_path
from senorita_lib.views import WIDTH_MM

OPSET = 18  # the first that scatters maxima, which Models 2-4 need

# All float32; each becomes metadata of the file. B is any number of crops, S the image's side.
INPUTS = {
    "image": "(B, 1, S, S): near face of the cube +1, far face and nothing -1",
    "box": f"(B, 4): x1, y1, x2, y2 of the square image, px, {WIDTH_MM:.0f} mm wide at its centre",
    "cube_centre": f"(B, 3): centre of the cube of {CUBE_MM:g} mm, camera frame, mm",
    "camera": "(4,): fx, fy, cx, cy of the camera that all crops come from, px",
}
OUTPUTS = {
    "joints_mm": "(B, 21, 3): refined pose, camera frame, mm",
    "initial_mm": "(B, 21, 3): pose before the refinement, camera frame, mm",
    "uvd": "(B, 21, 3): that pose; u, v in [0, 1] across the box, d from far face (0) to near (1)",
    "spread": "(B, 21, 3): standard deviations of the heat maps, in units of uvd",
    "left_logit": "(B,): logit of a left hand, whose pose is to be read from a mirrored crop",
}


def export_onnx(weights: PathLike | HandPoseNet, path: PathLike) -> None:
    """Write a network as one ONNX file of inputs :data:`INPUTS` and outputs :data:`OUTPUTS`.

    ``weights`` are a network or what :meth:`.Predictor.load` takes. Direct regression has no
    ``spread``, weights that cannot tell hands have no ``left_logit``. Raises ``ImportError``
    without the extra ``onnx``, ``OSError`` if ``path`` cannot be written, and as that does.
    """
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            wanted = "wanted the extra onnx: pip install 'senorita-lib[onnx]'"
            raise ImportError(f"{name} is not installed here, {wanted}")
    if isinstance(weights, HandPoseNet):
        net = copy.deepcopy(weights).cpu()
        digest = tensors_digest(net.state_dict())
    else:
        file = weights_path(weights)
        net, digest = HandPoseNet.load(file), weights_digest(file)
    path = user_path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, wanted the name of a file to write")
    with whole_file(path) as part:  # one that cannot be written is told at once
        part.write(_serialized(net.float(), digest))


class _AnyCamera(Camera):
    def __post_init__(self) -> None:
        """Its values are tensors: nothing can be checked before the file runs."""


class _Graph(nn.Module):
    def __init__(self, net: HandPoseNet) -> None:
        super().__init__()
        self.net, recipe = net, net.recipe
        left_out = {"spread": recipe.head == "regression", "left_logit": not recipe.handedness}
        self.outputs = [name for name in OUTPUTS if not left_out.get(name)]

    def forward(
        self, image: Tensor, box: Tensor, cube_centre: Tensor, camera: Tensor
    ) -> list[Tensor]:
        fx, fy, cx, cy = cast(Any, camera.unbind())
        found = self.net(CropBatch(image, box, cube_centre, _AnyCamera(fx, fy, cx, cy, 0, 0)))
        every = {
            "joints_mm": found.refinement.joints_mm, "initial_mm": found.joints_mm,
            "uvd": found.uvd, "spread": found.reading.spread, "left_logit": found.reading.left,
        }  # fmt: skip
        return [every[name] for name in self.outputs]


def _serialized(net: HandPoseNet, digest: str) -> bytes:
    graph, size = _Graph(net).eval(), net.recipe.image_size
    # Two crops: what is traced of one would hold for one alone.
    box, centre = torch.tensor([[0.0, 0, size, size]] * 2), torch.tensor([[0.0, 0, 500]] * 2)
    crops = torch.full((2, 1, size, size), -1.0), box, centre, torch.tensor([475.0, 475, 320, 240])
    any_number = torch.export.Dim.DYNAMIC
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torchvision is not needed
    with warnings.catch_warnings():
        # torch 2.13 copies a class of its own that it has deprecated.
        warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
        program = torch.onnx.export(
            graph, crops, dynamo=True, verbose=False, opset_version=OPSET,
            input_names=list(INPUTS), output_names=graph.outputs,
            dynamic_shapes=({0: "batch"}, {0: any_number}, {0: any_number}, None),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    for traced in (*model.graph.node, *model.graph.input, *model.graph.output):
        traced.ClearField("metadata_props")  # lines of code, with the paths of this machine
    model.graph.ClearField("value_info")
    told = INPUTS | {name: OUTPUTS[name] for name in graph.outputs}
    told |= {
        "frames": "camera frame: x right, y down, z forward; px: whole numbers at pixel centres",
        "joint_names": ",".join(JOINT_NAMES), "recipe": net.recipe.to_json(),
        "kit": f"senorita-lib {senorita_lib.__version__}",
        "licence": "MIT, the kit and its own weights; other weights are their owners'",
        "weights_digest": digest,
    }  # fmt: skip
    for key, value in told.items():
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString())


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: weights and a file to write."""
    what = "Write a hand network as an ONNX file."
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.export", description=what)
    parser.add_argument("weights", help="model.safetensors, a run's folder or a name, as small")
    parser.add_argument("file", help="ONNX file to write")
    chosen = parser.parse_args(arguments)
    export_onnx(chosen.weights, chosen.file)
    print(f"{chosen.file}: {os.path.getsize(user_path(chosen.file)) / 1e6:.1f} MB, opset {OPSET}")


if __name__ == "__main__":
    main()
