"""What exercise 7 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Three steps: windows to rows (im2col), one product, rows back to an image. Write down the shape after each.",
    "w.reshape(KH * KW * C, OC) merges the first three axes and leaves every number where it is; a transposition "
    "would not.",
    "rows = cols @ columns + b has the shape (N*OH*OW, OC); reshape it to (N, OH, OW, OC).",
)

WRONG = {
    "the bias is forgotten": ("cols @ columns + b\n", "cols @ columns\n", r"b is left out"),
    "the weight is cut the wrong way": (
        "w.reshape(KH * KW * C, OC)",
        "w.reshape(OC, KH * KW * C).T",
        r"no transposition",
    ),
    "the kernel is flipped": ("w.reshape(KH", "w[::-1, ::-1].reshape(KH", r"flipped"),
    "the rows stay rows": (
        "rows.reshape(N, H - KH + 1, W - KW + 1, OC)",
        "rows",
        r"2 axes where there must be 4",
    ),
    "channels in front": (
        "rows.reshape(N, H - KH + 1, W - KW + 1, OC)",
        "rows.T.reshape(OC, N, H - KH + 1, W - KW + 1).transpose(1, 0, 2, 3)",
        r"axes in another order",
    ),
    "height and width swapped": ("H - KH + 1, W - KW + 1", "W - KW + 1, H - KH + 1", r"axis 1 has 3, must have 2"),
    "the bias counts twice": ("+ b\n", "+ 2 * b\n", r"b counts twice"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    conv_forward = function(mine, "conv_forward")
    image, digits = np.arange(9.0).reshape(1, 3, 3, 1), np.array([1.0, 10.0, 100.0, 1000.0]).reshape(2, 2, 1, 1)
    want = np.array([4310.0, 5421.0, 7643.0, 8754.0]).reshape(1, 2, 2, 1)
    what = "conv_forward(x: the pixels 0 to 8 as a 3x3 image, w: a 2x2 kernel [[1, 10], [100, 1000]], b = 0)"
    known = [(_plain(image, digits[::-1, ::-1]), "the kernel is flipped; w[0, 0] meets the window's first pixel")]
    same(conv_forward(*frozen(image, digits, np.zeros(1))), want, what, hints=known)

    known = [(want, "b is left out"), (want + 14, "b counts twice")]
    same(conv_forward(*frozen(image, digits, np.full(1, 7.0))), want + 7, what.replace("b = 0", "b = 7"), hints=known)

    two = np.concatenate([digits, -digits], axis=3)
    what = what.replace("[100, 1000]], b = 0", "[100, 1000]] and its negative, b = 0")
    known = [(_cut_wrongly(image, two, 0), "w must be taken as (KH*KW*C, OC) as it is: no transposition, no .T")]
    same(conv_forward(*frozen(image, two, np.zeros(2))), np.concatenate([want, -want], 3), what, hints=known)

    rng = np.random.default_rng(7)
    for x_shape, w_shape in (
        ((1, 3, 4, 1), (2, 2, 1, 1)),
        ((2, 5, 4, 3), (3, 2, 3, 4)),
        ((3, 2, 6, 2), (1, 3, 2, 3)),
        ((2, 3, 3, 2), (3, 3, 2, 1)),
        ((1, 4, 4, 5), (1, 1, 5, 2)),
    ):
        x, w, b = (rng.normal(size=shape) for shape in (x_shape, w_shape, w_shape[3:]))
        known = [
            (_plain(x, w), "b is left out"),
            (_plain(x, w) + 2 * b, "b counts twice"),
            (_plain(x, w[::-1, ::-1]) + b, "the kernel is flipped; w[0, 0] meets the window's first pixel"),
            (_cut_wrongly(x, w, b), "w must be taken as (KH*KW*C, OC) as it is: no transposition, no .T"),
        ]
        what = f"conv_forward(x of {x_shape}, w of {w_shape}, b of {b.shape})"
        same(conv_forward(*frozen(x, w, b)), _plain(x, w) + b, what, hints=known)


def _plain(x, w):
    return ops.conv2d_forward_reference(x, w)[0]


def _cut_wrongly(x, w, b):
    return _plain(x, w.reshape(w.shape[3], -1).T.reshape(w.shape)) + b
