"""What exercise 27 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

NAMES = "dx", "dw1", "db1", "dw2", "db2"
HINTS = (
    "Write the right column of the task from top to bottom, one line each, and keep every intermediate under its name.",
    "Two shapes change on the way: dgate is (N, C), so sum dout * x over H and W; dsqueezed is (N, C), so it needs two "
    "axes of length 1, dsqueezed[:, None, None, :], to be added at every position.",
    "dx has two parts: dout times the gate, and dsqueezed / (H*W). The slope of the hard sigmoid is 1/6, or 0.",
)

WRONG = {
    "x used once only": (" + dsqueezed[:, None, None, :] / (H * W)", "", r"second part of dx is missing"),
    "the first part lost": (
        "dx = dout * gate[:, None, None, :] + ",
        "dx = 0 * dout + ",
        r"first part of dx is missing",
    ),
    "the mean's slope forgotten": (" / (H * W)", "", r"1/\(H\*W\)"),
    "the mean's slope over the batch too": ("/ (H * W)", "/ (N * H * W)", r"H\*W, not"),
    "the sixth forgotten": ("(gate < 1)) / 6", "(gate < 1))", r"1/6"),
    "shut gates still learn": ("dgate * ((gate > 0) & (gate < 1)) / 6", "dgate / 6", r"0 < gate < 1"),
    "no ReLU gate": ("(dz @ w2.T) * (hidden > 0)", "dz @ w2.T", r"hidden > 0"),
    "bias gradient as a mean": ("dz.sum(0)", "dz.mean(0)", r"mean instead of a sum"),
    "gate without x": ("(dout * x).sum((1, 2))", "dout.sum((1, 2))", r"dgate .* dout \* x"),
    "mean over the plane": ("(dout * x).sum((1, 2))", "(dout * x).mean((1, 2))", r"dgate .* sum"),
    "weights in another order": (
        "da.sum(0), hidden.T @ dz, dz.sum(0)",
        "dz.sum(0), hidden.T @ dz, da.sum(0)",
        r"this is db1",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward = function(mine, "squeeze_excite_forward")
    backward = function(mine, "squeeze_excite_backward")
    x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    given = x, np.ones((1, 1)), np.zeros(1), np.full((1, 1), 0.75), np.zeros(1)
    dout = np.array([3.0, 5.0]).reshape(1, 1, 2, 1)
    _compare(backward, given, dout, "squeeze_excite_backward(dout = [3, 5], cache of the task's x = [1, 3])")
    given, dout = _random(np.random.default_rng(27), (3, 2, 4, 5), 6)
    _compare(backward, given, dout, "squeeze_excite_backward(dout of 3x2x4x5, cache with 6 hidden numbers)")
    given, _ = _random(np.random.default_rng(28), (2, 3, 2, 3), 4)
    gradcheck.check((forward, backward), list(given), name="squeeze-and-excitation")


def _random(rng, shape, hidden):
    """Inputs for which some gates are shut, some open, some between, and some hidden numbers are cut off."""
    C = shape[3]
    shapes = shape, (C, hidden), (hidden,), (hidden, C), (C,)
    given = [scale * rng.normal(size=s) for scale, s in zip((2, 1, 1, 2, 1), shapes, strict=True)]
    return given, rng.normal(size=shape)


def _compare(backward, given, dout, what):
    """From the output to the input, so that the first complaint names the first wrong line."""
    cache = _cache(*given)
    want, known = _right(dout, *cache), _mistakes(dout, *cache)
    got = several(backward(frozen(dout), frozen(*cache)), ", ".join(NAMES), what)
    for k in (4, 3, 2, 1, 0):
        words = [(other[k], sentence) for other, sentence in known]
        words += [(want[i], f"this is {NAMES[i]}; the order is {', '.join(NAMES)}") for i in range(5) if i != k]
        same(got[k], want[k], f"{what}: {NAMES[k]}", hints=words)


def _cache(x, w1, b1, w2, b2):
    squeezed = x.mean((1, 2))
    hidden = np.maximum(squeezed @ w1 + b1, 0)
    return x, squeezed, hidden, np.clip((hidden @ w2 + b2) / 6 + 0.5, 0, 1), w1, w2


def _right(dout, x, squeezed, hidden, gate, w1, w2, **change):
    """The right gradients; `change` replaces an intermediate or a factor, for the usual mistakes."""
    _, H, W, _ = x.shape
    dgate = change.get("dgate", (dout * x).sum((1, 2)))
    dz = dgate * change.get("open", (gate > 0) & (gate < 1)) * change.get("slope", 1 / 6)
    da = (dz @ w2.T) * change.get("passes", hidden > 0)
    through_mean = (da @ w1.T)[:, None, None, :] * change.get("share", 1 / (H * W))
    dx = dout * gate[:, None, None, :] * change.get("direct", 1) + through_mean
    return dx, squeezed.T @ da, da.sum(0), hidden.T @ dz, dz.sum(0)


def _mistakes(dout, *cache):
    x, N = cache[0], len(cache[0])
    H, W = x.shape[1:3]

    def with_(**change):
        return _right(dout, *cache, **change)

    return [
        (with_(open=1), "dz must be 0 where a gate is shut or fully open: it passes where 0 < gate < 1"),
        (with_(slope=1), "the slope of the hard sigmoid, 1/6, is missing in dz"),
        (with_(dgate=dout.sum((1, 2))), "dgate is the sum over H and W of dout * x; x is left out"),
        (with_(dgate=(dout * x).mean((1, 2))), "dgate is the sum over H and W of dout * x, not the mean"),
        (with_(passes=1), "the ReLU's gate is missing in da: it passes where hidden > 0"),
        (with_(share=0), "the second part of dx is missing, which comes back through the mean: + dsqueezed / (H*W)"),
        (with_(direct=0), "the first part of dx is missing: dout * gate"),
        (with_(share=1), "each x has a share of 1/(H*W) in the mean: divide dsqueezed by H*W"),
        (with_(share=1 / (N * H * W)), "each image has its own mean: divide dsqueezed by H*W, not by N*H*W"),
    ]
