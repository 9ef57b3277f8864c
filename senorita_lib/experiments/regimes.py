"""The paper's two add-ons from networks with several errors, and on other methods' heads.

``python -m senorita_lib.experiments.regimes`` trains Model 1 of recipe ``small`` for each seed and
keeps weights on its way down. From each of these starts it trains what ``regimes.toml`` lists, on
the same images in the same order. ``--heads`` does so with the paper's head and those of other
methods (:mod:`senorita_lib.rivals`), each with a rate of its own, and the same images unless
``regimes.toml`` says how many. Either takes many hours on two cores; killed, it goes on where it
was, and shows how long is left. Runs are under ``runs/regimes``; errors go to
``results/regimes.csv.gz``, where a start of a seed is whole or absent.

Three seeds are trained, then more, up to eight, while the half-width of an interval is 0.3 mm or
more: the command names the starts that want them.
"""

import argparse
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import parallel_config
from tqdm.auto import tqdm

from senorita_lib.commands import command
from senorita_lib.datasets import Hands19, write_synthetic
from senorita_lib.datasets.crops import load_crops
from senorita_lib.datasets.workers import run_tasks
from senorita_lib.evaluation import SPLITS
from senorita_lib.experiments.difficulty import anatomy
from senorita_lib.experiments.sizing import estimator_costs, total
from senorita_lib.experiments.tables import (
    estimates,
    load_trials,
    long_table,
    markdown,
    read_run,
    results_file,
)
from senorita_lib.experiments.trials import SEEDS, Trial, read_trial
from senorita_lib.experiments.uncertainty import Estimate, holm
from senorita_lib.files import PathLike, atomic_write, project_path, read_json, read_toml
from senorita_lib.model import weights_digest
from senorita_lib.recipes import Recipe, find_recipe
from senorita_lib.training.stages import below, crop_options, train

RECIPE = "small"
FRAMES = 40_000  # of the data set
MOST_SEEDS = 8
_WIDE = 0.3  # half of an interval, mm, that wants more seeds
_SEARCH = "regimes_search.csv"
NETWORK = "network itself"  # the trial that is a start's own network
_LOGGED = ["L_jt", "L_3dske"]  # eq. 3 and 4


class Start(NamedTuple):
    """Where trials start: a network of ``NETWORKS``, its last weights or those below an error."""

    network: str
    below_mm: float
    trials: str  # "all", or a list of regimes.toml


def _at_rate(head: str, rate: float) -> str:
    return f"{head} at a rate of {rate:g}"


LISTED = read_toml(__file__)
NETWORKS = {name: LISTED["network"] | changes for name, changes in LISTED["networks"].items()}
NETWORKS |= {n: LISTED["network"] | LISTED["head"] | own for n, own in LISTED["heads"].items()}
STARTS = {name: Start(**values) for name, values in LISTED["starts"].items()}
REGIMES = [name for name, start in STARTS.items() if start.trials in ("all", "some")]
MODELS = {1: "integral"} | {number: f"Model {number}" for number in (2, 3, 4)}
OWN = "integral regression"  # the paper's head
COMPARED = [*LISTED["heads"]]
SAME_IMAGES = [name for name in COMPARED if "pose_images" not in LISTED["heads"][name]]
RATES = {
    _at_rate(name, rate): NETWORKS[name] | LISTED["rates"]["network"] | {"learning_rate": rate}
    for name in SAME_IMAGES
    for rate in LISTED["rates"]["tried"]
}
NETWORKS |= RATES
STARTS |= {name: Start(name, 0.0, "none") for name in RATES}
TRIALS: dict[str, Trial] = {
    name: read_trial(**LISTED[step] | values)
    for step in ("step_1", "step_2", "search")
    for name, values in LISTED[f"{step}_trials"].items()
}
Pair = tuple[tuple[str, str], tuple[str, str]]
COMPARISONS: dict[str, Pair] = {
    pair["name"]: (tuple(pair["one"]), tuple(pair["other"])) for pair in LISTED["compare"]
}
PARTS = {pair["name"]: pair["part"] for pair in LISTED["compare"]}
TINY = "tiny"  # in the place of a start: recipe tiny, from the studies' trials
_OF_TINY: dict[str, Pair] = {
    pair["name"]: (tuple(pair["tiny"][0]), tuple(pair["tiny"][1]))
    for pair in LISTED["compare"]
    if "tiny" in pair
}
Call = tuple[str, int, str]  # start, seed, trial


