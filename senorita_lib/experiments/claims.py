"""What the paper claims, where its release differs, and which trainings can tell.

:mod:`senorita_lib.experiments.ledger` measures them.
"""

from typing import NamedTuple

from senorita_lib.evaluation import PAPER, SPLITS


class Compare(NamedTuple):
    """Two rows of a study; the difference is the first one's error less the second's.

    Attributes
    ----------
    study : str
    one, other : str
        Keys of the study's frames.
    splits : tuple of str
        Those that the verdict rests on; "all" is the mean over the five.
    label : str
        What figures call it.
    """

    study: str
    one: str
    other: str
    splits: tuple = ("all",)
    label: str = "all splits"


class Claim(NamedTuple):
    """A claim of the paper. ``tests`` compare what should be better with what should be worse."""

    claim: str
    where: str
    evidence: str
    test: str
    tests: tuple


class Difference(NamedTuple):
    """A difference between paper and release. ``tests`` compare the ``other`` with the paper's."""

    matter: str
    paper: str
    release: str
    changes: str
    tests: tuple = ()
    other: str = "the release's"


_ONE = "Step 1, with eq. 4, initial"
_REFINED = "Model 1, refined"
# Its estimator sees Step 2's images at Step 2's rate, and eq. 3 alone.
_LONGER = "no gradient into the estimator, initial"
_MODELS = PAPER["table1"].values()
_EXTRAP = [f"{row['EXTRAP']:.2f}" for row in _MODELS]
_GAINS = [row[s] - PAPER["table2"]["Ours"][s] for row in _MODELS for s in SPLITS]
_LIKE_AND_UNLIKE = (
    "mean of Models 1 to 3, refined",
    "mean of three seeds of Model 1, refined",
)
_NONE = "None: nothing is shown without it."


def _against(study, one, other):
    return (Compare(study, one, other),)


