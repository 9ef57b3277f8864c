"""Writes small MPII and Human3.6M sets in their files' own formats."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

NOTHING = np.zeros((0, 0))  # MATLAB's []


def write_image(path: Path, image: np.ndarray) -> None:
    """Red, green, blue; JPEG or PNG, as the path's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.ascontiguousarray(image[..., ::-1])
    path.write_bytes(cv2.imencode(path.suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())


def struct(*rows: dict[str, Any]) -> np.ndarray:
    """A MATLAB struct array (1, N); as there, each row has all fields, some of them []."""
    fields = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in fields])
    for number, row in enumerate(rows):
        for name in fields:
            array[0, number][name] = row.get(name, NOTHING)
    return array


def person(
    points: list[tuple], objpos: tuple = (320.0, 240.0), scale: float = 1.5, **more: Any
) -> dict[str, Any]:
    """A row of annorect; points are rows of (id, x, y) or (id, x, y, is_visible)."""
    names = "id", "x", "y", "is_visible"
    points = [dict(zip(names, point, strict=False)) for point in points]
    objpos = struct({"x": objpos[0], "y": objpos[1]})
    annopoints = struct({"point": struct(*points)})
    return {"x1": 10, "scale": scale, "objpos": objpos, "annopoints": annopoints} | more


def entry(name: Any, *people: dict[str, Any], annorect: np.ndarray = NOTHING) -> dict[str, Any]:
    """A row of annolist."""
    rows = struct(*people) if people else annorect
    return {"image": struct({"name": name}), "annorect": rows, "frame_sec": 1.0}


def write_mpii(root: Path, entries: list[dict], train: list[int], **more: Any) -> Path:
    """Write the file of annotations; returns its path."""
    path = root / "mpii_human_pose_v1_u12_1.mat"
    (root / "images").mkdir(parents=True, exist_ok=True)
    release = {"annolist": struct(*entries), "img_train": np.array([train], np.uint8)} | more
    release = struct({name: value for name, value in release.items() if value is not None})
    savemat(path, {"RELEASE": release}, do_compression=True)
    return path


def cameras() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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


def seen(joints: np.ndarray, camera: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (17, 3) in the frame of a camera, which counts from 1, mm; and in its image."""
    rotation, centre, focal, middle = (values[camera - 1] for values in cameras())
    there = (joints - centre) @ rotation.T
    return there, there[:, :2] / there[:, 2:] * focal + middle


def human36m(
    subject: int = 1, frames: int = 12, cams: tuple = (1, 2, 3, 4), older: bool = False
) -> dict[str, dict]:
    """What the three files hold; 17 points spread as a person's joints do, mm, z is up."""
    rng = np.random.default_rng(subject)
    rotations, centres, focal, middle = cameras()
    data, world = {"images": [], "annotations": []}, {}
    for action, subaction in ((2, 1), (2, 2), (3, 1)):
        poses = world.setdefault(str(action), {}).setdefault(str(subaction), {})
        for frame in range(frames):
            place = [*rng.uniform(-400, 400, 2), 900]
            poses[str(frame)] = (place + [250, 250, 400] * rng.uniform(-1, 1, (17, 3))).tolist()
        for camera in cams:
            folder = f"s_{subject:02d}_act_{action:02d}_subact_{subaction:02d}_ca_{camera:02d}"
            for frame in range(frames):
                number = 1000 * subject + 7 * len(data["images"])
                data["images"].append({
                    "id": number, "file_name": f"{folder}/{folder}_{frame + 1:06d}.jpg",
                    "width": 1000, "height": 1002 if camera in (1, 4) else 1000,
                    "action_idx": action, "subaction_idx": subaction, "cam_idx": camera,
                    "frame_idx": frame,
                })  # fmt: skip
                uv = seen(np.array(poses[str(frame)]), camera)[1]
                size = (np.ptp(uv, axis=0) - 1) * 1.2
                corner = (uv.min(axis=0) + uv.max(axis=0)) / 2 - size / 2
                bbox = [*corner.tolist(), *size.tolist()]
                data["annotations"].append({"image_id": number, "bbox": bbox})
    shifts = centres if older else [-r @ c for r, c in zip(rotations, centres, strict=True)]
    given = {"R": rotations, "t": shifts, "f": focal, "c": middle}
    listed = {
        str(number): {key: values[number - 1].tolist() for key, values in given.items()}
        for number in (1, 2, 3, 4)
    }
    return {"data": data, "camera": listed, "joint_3d": world}


def write_human36m(root: Path, files: dict[str, dict], subject: int = 1) -> None:
    """Write one subject's files; ``files`` as :func:`human36m` gives them."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "images").mkdir(exist_ok=True)
    for kind, content in files.items():
        path = root / "annotations" / f"Human36M_subject{subject}_{kind}.json"
        path.write_text(json.dumps(content))
