"""What exercise 16 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import on_shapes
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Begin with M = 1 in mind: for one tap, multiply the block that lies under it by w[u, v], channel by channel, and "
    "add.",
    "Make the result with five axes, (N, OH, OW, C, M). block[..., None] * w[u, v] has just this shape.",
    "out += x[:, u : u + OH, v : v + OW, :, None] * w[u, v] for every tap; at the end out.reshape(N, OH, OW, C * M).",
)

WRONG = {
    "only the last tap": ("out += x", "out = x", r"last tap.*\+="),
    "the maps of all channels first": (
        "out.reshape(N, OH, OW, C * M)",
        "out.swapaxes(3, 4).reshape(N, OH, OW, C * M)",
        r"c\*M \+ m",
    ),
    "the same weights in every channel": (":, None] * w[u, v]", ":, None] * w[u, v, :1]", r"channel 0's"),
    "summed over the channels": (
        "out.reshape(N, OH, OW, C * M)",
        "(out * 0 + out.sum(3, keepdims=True)).reshape(N, OH, OW, C * M)",
        r"no sum over channels",
    ),
    "the kernel flipped": (":, None] * w[u, v]", ":, None] * w[::-1, ::-1][u, v]", r"flipped"),
    "the five axes stay": ("out.reshape(N, OH, OW, C * M)", "out", r"5 axes where there must be 4"),
    "a mean over the taps": (
        "out.reshape(N, OH, OW, C * M)",
        "out.reshape(N, OH, OW, C * M) / (KH * KW)",
        r"half of the right one",
    ),
    "rows and columns of the tap swapped": (
        "x[:, u : u + OH, v : v + OW, :, None]",
        "x[:, v : v + OH, u : u + OW, :, None]",
        r"hangs over the edge",
    ),
}


@on_shapes("A block is (N, OH, OW, C), shorter where it hangs over the edge; w[u, v] is (C, M): [..., None]?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    depthwise_forward = function(mine, "depthwise_forward")
    x, w = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2), np.array([1.0, 100.0, 10.0, 1000.0]).reshape(1, 2, 2, 1)
    what = "depthwise_forward(x: pixels (1, 2) and (3, 4) in a row, w: channel 0 has [1, 10], channel 1 [100, 1000])"
    same(depthwise_forward(*frozen(x, w)), np.array([31.0, 4200.0]).reshape(1, 1, 1, 2), what, hints=_known(x, w))

    rng = np.random.default_rng(16)
    for x_shape, w_shape in (
        ((1, 3, 3, 1), (2, 2, 1, 1)),
        ((1, 4, 3, 3), (2, 2, 3, 1)),
        ((2, 4, 5, 3), (3, 2, 3, 2)),
        ((2, 3, 4, 2), (1, 3, 2, 3)),
        ((1, 3, 3, 4), (3, 3, 4, 1)),
        ((2, 2, 3, 2), (1, 1, 2, 2)),
    ):
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        what = f"depthwise_forward(x of {x_shape}, w of {w_shape})"
        same(depthwise_forward(*frozen(x, w)), _plain(x, w), what, hints=_known(x, w))


def _plain(x, w):
    return ops.depthwise_forward_reference(x, w)[0]


def _known(x, w):
    """Wrong outputs by their values."""
    KH, KW, C, M = w.shape
    right = _plain(x, w)
    maps = right.reshape(*right.shape[:3], C, M)
    summed = np.broadcast_to(maps.sum(3, keepdims=True), maps.shape).reshape(right.shape)
    known = [
        (_plain(x[:, KH - 1 :, KW - 1 :], w[-1:, -1:]), "this is what the last tap alone gives: write += instead of ="),
        (
            maps.swapaxes(3, 4).reshape(right.shape),
            "the channels are in the order m*C + c; they must be c*M + m, the maps of one channel side by side",
        ),
        (_plain(x, np.repeat(w[:, :, :1], C, 2)), "every channel is convolved with channel 0's kernels"),
        (_plain(np.repeat(x[..., :1], C, 3), w), "every kernel sees channel 0"),
        (summed, "there must be no sum over channels: each output looks at one"),
        (maps.sum(3), "there must be no sum over channels: each output looks at one"),
        (_plain(x, w[::-1, ::-1]), "the kernel is flipped: w[0, 0] meets the window's first pixel"),
        (maps, "the right numbers with C and M apart: reshape to (N, OH, OW, C*M)"),
    ]
    if KH == KW:
        known.append((_plain(x, w.swapaxes(0, 1)), "u and v are swapped: u moves down, v to the right"))
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]
