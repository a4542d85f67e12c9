"""What exercise 28 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.compare import frozen, function, same, untouched

HINTS = (
    "Three lines: the maps, the ghosts, both side by side. x @ w multiplies along the last axis of x, at every pixel.",
    "The ghosts are made of the maps, not of x. depthwise_forward_reference returns two things, out and a cache; "
    "padding=1 keeps the size.",
    "np.concatenate([maps, ghosts], axis=-1) has 2*m channels; [..., :n] cuts off the one too many if n is odd.",
)

WRONG = {
    "ghosts of the input": ("reference(maps, d", "reference(x[..., : w.shape[1]], d", r"made of x"),
    "ghosts first": ("concatenate([maps, ghosts]", "concatenate([ghosts, maps]", r"maps come first"),
    "ghosts without their kernels": ("concatenate([maps, ghosts]", "concatenate([maps, maps]", r"copies of the maps"),
    "kernels flipped": ("(maps, d, padding", "(maps, d[::-1, ::-1], padding", r"flipped"),
    "cuts off the first": ("[..., :n]", "[..., -n:]", r"last ghost"),
    "cuts nothing off": ("axis=-1)[..., :n]", "axis=-1)", r"cut"),
    "ghost beside its map": (
        "np.concatenate([maps, ghosts], axis=-1)",
        "np.stack([maps, ghosts], -1).reshape(*maps.shape[:3], -1)",
        r"one after the other",
    ),
    "a ReLU too many": ("    maps = x @ w\n", "    maps = np.maximum(x @ w, 0)\n", r"ReLU"),
    "ghosts added to their maps": ("concatenate([maps, ghosts]", "concatenate([maps, maps + ghosts]", r"added"),
    "writes into x": ("    maps = x @ w\n", "    x *= 1.5\n    maps = x @ w / 1.5\n", r"written to"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    ghost = function(mine, "ghost")
    x, w, d = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), np.array([[2.0]]), np.zeros((3, 3, 1, 1))
    d[1, :, 0, 0] = 1, 0, -1
    given = x.copy()
    got = ghost(given, w, d, 2)
    untouched(x, given, "ghost(x, w, d, n): x")
    what = "ghost(x = [1, 2, 3], w = [[2]], d = middle row [1, 0, -1], n = 2)"
    same(got, _right(x, w, d, 2), what, hints=_mistakes(x, w, d, 2))
    rng = np.random.default_rng(28)
    for (N, H, W, C), m, n in (((2, 4, 5, 4), 3, 6), ((2, 5, 3, 4), 3, 5), ((1, 3, 4, 2), 1, 1)):
        x, w, d = rng.normal(size=(N, H, W, C)), rng.normal(size=(C, m)), rng.normal(size=(3, 3, m, 1))
        what = f"ghost(x of {N}x{H}x{W}x{C}, w of {C}x{m}, d of 3x3x{m}x1, n = {n})"
        same(ghost(*frozen(x, w, d), n), _right(x, w, d, n), what, hints=_mistakes(x, w, d, n))


def _halves(x, w, d):
    maps = np.einsum("nijc,cm->nijm", x, w)
    return maps, ops.depthwise_forward_reference(maps, d, padding=1)[0]


def _right(x, w, d, n):
    return np.concatenate(_halves(x, w, d), -1)[..., :n]


def _mistakes(x, w, d, n):
    maps, ghosts = _halves(x, w, d)
    m, depthwise = w.shape[1], ops.depthwise_forward_reference
    known = [
        (np.concatenate([ghosts, maps], -1)[..., :n], "the maps come first, then their ghosts"),
        (np.concatenate([maps, maps], -1)[..., :n], "the ghosts are mere copies of the maps: is d used?"),
        (np.concatenate([maps, maps + ghosts], -1)[..., :n], "the maps are added to their ghosts"),
        (
            np.stack([maps, ghosts], -1).reshape(*maps.shape[:3], -1)[..., :n],
            "each ghost is beside its map; all maps must come first, then all ghosts, one after the other",
        ),
        (
            np.concatenate([maps, depthwise(maps, d[::-1, ::-1], padding=1)[0]], -1)[..., :n],
            "the 3x3 kernels are flipped in both directions",
        ),
    ]
    if x.shape[3] >= m:
        of_x = depthwise(x[..., :m], d, padding=1)[0]
        known.append((np.concatenate([maps, of_x], -1)[..., :n], "the ghosts are made of x, not of the maps"))
    if n < 2 * m:
        both = np.concatenate([maps, ghosts], -1)
        known.append((both, f"there are 2*m = {2 * m} channels; cut to the first n = {n}: [..., :n]"))
        known.append((both[..., -n:], "the first map is cut off; it must be the last ghost: [..., :n]"))
    positive = _right_of_positive(maps, d, n)
    if (maps < 0).any():
        known.append((positive, "there is a ReLU after the maps; here the module is linear"))
    return known


def _right_of_positive(maps, d, n):
    maps = np.maximum(maps, 0)
    return np.concatenate([maps, ops.depthwise_forward_reference(maps, d, padding=1)[0]], -1)[..., :n]
