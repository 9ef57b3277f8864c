"""Crops of a whole data set: the same for any number of workers, through kills and crowds."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from senorita_lib.camera import SR300
from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import Hands19, crop_writer, crops, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import encode_depth, image_name

COUNT = 30
EMPTY, BARE = 4, 9  # frames with an empty box, and with none but empty pixels in it


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    root = tmp_path_factory.mktemp("crops") / "hands"
    write_synthetic(root, COUNT, 1, workers=1, progress=False)
    path = root / "Task 1" / "training_bbs.txt"
    rows = path.read_text().splitlines()
    rows[EMPTY] = f"{image_name(EMPTY)}\t300\t10\t300\t50"
    path.write_text("\n".join(rows))
    path = root / "Task 1" / "training_images" / image_name(BARE)
    path.write_bytes(encode_depth(np.zeros((480, 640), np.uint16)))
    return root


@pytest.fixture
def root(source, tmp_path):
    return shutil.copytree(source, tmp_path / "hands", copy_function=shutil.copy2)


@pytest.fixture(scope="module")
def wanted(source):
    """Frame by frame."""
    found = {}
    for i, frame in enumerate(Hands19(source, skip_degenerate=False)):
        if i not in (EMPTY, BARE):
            found[i] = crop_hand(frame.depth, frame.box, size=48)
    return found


def load(root, **options):
    return load_crops(
        Hands19(root, skip_degenerate=False), size=48, **{"progress": False, **options}
    )


def check(made, wanted):
    assert len(made) == len(made.names) == COUNT
    assert made.images.shape == (COUNT, 48, 48)
    assert made.images.dtype == np.float16
    assert np.flatnonzero(made.found).tolist() == list(wanted)
    for i, hand in wanted.items():
        np.testing.assert_array_equal(made.images[i], hand.image.astype(np.float16))
        np.testing.assert_array_equal(made.boxes[i], hand.box)
        np.testing.assert_array_equal(made.cube_centres[i], hand.cube_centre)
    for i in (EMPTY, BARE):
        assert not made.images[i].any() and not made.boxes[i].any()


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_crops_do_not_depend_on_the_workers(root, wanted, workers):
    made = load(root, workers=workers)
    check(made, wanted)
    data = Hands19(root, skip_degenerate=False)
    np.testing.assert_array_equal(made.joints, data.joints)
    assert made.names == data.names
    (folder,) = (root / "crops").iterdir()
    assert folder.name.startswith("train_48_otsu_mass_")
    assert sorted(p.name for p in folder.iterdir()) == ["images.npy", "rows.npy"]


def test_script_without_a_guard(root, tmp_path):
    """Workers do not run the caller's script anew."""
    script = tmp_path / "script.py"
    script.write_text(
        "from senorita_lib.datasets import Hands19\n"
        "from senorita_lib.datasets.crops import load_crops\n"
        f"print(len(load_crops(Hands19({str(root)!r}), size=48, workers=2, progress=False)))\n"
    )
    run = subprocess.run(
        [sys.executable, script], env=environment(), capture_output=True, text=True
    )
    assert (run.stdout, run.returncode) == (f"{COUNT - 1}\n", 0), run.stderr


def test_without_labels(root):
    (root / "Task 1" / "test_joint_annotation.txt").unlink()
    made = load_crops(Hands19(root, "test"), size=48, progress=False)
    assert made.joints.shape == (5, 21, 3)
    assert np.isnan(made.joints).all()
    assert made.found.all()


def test_second_call_crops_nothing(root, wanted, monkeypatch):
    one = load(root)
    monkeypatch.setattr(crops, "write_crops", None)
    two = load(root)
    check(two, wanted)
    assert one.identity == two.identity


def test_image_written_anew_is_cropped_anew(root, wanted):
    one = load(root)
    images = root / "Task 1" / "training_images"
    (images / image_name(0)).write_bytes((images / image_name(1)).read_bytes())
    two = load(root)
    assert not np.array_equal(one.images[0], two.images[0])
    np.testing.assert_array_equal(one.images[1:], two.images[1:])
    assert one.identity == two.identity  # which speaks of names, boxes and labels


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_images_are_named_and_what_was_done_is_kept(root, wanted, workers, monkeypatch):
    images = root / "Task 1" / "training_images"
    path = images / image_name(COUNT - 1)
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(data[:100])
    with pytest.raises(ValueError, match=rf"{path} is truncated or no PNG \(100 bytes\)"):
        load(root, workers=workers)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is missing"):
        load(root, workers=workers)
    # The key holds each image's size and time, so the data set is another each time; as it was
    # at first it is taken up.
    assert len(list((root / "crops").glob("*.part"))) == 2
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    check(load(root, workers=workers), wanted)


# ------------------------------------------------------------------------ killed, and in crowds
def environment():
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