def trials_of(start: str) -> list[str]:
    """The trials that go on from a start."""
    chosen = STARTS[start].trials
    every = LISTED["step_1_trials"] | LISTED["step_2_trials"]
    return list(every) if chosen == "all" else LISTED["trials"][chosen]


def recipe_of(start: str, seed: int, trial: str) -> Recipe:
    """The recipe of a trial, or of a start's network.

    Trials keep the head's rate; the refiner has the same rate with every head.
    """
    network = NETWORKS[STARTS[start].network]
    if trial == NETWORK:
        return find_recipe(RECIPE, seed=seed, **network)
    own = {key: network[key] for key in ("head", "learning_rate") if key in network}
    recipe = find_recipe(RECIPE, seed=seed, **(TRIALS[trial].changes | own))
    factor = find_recipe(RECIPE).learning_rate / recipe.learning_rate
    return recipe.override(refiner_rate_factor=factor * recipe.refiner_rate_factor)


def run_folder(start: str, seed: int, trial: str) -> Path:
    """Where a trial is trained, or a start's network, which several starts may share."""
    root = project_path("runs/regimes") / f"seed {seed}"
    return root / (STARTS[start].network if trial == NETWORK else f"from {start}/{trial}")


def finished(start: str, seed: int, trial: str) -> bool:
    """Whether a run has ended; raises ValueError if its recipe or first weights are others."""
    path = run_folder(start, seed, trial) / "result.json"
    if not path.exists():
        return False
    result = read_json(path)
    if Recipe(**result["recipe"]) != recipe_of(start, seed, trial):
        wanted = "wanted that of regimes.toml: remove the folder"
        raise ValueError(f"{path.parent} has a run of another recipe, {wanted}")
    weights = weights_of(start, seed)
    if trial != NETWORK and weights.exists() and weights_digest(weights) not in result["data"]:
        wanted = f"wanted one from {weights}: remove the folder"
        raise ValueError(f"{path.parent} has a run from other weights, {wanted}")
    return True


def weights_of(start: str, seed: int) -> Path:
    """The weights that trials go on from."""
    network, mm = run_folder(start, seed, NETWORK), STARTS[start].below_mm
    return below(network, mm) if mm else network / "model.safetensors"


def train_one(start: str, seed: int, trial: str, data: Path) -> Call:
    """Train a trial or a start's network."""
    recipe, folder = recipe_of(start, seed, trial), run_folder(start, seed, trial)
    if trial == NETWORK:
        own = STARTS[start].network
        kept = sorted(s.below_mm for s in STARTS.values() if s.network == own and s.below_mm)
        train(recipe, data, folder, progress=False, keep_mm=kept)
    else:
        weights, loss = weights_of(start, seed), TRIALS[trial].volume_loss
        train(recipe, data, folder, progress=False, start=weights, volume_loss=loss)
    return start, seed, trial


