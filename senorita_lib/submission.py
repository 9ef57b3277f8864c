"""The challenge's submission: a zip that holds ``result.txt``, a line of 63 numbers for each frame.

``python -m senorita_lib.submission result.zip test_bbs.txt`` checks one.
"""

import argparse
import io
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from math import isfinite

import numpy as np
import numpy.typing as npt

from senorita_lib._arrays import plain
from senorita_lib.camera import Camera, read_camera
from senorita_lib.commands import command
from senorita_lib.cropping import CORNERS, box_corners
from senorita_lib.files import PathLike, atomic_write, user_path
from senorita_lib.hand import joints_to_bones
from senorita_lib.tables import read_table

Floats = npt.NDArray[np.float64]

MEMBER = "result.txt"
_NEAREST = 100  # mm; hands are farther away, and in centimetres none is
_LONGEST_BONE = 300  # mm; three times that of a hand
_TOGETHER = (200, 1600)  # mm, all bones of a hand; from 450 (children) to 1,100 (big men)
# Measured on the synthetic test set, where poses were 20 mm off and boxes 30 % too small or large:
_MOST_EMPTY = 0.25  # of the frames with a box; so many zeros cost more than 100 mm
_MOST_OUTSIDE = 0.25  # of the hands; none lay outside, of frames in a wrong order half
_BESIDE = 20  # mm that a hand may lie beyond its box
_OTHER_LENS = 0.12  # of the distances between hands; they were 0.95 to 1.05, a Kinect's 0.81
_ENOUGH = 30  # hands that tell the lens
# What zipfile raises for damaged files.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError)


def write_submission(path: PathLike, names: Sequence[str], joints: npt.ArrayLike) -> None:
    """Write the challenge's submission, a zip file.

    ``names`` are those of the images, in the order of ``test_bbs.txt``; ``joints`` (N, 21, 3),
    camera frame, mm, finite; zeros, or all masked, for a frame without a hand.
    """
    mask = np.ma.getmaskarray(joints) if isinstance(joints, np.ma.MaskedArray) else None
    joints = plain("joints", joints)
    if joints.shape != (len(names), 21, 3):
        raise ValueError(f"joints have shape {joints.shape}, wanted ({len(names)}, 21, 3)")
    if mask is not None:
        joints[mask.all(axis=(1, 2))] = 0
    if not (finite := np.isfinite(joints).all(axis=(1, 2))).all():
        raise ValueError(f"joints of {names[finite.argmin()]} are not finite, wanted mm")
    line, data = "%s" + 63 * "\t%.4f" + "\n", io.BytesIO()
    # Level 1: much faster than the default, and the file is only a little larger.
    with (
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(MEMBER, "w") as file,
    ):
        for name, pose in zip(names, joints.reshape(-1, 63), strict=True):
            file.write((line % (name, *pose.tolist())).encode())
    atomic_write(path, data.getvalue())


def check_submission(path: PathLike, boxes_file: PathLike) -> int:
    r"""Refuse a submission that the challenge would refuse or score as nonsense.

    A line may end with a TAB, as in some of the data set's own files, and with ``\r\n``. A frame
    without a hand is 63 zeros; in any other all joints lie in front of the camera, in mm. Half
    of the hands must have bones of a hand's size, and three quarters must lie where their boxes
    are. ``boxes_file`` is ``test_bbs.txt``, which gives the frames, their order and the boxes; a
    ``camera.json`` beside it, or in the folder above, is that of another camera than the SR300.
    Returns the number of frames. The ``ValueError`` tells the number of the first wrong line.
    """
    path, boxes_file = user_path(path), user_path(boxes_file)
    names, boxes = read_table(boxes_file, 4, CORNERS)
    camera = read_camera(boxes_file.parent, boxes_file.parent.parent)
    boxes = box_corners(boxes, boxes_file, camera)[0]
    lines = _read_member(path).removesuffix(b"\n").split(b"\n")
    joints = np.empty((len(names), 63))
    for number, (line, name) in enumerate(zip(lines, names, strict=False), 1):
        where = f"{path}: line {number} of {MEMBER}"
        given, *fields = line.removesuffix(b"\r").removesuffix(b"\t").split(b"\t")
        if given != name.encode():
            wanted = f"{name!r} as in {boxes_file.name}, then 63 numbers, TABs between"
            raise ValueError(f"{where} is {_show(given)}, wanted {wanted}")
        if len(fields) != 63:
            raise ValueError(f"{where} has {len(fields)} numbers, wanted 63")
        joints[number - 1] = [_number(field, where) for field in fields]
    if len(lines) != len(names):
        raise ValueError(f"{path}: {MEMBER} has {len(lines)} lines, wanted {len(names)}")
    numbers = 1 + np.flatnonzero(joints.any(axis=1))
    if not len(numbers):
        raise ValueError(f"{path}: all {len(names):,} lines of {MEMBER} are zeros, wanted hands")
    hands = joints[numbers - 1].reshape(-1, 21, 3)
    bones = np.linalg.norm(joints_to_bones(hands), axis=-1)
    nearest, depth, longest = hands[..., 2].min(1), hands[..., 2].mean(1), bones.max(1)
    bad = (nearest <= 0) | (depth < _NEAREST) | (longest > _LONGEST_BONE)
    if bad.any():
        i = int(bad.argmax())
        what = f"a bone of {longest[i]:.0f} mm, wanted at most {_LONGEST_BONE}, as x, y, z"
        if depth[i] < _NEAREST:
            what = f"a mean z of {depth[i]:.3g}, wanted mm, {_NEAREST} or more"
        if nearest[i] <= 0:
            what = f"a joint at z = {nearest[i]:g}, wanted more than 0"
        raise ValueError(f"{path}: line {numbers[i]} of {MEMBER} has {what}")
    middle, (least, most) = float(np.median(bones.sum(axis=1))), _TOGETHER
    if not least <= middle <= most:
        has = f"all bones of a hand have {middle:.0f} mm together (median)"
        wanted = f"{least} to {most} and joints in HANDS19's order"
        raise ValueError(f"{path}: {has}, wanted {wanted}")
    _check_places(f"{path}: line {{}} of {MEMBER} has", joints.reshape(-1, 21, 3), boxes, camera)
    return len(names)


