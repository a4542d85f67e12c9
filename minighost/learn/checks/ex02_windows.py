"""What exercise 2 must do, three hints, and wrong answers that it must refuse."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "A slice takes two ends for each axis, rows first: image[a:b, c:d] holds rows a to b - 1 and columns c to d - 1.",
    "The window begins at row i and is KH rows high, so it ends before row i + KH; likewise for columns. For all "
    "windows, make an array of zeros of shape (OH, OW, KH, KW) and fill it in two loops.",
    "window: image[i : i + KH, ...]. windows: OH = H - KH + 1, likewise OW; for every i in range(OH), j in range(OW) "
    "the entry [i, j] of the result gets window(image, i, j, KH, KW).",
)

WRONG = {
    "the end counts from 0": ("image[i : i + KH, j : j + KW]", "image[i:KH, j:KW]", r"ends at row i \+ KH"),
    "one row too many": ("i : i + KH, j", "i : i + KH + 1, j", r"axis 0 has 3, must have 2"),
    "columns first": ("i : i + KH, j : j + KW", "j : j + KW, i : i + KH", r"rows come first"),
    "the corner's row and column swapped": ("i : i + KH, j : j + KW", "j : j + KH, i : i + KW", r"i is the row"),
    "height and width swapped": ("i : i + KH, j : j + KW", "i : i + KW, j : j + KH", r"KH is the height"),
    "ignores the corner": ("image[i : i + KH, j : j + KW]", "image[:KH, :KW]", r"window at row 0, column 0"),
    "no + 1": ("H - KH + 1, W - KW + 1", "H - KH, W - KW", r"one too few"),
    "places swapped": ("H - KH + 1, W - KW + 1", "W - KW + 1, H - KH + 1", r"axes are in another order"),
    "windows side by side": (
        "= window(image, i, j, KH, KW)",
        "= window(image, 0, j, KH, KW)",
        r"always the same slice",
    ),
    "only the pixel": ("= window(image, i, j, KH, KW)", "= image[i, j]", r"top left pixel"),
    "the window's axes swapped": ("np.zeros((OH, OW, KH, KW))", "np.zeros((OH, OW, KW, KH))", r"could not broadcast"),
    "returns in the loop": ("    return found", "            return found", r"only index 0|only the first place"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    window, windows = function(mine, "window"), function(mine, "windows")
    _window(window)
    _windows(windows)


def _window(window):
    image = np.arange(20.0).reshape(4, 5)
    what = "window(image of 4x5, i=1, j=2, KH=2, KW=3)"
    given, right = image.copy(), image[1:3, 2:5]
    known = [
        (image[2:5, 1:3], "rows come first: image[rows, columns], i counts rows and j columns"),
        (image[2:4, 1:4], "i is the row where the window begins, j the column; here they are swapped"),
        (image[1:4, 2:4], "KH is the height, so it counts rows; here KH and KW are swapped"),
        (image[1:3][2:5], "two pairs of brackets both cut rows: image[rows, columns] has a comma"),
        (image[1:2, 2:4], "a slice leaves its end out: rows i to i + KH, without - 1"),
        (image[:2, :3], "this is the window at row 0, column 0: i and j are not used"),
        (image[1:2, 2:3], "a window that begins at row i ends at row i + KH, not at KH"),
    ]
    got = window(given, 1, 2, 2, 3)
    same(got, right, what, hints=known)
    untouched(image, given, f"{what}: image")
    image = np.random.default_rng(2).normal(size=(6, 5))
    for i, j, KH, KW in ((0, 0, 6, 5), (3, 0, 1, 5), (5, 4, 1, 1), (2, 1, 4, 2)):
        call = f"window(random image of 6x5, i={i}, j={j}, KH={KH}, KW={KW})"
        same(window(frozen(image), i, j, KH, KW), image[i : i + KH, j : j + KW], call)


def _windows(windows):
    for H, W, KH, KW in ((3, 4, 2, 2), (6, 4, 2, 3), (3, 3, 3, 3), (2, 5, 1, 1)):
        image = np.arange(float(H * W)).reshape(H, W)
        right = sliding_window_view(image, (KH, KW))
        OH, OW = right.shape[:2]
        only = np.zeros(right.shape)
        only[0, 0] = right[0, 0]
        known = [
            (right[:-1, :-1], "one too few rows and columns of places: OH = H - KH + 1"),
            (right[::KH, ::KW], "these windows stand side by side; a window begins at every row and every column"),
            (right.swapaxes(0, 1), "rows of places come first: [i, j] is the window at row i, column j"),
            (np.broadcast_to(image[:OH, :OW, None, None], right.shape), "each window holds its top left pixel only"),
            (only, "only the first place is filled: is the return inside the loop?"),
        ]
        call = f"windows(image of {H}x{W} that counts from 0, KH={KH}, KW={KW})"
        same(windows(frozen(image), KH, KW), right, call, hints=known if right.size > 9 else ())
    image = np.random.default_rng(3).normal(size=(5, 7))
    got = windows(frozen(image), 2, 4)
    same(got, sliding_window_view(image, (2, 4)), "windows(random image of 5x7, KH=2, KW=4)")
