"""The command ``senorita``: poses from depth frames, checks, training, tables, the notebooks."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from senorita_lib.commands import command

# Modules come when they are asked for: torch takes seconds to import.
_HELP = """\
usage: senorita COMMAND ...

  predict  the 21 joints of the hand in a depth frame, or in each frame of a clip
  check    what is wrong with a depth frame, a data set, or a submission to the challenge
  train    train a recipe through all its stages, or resume a run, and test it
  tables   print Tables 1 and 2 of the paper
  lab      open the notebooks in JupyterLab

senorita COMMAND --help says more. For example:

  senorita predict frame.png --camera d435 --draw pose.png
  senorita predict clip/ --camera 475.1,475.1,315.9,245.3,640,480 --scale 0.125 --csv poses.csv
"""
_ELSEWHERE = {"train": "senorita_lib.__main__", "tables": "senorita_lib.experiments.tables"}
_BOX = "X1", "Y1", "X2", "Y2"
_EXTRA = "pip install 'senorita-lib[notebooks]'"


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: one of five commands."""
    given = sys.argv[1:] if arguments is None else arguments
    name, *rest = given or ["--help"]
    if name in ("-h", "--help"):
        print(_HELP, end="")
    elif name in _ELSEWHERE:
        import_module(_ELSEWHERE[name]).main(rest)
    elif name in (own := {"predict": predict, "check": check, "lab": lab}):
        own[name](rest)
    else:
        raise ValueError(f"command is {name!r}, wanted predict, check, train, tables or lab")


def predict(arguments: Sequence[str]) -> None:
    """The joints in depth frames: printed, or written as JSON, CSV and pictures."""
    from tqdm.auto import tqdm

    from senorita_lib import recordings
    from senorita_lib.camera import CAMERAS, find_camera
    from senorita_lib.cropping import HandNotFoundError
    from senorita_lib.files import atomic_write, user_path
    from senorita_lib.predictor import Predictor

    what = "The 21 joints of the hand in depth frames, mm."
    parser = argparse.ArgumentParser(prog="senorita predict", description=what)
    option = parser.add_argument
    option("frames", nargs="+", metavar="FRAME", help="PNG or TIFF of 16 bits, .npy, or a folder")
    known = f"fx,fy,cx,cy,width,height in pixels, or one of {', '.join(CAMERAS)}"
    option("--camera", required=True, help=known)
    option("--box", nargs=4, type=float, metavar=_BOX, help="around the hand")
    hands = parser.add_mutually_exclusive_group()
    for hand in ("left", "right"):
        text = f"it is a {hand} hand (default: found)"
        hands.add_argument(f"--{hand}", dest="hand", action="store_const", const=hand, help=text)
    option("--weights", default="small", help="a name, or the folder of a run (default: small)")
    option("--scale", type=float, default=1.0, help="mm of one unit of depth (default: 1)")
    option("--draw", metavar="PNG", help="the frame with its joints; of a clip, a folder of them")
    option("--json", help="a file for all that is known of each pose")
    option("--csv", help="a file with a row for each joint")
    chosen = parser.parse_args(arguments)
    camera, files = find_camera(chosen.camera), recordings.clip_files(*chosen.frames)
    about = recordings.provenance(camera, chosen.weights)
    alone = files == [Path(chosen.frames[0])]
    pictures = user_path(chosen.draw) if chosen.draw else None
    for path in map(user_path, filter(None, (chosen.json, chosen.csv, chosen.draw))):
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is missing, wanted a folder to write into")
    made = {os.path.realpath(user_path(path)) for path in (chosen.json, chosen.csv) if path}
    if pictures:
        drawn = (pictures if alone else pictures / f"{file.stem}.png" for file in files)
        made |= {os.path.realpath(path) for path in drawn}
    for file in files:
        if os.path.realpath(user_path(file)) in made:
            raise ValueError(f"{file} is a frame and an output, wanted another name or folder")
    if pictures:
        if len({file.stem for file in files}) < len(files):
            raise ValueError("frames have the same name in two folders, wanted one folder to draw")
        try:
            from senorita_lib.figures import ownframes, style
        except ImportError as error:
            raise ImportError(f"--draw needs {error.name}: {_EXTRA}") from None
        if not alone:
            pictures.mkdir(exist_ok=True)
    predictor, records, last, broken = Predictor.load(chosen.weights), [], None, None
    for file in tqdm(files, disable=alone):
        try:
            depth = recordings.read_depth(file, chosen.scale)
        except (OSError, ValueError) as error:
            broken = error
            break
        how = camera, chosen.box, chosen.hand or "auto"
        try:
            last = recordings.next_pose(predictor, depth, *how, last)
        except HandNotFoundError as error:
            last = None
            tqdm.write(f"{file} is left out: {error}", file=sys.stderr)
            continue
        except ValueError as error:
            broken = ValueError(f"{file}: {error}")
            break
        records.append(recordings.pose_record(str(file), last))
        if pictures:
            path = pictures if alone else pictures / f"{file.stem}.png"
            atomic_write(path, style.png(ownframes.overlay_figure(depth, last, chosen.box)))
    if broken and not records:
        raise broken
    if not records:
        raise HandNotFoundError(f"none of {len(files)} frames has a hand, wanted one at least")
    if chosen.json:
        atomic_write(chosen.json, recordings.poses_json(records, **about))
    if chosen.csv:
        atomic_write(chosen.csv, recordings.poses_table(records, **about).to_csv(index=False))
    if not (chosen.json or chosen.csv or chosen.draw):
        for record in records:
            hand, chance = "left" if record["left"] else "right", record["left_probability"]
            told = "" if chance is None else f" (left: {chance:.0%})"
            table = recordings.poses_table([record])
            shown = table[["joint", "x_mm", "y_mm", "z_mm", "u_px", "v_px"]].round(1)
            print(f"{record['file']}: {hand} hand{told}", shown.to_string(index=False), sep="\n")
    if broken:
        raise broken  # after what was found before it is kept


