"""What exercise 6 must do, three hints, and wrong answers that it must refuse."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "Take your im2col and let the numbers flow the other way: what it read is now written to, what it wrote is read.",
    "First give the columns their six axes back: cols.reshape(N, OH, OW, KH, KW, C). Then, for one u and v, the slice "
    "of the image that im2col read from is the slice to add to. Several (u, v) reach the same pixel.",
    "From zeros of x_shape, for each u and v: image[:, u : u + OH, ...] += cols[:, :, :, u, v].",
)

WRONG = {
    "overwrites instead of adding": ("] += cols", "] = cols", r"\+="),
    "divides by the count": (
        "    return image",
        "    ones = np.zeros(x_shape)\n    for u in range(KH):\n"
        "        for v in range(KW):\n            ones[:, u : u + OH, v : v + OW] += 1\n"
        "    return image / ones",
        r"mean",
    ),
    "starts from ones": ("np.zeros((N, H, W, C))", "np.ones((N, H, W, C))", r"too large by 1"),
    "the last row forgotten": ("for u in range(KH)", "for u in range(KH - 1)", r"last row of the windows"),
    "u and v swapped": (
        "image[:, u : u + OH, v : v + OW] +=",
        "image[:, v : v + OH, u : u + OW] +=",
        r"v along the columns|broadcast",
    ),
    "all to one place": ("image[:, u : u + OH, v : v + OW] +=", "image[:, :OH, :OW] +=", r"top left"),
    "a window flipped": ("+= cols[:, :, :, u, v]", "+= cols[:, :, :, -1 - u, -1 - v]", r"flipped"),
    "another order of the columns": (
        "cols.reshape(N, OH, OW, KH, KW, C)",
        "cols.reshape(N, OH, OW, C, KH, KW).transpose(0, 1, 2, 4, 5, 3)",
        r"\(u, v, c\)",
    ),
    "the images fastest": (
        "cols.reshape(N, OH, OW, KH, KW, C)",
        "cols.reshape(OH, OW, N, KH, KW, C).transpose(2, 0, 1, 3, 4, 5)",
        r"\(n, i, j\)",
    ),
    "no + 1": ("H - KH + 1, W - KW + 1", "H - KH, W - KW", r"cannot reshape"),
    "adds to cols": ("    image = np", "    cols += 1\n    cols -= 1\n    image = np", r"read-only|written to"),
    "nothing written": (
        "image[:, u : u + OH, v : v + OW] +=",
        "image[:, u : u + OH, v : v + OW] +",
        r"zero everywhere",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    col2im = function(mine, "col2im")
    cols = np.array([[1.0, 2.0, 4.0, 5.0], [20.0, 30.0, 50.0, 60.0]])
    _compare(col2im, cols, (1, 2, 3, 1), (2, 2), "col2im([[1, 2, 4, 5], [20, 30, 50, 60]], (1, 2, 3, 1), (2, 2))")
    _compare(col2im, np.ones((4, 4)), (1, 3, 3, 1), (2, 2), "col2im(ones, (1, 3, 3, 1), (2, 2)), the count of windows,")
    cols = np.arange(1.0, 13.0).reshape(3, 4)
    _compare(col2im, cols, (1, 1, 4, 2), (1, 2), "col2im(3 rows that count from 1, (1, 1, 4, 2), (1, 2))")
    rng = np.random.default_rng(6)
    for shape, kernel_size in (((2, 5, 4, 3), (2, 3)), ((3, 4, 6, 2), (3, 1)), ((1, 3, 2, 4), (3, 2))):
        rows = _im2col(np.zeros(shape), kernel_size).shape
        _compare(col2im, rng.normal(size=rows), shape, kernel_size, f"col2im(cols of {rows}, {shape}, {kernel_size})")
        _is_adjoint(col2im, rng.normal(size=shape), rng.normal(size=rows), kernel_size)


def _is_adjoint(col2im, x, y, kernel_size):
    left, right = (_im2col(x, kernel_size) * y).sum(), (x * col2im(frozen(y), x.shape, kernel_size)).sum()
    if not abs(left - right) <= 1e-9 * max(1, abs(left)):
        raise AssertionError(
            f"x of {x.shape}, kernel {kernel_size}: the sum of im2col(x) * y is {left:.6g}, "
            f"that of x * col2im(y) is {right:.6g}; they must be equal"
        )


def _compare(col2im, cols, x_shape, kernel_size, what):
    N, H, W, C = x_shape
    KH, KW = kernel_size
    OH, OW = H - KH + 1, W - KW + 1
    six = cols.reshape(N, OH, OW, KH, KW, C)
    right, count = _add(six, x_shape), _add(np.ones(six.shape), x_shape)
    known = [
        (_add(six, x_shape, last=True), "each pixel keeps only the last of what it should collect: = instead of +="),
        (_add(six, x_shape, last="window"), "each pixel keeps only the last window that sees it: = instead of +="),
        (
            _add(np.broadcast_to(six[:1, :1, :1], six.shape), x_shape),
            "every window gets row 0 of cols: does the row index advance?",
        ),
        (right / count, "this is the mean of what the windows hold; it must be their sum"),
        (right + 1, "it is too large by 1: the sums start from zeros"),
        (_add(six[:, :, :, :-1], x_shape), "the last row of the windows does not count: u = 0 .. KH - 1"),
        (_add(six[:, :, :, ::-1, ::-1], x_shape), "the windows are flipped: (0, 0) is their top left pixel"),
        (
            _add(cols.reshape(N, OH, OW, C, KH, KW).transpose(0, 1, 2, 4, 5, 3), x_shape),
            "a row of cols is read in another order than (u, v, c), c fastest",
        ),
        (
            _add(cols.reshape(OH, OW, N, KH, KW, C).transpose(2, 0, 1, 3, 4, 5), x_shape),
            "the rows of cols are read in another order than (n, i, j), j fastest",
        ),
        (_add(six.sum((3, 4), keepdims=True), x_shape), "everything is added to the windows' top left pixels"),
    ]
    if KH == KW > 1:
        transposed = _add(six.swapaxes(3, 4), x_shape)
        known.append((transposed, "the windows are transposed: u moves along the rows, v along the columns"))
    before = cols.copy()
    got = col2im(cols, x_shape, kernel_size)
    untouched(before, cols, f"{what}: cols")
    same(got, right, what, hints=[pair for pair in known if not np.array_equal(pair[0], right)])
    col2im(frozen(cols), x_shape, kernel_size)


def _im2col(x, kernel_size):
    windows = sliding_window_view(x, kernel_size, axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)  # (N, OH, OW, KH, KW, C)
    return windows.reshape(windows[:, :, :, 0, 0, 0].size, -1)


def _add(six, x_shape, last=False):
    """Each number of (N, OH, OW, KH, KW, C) added to its pixel; or only the last kept, of slices or windows."""
    image = np.zeros(x_shape)
    _, OH, OW, KH, KW, _ = six.shape
    for u, v in [*np.ndindex(KH, KW)][:: -1 if last == "window" else 1]:
        there = (slice(None), slice(u, u + OH), slice(v, v + OW))
        image[there] = six[:, :, :, u, v] if last else image[there] + six[:, :, :, u, v]
    return image