CLAIMS = (
    Claim(
        "The skeleton volume loss, eq. 4, helps.",
        "2.3, 5",
        _NONE + " In the release its gradient is about zero, and Models 3 and 4 give it no weight.",
        "Model 1, Step 1: the last quarter of it with eq. 4 at 200 : 1, or without.",
        (Compare("volume_loss", _ONE, "Step 1, without eq. 4, initial"),),
    ),
    Claim(
        "The patch-based refinement helps.",
        "2.4, 5",
        _NONE,
        "Model 1: the refined pose against the initial one of the same network; and against that "
        "of an estimator which saw the same images of Step 2 with eq. 3 alone.",
        (
            Compare("refinement", _REFINED, "Model 1, initial", label="its initial pose"),
            Compare(
                "refinement",
                _REFINED,
                _LONGER,
                label="estimator for longer",
            ),
            # As released, and with other bone lengths; the verdict is on the paper's refinement.
            *(
                Compare("refinement", f"{name}, refined", _LONGER, splits=())
                for name in ("release's, all four", "lengths of the initial pose")
            ),
        ),
    ),
    Claim(
        "Feeding the initial pose to the refinement helps.",
        "2.4",
        _NONE,
        "Model 1, refined: with the initial pose stream, or without.",
        _against("refinement", _REFINED, "without the initial pose stream, refined"),
    ),
    Claim(
        "Supervising the refined pose, eq. 6, helps.",
        "2.5: «we empirically find»",
        "None: no numbers are given.",
        "Model 1, refined: Step 2 with eq. 6, or without.",
        _against("refinement", _REFINED, "without eq. 6, refined"),
    ),
    Claim(
        "The best single model is Model 1, where all is new (EXTRAP).",
        "4, Table 1",
        f"{', '.join(_EXTRAP)} mm, Models 1 to 4: one number each, no interval. In the release "
        "Model 1 alone has a second refinement, the voxels are nearly constant, and Model 4 loses "
        "two inputs in Step 2.",
        "Model 1's refined pose against each other model's, on EXTRAP.",
        tuple(
            Compare("models", _REFINED, f"Model {m}, refined", ("EXTRAP",), f"Model {m}, EXTRAP")
            for m in (2, 3, 4)
        ),
    ),
    Claim(
        "The ensemble beats each model on every split.",
        "4, Table 2",
        f"It does in Tables 1 and 2, by {min(_GAINS):.2f} to {max(_GAINS):.2f} mm; one number "
        "each, no interval.",
        "The mean of the four refined poses against each model's, on each split.",
        tuple(
            Compare(
                "models",
                "mean of four, refined",
                f"Model {m}, refined",
                SPLITS,
                f"Model {m}, mean of splits",
            )
            for m in (1, 2, 3, 4)
        )
        # Does it matter that the four differ in their inputs?
        + (Compare("models", *_LIKE_AND_UNLIKE, splits=()),),
    ),
    Claim(
        "Renderer and refinement «apply to any existing method».",
        "5",
        "None: only integral regression is shown.",
        "On one other method, direct regression of the joints: eq. 4, with or without; the refined "
        "pose against that of an estimator which saw the same images with eq. 3 alone.",
        (
            Compare(
                "other_method",
                "regression, with eq. 4, initial",
                "regression, without eq. 4, initial",
                label="eq. 4",
            ),
            Compare(
                "other_method",
                "regression, refined, refined",
                "regression, no gradient into it, initial",
                label="refinement",
            ),
        ),
    ),
    Claim(
        "Renderer and refinement are efficient add-ons.",
        "5",
        "None: no cost is given.",
        "Not a matter of mm: notebook 05 weighs the refiner (Sizing), benchmarks/training.py times "
        "both.",
        (),
    ),
    Claim(
        "Orientation is easier to learn from a patch than location.",
        "2.4",
        "None here; it refers to earlier work.",
        "None: there is no network of locations here.",
        (),
    ),
    Claim(
        "Step 1 is better begun with people.",
        "3.1",
        "None: it is done, as by others, and nothing is shown without it.",
        "Model 1, Step 1: begun with a network that has seen 19,200 images of 4,000 synthetic "
        "people, or from scratch; the same number of hand images.",
        (
            Compare("pretraining", "from people, initial", "from scratch, initial"),
            Compare(
                "pretraining",
                "from people, four times as long, initial",
                "from scratch, initial",
                splits=(),
            ),
            Compare(
                "pretraining_few",
                "400 frames, from people, initial",
                "400 frames, from scratch, initial",
                splits=(),
            ),
            Compare(
                "pretraining_model_4",
                "Model 4, from people, initial",
                "Model 4, from scratch, initial",
                splits=(),
            ),
        ),
    ),
    Claim(
        "Training all at once from scratch is hard, so there are two steps.",
        "3.1",
        "None: no such training is shown.",
        "None: the two steps' rates and images would not suit it.",
        (),
    ),
)