SLOW = """
import sys, time
from senorita_lib.datasets import Hands19, crop_writer
from senorita_lib.datasets.crops import load_crops
crop_writer._SAVE_SECONDS = 0
crop = crop_writer._Work.crop
crop_writer._Work.crop = lambda *rest: time.sleep(0.05) or crop(*rest)
load_crops(Hands19(sys.argv[1], skip_degenerate=False), size=48, workers=1, progress=False)
"""


def start(code, root):
    return subprocess.Popen([sys.executable, "-c", code, root], env=environment())


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def rows_done(root):
    for path in (root / "crops").glob("*.part/rows.npy"):
        return int((np.load(path)["state"] > 0).sum())
    return 0


def count_crops(monkeypatch):
    """Rows that are cropped in this process from now on."""
    done, crop = [], crop_writer._Work.crop
    monkeypatch.setattr(
        crop_writer._Work, "crop", lambda work, frame: done.append(frame[0]) or crop(work, frame)
    )
    return done


def test_killed_run_is_taken_up(root, wanted, monkeypatch):
    run = start(SLOW, root)
    wait_for(lambda: rows_done(root) >= 7)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = rows_done(root)
    assert 7 <= kept < COUNT
    (aside,) = (root / "crops").iterdir()
    assert aside.suffix == ".part"
    # What rows.npy claims is there, whole.
    rows, images = (np.load(aside / f"{name}.npy") for name in ("rows", "images"))
    for i in np.flatnonzero(rows["state"] == crop_writer.HAND):
        np.testing.assert_array_equal(images[i], wanted[i].image.astype(np.float16))
    done = count_crops(monkeypatch)
    check(load(root, workers=1), wanted)
    assert sorted(done) == np.flatnonzero(rows["state"] == crop_writer.TODO).tolist()
    assert len(done) == COUNT - kept
    assert [p.suffix for p in (root / "crops").iterdir()] == [""]


MANY = 10


def repeated(root):
    """The same frames again and again, so that workers have something to do."""
    data = Hands19(root, skip_degenerate=False)
    data.names, data.splits = MANY * data.names, MANY * data.splits
    data.boxes, data.joints = (np.concatenate(MANY * [a]) for a in (data.boxes, data.joints))
    return data


