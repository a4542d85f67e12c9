"""What exercise 8 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "You need the rows of the forward again, and dout as rows in the same order: what are their two shapes?",
    "dw sums over the windows, so these must be the axis that the product takes away: (K, R) @ (R, OC).",
    "dcolumns = cols.T @ drows has the shape (KH*KW*C, OC); reshape it to (KH, KW, C, OC). db is drows.sum(0).",
)

WRONG = {
    "a mean for db": ("drows.sum(0)", "drows.mean(0)", r"a mean over the windows"),
    "db summed over the wrong axis": ("drows.sum(0)", "drows.sum(1)", r"db sums over the windows"),
    "dw over the number of images": ("cols.T @ drows", "cols.T @ drows / len(x)", r"1/3 of the right one"),
    "dw over the number of windows": ("cols.T @ drows", "cols.T @ drows / len(cols)", r"1/4 of the right one"),
    "the product the other way round": ("cols.T @ drows", "drows.T @ cols", r"drows\.T @ cols is \(OC, KH\*KW\*C\)"),
    "dw flipped": ("dcolumns.reshape", "dcolumns[::-1].reshape", r"must not be flipped"),
    "only the first image": (
        "cols.T @ drows",
        "cols[: len(cols) // len(x)].T @ drows[: len(drows) // len(x)]",
        r"first of the 3 images",
    ),
    "dw stays a matrix": ("dcolumns.reshape(KH, KW, C, OC)", "dcolumns", r"2 axes where there must be 4"),
    "the two swapped": (
        "return dcolumns.reshape(KH, KW, C, OC), drows.sum(0)",
        "return drows.sum(0), dcolumns.reshape(KH, KW, C, OC)",
        r"dw: returned shape \(1,\)",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    gradients = function(mine, "conv_weight_gradients")
    x, dout = np.arange(9.0).reshape(1, 3, 3, 1), np.array([1.0, 0.0, 0.0, 10.0]).reshape(1, 2, 2, 1)
    what = "conv_weight_gradients(dout = [[1, 0], [0, 10]], x: the pixels 0 to 8 as a 3x3 image, (2, 2))"
    want = np.array([40.0, 51.0, 73.0, 84.0]).reshape(2, 2, 1, 1), np.array([11.0])
    dw, db = several(gradients(*frozen(dout, x), (2, 2)), "dw, db", what)
    same(dw, want[0], f"{what}: dw", hints=[(want[0][::-1, ::-1], "the kernel must not be flipped")])
    known = [
        (want[1] / 4, "a mean over the windows; the gradient is their sum"),
        (dout.ravel(), "db sums over the windows, axis 0 of drows; one number per output channel stays"),
    ]
    same(db, want[1], f"{what}: db", hints=known)

    rng = np.random.default_rng(8)
    for x_shape, w_shape in (((3, 4, 3, 1), (2, 2, 1, 2)), ((3, 4, 3, 2), (2, 3, 2, 3)), ((1, 3, 5, 3), (1, 1, 3, 2))):
        x, w, b = (rng.normal(size=shape) for shape in (x_shape, w_shape, w_shape[3:]))
        dout = rng.normal(size=_forward(w, b, x).shape)
        _refuse_mixed(gradients, dout, x, w, b)
        gradcheck.check(
            (lambda w, b, x=x: _forward(w, b, x), lambda dout, w, b, x=x: gradients(dout, frozen(x), w.shape[:2])),
            [w, b],
            name=f"conv_weight_gradients(dout of {dout.shape}, x of {x_shape}, {w_shape[:2]})",
        )


def _forward(w, b, x):
    return ops.conv2d_forward_reference(x, w, b)[0]


def _refuse_mixed(gradients, dout, x, w, b):
    """The right numbers at the wrong places: of the shape that is asked for, so that only the values show it."""
    dw = ops.conv2d_backward_reference(dout, ops.conv2d_forward_reference(x, w, b)[1])[1]
    mixed = dw.reshape(-1, w.shape[3]).T.reshape(w.shape)
    words = "drows.T @ cols is (OC, KH*KW*C), and a reshape does not transpose it: cols.T @ drows"
    what = f"conv_weight_gradients(dout of {dout.shape}, x of {x.shape}, {w.shape[:2]})"
    found, _ = several(gradients(*frozen(dout, x), w.shape[:2]), "dw, db", what)
    if w.shape[3] > 1 and np.shape(found) == w.shape and np.allclose(found, mixed):
        same(found, dw, f"{what}: dw", hints=[(mixed, words)])
