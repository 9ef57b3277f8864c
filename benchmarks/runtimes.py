"""What the network costs in PyTorch and in ONNX Runtime, beside its backbone alone.

Crop and search are not in it. Rows take turns; both runtimes have the same number of threads.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from training import times

from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.export import INPUTS, export_onnx
from senorita_lib.predictor import Predictor
from senorita_lib.representations import build_input

BATCHES = 1, 5, 32


def compiled(net):
    """The folded network, whose estimator and refiner torch.compile turns into C++."""
    net = net.folded()
    net.estimator.read = torch.compile(net.estimator.read)
    net.refiner = torch.compile(net.refiner)
    return net


def onnx_session(net):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(net, path := Path(folder) / "net.onnx")
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def main():
    """Print the table."""
    net = Predictor.load("small").model
    with torch.inference_mode(False):
        session = onnx_session(net)
    size, hands = net.recipe.image_size, SyntheticHand()
    quick, fused = net.folded(), compiled(net)
    frames = [hands.frame(index) for index in range(max(BATCHES))]
    every = [crop_hand(frame.depth, frame.box, size=size) for frame in frames]
    print(f"{'small, ' + str(torch.get_num_threads()) + ' threads':<28}", end="")
    print("".join(f"{f'batch {batch}, ms':>14}{'ratio':>7}" for batch in BATCHES))
    rows = {}
    for batch in BATCHES:
        crops = CropBatch.stack(every[:batch])
        camera = np.array([getattr(crops.camera, name) for name in ("fx", "fy", "cx", "cy")])
        arrays = crops.image.numpy(), crops.box.numpy(), crops.cube_centre.numpy(), camera
        feed = {n: np.float32(array) for n, array in zip(INPUTS, arrays, strict=True)}
        channels = build_input(crops, *net.inputs)
        joints = net(crops).refinement.joints_mm.numpy()
        others = [other(crops).refinement.joints_mm.numpy() for other in (quick, fused)]
        for found in (*others, session.run(None, feed)[0]):
            if (apart := np.abs(found - joints).max()) > 0.2:
                raise SystemExit(f"joints differ by {apart:.3f} mm, wanted 0.2 at most")
        calls = {
            "PyTorch, backbone alone": lambda channels=channels: net.estimator.backbone(channels),
            "PyTorch": lambda crops=crops: net(crops),
            "  folded, channels last": lambda crops=crops: quick(crops),
            "  and compiled": lambda crops=crops: fused(crops),
            "ONNX Runtime": lambda feed=feed: session.run(None, feed),
        }
        spent = {name: least for name, (least, _) in times(calls).items()}
        base = spent["PyTorch, backbone alone"]
        for name, ms in spent.items():
            rows[name] = rows.get(name, f"{name:<28}") + f"{ms:>14.2f}{ms / base:>7.2f}"
    print(*rows.values(), sep="\n")


if __name__ == "__main__":
    main()
