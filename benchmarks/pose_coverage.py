"""How much of real hand poses the generator covers: ``pose_coverage.py FOLDER [POSES]``.

FOLDER holds sets of real right hands, ``*.npz`` with ``joints`` (N, 21, 3), HANDS19 order.
Sets differ in where they put the wrist and the thumb's first joint, so poses are compared by
the directions of the other 14 free bones, seen from the knuckles.
"""

import sys
from pathlib import Path

import numpy as np

from senorita_lib.datasets import SyntheticHand
from senorita_lib.datasets.synthetic.handmodel import palm_frame
from senorita_lib.datasets.synthetic.posing import view_angles

FINGERS = ("thumb", "index", "middle", "ring", "little")


def bones(joints):
    """Unit directions (N, 5, 3, 3) of the free bones, thumb first, in the knuckles' frame."""
    normal = palm_frame(joints)[..., 2]
    across = joints[:, 2] - joints[:, 5]
    across -= (across * normal).sum(-1, keepdims=True) * normal
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    frame = np.stack([across, np.cross(normal, across), normal], axis=-1)
    free = joints[:, 6:].reshape(-1, 5, 3, 3)
    chain = np.concatenate([joints[:, 1:6, None], free], axis=2)
    vectors = np.diff(chain, axis=2) @ frame[:, None]
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def joint_angles(directions):
    """Degrees (N,) by name: how far each joint bends, how fingers rise and spread."""
    angles = {}
    for f, name in enumerate(FINGERS):
        first, second, third = np.moveaxis(directions[:, f], 1, 0)
        angles[f"{name} base, out of the palm"] = np.degrees(np.arcsin(first[:, 2]))
        straight = first[:, 1] > 0.5  # the spread of a flexed finger means nothing
        spread = np.degrees(np.arctan2(first[:, 0], first[:, 1]))
        angles[f"{name} base, spread"] = np.where(straight, spread, np.nan)
        for joint, a, b in (("middle joint", first, second), ("last joint", second, third)):
            angles[f"{name} {joint}"] = np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))
    return angles


def nearest(poses, others, apart=None):
    """Degrees, root mean square over 14 bones, from each pose to its nearest among others.

    ``apart``: both are one motion, and frames nearer in time than this do not count.
    """
    a, b = (d.reshape(-1, 15, 3)[:, 1:].astype(np.float32) for d in (poses, others))
    found = np.empty(len(a))
    for i, pose in enumerate(a):
        angles = np.degrees(np.arccos(np.clip((b * pose).sum(-1), -1, 1)))
        distance = np.sqrt((angles**2).mean(axis=1))
        if apart is not None:
            distance[max(0, i - apart) : i + apart + 1] = np.inf
        found[i] = distance.min()
    return found


def percentiles(values, at=(5, 25, 50, 75, 95)):
    return "".join(f"{v:7.0f}" for v in np.nanpercentile(values, at))


def main(folder, count=16000):
    """Print the tables."""
    paths = sorted(Path(folder).glob("*.npz"))
    if len(paths) < 2:
        sys.exit(f"{folder} holds {len(paths)} .npz files, wanted at least two sets of poses")
    sets = {}
    for path in paths:
        joints = np.load(path)["joints"].astype(float)
        sets[path.stem] = joints * [-1, 1, 1] if path.stem.endswith("left") else joints
    hands = SyntheticHand(seed=20)
    splits = ("train", "train", "train", "artic")  # held-back articulations are its too
    generated = np.stack([hands.pose(i, splits[i % 4]).joints for i in range(count)])
    ours, theirs = bones(generated), {name: bones(joints) for name, joints in sets.items()}

    print(f"{count} generated poses. Real values within the generator's 0.5-99.5 % range, %")
    print(f"{'':<28}{'generated':>14}" + "".join(f"{n.removeprefix('poses_'):>24}" for n in sets))
    real = {name: joint_angles(directions) for name, directions in theirs.items()}
    for name, values in joint_angles(ours).items():
        low, high = np.nanpercentile(values, [0.5, 99.5])
        line = f"{name:<28}{low:>7.0f}{high:>7.0f}"
        for angles in real.values():
            known = angles[name][np.isfinite(angles[name])]
            inside = ((known >= low) & (known <= high)).mean() if len(known) else np.nan
            line += f"{np.percentile(known, 1):>9.0f}{np.percentile(known, 99):>5.0f}"
            line += f"{100 * inside:>8.0f} %"
        print(line)

    print("\nDegrees to the nearest pose" + " " * 19 + "5 %    25 %    50 %    75 %    95 %")
    for name, directions in theirs.items():
        others = np.concatenate([d for other, d in theirs.items() if other != name])
        short = name.removeprefix("poses_")
        gap, spread = nearest(directions, ours), nearest(directions, others)
        limit = np.percentile(spread, 95)
        print(f"{short + ' → generated':<40}{percentiles(gap)}")
        print(f"{short + ' → the other real sets':<40}{percentiles(spread)}")
        print(f"   inside (95 % of the latter, {limit:.0f}°): {100 * (gap <= limit).mean():.1f} %")
        if len(directions) > 1000:
            own = np.percentile(nearest(directions, directions, 150), 95)
            inside = 100 * (gap <= own).mean()
            print(f"   inside its own spread (150 frames apart, {own:.0f}°): {inside:.1f} %")
    some = np.random.default_rng(0).permutation(count)[:500]
    gap = nearest(ours[some], np.delete(ours, some, axis=0))
    print(f"{'generated → other generated':<40}{percentiles(gap)}")

    print("\nView, degrees" + " " * 33 + "5 %    25 %    50 %    75 %    95 %")
    camera = {n: j for n, j in sets.items() if np.median(j[..., 2]) > 100}  # in a camera's frame
    for name, joints in {"generated": generated, **camera}.items():
        azimuth, elevation = view_angles(joints)
        along = palm_frame(joints)[..., 1]
        for what, values in (
            ("palm, azimuth", azimuth),
            ("palm, elevation", elevation),
            ("fingers, from up", np.degrees(np.arccos(-along[:, 1]))),
            ("fingers, in the image", np.degrees(np.arctan2(along[:, 0], -along[:, 1]))),
        ):
            print(f"{name.removeprefix('poses_') + ', ' + what:<40}{percentiles(values)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], *(int(number) for number in sys.argv[2:]))
    else:  # as `make bench` calls it
        print("no folder of real poses named (pose_coverage.py FOLDER): nothing to compare with")
