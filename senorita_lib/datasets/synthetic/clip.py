"""A clip of one hand that moves in front of a person, in memory: a recording for who has none."""

import numpy as np

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets.files import image_name
from senorita_lib.datasets.hands19 import Frame
from senorita_lib.datasets.synthetic import handmodel, posing
from senorita_lib.datasets.synthetic.frames import SyntheticHand, labelled, want_whole
from senorita_lib.datasets.synthetic.handmodel import HandAngles, palm_frame
from senorita_lib.datasets.synthetic.sensor import background, sense

_PATTERNS = 0, 31, 29, 25, 0  # open, fist, pointing, victory, open: posing.bent_fingers
_PERSON = 5  # a seed whose background is a person


def moving_hand(count: int = 60, seed: int = 0, camera: Camera = SR300) -> list[Frame]:
    """``count`` labelled frames, two seconds at 30 a second by default, of a right hand.

    It closes, points, shows two fingers and opens again, while it turns and wanders; the arm comes
    from below. Frames depend on seed, camera and ``count`` alone.
    """
    want_whole(count=count, seed=seed)
    hands, rng = SyntheticHand(seed, camera), np.random.default_rng([seed, 1])
    shape = handmodel.SHAPES[seed % len(handmodel.SHAPES)]
    keys = [posing.draw_angles(rng, pattern, 1).one(0) for pattern in _PATTERNS]
    frames: list[Frame] = []
    for index in range(count):
        time = index / max(count - 1, 1)
        first, share = divmod(time * (len(keys) - 1), 1)
        one, other = (keys[min(int(first) + i, len(keys) - 1)] for i in range(2))
        share = (1 - np.cos(np.pi * share)) / 2
        parts = zip(one, other, strict=True)
        angles = HandAngles(*((1 - share) * before + share * after for before, after in parts))
        swing = np.sin(2 * np.pi * (time + np.array([0.0, 0.25, 0.6])))
        local = handmodel.hand_joints(shape, angles)
        turn = np.radians(np.array([-25, 0, -8]) + np.array([35, 12, 22]) * swing)
        rotation = posing.facing(*turn) @ palm_frame(local).T
        middle = np.array([-40.0, -20, 480]) + np.array([90, 45, 60]) * swing
        translation = middle - (local @ rotation.T).mean(axis=0)
        joints = local @ rotation.T + translation
        pose = posing.HandPose(
            seed, int(posing.view_bin(joints)), int(posing.bent_fingers(joints)), shape, joints,
            local, angles, 250.0, np.array([90.0, 60, 200]), 1.15, rotation, translation,
        )  # fmt: skip
        surface = hands.surface(pose)
        if not index:
            person = np.random.default_rng(_PERSON)
            behind = background(person, camera, joints + [0, 0, 120], surface)
        depth = sense(np.random.default_rng([seed, 2, index]), surface, behind)
        frames.append(labelled(image_name(index), depth, joints, camera, "clip", *pose.bins))
    return frames
