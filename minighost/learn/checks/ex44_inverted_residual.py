"""What exercise 44 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same, untouched

NAMES = "dx", "dw1", "dd", "dw2"
HINTS = (
    "The forward is three calls of what is given, with np.clip(..., 0, 6) around the input of the second and the "
    "third. Keep a, b, the three caches, and whether x was added.",
    "stride == 1 and x.shape[3] == w2.shape[1] decides whether x is added.",
    "Backward: projection with dout; times (b > 0) & (b < 6); depthwise; times (a > 0) & (a < 6); expansion; and "
    "at the end + dout, if x was added.",
)

WRONG = {
    "a ReLU6 after the projection": (
        "return (z + x if added else z)",
        "z = np.clip(z, 0, 6)\n    return (z + x if added else z)",
        r"projection is linear",
    ),
    "a ReLU6 after the sum": ("(z + x if added else z)", "np.clip(z + x if added else z, 0, 6)", r"nothing follows"),
    "ReLU instead of ReLU6": ("np.clip(a, 0, 6), d", "np.maximum(a, 0), d", r"relu6 of a .* no upper end"),
    "no activation before the depthwise": ("np.clip(a, 0, 6), d", "a, d", r"relu6 of a is missing"),
    "no activation before the projection": ("np.clip(b, 0, 6), w2", "b, w2", r"relu6 of b is missing"),
    "never a shortcut": ("added = stride == 1 and x.shape[3] == w2.shape[1]", "added = False", r"x must be added"),
    "a shortcut where the shapes fit": (
        "added = stride == 1 and x.shape[3] == w2.shape[1]",
        "added = x.shape == z.shape",
        r"stride is 2, so x must not be added",
    ),
    "a shortcut whatever the channels": (
        "added = stride == 1 and x.shape[3] == w2.shape[1]",
        "added = stride == 1",
        r"x is added only if",
    ),
    "the stride is ignored": ("0, 6), d, stride=stride", "0, 6), d, stride=1", r"axis 1 has"),
    "no shortcut backward": ("(dx + dout if added else dx)", "dx", r"shortcut's gradient is missing"),
    "the shortcut alone": ("(dx + dout if added else dx)", "(dout if added else dx)", r"shortcut alone"),
    "gates without an upper end": ("((a > 0) & (a < 6))", "(a > 0)", r"slope is 0 above 6"),
    "no gate after the projection": ("dwide * ((b > 0) & (b < 6))", "dwide", r"gate of the second relu6"),
    "the gate of the first relu6 twice": (
        "dwide * ((b > 0) & (b < 6))",
        "dwide * ((a > 0) & (a < 6) if a.shape == b.shape else (b > 0) & (b < 6))",
        r"that of the first",
    ),
    "gradients in the order they come": ("dw1, dd, dw2\n", "dw2, dd, dw1\n", r"order is dx, dw1, dd, dw2"),
}


@on_shapes("x is added only if the stride is 1 and OC = C.")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward = function(mine, "inverted_residual_forward")
    backward = function(mine, "inverted_residual_backward")
    rng = np.random.default_rng(44)
    small = [np.array(a, float) for a in ([[[[2]]]], [[1, 4]], np.zeros((3, 3, 2, 1)), [[1], [10]])]
    small[2][1, 1, :, 0] = 2, 0.5
    cases = [("the task's small example, stride 1", small, 1)]
    for shape, mid, OC, stride in (
        ((2, 3, 4, 2), 5, 2, 1),
        ((2, 3, 3, 2), 4, 3, 1),
        ((1, 5, 4, 3), 4, 3, 2),
        ((1, 4, 5, 2), 3, 4, 2),
        ((3, 1, 1, 2), 4, 2, 2),
    ):
        given = _random(rng, shape, mid, OC)
        cases.append((f"x of {shape}, mid = {mid}, OC = {OC}, stride {stride}", given, stride))
    for words, given, stride in cases:
        _compare(forward, backward, words, given, stride, rng)
    for words, given, stride in cases[1:]:
        gradcheck.check((forward, backward), [*given, stride], name=f"inverted residual, {words}")


def _random(rng, shape, mid, OC):
    """Some numbers of a and b are below 0, some above 6."""
    C = shape[3]
    return [
        2 * rng.normal(size=shape),
        3 * rng.normal(size=(C, mid)),
        rng.normal(size=(3, 3, mid, 1)),
        rng.normal(size=(mid, OC)),
    ]


def _compare(forward, backward, words, given, stride, rng):
    what, mine = f"inverted_residual_forward({words})", [a.copy() for a in given]
    out, cache = several(forward(*mine, stride), "out, cache", what)
    for name, before, after in zip(("x", "w1", "d", "w2"), given, mine, strict=True):
        untouched(before, after, f"{what}: {name}")
    x, w1, d, w2 = given
    want, inside = _forward(x, w1, d, w2, stride)
    same(out, want, f"{what}: out", hints=_mistakes(given, stride, want))
    dout = np.ones_like(want) if want.size == 1 else rng.normal(size=want.shape)
    what = f"inverted_residual_backward(dout{' = 1' if want.size == 1 else ''}, cache of {words})"
    right = _backward(dout, inside)
    got = several(backward(frozen(dout), cache), ", ".join(NAMES), what)
    known = _mistakes_back(dout, inside, right)
    for k in (3, 2, 1, 0):
        if np.shape(got[k]) != right[k].shape and np.shape(got[k]) in [a.shape for a in right]:
            raise AssertionError(
                f"{what}: returns {np.shape(got[k])} where {NAMES[k]} belongs; the order is {', '.join(NAMES)}"
            )
        same(got[k], right[k], f"{what}: {NAMES[k]}", hints=[(other[k], sentence) for other, sentence in known])


def _relu6(x):
    return np.clip(x, 0, 6)


def _forward(x, w1, d, w2, stride, first=_relu6, second=_relu6):
    a = x @ w1
    b, depthwise = ops.depthwise_forward_reference(first(a), d, stride=stride, padding=1)
    z = second(b) @ w2
    added = stride == 1 and x.shape[3] == w2.shape[1]
    return (z + x if added else z), (x, w1, w2, a, b, depthwise, added)


def _mistakes(given, stride, want):
    (x, w1, d, w2), z = given, want
    added = stride == 1 and x.shape == want.shape
    if added:
        z = want - x
    clipped = "relu6 of {0} is missing or has no upper end: min(max({0}, 0), 6)"
    known = [
        (_relu6(z) + x if added else _relu6(z), "the projection is linear: no relu6 after it"),
        (_relu6(want), "nothing follows the sum"),
        (_forward(x, w1, d, w2, stride, first=lambda a: np.maximum(a, 0))[0], clipped.format("a")),
        (_forward(x, w1, d, w2, stride, first=lambda a: a)[0], clipped.format("a")),
        (_forward(x, w1, d, w2, stride, second=lambda b: np.maximum(b, 0))[0], clipped.format("b")),
        (_forward(x, w1, d, w2, stride, second=lambda b: b)[0], clipped.format("b")),
    ]
    if added:
        known.append((z, "x must be added: the stride is 1, and OC = C"))
    elif z.shape == x.shape:
        known.append((z + x, "the stride is 2, so x must not be added, although the shapes happen to be equal"))
    return [(a, words) for a, words in known if not np.allclose(a, want)]


def _backward(dout, inside, first=None, second=None):
    x, w1, w2, a, b, depthwise, added = inside
    first = (a > 0) & (a < 6) if first is None else first
    second = (b > 0) & (b < 6) if second is None else second
    dwide, dd, _ = ops.depthwise_backward_reference(dout @ w2.T * second, depthwise)
    da, axes = dwide * first, ((0, 1, 2), (0, 1, 2))
    dx = da @ w1.T + (dout if added else 0)
    return dx, np.tensordot(x, da, axes), dd, np.tensordot(_relu6(b), dout, axes)


def _mistakes_back(dout, inside, right):
    _, _, _, a, b, _, added = inside
    known = [
        (_backward(dout, inside, first=a > 0), "the first relu6's slope is 0 above 6 too"),
        (_backward(dout, inside, second=b > 0), "the second relu6's slope is 0 above 6 too"),
        (_backward(dout, inside, first=1), "the gate of the first relu6 is missing: where 0 < a < 6"),
        (_backward(dout, inside, second=1), "the gate of the second relu6 is missing: where 0 < b < 6"),
    ]
    if a.shape == b.shape:
        known.append(
            (_backward(dout, inside, second=(a > 0) & (a < 6)), "the gate of the second relu6 is that of the first")
        )
    if added:
        known += [
            ((right[0] - dout, *right[1:]), "the shortcut's gradient is missing: + dout"),
            ((dout, *right[1:]), "this is the shortcut alone; the way through the three convolutions is missing"),
        ]
    return [(other, words) for other, words in known if not all(map(np.allclose, other, right))]
