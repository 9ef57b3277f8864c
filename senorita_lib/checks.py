"""Whether any predictor of hand poses keeps to what its callers rely on."""

from typing import Any

import numpy as np

from senorita_lib.camera import SR300, Camera
from senorita_lib.cropping import in_mirror
from senorita_lib.datasets.synthetic.frames import SyntheticHand

# Shifted by less than a pixel, a network answers a little differently. What is wrong by rule is
# wrong by 8 mm and more in these checks.
_MM, _PX = 3.0, 3.0  # mean over the joints, of the median frame


def check_predictor(predictor: Any) -> list[str]:
    """Put a predictor through what :class:`.Predictor` promises, on generated frames.

    ``predictor.predict(depth_mm, camera, box=box, left=left)`` must give a pose that has
    ``joints_mm`` (21, 3), camera frame, mm, and ``pixels`` (21, 2). Whether the pose is the right
    one is not asked. Returns a sentence for each check that it passed.

    Raises
    ------
    AssertionError
        At the first check that fails: its name, what was found and what was wanted.
    """
    hands, passed = SyntheticHand(seed=23), []
    frames = [hands.frame(index, "interp") for index in range(3)]

    def ask(depth: np.ndarray, camera: Camera, box: np.ndarray, left: bool = False) -> np.ndarray:
        """Joints and pixels (21, 5), after a look at their form."""
        depth = np.ascontiguousarray(depth)
        given = depth.copy()
        pose = predictor.predict(depth, camera, box=box, left=left)
        _want((depth == given).all(), "input: depth_mm was changed, wanted it as it was")
        parts = np.asarray(pose.joints_mm), np.asarray(pose.pixels)
        for name, part, wanted in ("joints_mm", parts[0], (21, 3)), ("pixels", parts[1], (21, 2)):
            found = f"form: {name} is {part.dtype} of shape {part.shape}, wanted floats {wanted}"
            _want(part.dtype.kind == "f" and part.shape == wanted, found)
            _want(np.isfinite(part).all(), f"form: {name} has NaN or infinity, wanted numbers")
        apart = np.linalg.norm(camera.project(parts[0])[:, :2] - parts[1], axis=1).max()
        _want(apart < 0.1, f"form: pixels are {apart:.3g} px from the joints, wanted none")
        return np.concatenate(parts, axis=1)

    def close(name: str, found: list[np.ndarray], part: slice, most: float, unit: str) -> None:
        apart = [(a - b)[:, part] for a, b in zip(found, plain, strict=True)]
        middle = np.median([np.linalg.norm(a, axis=1).mean() for a in apart])
        told = f"{name}: {middle:.3g} {unit} apart, wanted {most:g} at most"
        _want(middle <= most, told)
        passed.append(told)

    xyz, z, uv = slice(3), slice(2, 3), slice(3, 5)
    plain = [ask(f.depth, SR300, f.box) for f in frames]
    passed.append("form: finite floats (21, 3) and (21, 2), pixels are the joints, projected")
    again = [ask(f.depth, SR300, f.box) for f in frames]
    close("twice the same", again, xyz, 0.01, "mm")

    flipped = []
    for f in frames:
        flipped.append(ask(*in_mirror(f.depth, SR300, f.box), left=True) * [-1, 1, 1, 1, 1])
    close("a left hand is a right one in a mirror", flipped, xyz, _MM, "mm")

    found, right, down = [], 24, 16  # px
    for f in frames:
        moved = 0 * f.depth
        moved[down:, right:] = f.depth[:-down, :-right]
        box = f.box + [right, down, right, down]
        found.append(ask(moved, SR300, box) - [0, 0, 0, right, down])
    close("a moved picture moves the pixels", found, uv, _PX, "px")
    close("a moved picture keeps the depth", found, z, _MM, "mm")

    camera = SR300.resized(1280, 960)
    found = [ask(f.depth.repeat(2, 0).repeat(2, 1), camera, 2 * f.box) for f in frames]
    close("twice as many pixels, the same hand", found, xyz, _MM, "mm")

    depth, box = frames[0].depth, frames[0].box
    for name, unusable in {
        "depth in metres": depth / np.float32(1000),
        "depth of 8 bits": (depth // 16).astype(np.uint8),
        "a frame without depth": np.zeros_like(depth),
        "a frame of another size than its camera's": depth[::2, ::2].copy(),
    }.items():
        try:
            predictor.predict(unusable, SR300, box=box, left=False)
        except ValueError as error:
            passed.append(f"{name} is refused: {error}")
        else:
            raise AssertionError(f"{name} gave a pose, wanted a ValueError")
    return passed


def _want(right: bool | np.bool_, sentence: str) -> None:
    if not right:  # no assert, which python -O leaves out
        raise AssertionError(sentence)
