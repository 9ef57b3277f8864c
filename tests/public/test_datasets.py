"""Data sets as other people have them: boxes, units, names, texts, folders, missing parts."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import SHORT, as_settings, told
from torch.utils.data import DataLoader, Subset

from senorita_lib.__main__ import main
from senorita_lib.camera import SR300
from senorita_lib.cropping import box_corners, checked_box
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.checking import check
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.crops import main as crop
from senorita_lib.datasets.files import DepthImageError, encode_depth, image_name, read_depth
from senorita_lib.experiments.tables import load_results
from senorita_lib.model import weights_digest
from senorita_lib.tables import read_table
from senorita_lib.training.stages import train

EMPTY, SHARES = "boxes that are empty or leave the image", "boxes of 0"


@pytest.fixture(params=["HANDS19", "HANDS17"])
def root(small_data, tmp_path, request):
    """A data set without faults; HANDS17 has no boxes for training and no labels for testing."""
    root = shutil.copytree(small_data, tmp_path / "x", ignore=shutil.ignore_patterns("crops"))
    if request.param == "HANDS17":
        for name, place in {
            "training_images": "training/images", "test_images": "frame/images",
            "training_joint_annotation.txt": "training/Training_Annotation.txt",
            "test_bbs.txt": "frame/BoundingBox.txt",
        }.items():  # fmt: skip
            (root / place).parent.mkdir(exist_ok=True)
            (root / "Task 1" / name).rename(root / place)
        shutil.rmtree(root / "Task 1")
    return root


hands19 = pytest.mark.parametrize("root", ["HANDS19"], indirect=True)


def change(root, function, *names):
    """Replace the numbers of the text files of these names by a function's."""
    for path in (path for name in names for path in root.rglob(name)):
        names, values = read_table(path, len(path.read_text().split("\n")[0].split()) - 1, "")
        rows = zip(names, function(values.astype(float)).tolist(), strict=True)
        path.write_text("".join("\t".join([n, *map(str, row)]) + "\n" for n, row in rows))


def change_boxes(root, function):
    change(root, function, "*_bbs.txt", "BoundingBox.txt")


def sizes(boxes):
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def test_boxes_as_sizes_are_those_as_corners(root):
    """In each list, with labels or without; reader and checkup say which."""
    before = {split: Hands19(root, split) for split in ("train", "test")}
    change_boxes(root, sizes)
    report = check(root, quick=True, progress=False)
    assert report.usable and "boxes, test: x y width height" in str(report)
    for split, was in before.items():
        data = Hands19(root, split)
        np.testing.assert_array_equal(data.boxes, was.boxes)
        listed = was.box_form == "x1 y1 x2 y2"
        assert data.box_form == ("x y width height" if listed else "drawn around the joints")


@hands19
def test_labels_tell_where_boxes_can_be_both(root):
    """Hands at the upper left, whose boxes are neither empty nor leave the image either way."""
    uvz = np.stack([np.linspace(24, 136, 21), np.linspace(34, 166, 21), np.full(21, 500)], axis=1)
    change(root, lambda joints: joints * 0 + SR300.unproject(uvz).ravel(), "training_joint*")
    for written in ([10, 20, 150, 180], [10, 20, 140, 160]):
        change(root, lambda boxes, numbers=written: boxes * 0 + numbers, "training_bbs.txt")
        np.testing.assert_array_equal(Hands19(root).boxes[0], [10, 20, 150, 180])


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda b: b * 3, EMPTY), (lambda b: -b, EMPTY), (lambda b: b[:, [2, 3, 0, 1]] + 99, EMPTY),
        (lambda b: b / [640, 480, 640, 480], SHARES), (lambda b: sizes(b) / 640, SHARES),
    ],
)  # fmt: skip
def test_boxes_that_are_neither_are_refused(root, form, words):
    change_boxes(root, form)
    with pytest.raises(ValueError, match=f"txt has .*{words}.*wanted .*pixels"):
        Hands19(root, "test")


def test_a_few_empty_boxes_and_one_box_of_shares():
    boxes = np.array([[100.0, 90, 260, 250]] * 8 + [[300, 10, 300, 50], [300, 90, 340, 50]])
    assert box_corners(boxes, "list")[1] == "x1 y1 x2 y2"
    with pytest.raises(ValueError, match="less than a pixel wide or high, wanted .* in pixels"):
        checked_box([0.2, 0.3, 0.6, 0.7], SR300)


