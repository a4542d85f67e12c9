"""What exercise 5 must do, three hints, and wrong answers that it must refuse."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "Fill an array of six axes, (N, OH, OW, KH, KW, C), in which every axis has a name; reshape it at the end.",
    "For one u and one v, cols[:, :, :, u, v] is an array (N, OH, OW, C): the pixels that stand at (u, v) in the "
    "windows. The first window has x[:, u, v] there, the last one x[:, u + OH - 1, v + OW - 1]: it is one slice of x.",
    "Two loops, u and v, and in them cols[:, :, :, u, v] = x[:, u : u + OH, ...]; then reshape(N * OH * OW, "
    "KH * KW * C).",
)

WRONG = {
    "all windows alike": ("x[:, u : u + OH, v : v + OW]", "x[:, :OH, :OW]", r"top left"),
    "the channel first": ("cols.reshape(", "cols.transpose(0, 1, 2, 5, 3, 4).reshape(", r"c must run fastest"),
    "columns before rows": ("cols.reshape(", "cols.transpose(0, 1, 2, 4, 3, 5).reshape(", r"v must run faster than u"),
    "places column by column": (
        "cols.reshape(",
        "cols.transpose(0, 2, 1, 3, 4, 5).reshape(",
        r"j must run faster than i",
    ),
    "the images fastest": ("cols.reshape(", "cols.transpose(1, 2, 0, 3, 4, 5).reshape(", r"first image come first"),
    "windows as columns": (
        "    return cols.reshape(N * OH * OW, KH * KW * C)",
        "    return cols.reshape(N * OH * OW, KH * KW * C).T",
        r"window is a row",
    ),
    "no + 1": ("H - KH + 1, W - KW + 1", "H - KH, W - KW", r"places.*\+ 1"),
    "u and v swapped": ("cols[:, :, :, u, v]", "cols[:, :, :, v, u]", r"v must run faster|out of bounds"),
    "a window flipped": ("cols[:, :, :, u, v]", "cols[:, :, :, -1 - u, -1 - v]", r"flipped"),
    "no reshape": ("    return cols.reshape(N * OH * OW, KH * KW * C)", "    return cols", r"\.reshape"),
    "the last row forgotten": ("for u in range(KH)", "for u in range(KH - 1)", r"only.*is 0 there"),
    "a view that is written to": ("    return cols.", "    x[:] = 0\n    return cols.", r"was written to"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    im2col = function(mine, "im2col")
    x = np.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    _compare(im2col, x, (2, 2), "im2col([[1, 2, 3], [4, 5, 6]] as one image with one channel, (2, 2))")
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    _compare(im2col, x, (2, 2), "im2col(one image of 3x4 with one channel that counts from 0, (2, 2))")
    x = np.arange(8.0).reshape(1, 1, 4, 2)
    _compare(im2col, x, (1, 2), "im2col(one image of 1x4 with two channels that counts from 0, (1, 2))")
    x = np.arange(8.0).reshape(2, 2, 2, 1)
    _compare(im2col, x, (1, 2), "im2col(two images of 2x2 with one channel that count from 0, (1, 2))")
    rng = np.random.default_rng(5)
    for shape, kernel_size in (((2, 5, 4, 3), (2, 3)), ((3, 4, 6, 2), (3, 1)), ((1, 3, 2, 4), (3, 2))):
        _compare(im2col, rng.normal(size=shape), kernel_size, f"im2col(x of {_x(shape)}, {kernel_size})")


def _compare(im2col, x, kernel_size, what):
    windows = sliding_window_view(x, kernel_size, axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)  # (N, OH, OW, KH, KW, C)
    rows = (windows.shape[0] * windows.shape[1] * windows.shape[2], -1)

    def ordered(*axes):
        return windows.transpose(axes).reshape(rows)

    right = windows.reshape(rows)
    fewer = windows[:, :-1, :-1]
    known = [
        (ordered(0, 1, 2, 5, 3, 4), "c must run fastest along a row: (u, v, c)"),
        (ordered(0, 1, 2, 4, 3, 5), "v must run faster than u along a row: (u, v, c)"),
        (ordered(0, 2, 1, 3, 4, 5), "j must run faster than i down the rows: (n, i, j), row by row as when you read"),
        (ordered(1, 2, 0, 3, 4, 5), "all windows of the first image come first: (n, i, j)"),
        (np.broadcast_to(windows[:, :, :, :1, :1], windows.shape).reshape(rows), "each row repeats its top left pixel"),
        (windows[:, :, :, ::-1, ::-1].reshape(rows), "the windows are flipped: (0, 0) is their top left"),
        (right.T, "a window is a row of cols, not a column"),
        (fewer.reshape(-1, right.shape[1]), "one too few rows and columns of places: OH = H - KH + 1, OW likewise"),
    ]
    before = x.copy()
    got = im2col(x, kernel_size)
    untouched(before, x, f"{what}: x")
    same(got, right, what, hints=[pair for pair in known if not _equal(pair[0], right)])
    im2col(frozen(x), kernel_size)


def _equal(a, b):
    return a.shape == b.shape and bool((a == b).all())


def _x(shape):
    return "x".join(map(str, shape))
