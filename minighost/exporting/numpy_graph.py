"""A network as a list of steps, and each kind of step in plain NumPy.

This file needs nothing but NumPy: copy it, and it runs what ``minighost export --to npz`` has written. It says what
every step means; the files for ONNX and PyTorch say the same in other words. Values are (N, H, W, C) with channels
last, or rows (N, C). Convolution weights are (KH, KW, C/G, OC), those of a linear layer (C, OC).
Letters: N batch, H W height and width, C channels in, OC channels out, G groups.
"""

import json
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["FUNCTIONS", "OPERATIONS", "REDUCTIONS", "Step", "read", "run"]


class Step(NamedTuple):
    """One step of a network.

    Attributes
    ----------
    op : str
        A key of `OPERATIONS`.
    inputs : tuple of str
        Names of the values that it reads.
    output : str
        Name of the value that it writes; no two steps write the same.
    arrays : dict of str to str
        From the name of an argument to that of the array which is passed for it.
    options : dict
        The other arguments: what JSON can hold.
    """

    op: str
    inputs: tuple
    output: str
    arrays: dict
    options: dict


def run(steps, arrays, x):
    """The logits of images x (N, H, W, C), float32 from 0 to 1."""
    values = {"images": x}
    for step in steps:
        operands = [values[name] for name in step.inputs]
        named = {argument: arrays[name] for argument, name in step.arrays.items()}
        values[step.output] = OPERATIONS[step.op](*operands, **named, **step.options)
    return values["logits"]


def read(path):
    """Read what ``minighost export --to npz`` has written.

    Returns
    -------
    steps : list of Step
    arrays : dict of str to ndarray
    about : dict
        Classes, normalisation, size and the like.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays.pop("about")))
    return [Step(**step) for step in about.pop("steps")], arrays, about


# Convolutions --------------------------------------------------------------------------------------------------


def conv(x, w, b, stride, padding, dilation, groups):
    """Convolution of a plane with `padding` zeros, ((above, below), (left, right)), around it; one product per tap."""
    (SH, SW), (DH, DW), (KH, KW, Cg, OC) = stride, dilation, w.shape
    x = np.pad(x, [(0, 0), *padding, (0, 0)])
    N, H, W, _ = x.shape
    OH, OW = (H - DH * (KH - 1) - 1) // SH + 1, (W - DW * (KW - 1) - 1) // SW + 1
    w, out = w.reshape(KH, KW, Cg, groups, OC // groups), np.zeros((N, OH, OW, OC), x.dtype)
    for u, v in np.ndindex(KH, KW):
        seen = x[:, u * DH : u * DH + SH * (OH - 1) + 1 : SH, v * DW : v * DW + SW * (OW - 1) + 1 : SW]
        if groups == 1:
            out += seen @ w[u, v, :, 0]
        else:
            products = np.einsum("nhwgc,cgo->nhwgo", seen.reshape(N, OH, OW, groups, Cg), w[u, v])
            out += products.reshape(out.shape)
    return out + b


def conv_transpose(x, w, b, stride, padding, output_padding, dilation, groups):
    """Transposed convolution: every pixel is multiplied by the kernel (KH, KW, OC/G, C) and added where it falls."""
    (SH, SW), (DH, DW), (KH, KW, OCg, C) = stride, dilation, w.shape
    N, H, W, _ = x.shape
    large = [
        (size - 1) * S + D * (K - 1) + 1 + more
        for size, S, D, K, more in zip((H, W), stride, dilation, (KH, KW), output_padding, strict=True)
    ]
    out = np.zeros((N, *large, groups, OCg), x.dtype)
    x, w = x.reshape(N, H, W, groups, C // groups), w.reshape(KH, KW, OCg, groups, C // groups)
    for u, v in np.ndindex(KH, KW):
        rows, columns = slice(u * DH, u * DH + SH * (H - 1) + 1, SH), slice(v * DW, v * DW + SW * (W - 1) + 1, SW)
        out[:, rows, columns] += np.einsum("nhwgc,ogc->nhwgo", x, w[u, v])
    (PH, PW), (LH, LW) = padding, large
    return out[:, PH : LH - PH, PW : LW - PW].reshape(N, LH - 2 * PH, LW - 2 * PW, groups * OCg) + b


def linear(x, w, b):
    """A product of rows and a matrix, and a bias."""
    return x @ w + b


# Numbers one by one --------------------------------------------------------------------------------------------


def affine(x, scale, shift):
    """Every channel times a number, plus a number."""
    return x * scale + shift


def clip(x, low, high):
    """Cut off below and above; None is no limit."""
    return np.clip(x, low, high)


def hard_sigmoid(x):
    return np.clip(x + 3, 0, 6) / 6


def hard_swish(x):
    return x * hard_sigmoid(x)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    """x times the probability that a standard normal number is below x."""
    erf = np.array([math.erf(v) for v in (x / math.sqrt(2)).ravel().tolist()], x.dtype).reshape(x.shape)
    return x * (1 + erf) / 2


_WORDS = (
    "add subtract multiply divide power maximum minimum negative absolute exp log log1p sqrt square tanh sign where "
    "greater greater_equal less less_equal"
)
FUNCTIONS = {name: getattr(np, name) for name in _WORDS.split()}
REDUCTIONS: dict[str, Callable] = {"mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min}


def elementwise(*operands, function, places, **constants):
    """A function of NumPy. `places` says which of its arguments are constants, by name, and which (None) are values."""
    values = iter(operands)
    return FUNCTIONS[function](*(next(values) if place is None else constants[place] for place in places))


def reduction(x, function, axis, keepdims):
    """A sum, mean, maximum or minimum over axes; without them only over both axes of the plane."""
    return REDUCTIONS[function](x, axis=tuple(axis), keepdims=keepdims)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis, keepdims=True)


def local_response_norm(x, size, alpha, k, beta):
    """``x / (k + alpha * (sum of squares of `size` channels around))**beta``."""
    C, squares = x.shape[3], np.pad(x * x, [(0, 0)] * 3 + [(size // 2, (size - 1) // 2)])
    return x / (k + alpha * sum(squares[..., i : i + C] for i in range(size))) ** beta


# Planes --------------------------------------------------------------------------------------------------------


def pad(x, padding, mode):
    """Zeros ("zero") or the nearest pixels ("edge") around the plane."""
    around = [(0, 0), *padding, (0, 0)]
    return np.pad(x, around) if mode == "zero" else np.pad(x, around, mode="edge")


def max_pool(x, kernel_size, stride, padding):
    """The maximum over windows; what lies around the plane never is it."""
    return _windows(np.pad(x, [(0, 0), *padding, (0, 0)], constant_values=-np.inf), kernel_size, stride).max((4, 5))


def avg_pool(x, kernel_size, stride, padding):
    """The mean over windows; zeros around the plane count."""
    return _windows(np.pad(x, [(0, 0), *padding, (0, 0)]), kernel_size, stride).mean((4, 5), dtype=x.dtype)


def _windows(x, kernel_size, stride):
    """(N, OH, OW, C, KH, KW), a view."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel_size, (1, 2))
    return windows[:, :: stride[0], :: stride[1]]


