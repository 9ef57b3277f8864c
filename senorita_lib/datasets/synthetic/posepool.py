"""A pool of poses, drawn by all cores, for a stream that gives each a fresh place."""

import os

import numpy as np
from tqdm.auto import tqdm

from senorita_lib.datasets.synthetic.frames import SyntheticHand
from senorita_lib.datasets.synthetic.handmodel import N_SPHERES, SHAPES, hand_spheres
from senorita_lib.datasets.workers import gather

# A pose without its place: camera axes, mm from the joints' mean. A sphere lies at
# centres + forearm * reach, since how long a forearm may be depends on the place.
POSE = np.dtype(
    [
        ("job", "<i4"),
        ("view", "<i4"),
        ("joints", "<f4", (21, 3)),
        ("centres", "<f4", (N_SPHERES, 3)),
        ("reach", "<f4", (N_SPHERES, 3)),
        ("radii", "<f4", (N_SPHERES,)),
    ]
)


def draw_pool(count, split="train", seed=0, workers=None, progress=False):
    """The poses of a split's first frames.

    Parameters
    ----------
    count : int
    split : str
        As in :meth:`~senorita_lib.datasets.synthetic.frames.SyntheticHand.frame`.
    seed : int
    workers : int, optional
        Processes; as many as there are cores, unless there is little to do. The poses do not
        depend on it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    array, (count,), of ``POSE``
    """
    if workers is None:
        workers = min(os.cpu_count() or 1, 1 + count // 1000)
    pool = np.zeros(count, dtype=POSE)
    tasks = [(count, split, seed, start, workers) for start in range(workers)]
    bar = tqdm(total=count, desc="poses", unit="pose", disable=not progress, mininterval=1.0)
    with bar:
        for records in gather(_draw, tasks, POSE):
            pool[records["job"]] = records
            bar.update(len(records))
    return pool


def _draw(count, split, seed, start, step):
    hands = SyntheticHand(seed)
    for job in range(start, count, step):
        pose = hands.pose(job, split)
        shape, upper_arm = SHAPES[pose.shape], pose.upper_arm @ pose.rotation
        short, long = (
            hand_spheres(shape, pose.local, pose.wrist, forearm, upper_arm, pose.sleeve)
            for forearm in (0.0, 1.0)
        )
        middle = pose.local.mean(axis=0)
        record = np.zeros(1, dtype=POSE)
        record["job"], record["view"], record["radii"] = job, pose.view, short[1]
        record["joints"] = (pose.local - middle) @ pose.rotation.T
        record["centres"] = (short[0] - middle) @ pose.rotation.T
        record["reach"] = (long[0] - short[0]) @ pose.rotation.T
        yield record
