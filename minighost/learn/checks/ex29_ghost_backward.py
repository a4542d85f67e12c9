"""What exercise 29 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Go through the forward's lines from the last to the first. m is in the cache, n is dout.shape[3].",
    "dghosts = dout[..., m:] has n - m channels. Write it into np.zeros((N, H, W, m)), so that it fits whether or not "
    "one was cut off; then the depthwise backward gives the second part of dmaps, and dd.",
    "What goes into the pointwise backward is the sum dout[..., :m] + dmaps. Return dx, dw and dd, in this order.",
)

WRONG = {
    "the ghosts' gradient is dropped": (
        "dout[..., :m] + dmaps",
        "dout[..., :m]",
        r"what the ghosts send back .* is missing",
    ),
    "the maps' own gradient is dropped": ("dout[..., :m] + dmaps", "dmaps", r"first part"),
    "subtracted": ("dout[..., :m] + dmaps", "dout[..., :m] - dmaps", r"they add"),
    "averaged": ("dout[..., :m] + dmaps", "(dout[..., :m] + dmaps) / 2", r"half"),
    "not through the kernels": ("dout[..., :m] + dmaps", "dout[..., :m] + dghosts", r"without going through"),
    "halves swapped": (
        "dghosts[..., : n - m] = dout[..., m:]",
        "dghosts[..., : n - m] = dout[..., : n - m]",
        r"dghosts is dout\[\.\.\., m:\]",
    ),
    "zeros at the wrong end": ("dghosts[..., : n - m]", "dghosts[..., 2 * m - n :]", r"zeros .* last"),
    "the cut-off ghost repeats the last": (
        "dghosts[..., : n - m] = dout[..., m:]",
        "dghosts[...] = dout[..., np.minimum(np.arange(m) + m, n - 1)]",
        r"dd",
    ),
    "dd and dw the other way round": ("return dx, dw, dd", "return dx, dd, dw", r"order is dx, dw, dd"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "ghost_forward"), function(mine, "ghost_backward")
    x, w, d = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1), np.array([[2.0]]), np.zeros((3, 3, 1, 1))
    d[1, :, 0, 0] = 1, 0, -1
    dout = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).reshape(1, 1, 3, 2)
    what = "ghost_backward(dout = [1, 0, 0] for the map, [0, 1, 0] for the ghost, cache of the task)"
    _compare(forward, backward, (x, w, d, 2), dout, what)
    rng = np.random.default_rng(29)
    for (N, H, W, C), m, n in (((2, 4, 3, 4), 3, 6), ((2, 3, 4, 2), 3, 5)):
        given = rng.normal(size=(N, H, W, C)), rng.normal(size=(C, m)), rng.normal(size=(3, 3, m, 1)), n
        what = f"ghost_backward(dout of {N}x{H}x{W}x{n}, cache of x of {N}x{H}x{W}x{C}, m = {m})"
        _compare(forward, backward, given, rng.normal(size=(N, H, W, n)), what)
        pair = (lambda x, w, d, n=n: forward(x, w, d, n)), backward
        gradcheck.check(pair, list(given[:3]), name=f"ghost module, n = {n}")


def _compare(forward, backward, given, dout, what):
    x, w, d, _ = given
    want = _right(x, w, d, dout)
    got = several(backward(frozen(dout), forward(*given)[1]), "dx, dw, dd", what)
    known = _mistakes(x, w, d, dout)
    for k, name in ((2, "dd"), (0, "dx"), (1, "dw")):
        if k and np.shape(got[k]) == want[3 - k].shape != want[k].shape:
            raise AssertionError(f"{what}: returns {np.shape(got[k])} where {name} belongs; the order is dx, dw, dd")
        same(got[k], want[k], f"{what}: {name}", hints=[(other[k], words) for other, words in known])


def _right(x, w, d, dout, direct=1.0, through=1.0, dghosts=None, plain=False):
    """The gradients, tap by tap; the keywords make the usual mistakes."""
    (H, W), m, maps = x.shape[1:3], w.shape[1], x @ w
    if dghosts is None:
        dghosts = _filled(dout[..., m:], m)
    padded, dd = np.pad(maps, [(0, 0), (1, 1), (1, 1), (0, 0)]), np.zeros_like(d)
    back = np.zeros_like(padded)
    for u, v in np.ndindex(3, 3):
        back[:, u : u + H, v : v + W] += dghosts * d[u, v, :, 0]
        dd[u, v, :, 0] = (padded[:, u : u + H, v : v + W] * dghosts).sum((0, 1, 2))
    sent = dghosts if plain else back[:, 1 : H + 1, 1 : W + 1]
    dmaps = direct * dout[..., :m] + through * sent
    return np.einsum("nijm,cm->nijc", dmaps, w), np.einsum("nijc,nijm->cm", x, dmaps), dd


def _mistakes(x, w, d, dout):
    m, n = w.shape[1], dout.shape[3]
    ghosts = dout[..., m:]
    return [
        (_right(x, w, d, dout, through=0), "what the ghosts send back to their maps is missing: the sum of both parts"),
        (_right(x, w, d, dout, direct=0), "the first part of dmaps is missing, dout[..., :m]"),
        (_right(x, w, d, dout, plain=True), "dghosts is added to dmaps without going through the depthwise backward"),
        (_right(x, w, d, dout, through=-1), "the two parts of dmaps are subtracted; they add"),
        (_right(x, w, d, dout, dghosts=_filled(dout[..., : n - m], m)), "dghosts is dout[..., m:], the last channels"),
        (
            _right(x, w, d, dout, dghosts=np.flip(_filled(np.flip(ghosts, -1), m), -1)),
            "the zeros for the ghost that was cut off must come last, where it was",
        ),
    ]


def _filled(ghosts, m):
    full = np.zeros((*ghosts.shape[:3], m))
    full[..., : ghosts.shape[3]] = ghosts
    return full
