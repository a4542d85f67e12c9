"""What exercise 12 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "The forward is two lines: make padded, convolve it. What will the backward need to know?",
    "np.pad(x, [(0, 0), ...]) takes a pair for each of the four axes. The backward needs the size of x, or it cannot "
    "know where to stop cutting.",
    "dx is dpadded[:, PH : PH + H, PW : PW + W]; a slice PH : -PH would be empty for PH = 0.",
)

WRONG = {
    "no cropping": ("dpadded[:, PH : PH + H, PW : PW + W], dw", "dpadded, dw", r"cut the border off"),
    "cut off at the end only": (
        "dpadded[:, PH : PH + H, PW : PW + W]",
        "dpadded[:, :H, :W]",
        r"begins at PH, PW",
    ),
    "cut off at the beginning only": (
        "dpadded[:, PH : PH + H, PW : PW + W]",
        "dpadded[:, PH:, PW:]",
        r"at both ends",
    ),
    "a slice that is empty without padding": (
        "dpadded[:, PH : PH + H, PW : PW + W]",
        "dpadded[:, PH:-PH, PW:-PW]",
        r"PH:-PH is empty",
    ),
    "padding on one side": ("(PH, PH), (PW, PW)", "(PH, 0), (PW, 0)", r"after the last|both sides"),
    "height and width swapped": ("(PH, PH), (PW, PW)", "(PW, PW), (PH, PH)", r"PH and PW are swapped"),
    "the edge repeated": (
        "(PW, PW), (0, 0)])",
        '(PW, PW), (0, 0)], mode="edge")',
        r"zeros",
    ),
    "the batch is padded too": ("[(0, 0), (PH, PH)", "[(PH, PH), (PH, PH)", r"axis 0 has 3, must have 1"),
    "no padding at all": ("padded, w)", "x, w)", r"the convolution of x without its border"),
    "dx with the border added in": (
        "return dpadded[:, PH : PH + H, PW : PW + W], dw",
        "dpadded[:, PH] += dpadded[:, :PH].sum(1)\n    return dpadded[:, PH : PH + H, PW : PW + W], dw",
        r"wrong",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "padded_forward"), function(mine, "padded_backward")
    _by_hand(forward, backward)
    rng = np.random.default_rng(12)
    cases = [
        ((1, 3, 3, 1), (3, 3, 1, 1), (1, 1)),
        ((2, 4, 3, 2), (3, 2, 2, 3), (2, 1)),
        ((2, 3, 4, 1), (2, 3, 1, 2), (0, 2)),
        ((1, 4, 3, 3), (2, 2, 3, 2), (1, 0)),
        ((2, 3, 2, 2), (2, 2, 2, 1), (0, 0)),
        ((1, 1, 2, 1), (3, 5, 1, 1), (2, 3)),
    ]
    for x_shape, w_shape, padding in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        what = f"padded_forward(x of {x_shape}, w of {w_shape}, padding {padding})"
        out, _ = several(forward(*frozen(x, w), padding), "out, cache", what)
        same(out, _plain(x, w, padding), f"{what}: out", hints=_known(x, w, padding))
    for x_shape, w_shape, padding in cases:
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        _crop(forward, backward, x, w, padding, rng)
        gradcheck.check((forward, backward), [x, w, padding], name=f"padded, x of {x_shape}, padding {padding}")


def _by_hand(forward, backward):
    x, w = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), np.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    what = "padded_forward(x: a row 1 2 3, w: [1, 10, 100], padding (0, 1))"
    out, cache = several(forward(*frozen(x, w), (0, 1)), "out, cache", what)
    same(out, np.array([210.0, 321.0, 32.0]).reshape(x.shape), f"{what}: out", hints=_known(x, w, (0, 1)))
    what = "padded_backward(dout: 1 0 2, cache of x: 1 2 3, w: [1, 10, 100], padding (0, 1))"
    dx, dw = several(backward(frozen(np.array([1.0, 0.0, 2.0]).reshape(x.shape)), cache), "dx, dw", what)
    dpadded = np.array([1.0, 10.0, 102.0, 20.0, 200.0]).reshape(1, 1, 5, 1)
    same(dx, dpadded[:, :, 1:4], f"{what}: dx", hints=_crops(dpadded, x, (0, 1)))
    same(dw, np.array([4.0, 7.0, 2.0]).reshape(w.shape), f"{what}: dw")


def _crop(forward, backward, x, w, padding, rng):
    """The place from which dx is cut."""
    PH, PW = padding
    padded = np.pad(x, [(0, 0), (PH, PH), (PW, PW), (0, 0)])
    out, cache = ops.conv2d_forward_reference(padded, w)
    dout = rng.normal(size=out.shape)
    dpadded = ops.conv2d_backward_reference(dout, cache)[0]
    what = f"padded_backward(dout of {dout.shape}, cache of x of {x.shape}, w of {w.shape}, padding {padding})"
    dx, _ = several(backward(frozen(dout), forward(*frozen(x, w), padding)[1]), "dx, dw", what)
    right = dpadded[:, PH : PH + x.shape[1], PW : PW + x.shape[2]]
    same(dx, right, f"{what}: dx", hints=_crops(dpadded, x, padding))


def _crops(dpadded, x, padding):
    (PH, PW), (H, W) = padding, x.shape[1:3]
    known = [
        (dpadded, "this is dpadded: cut the border off"),
        (dpadded[:, :H, :W], "the cut begins at PH, PW, where x lies in padded; this one begins at 0, 0"),
        (dpadded[:, PH:, PW:], "cut the border off at both ends: this is its beginning only"),
        (dpadded[:, PH:-PH, PW:-PW], "a slice PH:-PH is empty for PH = 0: it means 0:0; write PH : PH + H"),
        (dpadded[:, PH : PH + H, PW:-PW], "a slice PW:-PW is empty for PW = 0: it means 0:0; write PW : PW + W"),
        (dpadded[:, PH:-PH, PW : PW + W], "a slice PH:-PH is empty for PH = 0: it means 0:0; write PH : PH + H"),
        (dpadded[:, PW : PW + H, PH : PH + W], "PH and PW are swapped in the cut"),
    ]
    right = dpadded[:, PH : PH + H, PW : PW + W]
    return [(a, words) for a, words in known if a.shape != right.shape or not np.array_equal(a, right)]


def _plain(x, w, padding):
    return ops.conv2d_forward_reference(x, w, padding=padding)[0]


def _known(x, w, padding: tuple[int, int]):
    """Wrong outputs by their values."""
    (PH, PW), (KH, KW) = padding, w.shape[:2]
    known = []
    for rows, columns, words, options in (
        ((0, 0), (0, 0), "this is the convolution of x without its border", {}),
        ((PW, PW), (PH, PH), "PH and PW are swapped: PH rows above and below, PW columns left and right", {}),
        ((PH, 0), (PW, 0), "the zeros after the last row and column are missing: pad both sides", {}),
        ((0, PH), (0, PW), "the zeros before the first row and column are missing: pad both sides", {}),
        ((PH, PH), (PW, PW), "the border repeats the edge, and must hold zeros", {"mode": "edge"}),
        ((PH, PH), (PW, PW), "the border mirrors the image, and must hold zeros", {"mode": "symmetric"}),
    ):
        padded = np.pad(x, [(0, 0), rows, columns, (0, 0)], **options)  # type: ignore[call-overload]  # whose modes are names
        if padded.shape[1] >= KH and padded.shape[2] >= KW and (rows != (PH, PH) or columns != (PW, PW) or options):
            known.append((_plain(padded, w, 0), words))
    return known