@pytest.mark.parametrize("factor", [0.1, 1e-3, 8, -1, (1, 1, 0.1), (1, 1, -1), (1, -1, 1)])
def test_labels_in_another_unit_or_negated_are_refused(root, tmp_path, factor):
    scale = np.tile(np.broadcast_to(factor, 3), 21)
    change(root, lambda joints: joints * scale, "training_joint*", "Training_A*")
    report = check(root, progress=False)
    assert not report.usable and report.splits["train"].absent in str(report)
    apart = "labels off their depth|which looks like .* wanted millimetres"
    with pytest.raises(ValueError, match=apart):
        train(SHORT, root, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists() and not (root / "crops").exists()


@hands19
@pytest.mark.parametrize("unit", [8, 0.1])
def test_depth_in_another_unit_is_refused(root, capsys, unit):
    for path in root.glob("*/training_images/*"):
        path.write_bytes(encode_depth((read_depth(path) * unit).clip(0, 65535).astype(np.uint16)))
    splits = check(root, progress=False).splits
    assert "labels off their depth" in splits["train"].absent and not splits["test"].absent
    assert "labels off their depth" in told(crop, capsys, root)


@hands19
def test_reader_and_checkup_find_the_same_files(root):
    """Endings in capitals, subfolders, the other slash."""
    images, names = root / "Task 1" / "training_images", Hands19(root).names
    (images / "one").mkdir()
    (images / names[0]).rename((images / names[0]).with_suffix(".PNG"))
    for name, new in {names[1]: f"one/{names[1]}", names[2]: f"one\\{names[2]}"}.items():
        (images / name).rename(images / "one" / name)
        for path in root.glob("*/training_*.txt"):
            path.write_text(path.read_text().replace(name, new))
    (images / "one" / "more.PNG").touch()
    report = check(root, progress=False)
    assert report.usable and report.splits["train"].names["unlisted"] == ["one/more.PNG"]
    assert all(frame.depth.any() for frame in Hands19(root)[:3])


@hands19
def test_mark_of_windows_at_the_start_of_a_text(root, tmp_path):
    names, run = Hands19(root).names, train(SHORT, root, tmp_path / "run", progress=False)
    for path in [*root.glob("*/*.txt"), *root.glob("*/*.json"), *run.folder.glob("*.json")]:
        path.write_text("\ufeff" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert Hands19(root).names == names and len(Hands19(root, "shape")) == 4
    write_synthetic(root, train=48, test_per_split=4, progress=False)
    assert train(SHORT, root, run.folder, progress=False).result == run.result
    assert load_results(run.folder)


@hands19
def test_blanks_in_names_and_a_zip_are_named(root):
    for path in root.glob("*/training_*.txt"):
        text = path.read_text()
        path.write_text(text.replace("image_D00000002", "my image 2"))
        with pytest.raises(ValueError, match=r"line 3 has the name 'my image 2.png', wanted .* bl"):
            Hands19(root)
        path.write_text(text)
    archive = root / "HANDS19.zip"
    archive.touch()
    for call in (Hands19, check, write_synthetic):
        with pytest.raises(OSError, match="HANDS19.zip is a file, wanted HANDS19's folder"):
            call(archive)


@hands19
def test_a_box_beside_the_image_is_a_frame_without_a_hand(root):
    def move(boxes):
        boxes[3] = [-60, 100, -5, 200]
        return boxes

    change(root, move, "training_bbs.txt")
    assert image_name(3) in check(root, progress=False).splits["train"].names["empty"]
    crops = load_crops(Hands19(root), size=32, progress=False)
    assert not crops.found[3] and crops.found.sum() == len(crops) - 1


def write_camera(root, camera):
    path = root / "camera.json"
    path.write_text(json.dumps(asdict(camera)))
    return path


def test_frames_of_another_camera_give_the_same_crops(root, tmp_path):
    """Its images are larger than the SR300's by a border."""
    options = {"size": 32, "progress": False, "cache": tmp_path / "crops"}
    one = load_crops(Hands19(root), **options)
    for path in root.rglob("*.png"):
        path.write_bytes(encode_depth(np.pad(read_depth(path), ((20, 10), (300, 5)))))
    change_boxes(root, lambda boxes: boxes + [300, 20, 300, 20])
    camera = replace(SR300, cx=SR300.cx + 300, cy=SR300.cy + 20, width=945, height=510)
    write_camera(root, camera)
    report = check(root, progress=False)
    assert report.usable and report.title.endswith("camera: 945x510, fx 475.066")
    other = load_crops(Hands19(root), **options)
    assert one.identity != other.identity and other.take(range(4)).camera == camera
    (crops, joints), (seen, again) = (part.batch(range(len(one))) for part in (one, other))
    assert torch.equal(joints, again)
    same = (crops.image == seen.image).flatten(1).all(dim=1)
    assert same.float().mean() > 0.8  # not of hands that the old border cut
    torch.testing.assert_close(seen.to_uvd(joints)[same], crops.to_uvd(joints)[same])
    if (root / "Task 1").is_dir():
        assert Hands19(root / "Task 1").camera == camera
        recipe = SHORT.override(source="open", batch=4)
        train_by_command(root, tmp_path / "run", "--cache", options["cache"], recipe=recipe)
        arrays = np.load(tmp_path / "run" / "predictions.npz")
        off = np.linalg.norm((arrays["initial"] - arrays["joints"]).mean(axis=1), axis=-1)
        assert np.median(off) < 60  # mm, where the SR300's axis is 300 px away


def test_cameras_that_do_not_fit_are_named(root):
    path = write_camera(root, SR300.resized(800, 600))
    with pytest.raises(DepthImageError, match="is 640x480, wanted 800x600 pixels"):
        Hands19(root)[0]
    path.write_text(json.dumps(asdict(replace(SR300, fx=600.0))))
    with pytest.raises(ValueError, match="has fx = 600 and fy = 475.066, wanted square pixels"):
        Hands19(root)
    path.write_text(json.dumps(asdict(SR300.resized(800, 600))))
    for text in ("{", "[1]", '{"fx": 1}', path.read_text().replace("800", "-800")):
        path.write_text(text)
        wanted = r"camera.json holds no camera \(.*\), wanted fx, fy, cx, cy, width and height"
        with pytest.raises(ValueError, match=wanted):
            Hands19(root)


def train_by_command(root, folder, *options, recipe=SHORT):
    given = "tiny", "--data", root, "--folder", folder, *options, "--set", *as_settings(recipe)
    main([str(word) for word in given])


@hands19
def test_crops_lie_where_one_says(root, tmp_path):
    """Where none can be made beside the data set."""
    (root / "crops").touch()
    with pytest.raises(OSError, match=r"cannot be written .*cache"):
        load_crops(Hands19(root), size=32, progress=False)
    cache = tmp_path / "cache"
    crop([str(root), "--cache", str(cache), "--size", "32"])
    kept = list(cache.glob("train*/*.npy"))
    train_by_command(root, tmp_path / "run", "--cache", cache)
    assert kept and list(cache.glob("train*/*.npy")) == kept and list(cache.glob("test*/*.npy"))


def test_without_a_test_part_there_is_no_test_result(root, tmp_path, capsys):
    for part in [*root.glob("frame"), *root.glob("*/test_images")]:
        shutil.rmtree(part)
    folder = tmp_path / "run"
    train_by_command(root, folder)
    said = capsys.readouterr().out
    assert "there will be no test result" in said and "initial pose" not in said
    result = json.loads((folder / "result.json").read_text())
    assert result["frames"] == {} and not any(result["errors"].values())
    assert not [*folder.glob("*.zip"), *folder.glob("*.npz")]
    with pytest.raises(ValueError, match="without test frames"):
        load_results(folder)


@hands19
def test_command_line_goes_on_from_weights(root, tmp_path):
    """Given as a run's folder; a recipe without images takes them over as they are."""
    first, second = tmp_path / "first", tmp_path / "second"
    none = SHORT.override(pose_images=0, volume_images=0, refine_images=0)
    train_by_command(root, first)
    train_by_command(root, second, "--start", first, recipe=none)
    assert len({weights_digest(run / "model.safetensors") for run in (first, second)}) == 1


def test_default_collate_takes_tensors_and_a_slice_is_a_data_set(root):
    part = Hands19(root)[4:10:2]
    assert part.names == Hands19(root).names[4:10:2] and len(list(part)) == 3
    np.testing.assert_array_equal(load_crops(part, size=32, progress=False).joints, part.joints)
    (batch,) = DataLoader(part.tensors(), batch_size=3)
    assert batch["name"] == part.names and batch["depth"].shape == (3, 480, 640)
    for i, frame in enumerate(part):
        for key in ("depth", "box", "joints"):
            np.testing.assert_array_equal(batch[key][i], getattr(frame, key))
    test = Subset(Hands19(root, "test").tensors(), [1, 0])
    labelled = Hands19(root, "test").joints is not None
    assert next(iter(DataLoader(test, 2)))["joints"].isfinite().all() == labelled
