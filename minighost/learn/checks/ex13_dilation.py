"""What exercise 13 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Two loops over the taps u, v. For one tap, which pixels does it see while the kernel moves over the image?",
    "A block of OH x OW pixels from row u*DH and column v*DW on. The forward reads it; the backward reads it for dw "
    "and adds to the same block of dx.",
    "out += block @ w[u, v]; dx[block's place] += dout @ w[u, v].T; dw[u, v] is the tensordot of block and dout over "
    "the first three axes of both.",
)

WRONG = {
    "the dilation is ignored": (
        "x[:, u * DH : u * DH + OH, v * DW : v * DW + OW]",
        "x[:, u : u + OH, v : v + OW]",
        r"taps touch",
    ),
    "the dilation is mistaken for a stride": (
        "x[:, u * DH : u * DH + OH, v * DW : v * DW + OW]",
        "np.pad(x, [(0, 0), (0, H * DH), (0, W * DW), (0, 0)])[:, u : u + OH * DH : DH, v : v + OW * DW : DW]",
        r"mistaken for a stride",
    ),
    "reach of the taps with the gap after the last": (
        "H - DH * (KH - 1), W - DW * (KW - 1)",
        "H - DH * KH + 1, W - DW * KW + 1",
        r"no gap after the last tap",
    ),
    "the two dilations swapped": (
        "OH, OW = H - DH",
        "DH, DW = DW, DH\n    OH, OW = H - DH",
        r"DH and DW swapped",
    ),
    "only the last tap": ("out += x", "out = x", r"last tap.*\+="),
    "dx assigned": ("dx[block] += dout", "dx[block] = dout", r"\+="),
    "dx without the transposition": (
        "dx[block] += dout @ w[u, v].T",
        "dx[block] += dout @ (w[u, v] if dout.shape[3] == x.shape[3] else w[u, v].T)",
        r"w with axes 2 and 3 swapped",
    ),
    "backward without the dilation": (
        "slice(u * DH, u * DH + OH), slice(v * DW, v * DW + OW)",
        "slice(u, u + OH), slice(v, v + OW)",
        r"taps touch",
    ),
    "dw over the images": (
        "dw[u, v] = np.tensordot(x[block], dout,",
        "dw[u, v] = np.tensordot(x[block] / len(x), dout,",
        r"1/3 of the right one",
    ),
    "the kernel flipped": (
        "v * DW : v * DW + OW] @ w[u, v]",
        "v * DW : v * DW + OW] @ w[::-1, ::-1][u, v]",
        r"kernel is flipped",
    ),
}


@on_shapes("NumPy silently shortens a block that hangs over the edge: are its place, OH and OW right?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "dilated_forward"), function(mine, "dilated_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(13)
    cases = [
        ((1, 5, 4, 1), (2, 2, 1, 1), (2, 2)),
        ((3, 6, 5, 2), (3, 2, 2, 2), (2, 3)),
        ((2, 4, 7, 2), (2, 3, 2, 3), (1, 2)),
        ((1, 7, 3, 2), (3, 1, 2, 2), (3, 2)),
        ((2, 4, 3, 1), (2, 3, 1, 2), (1, 1)),
    ]
    for x_shape, w_shape, dilation in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        what = f"dilated_forward(x of {x_shape}, w of {w_shape}, dilation {dilation})"
        out, _ = several(forward(*frozen(x, w), dilation), "out, cache", what)
        same(out, _plain(x, w, dilation), f"{what}: out", hints=_known(x, w, dilation))
    for x_shape, w_shape, dilation in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        gradcheck.check((forward, backward), [x, w, dilation], name=f"dilated, x of {x_shape}, dilation {dilation}")


def _by_hand(forward, backward):
    x, w = np.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 1, 5, 1), np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    dout = np.array([1.0, 0.0, 2.0]).reshape(1, 1, 3, 1)
    what = "dilated_forward(x: a row 1 2 3 4 5, w: [1, 10], dilation (1, 2))"
    out, cache = several(forward(*frozen(x, w), (1, 2)), "out, cache", what)
    known = [(_plain(x, w, 1), "this is the convolution without dilation: is it left out, or are DH and DW swapped?")]
    same(out, np.array([31.0, 42.0, 53.0]).reshape(dout.shape), f"{what}: out", hints=known + _known(x, w, (1, 2)))
    what = "dilated_backward(dout: 1 0 2, cache of x: 1 2 3 4 5, w: [1, 10], dilation (1, 2))"
    dx, dw = several(backward(frozen(dout), cache), "dx, dw", what)
    touch = "the taps touch here: tap (u, v) begins at row u*DH, column v*DW"
    known = [
        (np.array([1.0, 10, 2, 20, 0]).reshape(x.shape), touch),
        (np.array([1.0, 0, 10, 0, 20]).reshape(x.shape), "each pixel holds only its last tap: write += instead of ="),
        (np.array([7.0, 13]).reshape(w.shape), "this is dw: return dx, dw in this order"),
    ]
    same(dx, np.array([1.0, 0, 12, 0, 20]).reshape(x.shape), f"{what}: dx", hints=known)
    known = [(np.array([5.0, 8]).reshape(w.shape), touch)]
    same(dw, np.array([7.0, 13]).reshape(w.shape), f"{what}: dw", hints=known)


def _plain(x, w, dilation):
    return ops.conv2d_forward_reference(x, w, dilation=dilation)[0]


def _known(x, w, dilation):
    """Wrong outputs by their values."""
    right = _plain(x, w, dilation)
    (OH, OW), (KH, KW), (DH, DW) = right.shape[1:3], w.shape[:2], dilation
    beyond = np.pad(x, [(0, 0), (0, OH * DH), (0, OW * DW), (0, 0)])
    known = [
        (_plain(x, w, 1)[:, :OH, :OW], "the taps touch here: tap (u, v) begins at row u*DH, column v*DW"),
        (_plain(x, w, 1), "this is the convolution without dilation"),
        (
            ops.conv2d_forward_reference(beyond, w, stride=dilation)[0][:, :OH, :OW],
            "the dilation is mistaken for a stride: the windows lie next to each other, their taps apart",
        ),
        (
            right[:, : max(0, OH - DH + 1), : max(0, OW - DW + 1)],
            "there is no gap after the last tap: a kernel reaches over DH*(KH-1) + 1 rows",
        ),
        (
            x[:, (KH - 1) * DH :, (KW - 1) * DW :] @ w[-1, -1],
            "this is what the last tap alone gives: write += instead of =",
        ),
        (_plain(x, w[::-1, ::-1], dilation), "the kernel is flipped: w[0, 0] meets the window's first pixel"),
    ]
    if max((KH - 1) * DW - x.shape[1], (KW - 1) * DH - x.shape[2]) < 0:
        known.append((_plain(x, w, dilation[::-1]), "DH and DW are swapped: DH spreads the rows, DW the columns"))
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]
