"""What exercise 17 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "First give dout its five axes (N, OH, OW, C, M). Then loop over the taps, as the forward does.",
    "For a tap: dw[u, v], (C, M), is dout times the block, summed over n, i, j. What goes back to the block is dout "
    "times w[u, v], summed over m.",
    "dw[u, v] = (dy * block[..., None]).sum((0, 1, 2)); dx[the block's place] += (dy * w[u, v]).sum(4).",
)

WRONG = {
    "dx assigned": ("v : v + OW] += (dy", "v : v + OW] = (dy", r"\+="),
    "only the first map comes back": ("(dy * w[u, v]).sum(4)", "(dy * w[u, v])[..., 0]", r"all M maps"),
    "a mean over the maps": ("(dy * w[u, v]).sum(4)", "(dy * w[u, v]).mean(4)", r"half of the right one"),
    "dout in the other order": (
        "dy = dout.reshape(N, OH, OW, C, M)",
        "dy = dout.reshape(N, OH, OW, M, C).swapaxes(3, 4)",
        r"c\*M \+ m",
    ),
    "dw over the positions": ("(dy * seen).sum((0, 1, 2))", "(dy * seen).mean((0, 1, 2))", r"mean over n, i, j"),
    "dw summed over the channels": (
        "(dy * seen).sum((0, 1, 2))",
        "(dy * seen).sum((0, 1, 2, 3))",
        r"no sum over channels",
    ),
    "the same pixels for every tap": (
        "seen = x[:, u : u + OH, v : v + OW",
        "seen = x[:, :OH, :OW",
        r"block under tap",
    ),
    "only the last image": (
        "dw[u, v] = (dy * seen).sum((0, 1, 2))",
        "dw[u, v] = (dy * seen)[-1].sum((0, 1))",
        r"only the last of the 3 images counts",
    ),
    "the kernel flipped": ("(dy * w[u, v])", "(dy * w[::-1, ::-1][u, v])", r"flipped"),
}


@on_shapes("A block under a tap is (N, OH, OW, C), dout with five axes (N, OH, OW, C, M), and w[u, v] is (C, M).")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    backward = function(mine, "depthwise_backward")
    x, w = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    dout = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    what = "depthwise_backward(dout: 1 2, x: a row 1 2 3, w: [1, 10])"
    _compare(backward, dout, x, w, what, ([1.0, 12.0, 20.0], [5.0, 8.0]))

    x, w = np.array([1.0, 2.0]).reshape(1, 1, 1, 2), np.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 2, 2)
    dout = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    _compare(backward, dout, x, w, "depthwise_backward(dout: 1 2 3 4, x: a pixel 1 2, w: 1x1, [[1, 10], [100, 1000]])")

    rng = np.random.default_rng(17)
    for x_shape, w_shape in (
        ((3, 3, 4, 2), (2, 2, 2, 1)),
        ((2, 4, 3, 3), (3, 2, 3, 2)),
        ((1, 3, 4, 2), (1, 3, 2, 3)),
        ((2, 3, 2, 2), (2, 2, 2, 2)),
    ):
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        gradcheck.check((_forward, backward), [x, w], name=f"depthwise_backward, x of {x_shape}, w of {w_shape}")


def _forward(x, w):
    return ops.depthwise_forward_reference(x, w)[0]


def _backward(dout, x, w):
    return ops.depthwise_backward_reference(dout, ops.depthwise_forward_reference(x, w)[1])[:2]


def _compare(backward, dout, x, w, what, by_hand=None):
    dx, dw = several(backward(*frozen(dout, x, w)), "dx, dw", what)
    right = _backward(dout, x, w) if by_hand is None else tuple(map(np.reshape, by_hand, (x.shape, w.shape)))
    (KH, KW, C, M), (OH, OW) = w.shape, dout.shape[1:3]
    flipped = _backward(dout, x, w[::-1, ::-1])[0]
    interleaved = _backward(dout.reshape(*dout.shape[:3], M, C).swapaxes(3, 4).reshape(dout.shape), x, w)
    one = _backward(dout * np.tile(np.arange(M) == 0, C), x, w)[0]
    last = np.zeros_like(x)
    for u, v in np.ndindex(KH, KW):
        last[:, u : u + OH, v : v + OW] = (dout.reshape(*dout.shape[:3], C, M) * w[u, v]).sum(4)
    order = "channel c*M + m of dout is map m of channel c: reshape to (N, OH, OW, C, M)"
    known = [
        (last, "each pixel holds only its last tap: write += instead of ="),
        (interleaved[0], order),
        (one, "this is what map 0 of each channel sends back: sum over all M maps"),
        (flipped, "the kernel is flipped here"),
        (right[1], "this is dw: return dx, dw in this order"),
    ]
    same(dx, right[0], f"{what}: dx", hints=[(a, words) for a, words in known if _off(a, right[0])])
    first = np.broadcast_to((x[:, :OH, :OW, :, None] * dout.reshape(*dout.shape[:3], C, M)).sum((0, 1, 2)), w.shape)
    known = [
        (interleaved[1], order),
        (
            np.broadcast_to(right[1].sum(2, keepdims=True), w.shape),
            "there must be no sum over channels: dw[u, v] is (C, M)",
        ),
        (first, "every tap gets the same pixels; the block under tap (u, v) begins at u, v"),
        (right[1] / dout[..., 0].size, "this is a mean over n, i, j; the gradient is the sum"),
    ]
    same(dw, right[1], f"{what}: dw", hints=[(a, words) for a, words in known if _off(a, right[1])])


def _off(a, right):
    return a.shape != right.shape or not np.allclose(a, right)
