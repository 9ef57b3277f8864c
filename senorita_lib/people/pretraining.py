"""Step 1's beginning (paper, section 3.1): the estimator learns 16 keypoints of people first.

Joint 2D and 3D training as in integral human pose regression (Sun et al., ECCV 2018): half of each
batch has 2D labels alone, which supervise u and v, half depths too; the loss is their I*, the L1
distance of the expected positions, without one of the heat maps.
"""

import hashlib
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from senorita_lib.files import atomic_write
from senorita_lib.losses import body_pose_loss
from senorita_lib.model import BODY_FORMAT, HandPoseNet, make_estimator, write_weights
from senorita_lib.people.batches import BodyBatches, People
from senorita_lib.people.checking import open_body
from senorita_lib.people.crops import cut_body, to_camera, to_uvd
from senorita_lib.people.keypoints import KEYPOINT_NAMES, PELVIS
from senorita_lib.people.synthetic import SyntheticBody
from senorita_lib.recipes import Recipe
from senorita_lib.training import processes
from senorita_lib.training.loop import Loop, format_errors, images_seen, run_once, want_same
from senorita_lib.training.transfer import transfer

WEIGHTS = "body.safetensors"
# What of a recipe decides about its pretraining: with most, Models 1-4 share one.
_OF_RECIPE = (
    "seed", "image_size", "block", "layers", "widths", "head_channels", "depth_bins", "head",
    "rotation", "scale", "scale_probability", "shift", "batch", "learning_rate", "decay",
    "precision",
)  # fmt: skip
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class BodyRun:
    """A finished pretraining: its folder, file of weights, log and result as written there."""

    folder: Path
    weights: Path
    log: list
    result: dict


