"""What exercise 9 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Walk back through the forward: first the product, which gives dcols, then im2col, whose backward is col2im.",
    "dcols sums over the output channels, so these must be the axis that the product takes away: (R, OC) @ (OC, K).",
    "dcols = drows @ columns.T, with columns as in exercise 7 and drows as in 8; then ops.col2im with x_shape.",
)

WRONG = {
    "the kernel flipped": (
        "w.reshape(KH * KW * C, OC)",
        "w[::-1, ::-1].reshape(KH * KW * C, OC)",
        r"must not be flipped",
    ),
    "the weight cut the wrong way": (
        "@ columns.T",
        "@ w.reshape(OC, KH * KW * C)",
        r"with w\.reshape\(OC, KH\*KW\*C\)",
    ),
    "an assignment where windows overlap": (
        "    return ops.col2im(dcols, x_shape, (KH, KW))",
        "    dx, blocks = ops.col2im(0 * dcols, x_shape, (KH, KW)), iter(dcols.reshape(-1, KH, KW, C))\n"
        "    for n in range(x_shape[0]):\n"
        "        for i in range(dout.shape[1]):\n"
        "            for j in range(dout.shape[2]):\n"
        "                dx[n, i : i + KH, j : j + KW] = next(blocks)\n"
        "    return dx",
        r"\+=",
    ),
    "a mean where windows overlap": (
        "return ops.col2im(dcols, x_shape, (KH, KW))",
        "return ops.col2im(dcols, x_shape, (KH, KW)) / ops.col2im(dcols * 0 + 1, x_shape, (KH, KW))",
        r"mean",
    ),
    "a mean over the output channels": ("columns.T", "columns.T / OC", r"1/3 of the right one"),
    "only the first output channel": (
        "dout.reshape(-1, OC) @ columns.T",
        "dout.reshape(-1, OC)[:, :1] @ columns.T[:1]",
        r"output channel 0 alone",
    ),
    "the windows themselves": (
        "return ops.col2im(dcols, x_shape, (KH, KW))",
        "return dcols",
        r"returned shape \(4, 4\), must be \(1, 3, 3, 1",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    input_gradient = function(mine, "conv_input_gradient")
    w = np.array([1.0, 10.0, 100.0, 1000.0]).reshape(2, 2, 1, 1)
    dout = np.array([1.0, 0.0, 0.0, 2.0]).reshape(1, 2, 2, 1)
    what = "conv_input_gradient(dout = [[1, 0], [0, 2]], w: [[1, 10], [100, 1000]], (1, 3, 3, 1))"
    want = np.array([1.0, 10, 0, 100, 1002, 20, 0, 200, 2000]).reshape(1, 3, 3, 1)
    same(input_gradient(*frozen(dout, w), (1, 3, 3, 1)), want, what, hints=_known(dout, w, want))

    rng = np.random.default_rng(9)
    for x_shape, w_shape in (
        ((1, 3, 4, 1), (2, 2, 1, 1)),
        ((2, 4, 3, 2), (3, 2, 2, 3)),
        ((2, 2, 4, 3), (1, 1, 3, 2)),
        ((1, 3, 3, 2), (3, 3, 2, 2)),
    ):
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        out = _forward(x, w)
        dout, what = rng.normal(size=out.shape), f"conv_input_gradient(dout of {out.shape}, w of {w_shape}, {x_shape})"
        got = input_gradient(*frozen(dout, w), x_shape)
        same(got, _backward(dout, x, w), what, hints=_known(dout, w, x))
        gradcheck.check(
            (lambda x, w=w: _forward(x, w), lambda dout, x, w=w: input_gradient(dout, frozen(w), x.shape)),
            [x],
            name=what,
        )


def _known(dout, w, x):
    """Wrong answers by their values."""
    (KH, KW, _, OC), (_, OH, OW, _) = w.shape, dout.shape
    last, times = np.zeros(x.shape), np.zeros(x.shape)
    for i in range(OH):
        for j in range(OW):
            last[:, i : i + KH, j : j + KW] = np.tensordot(dout[:, i, j], w, (1, 3))
            times[:, i : i + KH, j : j + KW] += 1
    right, one = _backward(dout, x, w), np.arange(OC) == 0
    return [
        (last, "each pixel holds only its last window: windows overlap, so write += instead of ="),
        (right / times, "this is a mean over the windows that see a pixel; the gradient is their sum"),
        (
            _backward(dout, x, w[::-1, ::-1]),
            "here the kernel must not be flipped: a window's dx is dout * w "
            "unchanged (only a hand-written full correlation flips it)",
        ),
        (
            _backward(dout, x, w.reshape(OC, -1).T.reshape(w.shape)),
            "the product was with w.reshape(OC, KH*KW*C), which "
            "mixes the numbers; w.reshape(KH*KW*C, OC).T has that shape and keeps them in place",
        ),
        (_backward(dout * one, x, w), "this is what output channel 0 alone sends back: sum over all of them"),
    ]


def _forward(x, w):
    return ops.conv2d_forward_reference(x, w)[0]


def _backward(dout, x, w):
    return ops.conv2d_backward_reference(dout, ops.conv2d_forward_reference(x, w)[1])[0]
