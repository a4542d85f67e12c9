"""What exercise 18 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "No pixel looks at its neighbours here: each is a row of C numbers and becomes a row of OC numbers.",
    "Keep x and w in the cache. For each gradient write down its shape; then find the two matrices whose product has "
    "it.",
    "rows = x.reshape(-1, C), drows = dout.reshape(-1, OC); dx from drows and w.T, dw from rows.T and drows, db is "
    "drows.sum(0).",
)

WRONG = {
    "the bias is forgotten": ("rows @ w + b\n    return", "rows @ w\n    return", r"b is left out"),
    "the weight transposed": ("rows @ w + b\n    return", "rows @ w.T + b\n    return", r"transposed"),
    "dx without the transposition": (
        "dx = drows @ w.T\n    return",
        "dx = drows @ w\n    return",
        r"w must be transposed",
    ),
    "dw with its factors swapped": ("rows.T @ drows, drows", "drows.T @ rows, drows", r"transposed"),
    "dw a mean over the pixels": (
        "rows.T @ drows, drows",
        "rows.T @ drows / len(rows), drows",
        r"mean instead of a sum",
    ),
    "db a mean": ("drows.sum(0)", "drows.mean(0)", r"mean instead of a sum"),
    "db summed over the channels": ("drows.sum(0)", "drows.sum(1)", r"db sums over the pixels"),
    "dx stays rows": ("return dx.reshape(x.shape)", "return dx", r"dx: returned shape"),
    "dw and db swapped": (
        "return dx.reshape(x.shape), rows.T @ drows, drows.sum(0)",
        "return dx.reshape(x.shape), drows.sum(0), rows.T @ drows",
        r"this is db",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "pointwise_forward"), function(mine, "pointwise_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(18)
    cases = [((2, 2, 3, 3), (3, 3)), ((3, 2, 2, 4), (4, 2)), ((1, 4, 3, 2), (2, 5)), ((2, 1, 2, 1), (1, 3))]
    for x_shape, w_shape in cases:
        x, w, b = (rng.normal(size=shape) for shape in (x_shape, w_shape, w_shape[1:]))
        what = f"pointwise_forward(x of {x_shape}, w of {w_shape}, b of {b.shape})"
        out, _ = several(forward(*frozen(x, w, b)), "out, cache", what)
        same(out, ops.pointwise_forward_reference(x, w, b)[0], f"{what}: out", hints=[(x @ w, "b is left out")])
    for x_shape, w_shape in cases:
        x, w, b = (rng.normal(size=shape) for shape in (x_shape, w_shape, w_shape[1:]))
        gradcheck.check((forward, backward), [x, w, b], name=f"pointwise, x of {x_shape}, w of {w_shape}")


def _by_hand(forward, backward):
    """The pixel of the task."""
    x, w, b = np.array([1.0, 2.0]).reshape(1, 1, 1, 2), np.array([[1.0, 10.0], [100.0, 1000.0]]), np.array([5.0, 7.0])
    what = "pointwise_forward(x: a pixel 1 2, w: [[1, 10], [100, 1000]], b: 5 7)"
    known = [(x @ w, "b is left out"), (x @ w.T + b, "w is transposed: its axes are (C, OC) already")]
    out, cache = several(forward(*frozen(x, w, b)), "out, cache", what)
    same(out, np.array([206.0, 2017.0]).reshape(x.shape), f"{what}: out", hints=known)
    what = "pointwise_backward(dout: 1 2, cache of x: 1 2, w: [[1, 10], [100, 1000]])"
    dout = np.array([1.0, 2.0]).reshape(x.shape)
    dx, dw, db = several(backward(frozen(dout), cache), "dx, dw, db", what)
    known = [(dout @ w, "w must be transposed here: dx sums over the output channels, the second axis of w")]
    same(dx, np.array([21.0, 2100.0]).reshape(x.shape), f"{what}: dx", hints=known)
    right = np.array([1.0, 2.0])
    same(dw, np.array([[1.0, 2.0], [2.0, 4.0]]), f"{what}: dw", hints=[(right, "this is db: return dx, dw, db")])
    known = [(np.array([3.0]), "db sums over the pixels, axis 0 of drows; one number per output channel stays")]
    same(db, right, f"{what}: db", hints=known)
