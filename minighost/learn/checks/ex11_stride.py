"""What exercise 11 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Two loops over the output positions i, j. Where does the window of (i, j) begin, and where does it end?",
    "The window is x[:, i*SH : i*SH + KH, j*SW : j*SW + KW], for all images and channels at once. The backward reads "
    "it for dw, and adds to the same place of dx.",
    "out[:, i, j] = np.tensordot(window, w, 3); dx[window's place] += np.tensordot(dout[:, i, j], w, (1, 3)); for dw, "
    "window and dout[:, i, j] share the axis of the images.",
)

WRONG = {
    "the stride is ignored": (
        "window = x[:, i * SH : i * SH + KH, j * SW : j * SW + KW]",
        "window = x[:, i : i + KH, j : j + KW]",
        r"stride is left out of the window's place",
    ),
    "the stride is ignored in the size": (
        "OH, OW = (H - KH) // SH + 1, (W - KW) // SW + 1\n    out",
        "OH, OW = H - KH + 1, W - KW + 1\n    out",
        r"hangs over the edge",
    ),
    "steps by the kernel": (
        "window = x[:, i * SH : i * SH + KH, j * SW : j * SW + KW]",
        "window = x[:, i * KH : i * KH + KH, j * KW : j * KW + KW]",
        r"hangs over the edge",
    ),
    "the two strides swapped": ("w.shape, stride\n", "w.shape, stride[::-1]\n", r"SH and SW swapped"),
    "dx assigned": ("dx[:, rows, columns] +=", "dx[:, rows, columns] =", r"= instead of \+="),
    "dw assigned": ("dw += np", "dw = np", r"write \+="),
    "backward without the stride": (
        "slice(i * SH, i * SH + KH), slice(j * SW, j * SW + KW)",
        "slice(i, i + KH), slice(j, j + KW)",
        r"stride is left out",
    ),
    "dw a mean over the images": ("dw += np", "dw += 1 / len(x) * np", r"1/3 of the right one"),
    "the last row is left out": ("OH, OW = (H - KH) // SH + 1,", "OH, OW = (H - KH) // SH,", r"one too few"),
    "no cache": ("return out, (x, w, stride)", "return out", r"returned one value .* must return 2: out, cache"),
    "dx and dw swapped": ("return dx, dw", "return dw, dx", r"this is dw"),
}


@on_shapes("NumPy silently shortens a window that hangs over the edge: are its place, OH and OW right?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "strided_forward"), function(mine, "strided_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(11)
    cases = [
        ((1, 5, 5, 1), (2, 2, 1, 1), (2, 2)),
        ((3, 5, 4, 2), (2, 3, 2, 2), (2, 1)),
        ((2, 5, 6, 2), (3, 1, 2, 3), (1, 2)),
        ((1, 7, 5, 2), (2, 2, 2, 2), (3, 1)),
        ((2, 4, 3, 1), (2, 2, 1, 4), (5, 4)),
    ]
    for x_shape, w_shape, stride in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        what = f"strided_forward(x of {x_shape}, w of {w_shape}, stride {stride})"
        out, _ = several(forward(*frozen(x, w), stride), "out, cache", what)
        same(out, _plain(x, w, stride), f"{what}: out", hints=_known(x, w, stride))
    for x_shape, w_shape, stride in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        gradcheck.check((forward, backward), [x, w, stride], name=f"strided, x of {x_shape}, stride {stride}")


def _by_hand(forward, backward):
    """The row of the task."""
    x, w = np.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 1, 5, 1), np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    dout = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
    what = "strided_forward(x: a row 1 2 3 4 5, w: [1, 10], stride (1, 2))"
    known = [
        (_plain(x, w, 1), "this is the convolution with stride 1: stride left out, or SH and SW swapped?"),
        (
            np.array([33.0, 77.0]).reshape(dout.shape),
            "every pixel of the window met every weight: window * w lines "
            "up the axes from the last one; np.tensordot(window, w, 3) takes the right pairs",
        ),
    ]
    out, cache = several(forward(*frozen(x, w), (1, 2)), "out, cache", what)
    same(out, np.array([21.0, 43.0]).reshape(dout.shape), f"{what}: out", hints=known + _known(x, w, (1, 2)))
    what = "strided_backward(dout: 1 2, cache of x: 1 2 3 4 5, w: [1, 10], stride (1, 2))"
    dx, dw = several(backward(frozen(dout), cache), "dx, dw", what)
    known = [
        (np.array([1.0, 12, 20, 0, 0]).reshape(x.shape), "the stride is left out of the place in dx"),
        (np.array([7.0, 10]).reshape(w.shape), "this is dw: return dx, dw in this order"),
    ]
    same(dx, np.array([1.0, 10, 2, 20, 0]).reshape(x.shape), f"{what}: dx", hints=known)
    known = [
        (np.array([5.0, 8]).reshape(w.shape), "the stride is left out of the window's place"),
        (np.array([6.0, 8]).reshape(w.shape), "only the last window counts: write += instead of ="),
    ]
    same(dw, np.array([7.0, 10]).reshape(w.shape), f"{what}: dw", hints=known)


def _plain(x, w, stride):
    return ops.conv2d_forward_reference(x, w, stride=stride)[0]


def _known(x, w, stride):
    """Wrong outputs by their values."""
    OH, OW = _plain(x, w, stride).shape[1:3]
    at_one = _plain(x, w, 1)
    known = [(at_one[:, :OH, :OW], "the stride is left out of the window's place: it begins at (i*SH, j*SW)")]
    known.append((at_one, "this is the convolution with stride 1"))
    if stride[0] != stride[1]:
        known.append((_plain(x, w, stride[::-1]), "SH and SW are swapped: SH moves down, SW to the right"))
    return known
