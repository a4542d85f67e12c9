"""What exercise 3 must do, three hints, and wrong answers that it must refuse."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "The two outer loops of exercise 2 find the places; at each of them there is a sum of products, as in exercise 1.",
    "Make an array of zeros of shape (OH, OW). For each i, j add image[i + u, j + v] * w[u, v] to out[i, j], for all u "
    "in range(KH) and v in range(KW). Or cut the window out and let NumPy multiply and sum.",
    "With a slice, one line stands in the two loops over i and j: out[i, j] = (window * w).sum(), where window is "
    "image[i : i + KH, j : j + KW].",
)

WRONG = {
    "overwrites instead of adding": ("out[i, j] += ", "out[i, j] = ", r"last product.*\+="),
    "flips the kernel": (
        "+= image[i + u, j + v] * w[u, v]",
        "+= image[i + u, j + v] * w[KH - 1 - u, KW - 1 - v]",
        r"flipped",
    ),
    "transposes the kernel": (
        "(H, W), (KH, KW) = image.shape, w.shape",
        "w = w.T; (H, W), (KH, KW) = image.shape, w.shape",
        r"axis 0|transposed",
    ),
    "no + 1": ("H - KH + 1, W - KW + 1", "H - KH, W - KW", r"one too few"),
    "the window stays": ("+= image[i + u, j + v] *", "+= image[u, j + v] *", r"always the same slice"),
    "subtracts": ("+= image[i + u, j + v] *", "+= image[i - u, j - v] *", r"\+ u.*\+ v"),
    "u and v swapped": ("+= image[i + u, j + v] *", "+= image[i + v, j + u] *", r"v along the columns|out of bounds"),
    "the kernel's height twice": ("for v in range(KW)", "for v in range(KH)", r"first 2 columns of w"),
    "the mean": ("    return out", "    return out / w.size", r"1/4"),
    "adds instead of multiplying": ("+= image[i + u, j + v] * w", "+= image[i + u, j + v] + w", r"\* is missing"),
    "integers": ("np.zeros((OH, OW))", "np.zeros((OH, OW), int)", r"integers"),
    "loops too short": ("for j in range(OW)", "for j in range(OW - 1)", r"last.*too short"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    correlate = function(mine, "correlate")
    image, w = np.arange(1.0, 10.0).reshape(3, 3), np.array([[1.0, 10.0], [100.0, 1000.0]])
    _compare(correlate, image, w, "correlate([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 10], [100, 1000]])")
    rng = np.random.default_rng(3)
    for H, W, KH, KW in ((5, 4, 2, 3), (4, 6, 3, 1), (3, 4, 3, 4), (3, 2, 1, 1)):
        image, w = rng.normal(size=(H, W)), rng.normal(size=(KH, KW))
        _compare(correlate, image, w, f"correlate(random image of {H}x{W}, w of {KH}x{KW})")


def _compare(correlate, image, w, what):
    windows = sliding_window_view(image, w.shape)  # (OH, OW, KH, KW)
    before = image.copy(), w.copy()
    got = correlate(image, w)
    for name, was, now in zip(("image", "w"), before, (image, w), strict=True):
        untouched(was, now, f"{what}: {name}")
    known = [
        (windows[:, :, -1, -1] * w[-1, -1], "each place holds its last product alone: = instead of +="),
        (_sums(windows, w[::-1, ::-1]), "w is flipped in both directions; here w[u, v] meets image[i + u, j + v]"),
        ((windows + w).sum((2, 3)), "this is a sum of sums: the * is missing"),
        (_around(image, w), "the window reaches up and left, over the edge: image[i + u, j + v], not i - u and j - v"),
    ]
    KH, KW = w.shape
    if KW > KH:
        known.append((_sums(windows[..., :KH], w[:, :KH]), f"only the first {KH} columns of w count: v = 0 .. KW - 1"))
    if KH == KW > 1:
        known.append((_sums(windows, w.T), "w is transposed: u counts along the rows of both, v along the columns"))
    same(got, _sums(windows, w), what, hints=known)
    correlate(*frozen(image, w))


def _sums(windows, w):
    return (windows * w).sum((2, 3))


def _around(image, w):
    """The sum with minus signs, where NumPy counts negative indices from the end."""
    OH, OW = (side - k + 1 for side, k in zip(image.shape, w.shape, strict=True))
    out = np.zeros((OH, OW))
    for (u, v), weight in np.ndenumerate(w):
        out += weight * np.roll(image, (u, v), (0, 1))[:OH, :OW]
    return out
