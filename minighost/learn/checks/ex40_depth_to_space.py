"""What exercise 40 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "k = (u*SW + v)*OC + c says how the channels are split: the slowest axis u first, then v, then c. So begin with "
    "x.reshape(N, H, W, SH, SW, OC), and name the six axes.",
    "The result's axes in order are N, H, SH, W, SW, OC. Which number has each of them in your split? Those numbers, "
    "in that order, are the arguments of transpose; then reshape joins.",
    "Backward: dout.reshape(N, H, SH, W, SW, OC), the same transpose (it swaps two axes), reshape. from_crd: split as "
    "(N, H, W, OC, SH, SW), move OC to the end.",
)

_JOIN = "split.transpose(0, 1, 3, 2, 4, 5).reshape(N, H * SH, W * SW, OC)"

WRONG = {
    "PyTorch's order": (
        "split = x.reshape(N, H, W, SH, SW, OC)\n    return split.transpose(0, 1, 3, 2, 4, 5)",
        "split = x.reshape(N, H, W, OC, SH, SW)\n    return split.transpose(0, 1, 4, 2, 5, 3)",
        r"CRD order",
    ),
    "a reshape alone": (_JOIN, "split.reshape(N, H * SH, W * SW, OC)", r"one after the other.*no transpose"),
    "copies of the image side by side": (
        _JOIN,
        "split.transpose(0, 3, 1, 4, 2, 5).reshape(N, H * SH, W * SW, OC)",
        r"SH x SW small images",
    ),
    "rows and columns of the block swapped": (
        "split = x.reshape(N, H, W, SH, SW, OC)\n    return split.transpose(0, 1, 3, 2, 4, 5)",
        "split = x.reshape(N, H, W, SW, SH, OC)\n    return split.transpose(0, 1, 4, 2, 3, 5)",
        r"u and v swapped",
    ),
    "SH and SW swapped": (
        "(N, H, W, C), (SH, SW) = x.shape, block\n    OC",
        "(N, H, W, C), (SH, SW) = x.shape, block[::-1]\n    OC",
        r"SH and SW are swapped",
    ),
    "a backward in PyTorch's order": (
        "return split.transpose(0, 1, 3, 2, 4, 5).reshape(N, OH // SH, OW // SW, SH * SW * OC)",
        "return split.transpose(0, 1, 3, 5, 2, 4).reshape(N, OH // SH, OW // SW, SH * SW * OC)",
        r"backward.*CRD order",
    ),
    "a backward that only reshapes": (
        "return split.transpose(0, 1, 3, 2, 4, 5).reshape(N, OH // SH, OW // SW, SH * SW * OC)",
        "return split.reshape(N, OH // SH, OW // SW, SH * SW * OC)",
        r"backward.*transpose",
    ),
    "from_crd in the other direction": (
        "x.reshape(N, H, W, C // (SH * SW), SH, SW).transpose(0, 1, 2, 4, 5, 3)",
        "x.reshape(N, H, W, SH, SW, C // (SH * SW)).transpose(0, 1, 2, 5, 3, 4)",
        r"from DCR to CRD",
    ),
    "from_crd does nothing": (
        "x.reshape(N, H, W, C // (SH * SW), SH, SW).transpose(0, 1, 2, 4, 5, 3).reshape(x.shape)",
        "x",
        r"unmoved",
    ),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    names = "depth_to_space_forward", "depth_to_space_backward", "from_crd"
    forward, backward, from_crd = (function(mine, name) for name in names)
    rng, small = np.random.default_rng(40), np.arange(8.0).reshape(1, 1, 1, 8)
    cases = [(small, (2, 2)), *((rng.normal(size=shape), block) for shape, block in _shapes(rng))]
    for x, block in cases:
        what = f"depth_to_space_forward(x {_words(x)}, block {block})"
        out, cache = several(forward(frozen(x), block), "out, cache", what)
        same(out, _spread(x, block), f"{what}: out", hints=_mistakes(x, block))
        dout = rng.normal(size=out.shape)
        what = f"depth_to_space_backward(dout of {dout.shape}, cache of block {block})"
        same(backward(frozen(dout), cache), _gathered(dout, block), what, hints=_mistakes_back(dout, block))
    for x, block in cases:
        OC = x.shape[3] // (block[0] * block[1])
        want = x[..., _crd(OC, block).ravel()]
        other = x[..., np.argsort(_crd(OC, block).ravel())]
        known = [(x, "the channels are unmoved"), (other, "this goes from DCR to CRD; the other way is wanted")]
        known = [(a, words) for a, words in known if not np.array_equal(a, want)]
        same(from_crd(frozen(x), block), want, f"from_crd(x {_words(x)}, block {block})", hints=known)
    gradcheck.check((forward, backward), [rng.normal(size=(1, 2, 1, 12)), (2, 3)], name="depth to space")


def _words(x):
    return "= the channels 0 to 7" if x.size == 8 else f"of {x.shape}"


def _shapes(rng):
    """Several channels, blocks that are not square, an image that is as large as its block and one that is not."""
    yield from [((1, 2, 3, 12), (2, 2)), ((2, 3, 2, 12), (3, 2)), ((1, 2, 3, 18), (2, 3)), ((2, 2, 2, 3), (1, 1))]
    for _ in range(4):
        N, H, W, SH, SW, OC = (int(k) for k in rng.integers(1, 4, 6))
        yield (N, H, W, SH * SW * (OC + 1)), (SH, SW)


def _dcr(OC, block):
    """(SH, SW, OC): the channel that each number of a block comes from."""
    return np.arange(block[0] * block[1] * OC).reshape(*block, OC)


def _crd(OC, block):
    """(SH, SW, OC): the same in PyTorch's order."""
    return np.moveaxis(np.arange(OC * block[0] * block[1]).reshape(OC, *block), 0, 2)


