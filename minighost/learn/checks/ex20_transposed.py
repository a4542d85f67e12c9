"""What exercise 20 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "The forward is the dx of exercise 11: make an image of zeros and add to it. How large must it be?",
    "Loop over the taps. Where do the pixels under tap (u, v) lie? Every SH-th row from u on, every SW-th column from "
    "v on.",
    "image[that slice] += y @ w[u, v].T; in the backward dy += dimage[that slice] @ w[u, v], and dw[u, v] is the "
    "tensordot of dimage[that slice] and y over their first three axes.",
)

WRONG = {
    "assigned where the pieces overlap": ("SW : SW] += y @", "SW : SW] = y @", r"\+="),
    "the stride is ignored in the place": (
        "image[:, u : u + OH * SH : SH, v : v + OW * SW : SW] +=",
        "image[:, u : u + OH, v : v + OW] +=",
        r"stride is left out",
    ),
    "the size of a convolution with padding": (
        "(OH - 1) * SH + KH, (OW - 1) * SW + KW",
        "OH * SH + KH, OW * SW + KW",
        r"ends KH rows further on",
    ),
    "the two strides swapped": ("w.shape, stride\n", "w.shape, stride[::-1]\n", r"SH and SW swapped"),
    "the kernel flipped": ("y @ w[u, v].T", "y @ w[::-1, ::-1][u, v].T", r"flipped"),
    "a single gradient": ("return dy, dw", "return dy", r"must return 2: dy, dw"),
    "dy assigned": ("dy += seen", "dy = seen", r"last tap"),
    "dw with its factors swapped": (
        "np.tensordot(seen, y, ((0, 1, 2), (0, 1, 2)))",
        "np.tensordot(y, seen, ((0, 1, 2), (0, 1, 2))).reshape(w.shape[2:])",
        r"gradient of w",
    ),
    "backward without the stride": (
        "seen = dimage[:, u : u + OH * SH : SH, v : v + OW * SW : SW]",
        "seen = dimage[:, u : u + OH, v : v + OW]",
        r"stride is left out",
    ),
    "dw a mean over the images": (
        "dw[u, v] = np.tensordot(seen, y,",
        "dw[u, v] = np.tensordot(seen / len(y), y,",
        r"1/3 of the right one",
    ),
}


@on_shapes("The pixels under a tap must be (N, OH, OW, C): is the image large enough, the slice right?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "transposed_forward"), function(mine, "transposed_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(20)
    cases = [
        ((1, 2, 2, 1), (2, 2, 1, 1), (1, 1)),
        ((1, 2, 3, 1), (2, 3, 1, 1), (2, 1)),
        ((3, 2, 3, 2), (3, 2, 2, 2), (1, 2)),
        ((2, 3, 2, 3), (2, 3, 2, 3), (2, 3)),
        ((2, 2, 2, 2), (1, 2, 3, 2), (3, 4)),
    ]
    for y_shape, w_shape, stride in cases:
        y, w = rng.normal(size=y_shape), rng.normal(size=w_shape)
        what = f"transposed_forward(y of {y_shape}, w of {w_shape}, stride {stride})"
        image, _ = several(forward(*frozen(y, w), stride), "image, cache", what)
        same(image, _transposed(y, w, stride), f"{what}: image", hints=_known(y, w, stride))
        x = rng.normal(size=image.shape)
        there, back = (_convolved(x, w, stride) * y).sum(), (x * image).sum()
        same(back, there, f"{what}: the law of the adjoint, sum(x * image) = sum(A(x) * y)")
    for y_shape, w_shape, stride in cases:
        y, w = rng.normal(size=y_shape), rng.normal(size=w_shape)
        gradcheck.check((forward, backward), [y, w, stride], name=f"transposed, y of {y_shape}, stride {stride}")


def _by_hand(forward, backward):
    """The row of the task."""
    y, w = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    what = "transposed_forward(y: a row 1 2, w: [1, 10, 100], stride (1, 2))"
    image, cache = several(forward(*frozen(y, w), (1, 2)), "image, cache", what)
    known = [(_transposed(y, w, (1, 1)), "this is the image for stride 1: stride left out, or SH and SW swapped?")]
    want = np.array([1.0, 10, 102, 20, 200]).reshape(1, 1, 5, 1)
    same(image, want, f"{what}: image", hints=known + _known(y, w, (1, 2)))
    what = "transposed_backward(dimage: 1 2 3 4 5, cache of y: 1 2, w: [1, 10, 100], stride (1, 2))"
    dimage = np.arange(1.0, 6.0).reshape(image.shape)
    dy, dw = several(backward(frozen(dimage), cache), "dy, dw", what)
    known = [
        (np.array([321.0, 432]).reshape(y.shape), "the stride is left out: the pixels under a tap lie SW apart"),
        (np.array([300.0, 500]).reshape(y.shape), "this is what the last tap alone gives: write += instead of ="),
        (np.array([7.0, 10, 13]).reshape(w.shape), "this is dw: return dy, dw in this order"),
    ]
    same(dy, np.array([321.0, 543]).reshape(y.shape), f"{what}: dy", hints=known)
    known = [(np.array([5.0, 8, 11]).reshape(w.shape), "the stride is left out: the pixels under a tap lie SW apart")]
    same(dw, np.array([7.0, 10, 13]).reshape(w.shape), f"{what}: dw", hints=known)


def _convolved(x, w, stride):
    return ops.conv2d_forward_reference(x, w, stride=stride)[0]


def _transposed(y, w, stride):
    (N, OH, OW, _), (KH, KW, C, _), (SH, SW) = y.shape, w.shape, stride
    x = np.zeros((N, (OH - 1) * SH + KH, (OW - 1) * SW + KW, C))
    return ops.conv2d_backward_reference(y, ops.conv2d_forward_reference(x, w, stride=stride)[1])[0]


def _known(y, w, stride):
    """Wrong images by their values."""
    right, at_one = _transposed(y, w, stride), _transposed(y, w, (1, 1))
    (_, OH, OW, _), (KH, KW, _, _), (SH, SW) = y.shape, w.shape, stride
    close, last, wide = (np.zeros_like(right) for _ in range(3))
    if min(right.shape[1] - at_one.shape[1], right.shape[2] - at_one.shape[2]) >= 0:
        close[:, : at_one.shape[1], : at_one.shape[2]] = at_one
    for u, v in np.ndindex(KH, KW):
        last[:, u : u + OH * SH : SH, v : v + OW * SW : SW] = y @ w[u, v].T
    wide = np.pad(right, [(0, 0), (0, SH), (0, SW), (0, 0)])
    known = [
        (close, "the stride is left out of the place: the pixels under a tap lie SH rows and SW columns apart"),
        (last, "each pixel holds only its last tap: write += instead of ="),
        (wide, "too large: the last window begins at (OH - 1)*SH and ends KH rows further on"),
        (_transposed(y, w[::-1, ::-1], stride), "the kernel is flipped: w[0, 0] goes to the window's first pixel"),
        (_transposed(y, w, stride[::-1]), "SH and SW are swapped: SH moves down, SW to the right"),
    ]
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]
