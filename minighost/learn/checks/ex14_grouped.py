"""What exercise 14 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import on_shapes
from minighost.learn.compare import frozen, function, same

HINTS = (
    "A loop over the groups. In each: which channels of x, which output channels of w? Then one ordinary convolution.",
    "Group g reads channels g*(C/G) to (g + 1)*(C/G) of x, and writes g*(OC/G) to (g + 1)*(OC/G); w is cut in its last "
    "axis only. Use // for the division.",
    "Collect the parts, each (N, OH, OW, OC/G), in a list, and join them with np.concatenate along axis 3.",
)

WRONG = {
    "every group reads the first block": ("x[..., g * ins : (g + 1) * ins]", "x[..., :ins]", r"same channels of x"),
    "every group has the first weights": ("w[..., g * outs : (g + 1) * outs]", "w[..., :outs]", r"same weights"),
    "the channels of the groups interleaved": (
        "x[..., g * ins : (g + 1) * ins]",
        "x[..., g::groups]",
        r"C/G channels next to each other",
    ),
    "the outputs of the groups interleaved": (
        "w[..., g * outs : (g + 1) * outs]",
        "w[..., g::groups]",
        r"OC/G output channels next to each other",
    ),
    "the groups are added": ("np.concatenate(parts, axis=3)", "sum(parts)", r"side by side"),
    "joined along the wrong axis": ("axis=3", "axis=0", r"axis 0 has 2, must have 1"),
    "the groups in the opposite order": (
        "np.concatenate(parts, axis=3)",
        "np.concatenate(parts[::-1], axis=3)",
        r"in the opposite order",
    ),
    "blocks of the output's width": (
        "ins, outs = x.shape[3] // groups,",
        "ins, outs = w.shape[3] // groups,",
        r"the two widths mixed up",
    ),
}


@on_shapes("A group's x has C/G channels and its w OC/G output channels: are the two widths mixed up?")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    grouped_forward = function(mine, "grouped_forward")
    x, w = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4), np.array([[1.0, 10.0, 100.0, 1000.0]] * 2)
    w, want = w.reshape(1, 1, 2, 4), np.array([3.0, 30.0, 700.0, 7000.0]).reshape(1, 1, 1, 4)
    what = "grouped_forward(x: a pixel 1 2 3 4, w: 1x1, [[1, 10, 100, 1000], [1, 10, 100, 1000]], groups=2)"
    same(grouped_forward(*frozen(x, w), 2), want, what, hints=_known(x, w, 2))

    rng = np.random.default_rng(14)
    for x_shape, w_shape, groups in (
        ((1, 3, 4, 4), (1, 1, 2, 4), 2),
        ((2, 4, 3, 6), (2, 3, 3, 4), 2),
        ((2, 3, 3, 6), (3, 1, 2, 3), 3),
        ((1, 4, 3, 4), (2, 2, 1, 8), 4),
        ((2, 3, 2, 3), (2, 2, 3, 2), 1),
        ((1, 2, 3, 4), (1, 2, 2, 6), 2),
    ):
        x, w = rng.normal(size=x_shape), rng.normal(size=w_shape)
        what = f"grouped_forward(x of {x_shape}, w of {w_shape}, groups={groups})"
        same(grouped_forward(*frozen(x, w), groups), _plain(x, w, groups), what, hints=_known(x, w, groups))


def _plain(x, w, groups):
    return ops.conv2d_forward_reference(x, w, groups=groups)[0]


def _known(x, w, G):
    """Wrong outputs by their values: channels of x and w in other orders, that is."""
    if G == 1:
        return []
    C, OC = x.shape[3], w.shape[3]
    first_in, first_out = (np.tile(np.arange(count // G), G) for count in (C, OC))
    interleaved_in, interleaved_out = (np.arange(count).reshape(-1, G).T.ravel() for count in (C, OC))  # 0 2 4 1 3 5
    right = _plain(x, w, G)
    return [
        (_plain(x[..., first_in], w, G), "every group reads the same channels of x"),
        (_plain(x, w[..., first_out], G), "every group uses the same weights"),
        (
            _plain(x[..., interleaved_in], w, G),
            "a group reads C/G channels next to each other, not every G-th: g*C/G to (g + 1)*C/G",
        ),
        (
            _plain(x, w[..., interleaved_out], G),
            "a group has OC/G output channels next to each other, not every G-th: g*OC/G to (g + 1)*OC/G",
        ),
        (
            right.reshape(*right.shape[:3], G, -1).sum(3),
            "the groups are added up; they stand side by side in out: np.concatenate",
        ),
        (
            right.reshape(*right.shape[:3], G, -1)[..., ::-1, :].reshape(right.shape),
            "the groups are joined in the opposite order",
        ),
    ]
