"""What the networks cost, derived by hand from a recipe: parameters, multiply-adds, memory.

A layer with weights w, each used once in each of n cells, and a batch norm of c channels has
    parameters  w + biases + 2 c
    MACs        w n
Batch norms, ReLUs, pooling, sampling and softmax have next to no MACs; they count as none.
    convolution k x k          w = k k c_in c_out, n = the output's height times width
    deconvolution k x k        the same w, n of the *input*: each of its cells meets each weight
    fully connected, 20 bones  w = 20 c_in c_out, n = 1

Autograd keeps for the backward pass, 4 bytes a number:
    convolution, FC layer   its input
    batch norm              its input; once a batch, mean and 1 / deviation of each channel
    ReLU                    its output; in place, the batch norm's output becomes it
    max pool                its input; 8 bytes for each output, the int64 index of its origin
    softmax                 its output
    sum, concatenation      nothing
A tensor that two layers keep is one tensor: it counts once, in the layer that makes it. So
convolution + batch norm + ReLU keep two tensors of their output's shape, and a shortcut's
convolution + batch norm one, as the sum behind them keeps nothing.
"""

from math import prod
from typing import NamedTuple

from senorita_lib.hand import BONES, JOINT_NAMES
from senorita_lib.release.stems import second_stem_channels
from senorita_lib.representations import CHANNELS, input_channels

_BONES, _JOINTS = len(BONES), len(JOINT_NAMES)
_FLOAT, _INDEX = 4, 8  # bytes
_SCALES = ((5, 4), (5, 2), (3, 1))  # of the patch stream, Fig. 4: kernel, pooling


class Row(NamedTuple):
    """A layer, its batch norm and its ReLU.

    Attributes
    ----------
    part, name : str
    shape : tuple
        Of the output, without the batch: (C, H, W), or (bones, features).
    parameters : int
    macs : int
        Multiply-adds of one image's forward pass.
    kept : int
        Bytes that autograd keeps of each image, in float32.
    once : int
        Bytes that it keeps once for the whole batch.
    """

    part: str
    name: str
    shape: tuple
    parameters: int = 0
    macs: int = 0
    kept: int = 0
    once: int = 0


def _layer(part, name, shape, weights, *, biases=0, cells=None, tensors=2):
    """Weights, batch norm and ReLU: the equations above, ``tensors`` of ``shape`` kept."""
    channels, of_output = (shape[0], prod(shape[1:])) if len(shape) == 3 else (prod(shape), 1)
    return Row(
        part,
        name,
        shape,
        parameters=weights + biases + 2 * channels,
        macs=weights * (cells or of_output),
        kept=tensors * _FLOAT * prod(shape),
        once=2 * _FLOAT * channels,
    )


def estimator_rows(recipe):
    """The estimator of section 2.2, layer by layer.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Row
    """
    inputs = recipe.model, recipe.depth_layers, recipe.voxel_depth
    channels, side, width = input_channels(*inputs), recipe.image_size, recipe.widths[0]
    rows = [_kept("stem", "input", (channels, side, side))]
    stems = [channels]
    if recipe.fusion == "stems" and second_stem_channels(*inputs):
        stems = [CHANNELS["depth"], second_stem_channels(*inputs)]
    for c_in in stems:
        shape = width, side // 2, side // 2
        rows.append(_layer("stem", "convolution 7 x 7 / 2", shape, 7 * 7 * c_in * width))
        shape = width, side // 4, side // 4
        rows.append(_kept("stem", "max pool 3 x 3 / 2", shape, _FLOAT + _INDEX))
    side //= 4
    # The first convolution after the stems reads them all, the shortcut beside it only one.
    c_in, read = width, len(stems) * width
    for level, (blocks, width) in enumerate(zip(recipe.layers, recipe.widths, strict=True), 1):
        for block in range(1, blocks + 1):
            stride = 2 if level > 1 and block == 1 else 1
            sides = side, side // stride
            rows += _block(recipe.block, f"level {level}", block, read, c_in, width, sides)
            c_in = read = rows[-1].shape[0]
            side //= stride
    return rows + _head(recipe, c_in, side)


def _block(kind, part, number, read, c_in, width, sides):
    """A residual block, from ``read`` channels (shortcut: ``c_in``) and ``sides`` before, after."""
    before, after = ((width, side, side) for side in sides)
    if kind == "bottleneck":
        out = 4 * width, *after[1:]
        layers = [
            ("1 x 1", before, read * width),
            ("3 x 3", after, 3 * 3 * width * width),
            ("1 x 1", out, width * out[0]),
        ]
    else:
        out = after
        layers = [
            ("3 x 3", after, 3 * 3 * read * width),
            ("3 x 3", after, 3 * 3 * width * width),
        ]
    rows = [_layer(part, f"block {number}, {k}", shape, weights) for k, shape, weights in layers]
    if c_in != out[0] or before != after:
        rows.append(_layer(part, f"block {number}, shortcut", out, c_in * out[0], tensors=1))
    return rows


