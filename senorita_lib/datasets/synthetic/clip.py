"""A clip of one hand that moves in front of a person, in memory: a recording for who has none."""

import numpy as np

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets.files import image_name
from senorita_lib.datasets.hands19 import Frame, hand_box
from senorita_lib.datasets.synthetic import handmodel, posing
from senorita_lib.datasets.synthetic.frames import SyntheticHand, want_whole
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
    hands = SyntheticHand(seed, camera)
    rng = np.random.default_rng([seed, 1])
    shape = handmodel.SHAPES[seed % len(handmodel.SHAPES)]
    drawn = [posing.draw_angles(rng, pattern, 1) for pattern in _PATTERNS]
    fingers, thumb, wrist = (
        np.concatenate([getattr(angles, name) for angles in drawn])
        for name in ("fingers", "thumb", "wrist")
    )
    frames: list[Frame] = []
    behind = None
    for index in range(count):
        time = index / max(count - 1, 1)
        before, share = divmod(time * (len(drawn) - 1), 1)
        first = min(int(before), len(drawn) - 2)
        share = 1.0 if before > first else (1 - np.cos(np.pi * share)) / 2
        angles = HandAngles(
            *(
                (1 - share) * keys[first] + share * keys[first + 1]
                for keys in (fingers, thumb, wrist)
            )
        )
        swing = np.sin(2 * np.pi * (time + np.array([0.0, 0.25, 0.6])))
        local = handmodel.hand_joints(shape, angles)
        rotation = posing.facing(
            *np.radians(np.array([-25, 0, -8]) + np.array([35, 12, 22]) * swing)
        )
        rotation = rotation @ palm_frame(local).T
        middle = np.array([-40.0, -20, 480]) + np.array([90, 45, 60]) * swing
        translation = middle - (local @ rotation.T).mean(axis=0)
        joints = local @ rotation.T + translation
        pose = posing.HandPose(
            seed, int(posing.view_bin(joints)), int(posing.bent_fingers(joints)), shape, joints,
            local, angles, 250.0, np.array([90.0, 60, 200]), 1.15, rotation, translation,
        )  # fmt: skip
        surface = hands.surface(pose)
        if behind is None:
            behind = background(
                np.random.default_rng(_PERSON), camera, joints + [0, 0, 120], surface
            )
        depth = sense(np.random.default_rng([seed, 2, index]), surface, behind)
        box, labels = hand_box(joints, camera), joints.astype(np.float32)
        frames.append(
            Frame(image_name(index), depth, box, labels, "clip", seed, pose.view, pose.pattern)
        )
    return frames