def body_recipe(recipe):
    """The part of a recipe that decides about its pretraining.

    Its Step 1 is of people: as many as ``pretrain_images``, with milestones at the same shares, and
    a validation every eighth of it. What does not matter has the paper's value.
    """
    share = recipe.pretrain_images / max(1, recipe.pose_images + recipe.volume_images)
    return Recipe(
        name="body",
        pose_images=recipe.pretrain_images,
        volume_images=0,
        refine_images=0,
        validate_images=max(1, recipe.pretrain_images // 8),
        milestones=tuple(round(share * m) for m in recipe.milestones),
        **{name: getattr(recipe, name) for name in _OF_RECIPE},
    )


def pretrain(
    recipe,
    folder,
    people=SYNTHETIC,
    *,
    device=None,
    progress=True,
    checkpoint_seconds=20.0,
    watch=None,
):
    """Train an estimator on people, or go on where an earlier call stopped.

    Parameters
    ----------
    recipe : Recipe
        See :func:`body_recipe`.
    folder : path
        Where ``checkpoint.pt``, ``body.safetensors``, ``log.json``, ``timing.json`` and
        ``people.json`` go.
    people : path or list of BodySet
        The folder that holds MPII and Human3.6M, or one of them; or sets such as ``[Mpii(root)]``.
        "synthetic": a set of 4,000, kept in ``synthetic_people`` beside the folder.
    device, progress, checkpoint_seconds, watch
        As of :func:`senorita_lib.training.stages.train`.

    Returns
    -------
    BodyRun

    Raises
    ------
    ValueError
        If the folder holds a run of another recipe or on other people, or there are too few.
    OSError
        If images are missing.
    """
    folder, recipe = Path(folder), body_recipe(recipe)
    if recipe.pose_images < recipe.batch:
        raise ValueError(
            f"pretrain_images is {recipe.pose_images}, wanted at least a batch of {recipe.batch}"
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    progress = progress and processes.is_first()
    people = People(_open(people, recipe.image_size, folder.parent / "synthetic_people", progress))
    identity = people.identity

    def run() -> None:
        trainer = BodyTrainer(
            recipe, people, folder, device, identity,
            progress=progress, checkpoint_seconds=checkpoint_seconds, watch=watch,
        )  # fmt: skip
        trainer.resume()
        trainer.run()
        if processes.is_first():
            trainer.finish()

    return run_once(
        folder, recipe, identity, lambda: _finished(recipe, folder, identity), run, progress
    )


def starting_weights(recipe, runs, people=SYNTHETIC, **options):
    """What a recipe's run begins with: weights of :func:`pretrain`, or None without ``pretrain``.

    Parameters
    ----------
    recipe : Recipe
    runs : path
        The folder that holds the runs of Models 1-4; the pretraining that they share goes to a
        folder ``people_…`` in it, which is called by what decides about it.
    people, **options
        As of :func:`pretrain`.

    Returns
    -------
    path or None
        As :func:`senorita_lib.training.stages.train` takes it for ``start``.

    Raises
    ------
    ValueError
        If there are people, but a recipe that does not begin with any.
    """
    if not recipe.pretrain:
        if people != SYNTHETIC:
            raise ValueError(
                f"people is {str(people)!r} and recipe {recipe.name!r} has pretrain = False, "
                "wanted pretrain = True"
            )
        return None
    digest = hashlib.sha256(body_recipe(recipe).to_json().encode()).hexdigest()
    return pretrain(recipe, Path(runs) / f"people_{digest[:6]}", people, **options).weights


def transfer_report(recipe):
    """What of a network that knows people a recipe's estimator takes over.

    Returns
    -------
    Transfer
    """
    hand = HandPoseNet(recipe, torch.zeros(20)).estimator
    return transfer(body_network(body_recipe(recipe)).state_dict(), hand)


class BodyTrainer(Loop):
    """The one stage of pretraining."""

    stages = ("people",)

    def __init__(self, recipe, people, folder, device, identity="", **options):
        super().__init__(recipe, folder, device, identity, **options)
        self.people = people
        seen, self.held = people.split(recipe.validation_share)
        self.batches = BodyBatches(recipe, people, seen, device)
        torch.manual_seed(recipe.seed)
        self.model = body_network(recipe).to(device)
        if self.precision == "bfloat16":
            self.model.to(memory_format=torch.channels_last)
        self.begin_stage()

    def plan(self):
        """Images and batch size."""
        return self.recipe.pose_images, self.recipe.batch

    def groups(self):
        """All parameters."""
        return [{"params": list(self.model.parameters()), "factor": 1.0}]

    def loss(self, step, batch):
        """The loss of one batch, for the log and to minimise."""
        images, uvd = self.batches(step, batch)
        with self.autocast():
            predicted = self.network(images)
        loss = body_pose_loss(predicted, uvd)
        return {"L_jt": loss}, loss

    def validate(self):
        """Errors on the people that were held back, see :func:`body_errors`."""
        size = self.recipe.image_size
        uvd = predict_people(self.model, self.people, self.held, size, self.device)
        return body_errors(uvd, self.people, self.held)

    def finish(self):
        """Write what a finished pretraining's folder holds."""
        self.write_records()
        write_weights(self.folder / WEIGHTS, BODY_FORMAT, self.recipe, self.model.state_dict())
        spatial = self.people.spatial
        others = np.setdiff1d(np.arange(len(self.people)), self.held)
        median = np.tile(median_pose(self.people, others), (len(self.held), 1, 1))
        constant = body_errors(median, self.people, self.held)
        last = next(row for row in reversed(self.log) if constant.keys() <= row.keys())
        result = {
            "recipe": json.loads(self.recipe.to_json()),
            "data": self.identity,
            "people": {
                "2D": int((~spatial).sum()),
                "3D": int(spatial.sum()),
            },
            "images": images_seen(self.log)["people"],
            "device": str(self.device),
            "torch": torch.__version__,
            "validation": {k: last[k] for k in constant},
            "median pose": constant,
        }
        if self.progress:
            tqdm.write(f"people: their median pose, without a look, {format_errors(constant)}")
        atomic_write(self.folder / "people.json", (json.dumps(result, indent=1) + "\n").encode())


def body_network(recipe):
    """The estimator of a recipe for colour images and 16 keypoints."""
    return make_estimator(recipe, 3, joints=len(KEYPOINT_NAMES))


def predict_people(model, people, rows, size, device="cpu", batch=64):
    """What a network finds in the crops of some people: uvd, (N, 16, 3)."""

    def crop(row):
        return cut_body(people[row], size)[0]

    model.eval()
    found = []
    with torch.inference_mode(), ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for start in range(0, len(rows), batch):
            images = np.stack(list(threads.map(crop, rows[start : start + batch])))
            found.append(model(torch.from_numpy(images).to(device)).float().cpu().numpy())
    return np.concatenate(found)


def body_errors(uvd, people, rows):
    """Mean errors of some people's keypoints.

    Parameters
    ----------
    uvd : array, (N, 16, 3)
        As found, in their boxes.
    people : People
    rows : array of int, (N,)

    Returns
    -------
    dict
        ``validation_percent``: mean distance in the image, in hundredths of the box's side.
        ``validation_body_mm``: mean distance in space, relative to the pelvis, mm, of those with
        depths, if there are any.
    """
    boxes = people.boxes[rows]
    true, spatial = to_uvd(people.keypoints[rows], boxes), people.spatial[rows]
    errors = {"validation_percent": 100 * _mean_distance(uvd[..., :2], true[..., :2])}
    if spatial.any():
        place = boxes[spatial], people.cameras[rows][spatial]
        poses = [to_camera(pose[spatial], *place) for pose in (uvd, true)]
        relative = [pose - pose[:, PELVIS, None] for pose in poses]
        errors["validation_body_mm"] = _mean_distance(*relative)
    return errors


def _mean_distance(found, true):
    """Of what is known; something that is no number among it makes the mean none."""
    known = np.isfinite(true).all(axis=-1)
    return float(np.linalg.norm(found - true, axis=-1)[known].mean())


def median_pose(people, rows):
    """The median of each coordinate over some people, uvd, (16, 3): a guess without an image."""
    uvd = to_uvd(people.keypoints[rows], people.boxes[rows])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # of depths, where there are none
        return np.nanmedian(uvd, axis=0)


def _open(people, size, kept, progress):
    """The sets that are meant."""
    if people == SYNTHETIC:
        synthetic = SyntheticBody(side=round(1.5 * size))  # for a crop that is turned or moved
        return [synthetic.keep(kept, progress=progress)]
    return people if isinstance(people, list) else open_body(Path(people).expanduser())


def _finished(recipe, folder, identity):
    """The pretraining that the folder holds whole, if it does."""
    path = folder / "people.json"
    if not path.exists():
        return None
    result = json.loads(path.read_text())
    want_same(path, result["recipe"], recipe, result["data"], identity)
    return BodyRun(folder, folder / WEIGHTS, json.loads((folder / "log.json").read_text()), result)
