"""What exercise 24 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "No loop is needed: np.maximum works element by element, and a comparison of arrays gives an array of booleans.",
    "The backward is a product of dout and a mask. The mask is made of x, so x is what the cache must keep.",
    "Forward: np.maximum of x and 0. Backward: dout times (x > 0), which counts as 1 and 0.",
)

WRONG = {
    "NaN becomes 0": ("np.maximum(x, 0), x", "np.where(x > 0, x, 0), x", r"NaN must stay NaN"),
    "leaks": ("np.maximum(x, 0), x", "np.maximum(x, 0.1 * x), x", r"0\.1|must be 0"),
    "the size instead of the positive part": ("np.maximum(x, 0), x", "np.abs(x), x", r"without its sign"),
    "the smaller one": ("np.maximum(x, 0), x", "np.minimum(x, 0), x", r"np\.maximum"),
    "writes into x": ("np.maximum(x, 0), x", "np.maximum(x, 0, out=x), x", r"written to"),
    "forgets dout": ("dout * (x > 0)", "1.0 * (x > 0)", r"dout is left out"),
    "no gate": ("dout * (x > 0)", "dout * 1.0", r"dout itself"),
    "gates by dout": ("dout * (x > 0)", "dout * (dout > 0)", r"looks at x, not at dout"),
    "gates by both": ("dout * (x > 0)", "np.maximum(dout, 0) * (x > 0)", r"negative dout"),
    "gates the wrong half": ("dout * (x > 0)", "dout * (x < 0)", r"x > 0"),
    "multiplies by x": ("dout * (x > 0)", "dout * np.maximum(x, 0)", r"slope is 1"),
    "writes into dout": ("return dout * (x > 0)", "dout *= x > 0\n    return dout", r"written to"),
    "no cache": ("np.maximum(x, 0), x", "np.maximum(x, 0)", r"out, cache"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "relu_forward"), function(mine, "relu_backward")
    x, dout = np.array([-2.0, 3.0, -1.0, 5.0]), np.array([10.0, -20.0, 30.0, 40.0])
    _forward(forward, x)
    _nan(forward)
    _backward(forward, backward, x, dout)
    rng = np.random.default_rng(24)
    x, dout = _off_the_kink(rng, (2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    out, cache = forward(frozen(x))
    same(out, np.maximum(x, 0), "relu_forward(x of 2x3x4x5): out")
    same(backward(frozen(dout), cache), np.where(x > 0, dout, 0), "relu_backward(dout of 2x3x4x5, cache)")
    gradcheck.check((forward, backward), [_off_the_kink(rng, (2, 3, 2, 2))], name="relu")


def _forward(forward, x):
    given, what = x.copy(), "relu_forward(x = [-2, 3, -1, 5])"
    out, _ = several(forward(given), "out, cache", what)
    untouched(x, given, f"{what}: x")
    known = [
        (np.abs(x), "this is x without its signs; what is negative must become 0"),
        (np.minimum(x, 0), "this is min(x, 0), the other half: np.maximum"),
    ]
    same(out, np.array([0.0, 3.0, 0.0, 5.0]), f"{what}: out", hints=known)


def _nan(forward):
    out = forward(np.array([np.nan, 1.0, -1.0]))[0]
    if not np.isnan(out[0]):
        raise AssertionError(
            f"relu_forward(x = [nan, 1, -1]): out is {out}, must be [nan, 1, 0]. NaN must stay NaN; every comparison "
            "with it is False, so np.where(x > 0, x, 0) writes 0; np.maximum(x, 0) and np.where(x <= 0, 0, x) do not"
        )


def _backward(forward, backward, x, dout):
    _, cache = forward(x)
    given, what = dout.copy(), "relu_backward(dout = [10, -20, 30, 40], cache of x = [-2, 3, -1, 5])"
    got = backward(given, cache)
    untouched(dout, given, f"{what}: dout")
    known = [
        (1.0 * (x > 0), "this is the gate itself: dout is left out"),
        (dout, "this is dout itself: the gate is left out"),
        (np.maximum(dout, 0), "the gate looks at x, not at dout"),
        (np.maximum(dout, 0) * (x > 0), "a negative dout must pass too: the gate looks at x alone"),
        (dout * (x < 0), "this passes where x is negative: x > 0"),
        (dout * np.maximum(x, 0), "dout is multiplied by x; where x > 0 the slope is 1"),
    ]
    same(got, np.array([0.0, -20.0, 0.0, 40.0]), what, hints=known)


def _off_the_kink(rng, shape):
    """Random numbers away from 0, where the slope is not defined."""
    return rng.uniform(0.1, 2.0, shape) * rng.choice((-1.0, 1.0), shape)
