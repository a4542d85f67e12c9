"""What exercise 35 must do, three hints, and wrong answers that it must refuse."""

import numba
import numpy as np

from minighost import ops
from minighost.learn.compare import function, same, untouched

HINTS = (
    "Six loops: n, i, j over the output, u, v over the taps, c over the channels. Write them as plain Python first; "
    "@njit stays above the def.",
    "The pixel under tap (u, v) is row h = i + u - 1, column k = j + v - 1. It may lie outside: test both before the "
    "channel loop.",
    "out starts as np.zeros(x.shape, x.dtype); the innermost line adds x[n, h, k, c] * w[u, v, c] to out[n, i, j, c].",
)

WRONG = {
    "the border wraps around": ("if 0 <= h < H and 0 <= k < W:", "if h < H and k < W:", r"index -1 is the last"),
    "not compiled": ("@njit\ndef", "def", r"@njit"),
    "float64 whatever x is": (
        "out = np.zeros(x.shape, x.dtype)",
        "out = np.zeros(x.shape)",
        r"float64 for x of float32",
    ),
    "kernel flipped": ("k, c] * w[u, v, c]", "k, c] * w[2 - u, 2 - v, c]", r"flipped"),
    "taps swapped": ("k, c] * w[u, v, c]", "k, c] * w[v, u, c]", r"w\[u, v"),
    "window not centred": ("h, k = i + u - 1, j + v - 1", "h, k = i + u, j + v", r"padding"),
    "one kernel for all channels": ("k, c] * w[u, v, c]", "k, c] * w[u, v, 0]", r"channel 0"),
    "overwrites instead of adding": ("out[n, i, j, c] +=", "out[n, i, j, c] =", r"\+="),
    "sums over channels": ("out[n, i, j, c] +=", "out[n, i, j, 0] +=", r"all channels"),
    "last row forgotten": ("for i in range(H)", "for i in range(H - 1)", r"axis 1"),
    "first image only": ("for n in range(N)", "for n in range(1)", r"axis 0"),
    "writes into x": ("    return out", "    x[0, 0, 0, 0] += 1\n    return out", r"written to"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    depthwise3x3 = function(mine, "depthwise3x3")
    python = getattr(depthwise3x3, "py_func", depthwise3x3)  # first as Python, where a wild index raises
    x, w = np.arange(1.0, 10.0).reshape(1, 3, 3, 1), np.ones((3, 3, 1))
    _compare(python, x, w, "depthwise3x3(x = 1 2 3 / 4 5 6 / 7 8 9, w of nine ones)")
    rng = np.random.default_rng(35)
    x, w = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(3, 3, 3))
    _compare(python, x, w, "depthwise3x3(x of 2x4x5x3, w of 3x3x3)")
    _compare(python, x[:, :1, :1].copy(), w, "depthwise3x3(x of 2x1x1x3, w of 3x3x3)")
    if not (hasattr(depthwise3x3, "py_func") or numba.config.DISABLE_JIT):
        raise AssertionError("depthwise3x3 is right, but as a Python function: write @njit above its def")
    x, w = rng.normal(size=(2, 9, 8, 5)), rng.normal(size=(3, 3, 5))
    _compare(depthwise3x3, x, w, "depthwise3x3, compiled (x of 2x9x8x5, w of 3x3x5)")
    x, w = x.astype(np.float32), w.astype(np.float32)
    out = depthwise3x3(x, w)
    if out.dtype != np.float32:
        raise AssertionError(f"depthwise3x3 gives {out.dtype} for x of float32: np.zeros(x.shape, x.dtype)")
    same(out, _right(x, w), "depthwise3x3, compiled, float32", tolerance=1e-5)
    if not numba.config.DISABLE_JIT and len(depthwise3x3.nopython_signatures) < 2:
        raise AssertionError("depthwise3x3 was not compiled to machine code (object mode?): write @njit above its def")


def _compare(depthwise3x3, x, w, what):
    given = x.copy(), w.copy()
    out = depthwise3x3(*given)
    for name, before, after in zip("xw", (x, w), given, strict=True):
        untouched(before, after, f"{what}: {name}")
    same(out, _right(x, w), what, hints=_mistakes(x, w))


def _right(x, w):
    return ops.depthwise_forward_reference(x, w[..., None], padding=1)[0]


def _mistakes(x, w):
    H, W = x.shape[1:3]
    full = np.pad(x, [(0, 0), (1, 2), (1, 2), (0, 0)])
    around = full.copy()
    around[:, 0, 1 : W + 1], around[:, 1 : H + 1, 0], around[:, 0, 0] = x[:, -1], x[:, :, -1], x[:, -1, -1]
    wrapped, late, last, mixed = (np.zeros_like(x) for _ in range(4))
    for u, v in np.ndindex(3, 3):
        wrapped += around[:, u : u + H, v : v + W] * w[u, v]
        late += full[:, u + 1 : u + 1 + H, v + 1 : v + 1 + W] * w[u, v]
        tap = full[:, u : u + H, v : v + W]
        last = np.where(tap == 0, last, tap * w[u, v])
    mixed[..., 0] = _right(x, w).sum(3)
    return [
        (wrapped, "a tap above or left of the image must count as 0, but index -1 is the last row or column: 0 <= h"),
        (late, "the padding is missing: the window begins one row and column before the pixel, at i + u - 1"),
        (last, "each pixel holds only the last of its taps: += instead of ="),
        (_right(x, w[::-1, ::-1]), "the kernel is flipped in both directions: w[u, v] belongs to row i + u - 1"),
        (_right(x, w.swapaxes(0, 1)), "rows and columns of the kernel are swapped: w[u, v, c], u for rows"),
        (mixed, "all channels are summed into channel 0; each stays by itself: out[n, i, j, c]"),
        (_right(x, np.repeat(w[..., :1], w.shape[2], 2)), "every channel has the kernel of channel 0: w[u, v, c]"),
    ]
