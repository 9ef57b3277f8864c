"""Joints of a hand in a depth image, with ONNX Runtime and NumPy alone.

    python -m senorita_lib.export small small.onnx  # once, where the kit is installed
    python onnx_numpy.py small.onnx depth.png --camera 475 475 316 245 --box 250 130 420 300

The depth image is a 16-bit PNG, mm, or an array in a .npy file; it must show a right hand whose
fingers point up. Left out is what `Predictor` does beyond: it finds the box, looks for the hand's
roll, tells left hands (mirror image and joints) from right ones, gives the mean of five crops.
"""

import argparse

import numpy as np
import onnxruntime
from PIL import Image

CUBE_MM, WIDTH_MM = 200.0, 221.02  # depth and width that a crop shows


def read_depth(path):
    """The image (H, W), mm, 0 where nothing returned."""
    return np.load(path) if path.endswith(".npy") else np.asarray(Image.open(path))


def middle_of(depth, box, camera):
    """The middle of a box (3,), camera frame, mm, at the median depth of what is near in it."""
    (fx, fy, cx, cy), (x1, y1, x2, y2) = camera, box
    seen = depth[max(int(y1), 0) : int(y2), max(int(x1), 0) : int(x2)]
    seen = seen[seen > 0]
    z = float(np.median(seen[seen < np.percentile(seen, 5) + CUBE_MM / 2]))
    return np.array([((x1 + x2) / 2 - cx) * z / fx, ((y1 + y2) / 2 - cy) * z / fy, z])


def crop(depth, middle, camera, size):
    """Image (size, size), near +1, far and nothing -1, and box x1, y1, x2, y2, px, at a point."""
    (fx, fy, cx, cy), (x, y, z) = camera, middle
    side = WIDTH_MM * fx / z
    corner = np.array([fx * x / z + cx, fy * y / z + cy]) - side / 2
    inside = (depth > 0) & (abs(depth - z) <= CUBE_MM / 2)
    near = np.where(inside, (z - depth) / CUBE_MM + 0.5, 0)  # 1 near, 0 far
    # Bilinear, between the hand's pixels only; pixel i of n lies at (i + 1/2) / n of the box.
    maps = np.pad(np.stack([near, inside]), [(0, 0), (1, 1), (1, 1)])  # nothing outside the image
    rows, columns = corner[::-1, None] + side * (np.arange(size) + 0.5) / size
    both = np.zeros((2, size, size))
    for down, right in np.ndindex(2, 2):
        v, u = np.floor(rows).astype(int) + down, np.floor(columns).astype(int) + right
        weight = (1 - abs(rows - v))[:, None] * (1 - abs(columns - u))
        both += weight * maps.take(v + 1, axis=1, mode="clip").take(u + 1, axis=2, mode="clip")
    image = np.where(both[1] >= 0.5, 2 * both[0] / np.maximum(both[1], 0.5) - 1, -1)
    return image, np.concatenate([corner, corner + side])


def main(arguments=None):
    """Print the joints and return them, (21, 3), camera frame, mm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("depth")
    for name, parts in (("--camera", "FX FY CX CY"), ("--box", "X1 Y1 X2 Y2")):
        parser.add_argument(name, nargs=4, type=float, required=True, metavar=(*parts.split(),))
    chosen = parser.parse_args(arguments)
    session = onnxruntime.InferenceSession(chosen.model, providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map["joint_names"].split(",")
    size = session.get_inputs()[0].shape[-1]
    depth = read_depth(chosen.depth).astype(float)
    middle = middle_of(depth, chosen.box, chosen.camera)
    for _ in range(2):  # the second crop is about the middle of the pose that the first one shows
        image, box = crop(depth, middle, chosen.camera, size)
        inputs = {"image": image[None, None], "box": box[None], "cube_centre": middle[None]}
        inputs["camera"] = chosen.camera
        inputs = {name: np.asarray(value, np.float32) for name, value in inputs.items()}
        (joints,) = session.run(["joints_mm"], inputs)[0]
        middle = joints.mean(axis=0)
    for name, (x, y, z) in zip(names, joints, strict=True):
        print(f"{name:<11}{x:9.1f}{y:9.1f}{z:9.1f}")
    return joints


if __name__ == "__main__":
    main()
