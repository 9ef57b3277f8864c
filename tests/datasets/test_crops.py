"""Crops of a whole data set: the same for any number of workers, through kills and crowds."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from conftest import told

from senorita_lib.camera import SR300
from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import Hands19, crops, workers, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.files import encode_depth, image_name

COUNT, SHARD = 30, 8
EMPTY, BARE = 4, 9  # frames with an empty box, and with none but empty pixels in it
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


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
def root(source, tmp_path, monkeypatch):
    monkeypatch.setattr(crops, "_SHARD", SHARD)
    return shutil.copytree(source, tmp_path / "hands", copy_function=shutil.copy2)


@pytest.fixture(scope="module")
def wanted(source):
    """Frame by frame."""
    frames = enumerate(Hands19(source, skip_degenerate=False))
    return {i: crop_hand(f.depth, f.box, size=48) for i, f in frames if i not in (EMPTY, BARE)}


def load(root, **options):
    data = Hands19(root, skip_degenerate=False)
    return load_crops(data, size=48, **{"progress": False, **options})


def shards(root):
    return sorted(path for path in root.glob("crops/*/*") if path.name != ".lock")


def check(made, wanted):
    assert len(made) == len(made.names) == len(made.images) == COUNT
    assert (made.images.shape, made.images[0].dtype) == ((COUNT, 48, 48), np.float16)
    assert np.flatnonzero(made.found).tolist() == list(wanted)
    for i, hand in wanted.items():
        np.testing.assert_array_equal(made.images[i], hand.image.astype(np.float16))
        np.testing.assert_array_equal(made.boxes[i], hand.box)
        np.testing.assert_array_equal(made.cube_centres[i], hand.cube_centre)
    for i in (EMPTY, BARE):
        assert not made.images[i].any() and not made.boxes[i].any()


@pytest.fixture
def made_frames(monkeypatch):
    """Names of the images that are read in this process."""
    names, read = [], crops.read_depth
    monkeypatch.setattr(crops, "read_depth", lambda path, *_: names.append(path.name) or read(path))
    return names


@pytest.mark.parametrize("count", [None, 2])
def test_crops_do_not_depend_on_the_workers(root, wanted, count):
    made = load(root, workers=count)
    check(made, wanted)
    data = Hands19(root, skip_degenerate=False)
    np.testing.assert_array_equal(made.joints, data.joints)
    assert made.names == data.names
    assert [path.parent.name for path in shards(root)] == 4 * ["train_48_otsu_mass"]
    assert [path.name[:6] for path in shards(root)] == [f"{i:05d}_" for i in range(4)]


def test_take_batch_images_like_an_array_and_frames_without_labels(root):
    made = load(root)
    whole = made.images[:]
    assert whole.shape == (COUNT, 48, 48)
    mask = whole[:, 20, 20] > 0
    for index in (3, -1, [29, 0, 8, 7], np.array([[1, 9], [16, 2]]), slice(5, 20, 3), mask):
        np.testing.assert_array_equal(made.images[index], whole[index])
    part = made.take([3, 1])
    assert part.names == [image_name(3), image_name(1)]
    batch, joints = part.batch([1])
    np.testing.assert_array_equal(batch.image[0, 0], np.float32(whole[1]))
    np.testing.assert_array_equal(joints[0], made.joints[1])
    assert batch.camera == SR300
    (root / "Task 1" / "test_joint_annotation.txt").unlink()
    made = load_crops(Hands19(root, "test"), size=48, progress=False)
    assert made.joints.shape == (5, 21, 3) and np.isnan(made.joints).all() and made.found.all()


def test_script_without_a_guard(root):
    """Workers do not run the caller's script anew."""
    script = root / "script.py"
    script.write_text(
        "from senorita_lib.datasets import Hands19, SyntheticStream, crops\n"
        "crops._SHARD = 8\n"
        f"data = Hands19({str(root)!r})\n"
        "print(len(crops.load_crops(data, size=48, workers=2, progress=False)))\n"
        "print(len(next(iter(SyntheticStream(batch=2, size=32, workers=1)))[0]))\n"
    )
    command = [sys.executable, "-W", "error", script]
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert (run.stdout, run.returncode) == (f"{COUNT - 1}\n2\n", 0), run.stderr


def test_only_the_shard_of_a_changed_frame_is_made_anew(root, made_frames):
    one = load(root)
    images = root / "Task 1" / "training_images"
    (images / image_name(9)).write_bytes((images / image_name(1)).read_bytes())
    made_frames.clear()
    two = load(root)
    assert made_frames == [image_name(i) for i in range(8, 16)]
    assert not np.array_equal(one.images[9], two.images[9])
    others = np.delete(np.arange(COUNT), 9)
    np.testing.assert_array_equal(one.images[others], two.images[others])
    assert one.identity != two.identity
    load_crops(Hands19(root), size=48, progress=False)  # without the frame whose box is empty
    assert len(made_frames) == 8 + COUNT - 1
    load_crops(Hands19(root), size=48, centre="box", progress=False)
    assert len(made_frames) == 8 + 2 * (COUNT - 1)


