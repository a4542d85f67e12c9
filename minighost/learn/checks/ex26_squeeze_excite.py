"""What exercise 26 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "Five lines, one for each line of the task. x.mean((1, 2)) takes the mean over H and W and leaves (N, C).",
    "np.maximum(..., 0) is the ReLU, np.clip(..., 0, 1) cuts off at both ends. The gate is np.clip(z / 6 + 0.5, 0, 1).",
    "A gate of shape (N, C) must meet x of shape (N, H, W, C): gate[:, None, None, :] adds two axes between.",
)

WRONG = {
    "mean over the batch too": (
        "x.mean((1, 2))",
        "np.broadcast_to(x.mean((0, 1, 2)), (len(x), x.shape[3]))",
        r"each image has its own mean",
    ),
    "sum instead of mean": ("x.mean((1, 2))", "x.sum((1, 2))", r"sum.*mean"),
    "maximum instead of mean": ("x.mean((1, 2))", "x.max((1, 2))", r"maximum.*mean"),
    "no ReLU": ("np.maximum(squeezed @ w1 + b1, 0)", "squeezed @ w1 + b1", r"ReLU"),
    "first bias forgotten": ("@ w1 + b1, 0)\n", "@ w1, 0)\n", r"b1 is left out"),
    "second bias forgotten": ("w2 + b2 + 3", "w2 + 3", r"b2 is left out"),
    "not cut off": ("np.clip((hidden @ w2 + b2 + 3) / 6, 0, 1)", "(hidden @ w2 + b2 + 3) / 6", r"from 0 to 1"),
    "a smooth sigmoid": (
        "np.clip((hidden @ w2 + b2 + 3) / 6, 0, 1)",
        "1 / (1 + np.exp(-(hidden @ w2 + b2)))",
        r"smooth sigmoid",
    ),
    "no half": ("+ 3) / 6", ") / 6", r"z/6 \+ 1/2"),
    "not divided": ("+ 3) / 6", "+ 0.5)", r"z/6 \+ 1/2"),
    "the gate is the output": (
        "return x * gate[:, None, None, :]",
        "return 0 * x + gate[:, None, None, :]",
        r"times x",
    ),
    "image and column mixed up": ("x * gate[:, None, None, :]", "x * gate", r"None"),
    "gate not returned": (", None, :], gate", ", None, :]", r"must return 2"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    squeeze_excite = function(mine, "squeeze_excite")
    x = np.array([[1.0, 10.0], [3.0, 20.0]]).reshape(1, 1, 2, 2)
    given = [x, np.array([[1.5], [0.0]]), np.zeros(1), np.array([[0.4, -0.2]]), np.zeros(2)]
    _compare(squeeze_excite, given, "squeeze_excite(x, w1, b1, w2, b2 of the task)")
    rng = np.random.default_rng(26)
    shapes = (3, 2, 3, 4), (4, 5), (5,), (5, 4), (4,)  # as many images as columns: a gate of (N, C) would fit x wrongly
    given = [scale * rng.normal(size=shape) for scale, shape in zip((2, 1, 1, 4, 1), shapes, strict=True)]
    _compare(squeeze_excite, given, "squeeze_excite(x of 3x2x3x4, w1 of 4x5, b1, w2 of 5x4, b2)")
    before = [v.copy() for v in given]
    squeeze_excite(*given)
    for name, old, new in zip(("x", "w1", "b1", "w2", "b2"), before, given, strict=True):
        untouched(old, new, f"squeeze_excite: {name}")


def _compare(squeeze_excite, given, what):
    x = given[0]
    gate, out = _right(*given)
    got = several(squeeze_excite(*frozen(*given)), "out, gate", what)
    same(got[1], gate, f"{what}: gate", hints=_mistakes(*given))
    spread = gate[:, None, None, :]
    known = [
        (np.broadcast_to(spread, x.shape), "this is the gate itself; the output is the gate times x"),
        (x + spread, "the gate is added; the output is the gate times x"),
    ]
    if x.shape[2] in (1, len(x)):
        known.append((x * gate, "the gate of image n went to column n; gate[:, None, None, :] goes to image n"))
    same(got[0], out, f"{what}: out", hints=known)


def _right(x, w1, b1, w2, b2):
    squeezed = ops.global_avg_pool_forward_reference(x)[0]
    hidden = np.maximum(squeezed @ w1 + b1, 0)
    gate = ops.hard_sigmoid_forward_reference(hidden @ w2 + b2)[0]
    return gate, ops.scale_forward_reference(x, gate)[0]


def _mistakes(x, w1, b1, w2, b2):
    def z(squeezed, b1=b1, b2=b2, low=0.0):
        return np.maximum(squeezed @ w1 + b1, low) @ w2 + b2

    def gate(z):
        return np.clip(z / 6 + 0.5, 0, 1)

    mean, right = x.mean((1, 2)), z(x.mean((1, 2)))
    return [
        (right, "this is z; the gate is hard_sigmoid(z)"),
        (gate(z(mean, low=-np.inf)), "the ReLU between the two linear layers is missing"),
        (gate(z(mean, b1=0)), "b1 is left out"),
        (gate(z(mean, b2=0)), "b2 is left out"),
        (right / 6 + 0.5, "z/6 + 1/2 is not cut off: a gate is a number from 0 to 1"),
        (1 / (1 + np.exp(-right)), "this is the smooth sigmoid; here it is the hard one, of straight lines"),
        (np.clip(right / 6, 0, 1), "the half is left out: z/6 + 1/2, so that z = 0 gives a half-open gate"),
        (np.clip(right + 0.5, 0, 1), "z is not divided by 6: clip(z/6 + 1/2, 0, 1)"),
        (np.clip((right + 0.5) / 6, 0, 1), "the half is divided by 6 too: z/6 + 1/2"),
        (np.clip(right, 0, 1), "this is clip(z, 0, 1); it must be clip(z/6 + 1/2, 0, 1)"),
        (np.clip(right + 3, 0, 6), "cut off at 0 and 6, but not divided by 6"),
        (gate(z(x.sum((1, 2)))), "made of the sum over H and W; it must be the mean"),
        (gate(z(x.max((1, 2)))), "made of the maximum over H and W; it must be the mean"),
        (
            gate(np.broadcast_to(z(x.mean((0, 1, 2))), right.shape)),
            "made of the mean over the batch too; each image has its own mean: x.mean((1, 2))",
        ),
    ]