def _check_places(
    line: str, joints: Floats, boxes: npt.NDArray[np.float32], camera: Camera
) -> None:
    """Refuse poses (N, 21, 3), mm, of which many are not the hands in the boxes (N, 4), px.

    ``line`` begins the sentence and takes a line's number.
    """
    image = camera.width, camera.height
    corners = boxes.reshape(-1, 2, 2).clip(0, image)
    boxed = (corners[:, 0] < corners[:, 1]).all(axis=1)
    zeros = boxed & ~joints.any(axis=(1, 2))
    if zeros.sum() > 1 + _MOST_EMPTY * boxed.sum():
        has = f"zeros, as have {zeros.sum():,} of {boxed.sum():,} frames with a box"
        raise ValueError(f"{line.format(1 + zeros.argmax())} {has}, wanted hands")
    rows = np.flatnonzero(boxed & ~zeros)
    corners, uvz = corners[rows], camera.project(joints[rows])
    uv = uvz[..., :2].clip(0, image)  # the image's border cuts hands as it cuts boxes
    hand, box = (uv.min(axis=1) + uv.max(axis=1)) / 2, corners.mean(axis=1)
    beside = np.abs(hand - box) - _BESIDE * camera.fx / uvz[..., 2].mean(axis=1)[:, None]
    outside = (beside > (corners[:, 1] - corners[:, 0]) / 2).any(axis=1)
    if outside.sum() > _MOST_OUTSIDE * len(rows):
        first = outside.argmax()
        why = f"{outside.sum():,} of {len(rows):,} hands lie outside theirs"
    elif len(rows) >= _ENOUGH and (scale := _scale(hand, box)):
        first, why = (beside > 0).any(axis=1).argmax(), f"hands lie {scale:.2f} times as far apart"
    else:
        return
    where = f"a hand round pixel {hand[first].astype(int).tolist()}"
    has = f"{where} and a box of {corners[first].astype(int).ravel().tolist()}; {why}"
    wanted = "camera frame, mm, each in its frame, from the data set's own camera"
    raise ValueError(f"{line.format(1 + rows[first])} {has}, wanted {wanted}")


def _scale(hand: Floats, box: Floats) -> float:
    """How far apart hands lie in the image, relative to their boxes; 0 if as far, or unsure.

    Both (N, 2), px. Errors of hands flatten one line of regression, errors of boxes the other:
    the truth lies between. Both axes must differ, as a box may reach along an arm.
    """
    x, y = hand - hand.mean(axis=0), box - box.mean(axis=0)
    together = (x * y).sum(axis=0)
    if (together <= 0).any():
        return 0
    low, high = together / (y * y).sum(axis=0), (x * x).sum(axis=0) / together
    slack = _OTHER_LENS + 4 * np.sqrt((high / low - 1) / len(x))  # four standard errors
    other = (high < 1 - slack).all() or (low > 1 + slack).all()
    return float(low.mean()) if other else 0


def _read_member(path: PathLike) -> bytes:
    """``result.txt`` of a whole zip that holds nothing else."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if (members := archive.namelist()) == [MEMBER]:
                    return archive.read(MEMBER)
        except _DAMAGE:
            what = f"wanted one that holds {MEMBER}"
            raise ValueError(f"{path} is damaged or no zip, {what}") from None
    shown = ", ".join(map(repr, members[:3])) or "nothing"
    raise ValueError(f"{path} holds {shown}, wanted {MEMBER} alone, in no folder")


def _number(field: bytes, where: str) -> float:
    """A finite number; float itself also takes ``1_000``, blanks and ``nan``."""
    with suppress(ValueError):
        if not field.translate(None, b"+-.0123456789Ee") and isfinite(value := float(field)):
            return value
    raise ValueError(f"{where} has {_show(field)}, wanted a finite number of mm")


def _show(field: bytes) -> str:
    return repr(field.decode(errors="replace")[:40])


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: check a submission, and confirm in one line that it is fine."""
    what = "Check a submission to the challenge."
    parser = argparse.ArgumentParser(prog="python -m senorita_lib.submission", description=what)
    parser.add_argument("zip", help="the submission, which holds result.txt")
    parser.add_argument("boxes", help="the data set's test_bbs.txt")
    chosen = parser.parse_args(arguments)
    frames = check_submission(chosen.zip, chosen.boxes)
    print(f"{frames:,} frames, in order, in mm")


if __name__ == "__main__":
    main()