def uneven_pool(x, rows, columns, maximum):
    """The maximum or the mean over windows that differ in size: where each begins and ends, rows and columns."""
    reduce = np.max if maximum else np.mean
    x = np.stack([reduce(x[:, first:last], axis=1) for first, last in rows], axis=1)
    return np.stack([reduce(x[:, :, first:last], axis=2) for first, last in columns], axis=2)


def plane_mean(x):
    """The mean over the plane: (N, H, W, C) -> (N, C)."""
    return x.mean((1, 2))


def plane_max(x):
    """The maximum over the plane: (N, H, W, C) -> (N, C)."""
    return x.max((1, 2))


def resize_nearest(x, size):
    """Every pixel is a copy of one."""
    rows, columns = (np.arange(out) * old // out for out, old in zip(size, x.shape[1:3], strict=True))
    return x[:, rows][:, :, columns]


def resize_bilinear(x, size):
    """Every pixel is a mean of four, by how near their centres are."""
    for axis, out in zip((1, 2), size, strict=True):
        old = x.shape[axis]
        place = np.maximum(0, (2 * np.arange(out) + 1) * old / (2 * out) - 0.5)
        low = np.minimum(place.astype(int), old - 1)
        t = (place - low).astype(x.dtype).reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        x = (1 - t) * x.take(low, axis) + t * x.take(np.minimum(low + 1, old - 1), axis)
    return x


def depth_to_space(x, block, order):
    """Channels become blocks of pixels: "DCR" has them by row, column, depth; "CRD" by depth, row, column."""
    (N, H, W, C), (SH, SW) = x.shape, block
    OC = C // (SH * SW)
    if order == "DCR":
        blocks = x.reshape(N, H, W, SH, SW, OC).transpose(0, 1, 3, 2, 4, 5)
    else:
        blocks = x.reshape(N, H, W, OC, SH, SW).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(N, H * SH, W * SW, OC)


def space_to_depth(x, block, order):
    """Blocks of pixels become channels: the inverse."""
    (N, H, W, C), (SH, SW) = x.shape, block
    blocks = x.reshape(N, H // SH, SH, W // SW, SW, C)
    blocks = blocks.transpose((0, 1, 3, 2, 4, 5) if order == "DCR" else (0, 1, 3, 5, 2, 4))
    return blocks.reshape(N, H // SH, W // SW, SH * SW * C)


def flatten(x):
    """All numbers of an image in a row: pixel after pixel, its channels side by side."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


# Channels, and several values ----------------------------------------------------------------------------------


def channels(x, index):
    """These channels, in this order."""
    return x[..., index]


def concat(*xs):
    """Channels side by side."""
    return np.concatenate(xs, axis=-1)


def add(a, b):
    return a + b


def gate(x, gates):
    """Every channel times its gate: one number per image (N, C), or a plane of them."""
    return x * (gates[:, None, None] if gates.ndim == 2 else gates)


def shift_max(x, coefficients, following):
    """The largest of several mixtures of every channel with the one that follows; coefficients (N, terms*2*C)."""
    N, C = len(x), x.shape[3]
    terms = coefficients.reshape(N, coefficients.shape[1] // (2 * C), 2, 1, 1, C)
    mixtures = terms[:, :, 0] * x[:, None] + terms[:, :, 1] * x[:, None, :, :, following]
    return mixtures.max(1)


OPERATIONS: dict[str, Callable] = {
    one.__name__: one
    for one in (
        conv,
        conv_transpose,
        linear,
        affine,
        clip,
        hard_sigmoid,
        hard_swish,
        sigmoid,
        silu,
        gelu,
        elementwise,
        reduction,
        softmax,
        local_response_norm,
        pad,
        max_pool,
        avg_pool,
        uneven_pool,
        plane_mean,
        plane_max,
        resize_nearest,
        resize_bilinear,
        depth_to_space,
        space_to_depth,
        flatten,
        channels,
        concat,
        add,
        gate,
        shift_max,
    )
}
