"""What exercise 15 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Make dx and dw of zeros, then loop over the groups: each fills its own block of both.",
    "There are two kinds of blocks: C/G wide for x and dx, OC/G wide for dout, w and dw. Give both slices a name.",
    "With reads and writes as these slices: the group's cache comes from x[..., reads] and w[..., writes]; its "
    "backward takes dout[..., writes] and gives dx[..., reads] and dw[..., writes].",
)

WRONG = {
    "every group reads the first block": (
        "reads, writes = slice(g * ins, (g + 1) * ins)",
        "reads, writes = slice(0, ins)",
        r"first block of dx",
    ),
    "every group takes the first block of dout": (
        "(dout[..., writes], cache)",
        "(dout[..., :outs], cache)",
        r"first block of dout",
    ),
    "every group takes the first weights": (
        "(x[..., reads], w[..., writes])",
        "(x[..., reads], w[..., :outs])",
        r"first block of w",
    ),
    "dw of the first block of x": (
        "(x[..., reads], w[..., writes])",
        "(x[..., :ins], w[..., writes])",
        r"first block of x",
    ),
    "the channels of the groups interleaved": (
        "slice(g * ins, (g + 1) * ins), slice(g * outs, (g + 1) * outs)",
        "slice(g, None, groups), slice(g, None, groups)",
        r"next to each other",
    ),
    "the last group is left out": ("for g in range(groups)", "for g in range(max(1, groups - 1))", r"last group"),
    "a mean over the groups": ("return dx, dw", "return dx / groups, dw", r"half of the right one"),
    "the two swapped": ("return dx, dw", "return dw, dx", r"this is dw"),
}


@on_shapes("x and dx are cut into blocks of C/G channels; dout, w and dw into blocks of OC/G: are the two mixed up?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    backward = function(mine, "grouped_backward")
    x, w = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4), np.array([1.0, 10, 100, 1000]).reshape(1, 1, 2, 2)
    dout = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    what = "grouped_backward(dout: 1 2, x: a pixel 1 2 3 4, w: 1x1, [[1, 10], [100, 1000]], groups=2)"
    _compare(backward, dout, x, w, 2, what, ([1.0, 100, 20, 2000], [1.0, 6, 2, 8]))

    rng = np.random.default_rng(15)
    for x_shape, w_shape, groups in (
        ((1, 2, 3, 4), (1, 1, 2, 4), 2),
        ((2, 3, 2, 6), (2, 2, 3, 4), 2),
        ((2, 3, 3, 6), (3, 1, 2, 3), 3),
        ((1, 3, 2, 4), (2, 2, 1, 8), 4),
        ((2, 2, 3, 3), (1, 2, 3, 2), 1),
    ):
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        dout = rng.normal(size=_forward(x, w, groups).shape)
        what = f"grouped_backward(dout of {dout.shape}, x of {x_shape}, w of {w_shape}, groups={groups})"
        _compare(backward, dout, x, w, groups, what)
        gradcheck.check((_forward, backward), [x, w, groups], name=what)


def _forward(x, w, groups):
    return ops.conv2d_forward_reference(x, w, groups=groups)[0]


def _backward(dout, x, w, groups):
    return ops.conv2d_backward_reference(dout, ops.conv2d_forward_reference(x, w, groups=groups)[1])[:2]


def _compare(backward, dout, x, w, groups, what, by_hand=None):
    dx, dw = several(backward(*frozen(dout, x, w), groups), "dx, dw", what)
    right = _backward(dout, x, w, groups) if by_hand is None else tuple(map(np.reshape, by_hand, (x.shape, w.shape)))
    known = _known(dout, x, w, groups) if groups > 1 else []
    swapped = [(right[1], "this is dw: return dx, dw in this order")]
    same(dx, right[0], f"{what}: dx", hints=swapped + [(a, words) for (a, _), words in known if _off(a, right[0])])
    same(dw, right[1], f"{what}: dw", hints=[(a, words) for (_, a), words in known if _off(a, right[1])])


def _off(a, right):
    return not np.allclose(a, right)


def _known(dout, x, w, G):
    """Wrong gradients by their values."""
    C, OC = x.shape[3], w.shape[3]
    ins, outs = C // G, OC // G
    interleaved_in, interleaved_out = (np.arange(count).reshape(-1, G).T.ravel() for count in (C, OC))  # 0 2 4 1 3 5
    cards = _backward(dout[..., interleaved_out], x[..., interleaved_in], w[..., interleaved_out], G)
    cards = cards[0][..., np.argsort(interleaved_in)], cards[1][..., np.argsort(interleaved_out)]
    first_dout, first_x, first_w = (np.tile(a[..., :width], G) for a, width in ((dout, outs), (x, ins), (w, outs)))
    right = _backward(dout, x, w, G)
    shorter, over = [a.copy() for a in right], np.zeros_like(x)
    shorter[0][..., -ins:], shorter[1][..., -outs:], over[..., :ins] = 0, 0, right[0][..., -ins:]
    return [
        (
            _backward(first_dout, x, w, G),
            "every group takes the first block of dout; group g has g*OC/G to (g + 1)*OC/G",
        ),
        (_backward(dout, x, first_w, G), "every group takes the first block of w; group g has g*OC/G to (g + 1)*OC/G"),
        (_backward(dout, first_x, w, G), "every group takes the first block of x; group g has g*C/G to (g + 1)*C/G"),
        (cards, "the channels of a group lie next to each other; here it has every G-th"),
        (shorter, "the last group is left out"),
        ((over, right[1]), "every group writes to the first block of dx; group g has g*C/G to (g + 1)*C/G"),
    ]