_PLAIN = "release's volumes, exact gradient, initial"
_DEFECT = "A defect of the release, not an option here."
DIFFERENCES = (
    Difference(
        "distance, eq. 2",
        "squared, in cells, clamped to the bone's ends; γ = 0.1",
        "Euclidean, 200 to the cube, nothing beyond the ends, cells without their half; γ = 0.05 "
        "in Model 1, 0.1 in the others",
        "Volumes fall off as a cone, not as a bell, and end in slabs. Measured with γ of Model 1.",
        _against("volume_loss", _PLAIN, _ONE),
    ),
    Difference(
        "the renderer's gradient",
        "exact",
        "overwritten from voxel to voxel, about zero",
        "Eq. 4 does nothing in training. Measured against the same volumes with the exact "
        "gradient: where eq. 4 harms, nothing is better.",
        _against("volume_loss", "release's volumes and gradient, initial", _PLAIN),
    ),
    Difference(
        "volume loss, eq. 4",
        "L1",
        "smooth L1, half the square, on a graphics card",
        "All voxels count less, at the same weight half as much at the most: compare a seventh of "
        "eq. 4.",
        (
            Compare("volume_loss", "eq. 4 with smooth L1, initial", _ONE),
            Compare("volume_loss", "a seventh of eq. 4, initial", _ONE, splits=()),
        ),
    ),
    Difference(
        "foreground",
        "Otsu's threshold",
        "a valley of the depth histogram",
        "Which pixels count as the hand before ±100 mm are kept.",
        _against("inputs", "valley foreground, initial", _ONE),
    ),
    Difference(
        "crop centre",
        "the hand's rough centre of mass",
        "the centre of the given box",
        "Where the crop lies; the cube is about the centre of mass in both.",
        _against("inputs", "crop about the box's centre, initial", _ONE),
    ),
    Difference(
        "crop size",
        "500 / avgZ × 210 px about a cube of 200 mm",
        "the same, by the depth of one pixel instead of avgZ",
        "How large the hand is in the crop. Both boxes are 221 mm wide, not 200; the kit takes "
        "avgZ, and for another camera the same in mm.",
    ),
    Difference(
        "image values",
        "[−1, 1]",
        "k / 256 in 8 bits, which wrap around",
        "Depth in steps of 0.8 mm, far outliers bright. " + _DEFECT,
    ),
    Difference(
        "multi-layer depth",
        "64 layers of multi-hit tracing",
        "layer k keeps what is behind plane k; 64 layers in Model 2, 32 in Model 4",
        "One depth image has no second hit, so the kit takes the release's definition. Measured: "
        "half the layers, with Model 2.",
        _against("second_input", "Model 2, half the layers, initial", "Model 2, Step 1, initial"),
        "half the layers",
    ),
    Difference(
        "depth voxels",
        "the occupied cells",
        "one slice, the background too, never cleared",
        "Models 3 and 4 have a nearly constant input. " + _DEFECT,
    ),
    Difference(
        "fusing of inputs",
        "concatenation",
        "two stems, the first shortcut reads depth alone",
        "Measured with Model 2, Step 1.",
        _against("second_input", "Model 2, two stems, initial", "Model 2, Step 1, initial"),
    ),
    Difference(
        "patches",
        "a rectangle to each bone, cut out at three sizes",
        "a square behind a 100 px band, pooled",
        "What the patch stream sees.",
        _against("refinement", "release's patches, refined", _REFINED),
    ),
    Difference(
        "orientation to pose",
        "unit orientations and the training set's bone lengths",
        "bone vectors in mm",
        "Whether the refined pose has lengths of its own.",
        _against("refinement", "raw bones, mm, refined", _REFINED),
    ),
    Difference(
        "bone lengths of the refined pose",
        "the training set's",
        "those of the raw bones",
        "Measured: unit orientations with the initial pose's lengths, which neither has.",
        _against("refinement", "lengths of the initial pose, refined", _REFINED),
        "the initial pose's lengths",
    ),
    Difference(
        "gradient of the refinement into the estimator",
        "flows",
        "stopped",
        "Whether Step 2 is end to end.",
        _against("refinement", "no gradient into the estimator, refined", _REFINED),
    ),
    Difference(
        "balance of losses",
        "L1, weighted by gradient magnitude",
        "adaptive squares",
        "Large errors pull harder.",
        _against("refinement", "adaptive squares, refined", _REFINED),
    ),
    Difference(
        "Step 2 as released",
        "–",
        "patches, raw bones, stopped gradient and adaptive squares together",
        "All four of the above.",
        _against("refinement", "release's, all four, refined", _REFINED),
    ),
    Difference(
        "Model 1's second refinement",
        "none",
        "21 more networks, one a joint, with patches about joints",
        "A quarter of all its parameters; not in the paper and not built here.",
    ),
    Difference(
        "shift at test time",
        "none",
        "images scaled by 0.977 and shifted by 3.5 px, poses not mapped back",
        "A perfect network would be off by the difference; measured on the true test poses.",
        (Compare("geometry", "shifted true poses", "true poses"),),
    ),
    Difference(
        "ensemble",
        "«merging the output»",
        "no code",
        "The kit takes the mean. Measured: the median of the four.",
        _against("models", "median of four, refined", "mean of four, refined"),
        "the median",
    ),
)
