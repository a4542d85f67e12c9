"""What exercise 46 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import on_shapes, several
from minighost.learn.compare import frozen, function, same, untouched

EPS = 1e-5
HINTS = (
    "fold: the output channel is the last axis of w, so w * scale does it. Mind the order: root of (var + EPS).",
    "identity: zeros, and then w[0, 0, o % (channels // groups), o] = 1 for o = np.arange(channels).",
    "merge: fold each branch, np.pad its weight by (KH - its height) // 2 rows and (KW - its width) // 2 columns "
    "at both ends, and add up weights and biases, beginning with 0.",
)

_PAD = "np.pad(w, [(PH, PH), (PW, PW), (0, 0), (0, 0)])"

WRONG = {
    "no root": ("gamma / np.sqrt(var + EPS)", "gamma / (var + EPS)", r"root"),
    "EPS outside the root": ("np.sqrt(var + EPS)", "(np.sqrt(var) + EPS)", r"within the root"),
    "no EPS": ("np.sqrt(var + EPS)", "np.sqrt(var)", r"EPS"),
    "the scale on the wrong axis": (
        "return w * scale, beta",
        "return (w * scale[:, None] if w.shape[2] == w.shape[3] else w * scale), beta",
        r"last axis",
    ),
    "the mean not scaled": (", beta - mean * scale\n", ", beta - mean\n", r"mean .* scaled"),
    "the mean added": (", beta - mean * scale\n", ", beta + mean * scale\n", r"subtracted"),
    "beta scaled": (", beta - mean * scale\n", ", (beta - mean) * scale\n", r"beta .* not scaled"),
    "the identity of one group": (
        "w[0, 0, o % (channels // groups), o] = 1",
        "w[0, 0, :, : channels // groups] = np.eye(channels // groups)",
        r"first group alone",
    ),
    "all ones": ("w[0, 0, o % (channels // groups), o] = 1", "w[...] = 1", r"sum .* group"),
    "numbers in turn": (
        "o % (channels // groups), o] = 1",
        "o // groups, o] = 1",
        r"o % \(C/G\)",
    ),
    "the small kernel in the corner": (
        _PAD,
        "np.pad(w, [(0, 2 * PH), (0, 2 * PW), (0, 0), (0, 0)])",
        r"corner",
    ),
    "the small kernel repeated": (
        _PAD,
        "np.pad(w, [(PH, PH), (PW, PW), (0, 0), (0, 0)], mode='edge')",
        r"zeros around",
    ),
    "norms left out of the sum": ("w, b = fold(w, norm)", "b = fold(w, norm)[1]", r"not folded"),
    "the last bias": ("bias + b", "b", r"biases .* last branch"),
    "a mean of the branches": (
        "    return weight, bias\n",
        "    return weight / len(branches), bias / len(branches)\n",
        r"sum, not the mean",
    ),
    "always three by three": (
        "PH, PW = (kernel_size[0] - w.shape[0]) // 2, (kernel_size[1] - w.shape[1]) // 2",
        "PH, PW = (3 - w.shape[0]) // 2, (3 - w.shape[1]) // 2",
        r"axis 0 has 3, must have 1",
    ),
}


@on_shapes("A kernel of h x w becomes KH x KW by (KH - h) // 2 rows and (KW - w) // 2 columns of zeros at both ends.")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    fold, identity, merge = (function(mine, name) for name in ("fold", "identity", "merge"))
    rng = np.random.default_rng(46)
    for shape in ((3, 3, 2, 3), (1, 1, 3, 3), (3, 1, 2, 2)):
        _folded(fold, rng, shape)
    for C, G in ((3, 1), (4, 2), (6, 2), (6, 3), (5, 5), (8, 4)):
        want = _identity(C, G)
        known = [
            (want * (np.arange(C) < C // G), "this copies the first group alone"),
            (np.ones_like(want), "this is the sum of a group; each channel must come from itself alone"),
            (_at(C, G, np.minimum(np.arange(C) // G, C // G - 1)), "channel o is number o % (C/G) of its group"),
        ]
        known = [(a, words) for a, words in known if not np.array_equal(a, want)]
        same(identity(C, G), want, f"identity(channels = {C}, groups = {G})", hints=known)
    for C, G, sizes, kernel_size in (
        (1, 1, ((1, 1), None), (1, 1)),
        (3, 1, ((3, 3), (1, 1), None), (3, 3)),
        (4, 2, ((3, 3), (3, 3), (1, 1), None), (3, 3)),
        (4, 4, ((5, 5), (3, 3), (1, 5), None), (5, 5)),
        (2, 1, ((3, 1), (1, 1)), (3, 5)),
    ):
        _merged(merge, rng, C, G, sizes, kernel_size)


def _norm(rng, OC):
    """Variances from very small to large, so that EPS counts."""
    return rng.normal(size=OC) + 2, rng.normal(size=OC), rng.normal(size=OC), 10 ** rng.uniform(-5, 1, OC)


def _right(w, norm):
    gamma, beta, mean, var = norm
    scale = gamma / np.sqrt(var + EPS)
    return w * scale, beta - mean * scale


def _at(C, G, numbers):
    w = np.zeros((1, 1, C // G, C))
    for o, number in enumerate(numbers):
        w[0, 0, number, o] = 1
    return w


def _identity(C, G):
    return _at(C, G, np.arange(C) % (C // G))


def _folded(fold, rng, shape):
    w, norm = rng.normal(size=shape), _norm(rng, shape[3])
    given, what = w.copy(), f"fold(w of {shape}, norm of {shape[3]} channels)"
    weight, bias = several(fold(given, frozen(*norm)), "weight, bias", what)
    untouched(w, given, f"{what}: w")
    gamma, beta, mean, var = norm
    right, offset = _right(w, norm)
    scale = gamma / np.sqrt(var + EPS)
    known = [
        (w * gamma / (var + EPS), "divide by the root of var + EPS"),
        (w * gamma / (np.sqrt(var) + EPS), "EPS belongs within the root: sqrt(var + EPS)"),
        (w * gamma / np.sqrt(var), "EPS is left out: sqrt(var + EPS)"),
        (w * np.sqrt(var + EPS), "scale is gamma / sqrt(var + EPS)"),
    ]
    if shape[2] == shape[3]:
        known.append((w * scale[:, None], "the scale is that of the output channel, the last axis of w"))
    same(weight, right, f"{what}: weight", hints=known)
    known = [
        (beta - mean, "the mean must be scaled too: beta - mean * scale"),
        (beta + mean * scale, "the mean is subtracted: beta - mean * scale"),
        ((beta - mean) * scale, "beta comes after the scaling, and is not scaled"),
        (-mean * scale, "beta is left out"),
        (beta, "what the mean contributes is left out: beta - mean * scale"),
    ]
    same(bias, offset, f"{what}: bias", hints=known)


def _merged(merge, rng, C, G, sizes, kernel_size):
    """The sum of the branches, as they were, is the measure; then the numbers one by one."""
    branches = [
        (_identity(C, G) if size is None else rng.normal(size=(*size, C // G, C)), _norm(rng, C)) for size in sizes
    ]
    words = ", ".join("identity" if size is None else f"{size[0]}x{size[1]}" for size in sizes)
    what = f"merge(branches {words} with C = {C}, G = {G}, kernel_size {kernel_size})"
    mine = [(frozen(w), frozen(*norm)) for w, norm in branches]
    weight, bias = several(merge(mine, kernel_size), "weight, bias", what)
    want, offset = _sum(branches, kernel_size)
    same(weight, want, f"{what}: weight", hints=_mistakes(branches, kernel_size, want))
    last = _right(*branches[-1])[1]
    known = [
        (last, "the biases of all branches must be added up; this is that of the last branch"),
        (offset / len(branches), "it is the sum, not the mean"),
    ]
    same(bias, offset, f"{what}: bias", hints=[(a, w) for a, w in known if not np.allclose(a, offset)])
    x = rng.normal(size=(2, 5, 6, C))
    alone = (_convolved(x, w, G, np.zeros(C)) for w, _ in branches)
    one_by_one = sum(
        norm[0] * (y - norm[2]) / np.sqrt(norm[3] + EPS) + norm[1] for y, (_, norm) in zip(alone, branches, strict=True)
    )
    same(_convolved(x, weight, G, bias), one_by_one, f"{what}: the merged convolution of an x, and the branches' sum")


def _convolved(x, w, G, b):
    padding = w.shape[0] // 2, w.shape[1] // 2
    return ops.conv2d_forward_reference(x, np.asarray(w), np.asarray(b), padding=padding, groups=G)[0]


def _sum(branches, kernel_size, place=lambda more: (more // 2, more // 2), folded=_right, **options):
    weight = np.zeros((*kernel_size, *branches[0][0].shape[2:]))
    bias = np.zeros(weight.shape[3])
    for w, norm in branches:
        w, b = folded(w, norm)
        sides = [place(K - k) for K, k in zip(kernel_size, w.shape[:2], strict=True)]
        weight, bias = weight + np.pad(w, [*sides, (0, 0), (0, 0)], **options), bias + b
    return weight, bias


def _mistakes(branches, kernel_size, want):
    known = [
        (
            _sum(branches, kernel_size, place=lambda more: (0, more)),
            "the small kernels stand in the corner: centre them",
        ),
        (
            _sum(branches, kernel_size, place=lambda more: (more, 0)),
            "the small kernels stand in the corner: centre them",
        ),
        (_sum(branches, kernel_size, mode="edge"), "the small kernels are repeated: put zeros around them"),
        (_sum(branches, kernel_size, folded=lambda w, norm: (w, norm[1])), "the norms are not folded into the weights"),
    ]
    known = [(a[0], words) for a, words in known]
    known.append((want / len(branches), "the branches' sum, not the mean, is wanted"))
    return [(a, words) for a, words in known if not np.allclose(a, want)]