def check(arguments: Sequence[str]) -> None:
    """A frame, a data set or a submission, by what the path is; exit status 1 if it is wrong."""
    what = "What is wrong with a frame, data set or submission."
    parser = argparse.ArgumentParser(prog="senorita check", description=what)
    option = parser.add_argument
    option("path", help="a depth frame, the folder of a data set, or a submission's zip")
    option("boxes", nargs="?", help="of a submission: the data set's test_bbs.txt")
    option("--quick", action="store_true", help="of a data set: read both ends of each image only")
    option("--camera", help="of a frame: as for senorita predict")
    option("--box", nargs=4, type=float, metavar=_BOX, help="of a frame: around the hand")
    option("--scale", type=float, help="of a frame: mm of one unit (default: 1)")
    chosen = parser.parse_args(arguments)

    def want_none(kind: str, *names: str) -> None:
        if given := [f"--{name}" for name in names if getattr(chosen, name) not in (None, False)]:
            raise ValueError(f"{chosen.path} is taken for a {kind}, wanted no {given[0]}")

    if chosen.boxes or chosen.path.endswith(".zip"):
        from senorita_lib import submission

        want_none("submission", "quick", "camera", "box", "scale")
        submission.main([chosen.path, *filter(None, [chosen.boxes])])
    elif (path := Path(chosen.path).expanduser()).is_file() or (path.suffix and not path.is_dir()):
        from senorita_lib import Predictor, camera, recordings

        want_none("frame", "quick")
        depth = recordings.read_depth(chosen.path, 1.0 if chosen.scale is None else chosen.scale)
        if not chosen.camera:
            raise ValueError(f"{chosen.path} is a frame, wanted its --camera, too")
        lens = camera.find_camera(chosen.camera)
        report = Predictor.load("small").check(depth, lens, chosen.box)
        print(report)
        parser.exit(0 if report.ok else 1)
    else:
        from senorita_lib.datasets import checking

        want_none("data set", "camera", "box", "scale")
        checking.main([chosen.path, *["--quick"] * chosen.quick])


def lab(arguments: Sequence[str]) -> None:
    """JupyterLab on the notebooks of a clone; the arguments are JupyterLab's."""
    from senorita_lib.files import project_path

    notebooks = Path(__file__).parents[1] / "notebooks"
    if not notebooks.is_dir() and not (notebooks := project_path("notebooks")).is_dir():
        raise FileNotFoundError(f"{notebooks} is missing, wanted a clone of the kit's repository")
    if find_spec("jupyterlab") is None:
        raise ImportError(f"the notebooks need jupyterlab: {_EXTRA}")
    os.chdir(notebooks)
    first = "--LabApp.default_url=/lab/tree/01_data_cropping.ipynb"
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", first, *arguments])


if __name__ == "__main__":
    main()
