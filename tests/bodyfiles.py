"""Writes small MPII and Human3.6M sets in their files' own formats."""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from senorita_lib.people.keypoints import HUMAN36M_NAMES

NOTHING = np.zeros((0, 0))  # MATLAB's []


def write_image(path, image):
    """Red, green, blue; JPEG or PNG, as the path's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image, path.suffix))


def encoded(image, suffix=".jpg"):
    bgr = np.ascontiguousarray(image[..., ::-1])
    return cv2.imencode(suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


# ----------------------------------------------------------------------------------------- MPII
def struct(*rows):
    """A MATLAB struct array (1, N); as there, each row has all fields, some of them []."""
    fields = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in fields])
    for number, row in enumerate(rows):
        for name in fields:
            array[0, number][name] = row.get(name, NOTHING)
    return array


def person(points, objpos=(320.0, 240.0), scale=1.5, **more):
    """An annorect's row; points are rows of (id, x, y) or (id, x, y, is_visible)."""
    names = "id", "x", "y", "is_visible"
    points = [dict(zip(names, point, strict=False)) for point in points]
    row = {"x1": 10, "y1": 20, "x2": 30, "y2": 40, "scale": scale}
    row["objpos"] = struct({"x": objpos[0], "y": objpos[1]})
    row["annopoints"] = struct({"point": struct(*points)})
    return row | more


def entry(name, *people, annorect=None):
    """An annolist's row."""
    rows = struct(*people) if people else NOTHING
    image = struct({"name": name})
    return {"image": image, "annorect": rows if annorect is None else annorect, "frame_sec": 1.0}


def write_mpii(root, entries, train, folder="", compress=True, **more):
    """Write the file of annotations; returns its path."""
    path = Path(root) / folder / "mpii_human_pose_v1_u12_1.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    (Path(root) / "images").mkdir(exist_ok=True)
    single = np.empty((len(entries), 1), object)
    single[:] = [[np.ones((1, 1), np.uint8)]] * len(entries)
    release = {
        "annolist": struct(*entries),
        "img_train": np.array([train], np.uint8),
        "version": "12",
        "single_person": single,
        "act": struct(*({"cat_name": "sports", "act_id": number} for number in range(3))),
        "video_list": single[:1],
    } | more
    release = struct({name: value for name, value in release.items() if value is not None})
    savemat(path, {"RELEASE": release}, do_compression=compress)
    return path


# ------------------------------------------------------------------------------------ Human3.6M
def cameras():
    """R (4, 3, 3), centres (4, 3) in mm, f (4, 2) and c (4, 2) of cameras around the room."""
    rotations, centres = [], []
    for angle in np.radians([20, 110, 200, 290]):
        centre = np.array([4800 * np.cos(angle), 4800 * np.sin(angle), 1600.0])
        forward = np.array([0, 0, 900.0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotations.append(np.stack([right, np.cross(forward, right), forward]))  # x, y down, z
        centres.append(centre)
    focal = [[1145.0, 1143.5], [1149.25, 1147.5], [1149.0, 1148.75], [1145.5, 1144.75]]
    middle = [[512.5, 515.5], [508.75, 508.0], [519.75, 501.5], [514.25, 501.75]]
    return np.array(rotations), np.array(centres), np.array(focal), np.array(middle)


def pose(rng):
    """17 joints (17, 3) of somebody in the room, world frame, mm; z is up."""
    heights = dict.fromkeys(HUMAN36M_NAMES, 900.0)
    heights |= {"right_knee": 480, "left_knee": 480, "right_ankle": 80, "left_ankle": 80}
    heights |= {"torso": 1150, "neck": 1400, "nose": 1480, "head": 1600}
    heights |= {f"{s}_shoulder": 1350 for s in ("left", "right")}
    heights |= {f"{s}_elbow": 1080 for s in ("left", "right")}
    sides = [(n.startswith("left") - n.startswith("right")) * 160.0 for n in HUMAN36M_NAMES]
    joints = np.stack([sides, np.zeros(17), [heights[n] for n in HUMAN36M_NAMES]], axis=1)
    joints += rng.normal(0, 60, (17, 3))
    angle = rng.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    joints[:, :2] = joints[:, :2] @ turn.T + rng.uniform(-400, 400, 2)
    return joints


def seen(joints, camera):
    """Joints (17, 3) in the frame of a camera, which counts from 1, mm; and in its image."""
    rotation, centre, focal, middle = (values[camera - 1] for values in cameras())
    there = (joints - centre) @ rotation.T
    return there, there[:, :2] / there[:, 2:] * focal + middle


def human36m(subject=1, frames=12, cams=(1, 2, 3, 4), older=False, first_id=0):
    """What the three files hold: data, camera and joint_3d, as dicts."""
    rng = np.random.default_rng(subject)
    rotations, centres, focal, middle = cameras()
    data, world = {"images": [], "annotations": []}, {}
    for action, subaction in ((2, 1), (2, 2), (3, 1)):
        poses = world.setdefault(str(action), {}).setdefault(str(subaction), {})
        poses.update((str(frame), pose(rng).tolist()) for frame in range(frames))
        for camera in cams:
            folder = f"s_{subject:02d}_act_{action:02d}_subact_{subaction:02d}_ca_{camera:02d}"
            for frame in range(frames):
                number = first_id + len(data["images"])
                data["images"].append({
                    "id": number, "file_name": f"{folder}/{folder}_{frame + 1:06d}.jpg",
                    "width": 1000, "height": 1002 if camera in (1, 4) else 1000,
                    "subject": subject, "action_name": "Directions", "action_idx": action,
                    "subaction_idx": subaction, "cam_idx": camera, "frame_idx": frame,
                })  # fmt: skip
                uv = seen(np.array(poses[str(frame)]), camera)[1]
                size = (np.ptp(uv, axis=0) - 1) * 1.2
                corner = (uv.min(axis=0) + uv.max(axis=0)) / 2 - size / 2
                data["annotations"].append({
                    "id": number, "image_id": number, "keypoints_vis": [True] * 17,
                    "bbox": [*corner.tolist(), *size.tolist()],
                })  # fmt: skip
    shifts = centres if older else [-r @ c for r, c in zip(rotations, centres, strict=True)]
    values = zip(rotations, shifts, focal, middle, strict=True)
    camera = {
        str(number): {key: value.tolist() for key, value in zip("Rtfc", row, strict=True)}
        for number, row in enumerate(values, 1)
    }
    return {"data": data, "camera": camera, "joint_3d": world}


def write_human36m(root, files, subject=1):
    """Write one subject's files; ``files`` as :func:`human36m` gives them."""
    folder = Path(root) / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    (Path(root) / "images").mkdir(exist_ok=True)
    for kind, content in files.items():
        path = folder / f"Human36M_subject{subject}_{kind}.json"
        path.write_text(json.dumps(content))