def _spread(x, block, order=_dcr):
    """By the formula, one place in the block after the other."""
    (N, H, W, C), (SH, SW) = x.shape, block
    out = np.empty((N, H * SH, W * SW, C // (SH * SW)))
    for u, v in np.ndindex(SH, SW):
        out[:, u::SH, v::SW] = x[..., order(out.shape[3], block)[u, v]]
    return out


def _gathered(dout, block, order=_dcr):
    (N, OH, OW, OC), (SH, SW) = dout.shape, block
    dx = np.empty((N, OH // SH, OW // SW, SH * SW * OC))
    for u, v in np.ndindex(SH, SW):
        dx[..., order(OC, block)[u, v]] = dout[:, u::SH, v::SW]
    return dx


def _mistakes(x, block):
    right, (N, H, W, _), (SH, SW) = _spread(x, block), x.shape, block
    split = x.reshape(N, H, W, SH, SW, -1)
    known = [
        (_spread(x, block, _crd), "this is CRD order, PyTorch's; in DCR a pixel's OC channels lie side by side"),
        (x.reshape(right.shape), "the numbers stand one after the other as before: no transpose between the reshapes"),
        (
            split.transpose(0, 3, 1, 4, 2, 5).reshape(right.shape),
            "these are SH x SW small images side by side: row u of pixel i is row i*SH + u, so SH comes after H",
        ),
        (
            x.reshape(N, H, W, SW, SH, -1).transpose(0, 1, 4, 2, 3, 5).reshape(right.shape),
            "the block has u and v swapped: k = (u*SW + v)*OC + c, so v moves faster",
        ),
        (_spread(x, block[::-1]), "SH and SW are swapped"),
    ]
    return [(a, words) for a, words in known if a.shape != right.shape or not np.array_equal(a, right)]


def _mistakes_back(dout, block):
    right = _gathered(dout, block)
    known = [
        (_gathered(dout, block, _crd), "this is CRD order, PyTorch's; the forward is in DCR order"),
        (dout.reshape(right.shape), "the numbers stand one after the other as before: transpose between the reshapes"),
    ]
    return [(a, words) for a, words in known if not np.array_equal(a, right)]