def _head(recipe, c_in, side):
    if recipe.head == "regression":  # the mean over the cells is what its linear layer keeps
        weights, out = c_in * _JOINTS * 3, _JOINTS * 3
        mean = _kept("heat maps", "mean over the cells", (c_in, 1, 1))
        return [mean, Row("heat maps", "linear", (out, 1, 1), weights + out, weights)]
    rows, width = [], recipe.head_channels
    for _ in range(3):
        cells, side = side * side, 2 * side
        weights = 4 * 4 * c_in * width
        shape = width, side, side
        rows.append(_layer("deconvolutions", "4 x 4 / 2", shape, weights, cells=cells))
        c_in = width
    out = _JOINTS * recipe.depth_bins
    weights, shape = c_in * out, (out, side, side)
    rows.append(Row("heat maps", "1 x 1", shape, weights + out, weights * side * side))
    # The expectation keeps the cells' positions along u, v and d.
    positions = _FLOAT * (2 * side + recipe.depth_bins)
    return [*rows, _kept("heat maps", "softmax", shape)._replace(once=positions)]


def refiner_rows(recipe):
    """The twenty bone networks of section 2.4, layer by layer.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Row
    """
    channels, hidden, rows, flat = recipe.patch_channels, recipe.hidden, [], 0
    for patch, (kernel, pool) in zip(recipe.patch_sizes, _SCALES, strict=True):
        out = _BONES * channels
        valid, pooled = patch - kernel + 1, (patch - kernel + 1) // pool
        name, shape, weights = f"{kernel} x {kernel}", (out, valid, valid), kernel * kernel * out
        rows += [
            _kept("patch stream", f"patches of {patch} px", (_BONES, patch, patch)),
            _layer("patch stream", name, shape, weights, biases=out),
            # Its output is copied by the concatenation and not kept.
            _kept("patch stream", f"max pool {pool} x {pool}", (out, pooled, pooled), _INDEX),
        ]
        flat += channels * pooled * pooled
    rows.append(_kept("patch stream", "concatenated scales", (_BONES, flat)))
    rows.append(_connected("patch FC", flat, hidden))
    if recipe.pose_stream:
        rows.append(_kept("pose stream", "initial orientations", (_BONES, 3)))
        widths = 3, hidden // 2, hidden, hidden, hidden
        rows += [_connected("pose stream", *pair) for pair in zip(widths, widths[1:], strict=False)]
        rows.append(_kept("last FC", "concatenated streams", (_BONES, 2 * hidden)))
    weights = _BONES * rows[-1].shape[1] * 3
    rows.append(Row("last FC", "residuals", (_BONES, 3), weights + _BONES * 3, weights))
    return [*rows, _chain(recipe)]


def _connected(part, inputs, outputs):
    weights, biases = _BONES * inputs * outputs, _BONES * outputs
    return _layer(part, f"FC {inputs} to {outputs}", (_BONES, outputs), weights, biases=biases)


def _chain(recipe):
    """From orientations to joints: unit vectors times lengths, summed along the fingers.

    A bone's v / |v| keeps v, its norm and the norm again, with a least value: 5 numbers. If a
    gradient flows to the initial pose, its unit vectors do so too, and reading the bones from
    the joints keeps two lists of 20 indices. The sum is a product with a 21 x 20 matrix.
    """
    gradient, unit = recipe.refiner_gradient, recipe.orientation == "unit"
    numbers = 5 * unit + 5 * (unit and gradient)
    reads = int(gradient)
    if unit and recipe.bone_length == "initial":  # its own bones, norms and what they multiply
        numbers += 3 + 1 + 3 if gradient else 1
        reads += gradient
    once = _FLOAT * _JOINTS * _BONES + reads * 2 * _INDEX * _BONES
    kept, macs = _FLOAT * numbers * _BONES, _JOINTS * _BONES * 3
    return Row("last FC", "chain of bones", (_JOINTS, 3), 0, macs, kept, once)


def _kept(part, name, shape, size=_FLOAT):
    """A tensor that is kept, or copied from one, at ``size`` bytes a cell."""
    return Row(part, name, shape, kept=size * prod(shape))


def total(rows):
    """The sums of parameters, MACs and bytes, as one :class:`Row`."""
    sums = (sum(column) for column in list(zip(*rows, strict=True))[3:])
    return Row("all", f"{len(rows)} rows", (), *sums)


def by_part(rows):
    """The sums of each part: its name to one :class:`Row`, in the order of the rows."""
    names = dict.fromkeys(row.part for row in rows)
    return {name: total([row for row in rows if row.part == name]) for name in names}


def kept_bytes(rows, batch):
    """What autograd keeps of a batch, bytes: ``batch`` times each image's, and once the rest."""
    sums = total(rows)
    return batch * sums.kept + sums.once


def training_bytes(rows, batch):
    """Memory of a training step, bytes, float32.

    Each parameter has 4 bytes three times: itself, its gradient, RMSProp's mean square. The
    step's peak is about that: when the heat maps have their two gradients, which are not in
    here, most parameters do not have theirs yet. Convolutions' workspaces come on top.
    """
    return 3 * _FLOAT * total(rows).parameters + kept_bytes(rows, batch)


def training_flops(recipe):
    """Floating-point operations of the whole schedule.

    A MAC is two of them. The backward pass has the forward's MACs twice: once for the gradient
    of the weights and once for that of the inputs. (The first layers do without the latter,
    so this is a little too much.)
    Step 1 trains the estimator, Step 2 estimator and refiner.
    """
    estimator, refiner = total(estimator_rows(recipe)).macs, total(refiner_rows(recipe)).macs
    step_1, step_2 = recipe.pose_images + recipe.volume_images, recipe.refine_images
    return 2 * 3 * (estimator * step_1 + (estimator + refiner) * step_2)
