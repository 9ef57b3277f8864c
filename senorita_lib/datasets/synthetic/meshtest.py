"""Tests across generators: frames of :mod:`.meshhand` with a stereo camera's noise.

``python -m senorita_lib.datasets.synthetic.meshtest ROOT`` writes one in HANDS19's layout. They are
for testing only; ``third`` is not for choosing between networks either.
"""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from senorita_lib.camera import CAMERA_FILE, SR300, Camera
from senorita_lib.commands import command
from senorita_lib.datasets.files import image_name, write_annotations
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.synthetic import handmodel, meshhand, posing
from senorita_lib.datasets.synthetic.frames import labelled, make_images, want_whole
from senorita_lib.datasets.synthetic.handmodel import HandShape
from senorita_lib.datasets.synthetic.sensor import Stereo, background
from senorita_lib.files import PathLike, atomic_write, folder_lock, user_path

_NEAREST = 180.0  # mm: no flesh is nearer to the camera
_TOWARDS = -0.5  # z of a forearm's direction that points to the camera as much as it may


@dataclass(frozen=True)
class MeshTest:
    """A test set; each frame depends on its settings and the frame's index alone.

    Half of the views are as people hold their hands, half are drawn from all directions, fingers
    pointing anywhere. All patterns of bent fingers occur.
    """

    seed: int
    camera: Camera
    sensor: Stereo
    sizes: tuple[float, float]  # of the hand, relative to the median one
    thickness: tuple[float, float]  # of its flesh, relative to a hand of that size
    targets: tuple[str, ...]  # what the flesh is mixed with

    def frame(self, index: int) -> Frame:
        """One frame; the index counts from 0."""
        rng = np.random.default_rng([self.seed, index])
        size = rng.uniform(*self.sizes)
        bones = handmodel.MEDIAN_BONES * size * rng.normal(1, 0.03, (5, 4))
        shape = HandShape(bones, rng.uniform(0.93, 1.08), size * rng.uniform(*self.thickness))
        targets = meshhand.draw_targets(rng, self.targets)
        several = posing.draw_angles(rng, int(rng.integers(posing.N_PATTERNS)), 24)
        angles = several.one(posing.first_free(shape, several))
        upright = handmodel.palm_frame(handmodel.hand_joints(shape, angles)).T
        down = handmodel.forearm_direction(angles.wrist)
        while True:
            every = rng.uniform() < 0.5
            view = (
                posing.draw_view(rng, range(posing.N_VIEWS))
                if every
                else posing.any_view(rng, 0.95)
            )
            rotation = view @ upright
            if rotation[2] @ down >= _TOWARDS:  # or the arm hides the hand
                break
        # The upper arm goes on from the elbow, rather away from the camera.
        upper = rotation @ down + rng.normal(0, 0.5, 3)
        upper = (upper * [1, 1, np.sign(upper[2])] + [0, 0, 0.3]) @ rotation
        arm = 240 * size, 280 * size * upper / np.linalg.norm(upper), rng.uniform(1, 1.2)
        flesh = meshhand.pose_mesh(shape, angles, *arm, targets)
        joints, vertices = (points @ rotation.T for points in flesh)
        place = posing.place_hand(rng, self.camera, joints)
        place *= max(1, (_NEAREST - vertices[:, 2].min()) / place[2])  # along the same ray
        joints = joints + place
        hand = meshhand.mesh_depth(vertices + place, meshhand.faces(), self.camera)
        scene = background(rng, self.camera, joints, hand)
        seen = hand if scene is None else np.minimum(hand, scene)
        depth = self.sensor.sense(rng, seen, self.camera)
        return labelled(image_name(index), depth, joints, self.camera, "test")


TESTS = {
    "mesh": MeshTest(101, SR300, Stereo(), (0.9, 1.1), (0.94, 1.08), meshhand.TARGETS),
    "third": MeshTest(
        202, Camera(612.3, 611.8, 322.1, 236.4, 640, 480),
        Stereo(65.0, (1, 2, 2), 8.0, 1.0, 0.15, 3, 0.03, 1500.0), (0.78, 1.15), (0.9, 1.2),
        ("child", "old", "fat", "thick_fingers", "fat_arm", "wide_wrist"),
    ),
}  # fmt: skip


def write_mesh_test(root: PathLike, name: str = "mesh", count: int = 1000) -> Path:
    """Write a set of ``TESTS`` in HANDS19's layout, for ``Hands19(root, "test")``.

    The bytes do not depend on the number of cores. Raises ValueError if root is not empty, or
    there is no set of that name.
    """
    if name not in TESTS:
        raise ValueError(f"name is {name!r}, wanted one of {', '.join(TESTS)}")
    want_whole(count=count)
    root = user_path(root)
    images = root / "Task 1" / "test_images"
    with folder_lock(root, f"another process is writing {root}: waiting for it"):
        for held in (*root.glob("*"), *images.parent.glob("*")):
            # Of an interrupted call.
            if held.name not in (".lock", "Task 1", "test_images", CAMERA_FILE):
                raise ValueError(f"{held.parent} holds {held.name}, wanted an empty folder")
        images.mkdir(parents=True, exist_ok=True)
        jobs = [(images / image_name(i), (i,)) for i in range(count)]
        text = json.dumps(asdict(TESTS[name].camera), indent=1) + "\n"
        atomic_write(images.parent / CAMERA_FILE, text)
        names, labels = [path.name for path, _ in jobs], make_images(TESTS[name], jobs)
        write_annotations(images.parent, "test", names, labels["box"], labels["joints"])
    return root


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: write a test set."""
    parser = ArgumentParser(
        prog="python -m senorita_lib.datasets.synthetic.meshtest",
        description="Write a test set of another flesh and sensor in HANDS19's layout.",
    )
    parser.add_argument("root", help="becomes the folder that holds 'Task 1'")
    parser.add_argument("--name", default="mesh", choices=TESTS, help="which set")
    parser.add_argument("--count", type=int, default=1000, help="frames")
    chosen = parser.parse_args(arguments)
    print(f"{write_mesh_test(**vars(chosen))}: {chosen.count} frames of set {chosen.name}")


if __name__ == "__main__":
    main()
