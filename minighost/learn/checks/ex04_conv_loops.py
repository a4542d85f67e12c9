"""What exercise 4 must do, three hints, and wrong answers that it must refuse."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "Every number of the output is its own sum of products: first write the loops that visit each n, i, j, o.",
    "The window at (n, i, j) is x[n, i : i + KH, j : j + KW] with all of its channels, an array (KH, KW, C); the "
    "kernel of output channel o is w[:, :, :, o]. Multiply them and sum everything, then add the bias.",
    "out = np.zeros((N, OH, OW, OC)), and for each n, i, j, o: out[n, i, j, o] = (window * kernel).sum() + b[o].",
)

WRONG = {
    "no bias": (".sum() + b[o]", ".sum()", r"bias is missing"),
    "the bias of another channel": ("+ b[o]", "+ b[0]", r"b\[0\]"),
    "the bias inside of the sum": (
        "(window * w[:, :, :, o]).sum() + b[o]",
        "(window * w[:, :, :, o] + b[o]).sum()",
        r"once for each product",
    ),
    "one kernel for all": ("* w[:, :, :, o]", "* w[:, :, :, 0]", r"w\[:, :, :, 0\]|always the same slice"),
    "first channel only": (
        "(window * w[:, :, :, o]).sum()",
        "(window * w[:, :, :, o])[:, :, 0].sum()",
        r"channel 0 alone",
    ),
    "first image only": ("x[n, i :", "x[0, i :", r"always the same slice"),
    "no + 1": ("H - KH + 1, W - KW + 1", "H - KH, W - KW", r"one too few"),
    "flips the kernel": ("* w[:, :, :, o]", "* w[::-1, ::-1, :, o]", r"flipped"),
    "rows and columns swapped": ("i : i + KH, j : j + KW]", "j : j + KH, i : i + KW]", r"axes 1 and 2 swapped"),
    "the mean": (".sum() + b[o]", ".mean() + b[o]", r"mean"),
    "channels first": ("    return out", "    return out.transpose(0, 3, 1, 2)", r"axes in another order"),
    "writes to x": ("    return out", "    x[0] = 0\n    return out", r"was written to"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    conv_forward = function(mine, "conv_forward")
    x, w, b = np.array([[[[3.0, 5.0]]]]), np.array([[[[1.0, 100.0], [10.0, 1000.0]]]]), np.array([2.0, 7.0])
    _compare(conv_forward, x, w, b, "conv_forward(the pixel [3, 5], kernels [1, 10] and [100, 1000], b = [2, 7])")
    x = np.arange(9.0).reshape(1, 3, 3, 1)
    w, b = np.array([[1.0, 10.0], [100.0, 1000.0]]).reshape(2, 2, 1, 1), np.zeros(1)
    _compare(conv_forward, x, w, b, "conv_forward(an image of 3x3 that counts from 0, w = [[1, 10], [100, 1000]])")
    rng = np.random.default_rng(4)
    for (N, H, W, C), (KH, KW, OC) in (((3, 5, 4, 2), (2, 3, 3)), ((2, 3, 5, 3), (3, 1, 1)), ((1, 2, 4, 1), (2, 4, 4))):
        x, w, b = rng.normal(size=(N, H, W, C)), rng.normal(size=(KH, KW, C, OC)), rng.normal(size=OC)
        _compare(conv_forward, x, w, b, f"conv_forward(x of {N}x{H}x{W}x{C}, w of {KH}x{KW}x{C}x{OC}, b of {OC})")


def _compare(conv_forward, x, w, b, what):
    windows = sliding_window_view(x, w.shape[:2], axis=(1, 2))[..., None]
    products = windows * w.transpose(2, 0, 1, 3)
    sums = products.sum((3, 4, 5))  # (N, OH, OW, C, KH, KW, OC) -> (N, OH, OW, OC)
    flipped = (windows * w[::-1, ::-1].transpose(2, 0, 1, 3)).sum((3, 4, 5))
    count = w[..., 0].size
    known = [
        (sums, "the bias is missing: each output channel o has b[o] added"),
        (sums + b[0], "every channel has b[0] added; channel o gets b[o]"),
        (sums + count * b, "the bias is added once for each product; it must be added once, to the finished sum"),
        (sums[..., :1] + b, "every channel is made with the first kernel, w[:, :, :, 0]"),
        (sums / count + b, "this is the mean of the products; it must be their sum"),
        (products[:, :, :, 0].sum((3, 4)) + b, "this is input channel 0 alone: the sum runs over c too"),
        (products[:, :, :, -1].sum((3, 4)) + b, "only the last input channel counts: = instead of +="),
        (flipped + b, "the kernels are flipped in both directions; w[u, v] meets the pixel at i + u, j + v"),
    ]
    before = x.copy(), w.copy(), b.copy()
    same(conv_forward(x, w, b), sums + b, what, hints=known)
    for name, was, now in zip("xwb", before, (x, w, b), strict=True):
        untouched(was, now, f"{what}: {name}")
    conv_forward(*frozen(x, w, b))
