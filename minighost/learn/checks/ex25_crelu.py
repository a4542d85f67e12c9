"""What exercise 25 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "CReLU is ReLU twice: of x and of -x. np.concatenate([a, b], axis=-1) puts two arrays side by side.",
    "In the backward, cut dout in two along the last axis: dout[..., :C] belongs to the positive phase, dout[..., C:] "
    "to the negative one. Each has its own gate.",
    "The first half passes where x > 0, the second where x < 0 - with a minus, for the slope of -x is -1.",
)

WRONG = {
    "negative phase with its sign": ("np.maximum(-x, 0)", "np.minimum(x, 0)", r"max\(-x, 0\)"),
    "phases in the other order": (
        "[np.maximum(x, 0), np.maximum(-x, 0)]",
        "[np.maximum(-x, 0), np.maximum(x, 0)]",
        r"positive phase.*first",
    ),
    "side by side along the wrong axis": ("axis=-1", "axis=2", r"axis=-1"),
    "phases interleaved": (
        "np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1)",
        "np.stack([np.maximum(x, 0), np.maximum(-x, 0)], -1).reshape(*x.shape[:-1], -1)",
        r"one after the other",
    ),
    "NaN becomes 0": ("np.maximum(-x, 0)", "np.where(x < 0, -x, 0)", r"NaN must stay NaN"),
    "sign of the second phase": (" - dout[..., C:]", " + dout[..., C:]", r"slope of -x is -1"),
    "positive phase only": (" - dout[..., C:] * (x < 0)", " * 1", r"negative phase"),
    "no gates": ("dout[..., :C] * (x > 0) - dout[..., C:] * (x < 0)", "dout[..., :C] - dout[..., C:]", r"gates?"),
    "one gate for both": ("dout[..., C:] * (x < 0)", "dout[..., C:] * (x > 0)", r"x < 0"),
    "every other channel": (
        "dout[..., :C] * (x > 0) - dout[..., C:] * (x < 0)",
        "dout[..., ::2] * (x > 0) - dout[..., 1::2] * (x < 0)",
        r"\[\.\.\., C:\]",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "crelu_forward"), function(mine, "crelu_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(25)
    x = rng.uniform(0.1, 2.0, (2, 3, 4, 5)) * rng.choice((-1.0, 1.0), (2, 3, 4, 5))  # away from the kink at 0
    dout, given = rng.normal(size=(2, 3, 4, 10)), x.copy()
    out, cache = forward(given)
    same(out, ops.crelu_forward_reference(x)[0], "crelu_forward(x of 2x3x4x5): out")
    untouched(x, given, "crelu_forward(x of 2x3x4x5): x")
    want = ops.crelu_backward_reference(dout, x)
    same(backward(frozen(dout), cache), want, "crelu_backward(dout of 2x3x4x10, cache)", hints=_mistakes(x, dout))
    gradcheck.check((forward, backward), [x[:, :2, :2]], name="crelu")


def _by_hand(forward, backward):
    x, what = np.array([-2.0, 3.0, 5.0]).reshape(1, 1, 1, 3), "crelu_forward(x = [-2, 3, 5], shape 1x1x1x3)"
    out, cache = several(forward(frozen(x)), "out, cache", what)
    known = [
        (_row(0, 3, 5, -2, 0, 0), "the second half is min(x, 0); it must be max(-x, 0), which is not negative"),
        (_row(2, 0, 0, 0, 3, 5), "the positive phase, max(x, 0), comes first"),
        (_row(0, 2, 3, 0, 5, 0), "the phases are interleaved; they must stand one after the other, all C of each"),
    ]
    both = np.maximum(x, 0), np.maximum(-x, 0)
    for axis in range(3):
        known.append((np.concatenate(both, axis), f"the phases are joined along axis {axis}; channels are axis=-1"))
    same(out, _row(0, 3, 5, 2, 0, 0), f"{what}: out", hints=known)
    out = forward(np.full((1, 1, 1, 1), np.nan))[0]
    if not np.isnan(out).all():
        raise AssertionError(
            f"crelu_forward(x = [nan]): out is {out.ravel()}, must be [nan, nan]. NaN must stay NaN in both phases, "
            "but every comparison with it is False: np.maximum keeps it, np.where(x > 0, x, 0) does not"
        )
    dout = _row(10, 20, 30, 40, 50, 60)
    same(
        backward(frozen(dout), cache),
        _row(-40, 20, 30),
        "crelu_backward(dout = [10, 20, 30, 40, 50, 60], cache of x = [-2, 3, 5])",
        hints=_mistakes(x, dout),
    )


def _mistakes(x, dout):
    C = x.shape[-1]
    first, second, up, down = dout[..., :C], dout[..., C:], x > 0, x < 0
    return [
        (first * up + second * down, "the negative phase is max(-x, 0), and the slope of -x is -1: subtract"),
        (first * up, "what comes back through the negative phase, the last C channels, is missing"),
        (first - second, "both gates are missing: each half passes only where its phase is not 0"),
        (first + second, "the gates and a minus are missing: each half passes only where its phase is not 0"),
        (first * up - second * up, "the last C channels pass where x < 0"),
        (dout[..., ::2] * up - dout[..., 1::2] * down, "the halves are dout[..., :C] and dout[..., C:]"),
    ]


def _row(*numbers):
    return np.array(numbers, float).reshape(1, 1, 1, -1)
