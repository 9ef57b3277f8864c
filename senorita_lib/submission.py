"""The challenge's submission: a zip that holds ``result.txt``, a line of 63 numbers for each frame.

``python -m senorita_lib.submission result.zip test_bbs.txt`` checks one.
"""

import argparse
import io
import os
import re
import zipfile
import zlib
from contextlib import contextmanager
from math import isfinite
from pathlib import Path

import numpy as np

from senorita_lib.datasets.tables import lines
from senorita_lib.hand import joints_to_bones
from senorita_lib.plausible import VERDICTS, impossible, judge

MEMBER = "result.txt"
_BLOCK = 1024  # frames at a time
_DIGITS = b"+-.0123456789Ee\t"
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?")
# What zipfile raises for files with random damage.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError)


def write_submission(path, names, joints):
    """Write the challenge's submission.

    HANDS19's 124,999 frames take 2.3 s and 5 MB (``benchmarks/submission.py``).

    Parameters
    ----------
    path : path
        Of the zip; written aside and renamed.
    names : list of str
        Image names, in the order of ``test_bbs.txt``.
    joints : array, (N, 21, 3)
        Camera frame, mm; zeros for a frame without a hand.

    Raises
    ------
    ValueError
        If the shape is another, or for the first frame with a value that is not finite.
    """
    joints = np.asarray(joints)
    if joints.shape != (len(names), 21, 3):
        raise ValueError(f"joints have shape {joints.shape}, wanted ({len(names)}, 21, 3)")
    part, line = Path(f"{path}.{os.getpid()}.part"), "%s" + 63 * "\t%.4f" + "\n"
    try:
        # Level 1: a little larger than by default, and much sooner done.
        with (
            zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(MEMBER, "w") as file,
        ):
            for start in range(0, len(names), _BLOCK):
                some, poses = (x[start : start + _BLOCK] for x in (names, joints))
                if not (finite := np.isfinite(poses).all(axis=(1, 2))).all():
                    raise ValueError(f"joints of {some[finite.argmin()]} are not finite, wanted mm")
                rows = zip(some, poses.reshape(-1, 63).tolist(), strict=True)
                file.write("".join([line % (name, *row) for name, row in rows]).encode())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check_submission(path, boxes_file):
    r"""Refuse a submission that the challenge would refuse or score as nonsense.

    A line may end with a TAB, as some of the data set's own do, and with ``\r\n``. A number is
    digits with a sign, a point and an exponent if need be, and no blanks. A frame without a hand
    is 63 zeros; any other lies in front of the camera, in mm.

    What a hand looks like counts over the file, as single ones may be predicted poorly: half must
    be right hands of a hand's size with the joints in HANDS19's order. Refused is, too, a file of
    zeros alone, or of two hands or more with one and the same pose, wherever it is put: nothing
    was predicted. HANDS19's 124,999 frames take 4 s and 25 MB.

    Parameters
    ----------
    path : path
        The zip.
    boxes_file : path
        ``test_bbs.txt``, whose frames and order count.

    Returns
    -------
    int
        Frames checked.

    Raises
    ------
    FileNotFoundError
        If one of them is missing.
    ValueError
        For the first line that is wrong: its number, what it has, what was wanted.
    """
    if not Path(boxes_file).is_file():
        raise FileNotFoundError(f"{boxes_file} is not there, wanted the data set's test_bbs.txt")
    wanted = [fields[0] for _, fields in lines(Path(boxes_file))]
    votes, firsts = np.zeros(len(VERDICTS) + 1, int), {}
    number, pose, moves = 1, None, False
    with _open_member(path) as file:
        for joints in _blocks(file, wanted, path, Path(boxes_file).name):
            numbers = number + np.flatnonzero(joints.any(axis=(1, 2)))
            hands, number = joints[numbers - number], number + len(joints)
            if not len(hands):
                continue
            if wrong := impossible(hands):
                first, what = wrong
                raise ValueError(f"{path}: line {numbers[first]} of {MEMBER} has {what}")
            bones = joints_to_bones(hands)
            pose = bones[0] if pose is None else pose
            moves |= bool(np.abs(bones - pose).max() > 1e-3)
            verdicts = judge(hands)
            votes += np.bincount(verdicts, minlength=len(votes))
            for verdict, first in zip(*np.unique(verdicts, return_index=True), strict=True):
                firsts.setdefault(verdict, numbers[first])
    if not votes.any():
        raise ValueError(f"{path}: all {len(wanted):,} lines of {MEMBER} are zeros, wanted hands")
    if votes.sum() > 1 and not moves:
        raise ValueError(
            f"{path}: line {min(firsts.values())} of {MEMBER} has the pose of all "
            f"{votes.sum():,} hands, wanted one for each frame"
        )
    if 2 * votes[0] < votes.sum():
        verdict = 1 + votes[1:].argmax()
        has, want = VERDICTS[verdict - 1]
        raise ValueError(
            f"{path}: line {firsts[verdict]} of {MEMBER} is the first of {votes[verdict]:,} in "
            f"{votes.sum():,} hands that have {has}, wanted {want}"
        )
    return len(wanted)