def test_only_what_is_damaged_is_made_anew(root, wanted, made_frames):
    path = root / "Task 1" / "training_images" / image_name(COUNT - 1)
    data = path.read_bytes()
    path.write_bytes(data[:100])
    with pytest.raises(ValueError, match=rf"{path} is truncated or no PNG \(100 bytes\)"):
        load(root, workers=2)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is missing"):
        load(root)
    assert len(shards(root)) == 3
    path.write_bytes(data)
    made_frames.clear()
    check(load(root), wanted)
    assert len(made_frames) == COUNT - 3 * SHARD
    made_frames.clear()
    check(load(root), wanted)
    assert made_frames == []
    paths = shards(root)
    np.save(paths[0], np.ones(3))
    os.truncate(paths[1], 5000)
    os.truncate(paths[3], 0)
    check(load(root), wanted)
    assert made_frames == [image_name(i) for i in (*range(16), *range(24, COUNT))]


SLOW = """
import sys, time
from senorita_lib.datasets import Hands19, crops
crops._SHARD, read = 2, crops.read_depth
crops.read_depth = lambda path, *_: time.sleep(0.05) or read(path)
data = Hands19(sys.argv[1], skip_degenerate=False)
crops.load_crops(data, size=48, workers=1, progress=False)
"""


def start(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=ENVIRONMENT)


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_killed_call_is_taken_up_and_crowds_take_turns(root, wanted, monkeypatch, capsys):
    first = start(SLOW, root)
    wait_for(lambda: len(shards(root)) >= 3)
    second = start(SLOW, root)
    time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path: path.stat().st_mtime_ns for path in shards(root) if path.suffix == ".npy"}
    assert 3 <= len(kept) < 15
    wait_for(lambda: len(shards(root)) > len(kept) + 1)
    monkeypatch.setattr(crops, "_SHARD", 2)
    monkeypatch.setattr(crops, "_make_shard", None)
    check(load(root), wanted)  # waits
    assert second.wait() == 0
    assert capsys.readouterr().out.count("another process is writing") == 1
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in shards(root)}.items()


def test_killed_parent_ends_its_workers(tmp_path):
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "from senorita_lib.datasets.workers import run_tasks\n"
        "def work(i):\n"
        "    (Path(sys.argv[1]) / str(os.getpid())).touch()\n"
        "    time.sleep(60)\n"
        "list(run_tasks(work, [(i,) for i in range(2)], 2))\n"
    ).replace("sys.argv[1]", repr(str(tmp_path)))
    run = start(code)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    run.kill()
    run.wait()
    pids = [path.name for path in tmp_path.iterdir()]
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_dead_worker_is_told():
    with pytest.raises(ChildProcessError, match="a worker was killed .*; call again"):
        list(workers.run_tasks(os._exit, [(1,)], 2))
    assert sorted(workers.run_tasks(abs, [(-1,), (2,), (-3,)], 2)) == [1, 2, 3]


def test_disk_without_room(root, wanted, monkeypatch):
    (root / "crops").write_text("a file where the folder would be")
    with pytest.raises(OSError, match=r"mass cannot be written \(.*\), wanted a folder for crops"):
        load(root)
    (root / "crops").unlink()
    usage = namedtuple("usage", "total used free")
    room = crops._row_type(48).itemsize * COUNT - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, room))
    with pytest.raises(OSError, match=r"mass has 0.1 MB free, wanted 0.1 MB for 30 crops of 48"):
        load(root)
    assert shards(root) == []
    room += 1

    def fill_up(path, data):
        if path.name.startswith("00002"):
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(crops, "atomic_write", fill_up)
        with pytest.raises(OSError, match="No space left on device"):
            load(root, workers=1)
    assert len(shards(root)) == 2  # what was done is kept
    check(load(root, workers=1), wanted)


def test_command_line(root, capsys):
    crops.main([str(root), "--size", "48"])
    said = capsys.readouterr()
    assert said.out.startswith("29 frames, 28 hands found, 0.1 MB, ")
    assert f"29 crops, 0.1 MB in {root / 'crops'}" in said.err
    crops.main([str(root), "--split", "test", "--size", "32"])
    assert "5 frames, 5 hands found" in capsys.readouterr().out
    assert "does not exist, wanted a HANDS19 folder" in told(crops.main, capsys, root / "none")