def test_killed_parent_ends_its_workers(root, wanted):
    """And what these do in their last moments harms nobody."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_crops import crop_writer, load_crops, repeated\n"
        "crop_writer._SAVE_SECONDS = 0\n"
        "load_crops(repeated(sys.argv[1]), size=48, workers=2, progress=False)\n"
    )
    command = [sys.executable, "-c", code, root, Path(__file__).parent]
    run = subprocess.Popen(command, env=environment())
    wait_for(lambda: rows_done(root) >= 1)
    workers = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    run.kill()
    run.wait()
    assert 1 <= rows_done(root) < MANY * COUNT
    made = load_crops(repeated(root), size=48, workers=2, progress=False)
    for i in range(len(made)):
        if i % COUNT in wanted:
            image = wanted[i % COUNT].image.astype(np.float16)
            np.testing.assert_array_equal(made.images[i], image)
    assert len(workers) == 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.parametrize(
    "damage",
    [
        lambda aside: (aside / "rows.npy").write_bytes(b"\x93NUMPY"),
        lambda aside: (aside / "rows.npy").unlink(),
        lambda aside: os.truncate(aside / "images.npy", 5000),
        lambda aside: (aside / "images.npy").unlink(),
        lambda aside: np.save(aside / "rows.npy", np.ones(COUNT - 1, crop_writer.ROW)),
    ],
)
def test_damaged_leavings_are_not_believed(root, wanted, damage, monkeypatch):
    load(root)
    (folder,) = (root / "crops").iterdir()
    aside = folder.rename(f"{folder}.part")
    damage(aside)
    done = count_crops(monkeypatch)
    check(load(root), wanted)
    assert len(done) == COUNT


def test_starting_anew_forgets_old_claims_first(root, monkeypatch):
    """Else a kill just then would leave claims to images that are no longer there."""
    load(root)
    (folder,) = (root / "crops").iterdir()
    aside = folder.rename(f"{folder}.part")
    os.truncate(aside / "images.npy", 5000)

    create = np.lib.format.open_memmap

    def killed(*rest, mode="r", **options):
        if "w+" in rest:
            raise KeyboardInterrupt
        return create(*rest, mode=mode, **options)

    monkeypatch.setattr(np.lib.format, "open_memmap", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda path: None)  # as a kill would leave it
    with pytest.raises(KeyboardInterrupt):
        load(root)
    assert not np.load(aside / "rows.npy")["state"].any()


def test_all_done_but_the_name(root, wanted, monkeypatch):
    load(root)
    (folder,) = (root / "crops").iterdir()
    folder.rename(f"{folder}.part")
    done = count_crops(monkeypatch)
    check(load(root), wanted)
    assert done == []


def test_two_processes_at_once(root, wanted, monkeypatch, capsys):
    run = start(SLOW, root)
    wait_for(lambda: rows_done(root) >= 3)
    done = count_crops(monkeypatch)
    check(load(root, progress=True), wanted)  # waits
    assert run.wait() == 0
    assert done == []
    assert "another process is writing" in capsys.readouterr().out


def test_crowd(root, wanted):
    runs = [start(SLOW.replace("0.05", "0.001"), root) for _ in range(3)]
    assert [run.wait() for run in runs] == [0] * 3
    (folder,) = (root / "crops").iterdir()
    assert folder.suffix == ""
    check(load(root), wanted)


def test_next_in_line_takes_up_what_a_killed_one_left(root, wanted, monkeypatch):
    first, second = start(SLOW, root), None
    try:
        wait_for(lambda: rows_done(root) >= 3)
        second = start(SLOW, root)
        time.sleep(0.2)
    finally:
        first.kill()
        first.wait()
    assert second.wait() == 0
    monkeypatch.setattr(crops, "write_crops", None)
    check(load(root), wanted)


def test_dead_worker_is_told(root, wanted, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ChildProcessError, match="a worker was killed .*; call again"):
        load(root, workers=2)
    monkeypatch.undo()
    check(load(root, workers=2), wanted)


# ---------------------------------------------------------------------------------- disk, files
def test_disk_without_room(root, wanted, monkeypatch):
    usage = namedtuple("usage", "total used free")
    need = 2 * 48 * 48 * COUNT
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, need - 1))
    with pytest.raises(OSError, match=r"crops has 0.1 MB free, wanted 0.1 MB for 30 crops of 48"):
        load(root)
    assert list((root / "crops").iterdir()) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, need))
    check(load(root), wanted)


def test_disk_that_fills_up_keeps_what_was_done(root, wanted, monkeypatch):
    crop, save = crop_writer._Work.crop, crop_writer._save

    def fill_up(work, frame):
        full = work if frame[0] < 20 else replace(work, file="/dev/full")
        return crop(full, frame)

    monkeypatch.setattr(crop_writer._Work, "crop", fill_up)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\), wanted"):
        load(root, workers=1)
    assert rows_done(root) == 20

    def full(*rest):
        raise OSError(28, "not even room for rows.npy")

    monkeypatch.setattr(crop_writer, "_save", full)
    with pytest.raises(OSError, match="wanted room for more crops"):
        load(root, workers=1)
    monkeypatch.setattr(crop_writer, "_save", save)
    done = []
    monkeypatch.setattr(
        crop_writer._Work, "crop", lambda work, frame: done.append(frame[0]) or crop(work, frame)
    )
    check(load(root, workers=1), wanted)
    assert done == list(range(20, COUNT))


def test_folder_that_cannot_be_written(root):
    (root / "crops").write_text("a file where the folder would be")
    with pytest.raises(OSError, match=r"crops cannot be written \(.*\), wanted a folder for crops"):
        load(root)


def test_size_is_stated_before_the_work(root, capsys):
    load(root, progress=True)
    assert f"30 crops, 0.1 MB in {root / 'crops'}:   0%" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "images.npy", 5000),
        lambda folder: os.truncate(folder / "images.npy", 0),
        lambda folder: (folder / "rows.npy").unlink(),
        lambda folder: np.save(folder / "rows.npy", np.ones(3, crop_writer.ROW)),
    ],
)
def test_damaged_crops_are_refused(root, damage):
    load(root)
    (folder,) = (root / "crops").iterdir()
    damage(folder)
    with pytest.raises(ValueError, match=rf"{folder} is damaged, wanted 30 whole crops: remove it"):
        load(root)


def test_bytes_as_people_say_them():
    assert crop_writer.show_bytes(175_951 * 256 * 256 * 2) == "23.1 GB"
    assert crop_writer.show_bytes(4000 * 64 * 64 * 2) == "32.8 MB"


def test_take_and_batch(root):
    made = load(root)
    part = made.take([3, 1])
    assert part.names == [image_name(3), image_name(1)]
    batch, joints = part.batch([1])
    np.testing.assert_array_equal(batch.image[0, 0].numpy(), made.images[1].astype(np.float32))
    np.testing.assert_array_equal(joints[0].numpy(), made.joints[1])
    assert batch.camera == SR300


def test_command_line(root, capsys):
    crops.main([str(root), "--size", "48"])
    said = capsys.readouterr().out
    assert said.startswith("29 frames, 28 hands found, 0.1 MB, ")
    crops.main([str(root), "--split", "test", "--size", "32"])
    assert "5 frames, 5 hands found" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        crops.main([str(root / "none")])
    assert stop.value.code == 1
    assert "does not exist, wanted a HANDS19 folder" in capsys.readouterr().err