def train_regimes(
    starts: Sequence[str], seeds: Sequence[int], data: PathLike,
    jobs: int | None = None, trials: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Train what is missing: the networks, then their ``trials``, by default all, start by start.

    ``jobs`` are processes of one thread each, by default one a core, or 1 with a graphics card.
    """
    jobs = jobs or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    for split in ("train", "test"):  # cropped once, not by each process
        frames = Hands19(data, split, skip_degenerate=split == "train")
        load_crops(frames, **crop_options(recipe_of(starts[0], 0, NETWORK)))
    pairs = [(start, seed) for start in starts for seed in seeds]
    shared: dict[Path, Call] = {}
    for start, seed in pairs:
        shared.setdefault(run_folder(start, seed, NETWORK), (start, seed, NETWORK))
    of = trials_of if trials is None else lambda _: trials
    then = [(*pair, trial) for pair in pairs for trial in of(pair[0])]
    calls = [*shared.values(), *then]
    made = sum(_images(call) for call in calls if finished(*call))
    with (
        tqdm(desc="images", total=sum(map(_images, calls)), initial=made, unit_scale=True) as bar,
        parallel_config("loky", inner_max_num_threads=1),
    ):
        for wave in (list(shared.values()), then):
            there = [c for c in wave if c[2] == NETWORK or weights_of(*c[:2]).exists()]
            for start, seed in dict.fromkeys(call[:2] for call in wave if call not in there):
                missing = weights_of(start, seed)
                bar.write(f"seed {seed} never came to start {start!r}: {missing} is missing")
            todo = [(*call, Path(data)) for call in there if not finished(*call)]
            for call in run_tasks(train_one, todo, jobs):
                bar.update(_images(call))


def _images(call: Call) -> int:
    recipe = recipe_of(*call)
    return recipe.pose_images + recipe.volume_images + recipe.refine_images


def collect() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Errors and :func:`.anatomy` of each start and seed whose trials have all ended.

    The first is the long table of :mod:`.tables` with a column ``start``; the second has a row for
    each start, seed, trial and pose, also with the mean eq. 3 and 4 of its training. Both are
    empty where nothing has ended.
    """
    errors, why, true = [pd.DataFrame()], [], None
    starts = [start for start in STARTS if start not in RATES]
    for start, seed in ((start, seed) for start in starts for seed in range(MOST_SEEDS)):
        names = [NETWORK, *trials_of(start)]
        if not all(finished(start, seed, name) for name in names):
            continue
        # The network of a start on the way was tested at its end.
        for name in names[bool(STARTS[start].below_mm) :]:
            folder = run_folder(start, seed, name)
            _, arrays = read_run(folder)
            true = arrays["joints"] if true is None else true
            if not np.array_equal(arrays["joints"], true):
                raise ValueError(f"{folder} was tested on other frames, wanted those of all")
            losses = pd.DataFrame(read_json(folder / "log.json")).filter(_LOGGED).mean().round(3)
            pose = "initial" if name == NETWORK else TRIALS[name].pose
            poses = {pose: arrays[pose] for pose in dict.fromkeys(("initial", pose))}
            errors.append(long_table(name, 1, seed, arrays, poses).assign(start=start))
            for pose, joints in poses.items():
                row = {"start": start, "seed": seed, "trial": name, "pose": pose}
                row |= anatomy(joints, arrays["joints"], arrays["initial"])
                why.append(row | losses.to_dict())
    return pd.concat(errors), pd.DataFrame(why)


def keep_search() -> None:
    """Write the last validation errors, mm, of each search that has ended, beside what is kept."""
    path = project_path(f"results/{_SEARCH}")
    kept = pd.read_csv(path, index_col=0) if path.exists() else pd.DataFrame()
    runs = {name: (REGIMES[0], 0, name) for name in LISTED["search_trials"]}
    runs |= {name: (name, 0, NETWORK) for name in RATES}
    found = {}
    for name, call in runs.items():
        if finished(*call):
            log = pd.DataFrame(read_json(run_folder(*call) / "log.json")).ffill().iloc[-1]
            found[name] = {p: log.get(f"validation_{p}_mm") for p in ("initial", "refined")}
    table = pd.DataFrame.from_dict(found, orient="index", dtype=float).combine_first(kept)
    if not table.empty:
        path.parent.mkdir(exist_ok=True)
        table = table.loc[[name for name in runs if name in table.index]]
        atomic_write(path, table.to_csv(index_label="searched", float_format="%.2f"))


def search_tables() -> tuple[str, str]:
    """Validation errors, mm, of the refiner's search and of each head's rates, in Markdown."""
    table = pd.read_csv(results_file(_SEARCH, "regimes --search"), index_col=0).map("{:.2f}".format)
    poses = ["initial", "refined"]
    names = [name for name in LISTED["search_trials"] if name in table.index]
    refiner = [[name, *table.loc[name, poses]] for name in names]
    rates, initial = LISTED["rates"]["tried"], table["initial"]
    heads = [[n, *(initial.get(_at_rate(n, rate), "–") for rate in rates)] for n in SAME_IMAGES]
    return (
        markdown(["validation error, mm", *poses], refiner),
        markdown(["head", *(f"rate {rate:g}" for rate in rates)], heads),
    )


def keep(errors: pd.DataFrame, why: pd.DataFrame) -> None:
    """Write what :func:`collect` found to ``results``, beside what is there of other starts."""
    for name, table in (("regimes.csv.gz", errors), ("regimes_why.csv", why)):
        path = project_path("results") / name
        if path.exists():
            old = pd.read_csv(path)
            pairs = set(zip(table.get("start", ()), table.get("seed", ()), strict=True))
            others = [pair not in pairs for pair in zip(old["start"], old["seed"], strict=True)]
            table = pd.concat([old[others], table])
        if table.empty:
            continue
        path.parent.mkdir(exist_ok=True)
        for column, order in {"trial": [NETWORK, *TRIALS], "start": [*STARTS]}.items():
            table[column] = pd.Categorical(table[column], order)
        keys = [key for key in ("start", "trial", "pose", "seed", "frame") if key in table]
        text = table.sort_values(keys).to_csv(index=False, float_format="%.4g")
        data = zlib.compress(text.encode(), 9, wbits=31) if name.endswith("gz") else text
        atomic_write(path, data)


def measured(
    starts: Sequence[str], *, paired: bool = False
) -> dict[str, dict[tuple[str, str], dict[str, Estimate]]]:
    """Mean errors of each start's trials, {start: {(trial, pose): {split: Estimate}}}.

    From ``results/regimes.csv.gz``; starts that it does not have with two seeds are left out: one
    says nothing of how much seeds vary. ``paired`` takes the seeds that all starts have: then
    those of one can be subtracted from those of another.
    """
    table = pd.read_csv(results_file("regimes.csv.gz", "regimes"), dtype={"mm": np.float32})
    own = ((start, table[table["start"] == start]) for start in starts)
    seen = {start: rows for start, rows in own if rows["seed"].nunique() > 1}
    if paired:
        common = set.intersection(*(set(rows["seed"]) for rows in seen.values()))
        seen = {start: rows[rows["seed"].isin(common)] for start, rows in seen.items()}
    return {start: estimates(rows) for start, rows in seen.items()}


def of_tiny() -> dict[tuple[str, str], dict[str, Estimate]]:
    """Mean errors of the studies' trials that comparisons name, from ``results/trials.csv.gz``."""
    wanted = {trial for pair in _OF_TINY.values() for trial, _ in pair}
    table = load_trials()
    return estimates(table[table["trial"].isin(wanted)])


def effects(starts: Sequence[str] = REGIMES) -> pd.DataFrame:
    """The comparisons at each start, of ``REGIMES``, with those of recipe ``tiny``, or of
    ``SAME_IMAGES``.

    Columns: ``start``, ``seeds``, ``comparison``, ``error`` (of the ``other``, mean over the
    splits, mm), ``difference`` of ``one`` and ``other``, its 95 % interval from ``low`` to
    ``high``, mm, and the two-sided ``p`` of no difference, by Holm's method over all rows. Raises
    ValueError if nothing can be compared yet.
    """
    kept = pd.read_csv(results_file("regimes.csv.gz", "regimes"), usecols=["start", "seed"])
    seeds = kept.groupby("start")["seed"].nunique().to_dict() | {TINY: len(SEEDS)}
    found = measured(starts)
    if not found:
        wanted = "wanted two seeds of one at least"
        raise ValueError(f"results/regimes.csv.gz has none of {', '.join(starts)}, {wanted}")
    if starts == REGIMES:
        found = {TINY: of_tiny()} | found
    rows = []
    for start, errors in found.items():
        pairs = _OF_TINY if start == TINY else COMPARISONS
        for name, (one, other) in pairs.items():
            if {one, other} <= errors.keys():
                difference = errors[one]["all"] - errors[other]["all"]
                low, high = difference.interval()
                rows.append({
                    "start": start, "seeds": seeds[start], "comparison": name,
                    "error": errors[other]["all"].mean, "difference": difference.mean,
                    "low": low, "high": high, "p": difference.p_value(),
                })  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(p=holm(table["p"].to_numpy()))


def effects_table(found: pd.DataFrame) -> str:
    """:func:`effects` in Markdown: a row for each comparison, a column for each start.

    A cell is the difference and its interval; a star marks those that Holm's method leaves
    significant at 5 %.
    """
    star = np.where(found["p"] < 0.05, "*", "")
    numbers = zip(found["difference"], found["low"], found["high"], star, strict=True)
    cells = [f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]{mark}" for mean, low, high, mark in numbers]
    starts = found["start"].unique().tolist()
    names = [name for name in COMPARISONS if name in set(found["comparison"])]
    wide = found.assign(cell=cells).pivot(index="comparison", columns="start", values="cell")
    wide = wide.fillna("–")
    first = (found[found["start"] == start].iloc[0] for start in starts)
    heads = [f"{row['start']}: {row['error']:.1f} mm, {row['seeds']} seeds" for row in first]
    return markdown(["difference, mm", *heads], [[n, *wide.loc[n, starts]] for n in names])


def anatomy_table(start: str) -> str:
    """:func:`.anatomy` of a start's trials, means over seeds, in Markdown."""
    why = pd.read_csv(results_file("regimes_why.csv", "regimes"))
    why = why[why["start"] == start].drop(columns=["start", "seed"])
    means = why.groupby(["trial", "pose"], sort=False).mean()
    heads = ["trial", "pose", *means.columns.str.replace("_", " ")]
    names = means.index.to_frame().to_numpy(str).tolist()
    cells = means.map("{:.2f}".format).replace("nan", "–").to_numpy(str).tolist()
    return markdown(heads, [[*name, *row] for name, row in zip(names, cells, strict=True)])


def heads_table(found: Mapping[str, Mapping[tuple[str, str], Mapping[str, Estimate]]]) -> str:
    """What heads cost, and the errors of their networks, mm, in Markdown.

    ``found`` is of :func:`measured`, ``paired``.

    ± is half the width of a 95 % interval; the last column is the difference from the nearest
    integral regression above.
    """
    first, rows = next(iter(found.values()))[NETWORK, "initial"]["all"], []
    for start, errors in found.items():
        recipe = recipe_of(start, 0, NETWORK)
        cost = total(estimator_costs(recipe).values())
        own = errors[NETWORK, "initial"]
        first = own["all"] if recipe.head == "integral" else first
        ends = {split: own[split].interval() for split in (*SPLITS, "all")}
        low, high = (own["all"] - first).interval()
        rows.append([
            start, f"{recipe.pose_images:,}", f"{recipe.learning_rate:g}",
            f"{cost.parameters / 1e6:.2f}", f"{cost.macs / 1e9:.2f}",
            *(f"{own[s].mean:.2f} ±{(end - begin) / 2:.2f}" for s, (begin, end) in ends.items()),
            "–" if own["all"] is first
            else f"{own['all'].mean - first.mean:+.2f} [{low:+.2f}, {high:+.2f}]",
        ])  # fmt: skip
    heads = ["head", "images", "rate", "million weights", "GMAC", *SPLITS, "all"]
    return markdown([*heads, f"minus {next(iter(found))}"], rows)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, keep what has ended, print the tables."""
    parser = argparse.ArgumentParser(
        "python -m senorita_lib.experiments.regimes", description=__doc__
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--starts", nargs="+", choices=[*REGIMES, *COMPARED], default=REGIMES, metavar="START"
    )
    either.add_argument(
        "--heads", dest="starts", action="store_const", const=COMPARED, help="all that are compared"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", choices=range(MOST_SEEDS), default=[0, 1, 2]
    )
    parser.add_argument("--data", default="data/hands19_40000", help="made if it is missing")
    parser.add_argument("--kept", action="store_true", help="train nothing")
    words = "only the search of rates and patches, on validation frames"
    parser.add_argument("--search", action="store_true", help=words)
    chosen = parser.parse_args(arguments)
    if not chosen.kept:
        data = write_synthetic(project_path(chosen.data), FRAMES, test_per_split=200)
        if chosen.search:
            train_regimes(REGIMES[:1], [0], data, trials=list(LISTED["search_trials"]))
            train_regimes(list(RATES), [0], data, trials=[])
        else:
            train_regimes(chosen.starts, chosen.seeds, data)
    if chosen.search:
        keep_search()
        print(*search_tables(), sep="\n\n")
        return
    keep(*collect())
    for kind in (REGIMES, SAME_IMAGES):
        if set(kind) & set(chosen.starts):
            if kind is SAME_IMAGES:
                print(heads_table(measured(COMPARED, paired=True)), end="\n\n")
            found = effects(kind)
            wide = found["start"][found["high"] - found["low"] > 2 * _WIDE]
            wide = wide[wide != TINY]
            print(effects_table(found), end="\n\n")
            if kind is REGIMES:
                print(anatomy_table(found["start"].iloc[-1]), end="\n\n")
            print("more seeds wanted from:", ", ".join(wide.unique()) or "none")


if __name__ == "__main__":
    main()