@contextmanager
def _open_member(path):
    """The lines of a zip that is whole and holds them alone."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                if (members := archive.namelist()) != [MEMBER]:
                    names = ", ".join(map(repr, members[:3])) + ", ..." * (len(members) > 3)
                    raise ValueError(
                        f"{path} holds {names or 'nothing'}, wanted {MEMBER} alone, in no folder"
                    )
                if archive.testzip():  # before the lines, which damage may have changed
                    raise zipfile.BadZipFile
                with archive.open(MEMBER) as member:
                    yield io.BufferedReader(member)
        except _DAMAGE:
            raise ValueError(
                f"{path} is damaged or no zip, wanted one that holds {MEMBER}"
            ) from None


def _blocks(file, wanted, path, listed):
    """Joints (n, 21, 3) of the lines, up to the first whose form is wrong."""
    rows, number = [], 0
    try:
        for number, line in enumerate(file, 1):
            rows.append(_numbers(line, number, wanted, path, listed, file))
            if len(rows) == _BLOCK:
                yield np.array(rows).reshape(-1, 21, 3)
                rows = []
        if number < len(wanted):
            raise ValueError(
                f"{path}: {MEMBER} ends after line {number}, wanted {len(wanted)} lines: "
                f"{wanted[number]!r} is missing"
            )
    except ValueError:
        if rows:  # a hand before it may be the first that is wrong
            yield np.array(rows).reshape(-1, 21, 3)
        raise
    if rows:
        yield np.array(rows).reshape(-1, 21, 3)


def _numbers(line, number, wanted, path, listed, others):
    """A line's 63 numbers; ``others`` are the lines that follow it."""
    where = f"{path}: line {number} of {MEMBER}"
    line = line.rstrip(b"\r\n").removesuffix(b"\t")
    try:
        name, tab, _ = line.decode().partition("\t")
    except UnicodeDecodeError:
        raise ValueError(f"{where} is no UTF-8, wanted a name and 63 numbers") from None
    if not tab:
        raise ValueError(f"{where} is {name[:40]!r}, wanted a name and 63 numbers, TABs between")
    if wanted[number - 1 : number] != [name]:
        raise ValueError(f"{where} is of {_misplaced(name, number, wanted, listed, others)}")
    numbers = line[line.index(b"\t") + 1 :]
    fields = numbers.split(b"\t")
    if len(fields) != 63:
        raise ValueError(f"{where} has {len(fields)} numbers, wanted 63")
    try:  # float itself takes more, "1_000" and "nan" say
        values = [] if numbers.translate(None, _DIGITS) else [*map(float, fields)]
    except ValueError:
        values = []
    if not (values and all(map(isfinite, values))):
        bad = next(f for f in fields if not _NUMBER.fullmatch(f) or not isfinite(float(f)))
        raise ValueError(f"{where} has {bad.decode()[:40]!r}, wanted a finite number of mm")
    return values


def _misplaced(name, number, wanted, listed, others):
    """A sentence's end that tells a doubled, an unknown, a moved and a missing frame apart."""
    place = 1 + wanted.index(name) if name in wanted else None
    if place is None:
        what = f"{name!r}, which {listed} does not list"
    elif place < number:
        what = f"{name!r}, which comes again: it was line {place}"
    else:
        what = f"{name!r}"
    if number > len(wanted):
        return f"{what}, wanted {len(wanted)} lines"
    what, missing = f"{what}, wanted {wanted[number - 1]!r}", wanted[number - 1].encode()
    for later, line in enumerate(others, number + 1):
        if line.partition(b"\t")[0] == missing:
            return f"{what}, which is on line {later}: wrong order"
    return f"{what}, which is missing"


def main(arguments=None):
    """Command line: check a submission and say in one line that it can be sent."""
    parser = argparse.ArgumentParser(
        prog="python -m senorita_lib.submission",
        description="Check a submission to the challenge.",
    )
    parser.add_argument("zip", help="that holds result.txt")
    parser.add_argument("boxes", help="the data set's test_bbs.txt")
    chosen = parser.parse_args(arguments)
    try:
        frames = check_submission(chosen.zip, chosen.boxes)
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(f"{frames:,} frames, in order, in mm")


if __name__ == "__main__":
    main()
