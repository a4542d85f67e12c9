"""What exercise 39 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "The table is x.reshape(N, H, W, groups, C // groups): the last axis is split, the pixels stay where they are.",
    "Reading column by column is swapping the table's two axes, 3 and 4, and then .reshape(x.shape). Keep groups as "
    "the cache.",
    "The inverse begins with the other table, x.reshape(N, H, W, C // groups, groups). The backward is the inverse.",
)

WRONG = {
    "the inverse permutation": (
        "table = x.reshape(N, H, W, groups, C // groups)",
        "table = x.reshape(N, H, W, C // groups, groups)",
        r"the inverse .* a row per group",
    ),
    "nothing is moved": ("table.swapaxes(3, 4).reshape(x.shape), groups", "table.reshape(x.shape), groups", r"unmoved"),
    "whole groups in another order": (
        "table.swapaxes(3, 4).reshape(x.shape), groups",
        "table[..., ::-1, :].reshape(x.shape), groups",
        r"groups as a whole",
    ),
    "pixels are mixed": (
        "table.swapaxes(3, 4).reshape(x.shape), groups",
        "table.swapaxes(2, 3).reshape(x.shape), groups",
        r"channels of other pixels",
    ),
    "two groups whatever is asked": (
        "table = x.reshape(N, H, W, groups, C // groups)",
        "table = x.reshape(N, H, W, 2, C // 2) if C % 2 == 0 else x.reshape(N, H, W, groups, C // groups)",
        r"groups = 2",
    ),
    "unshuffle shuffles again": (
        "x.reshape(N, H, W, C // groups, groups).swapaxes(3, 4)",
        "x.reshape(N, H, W, groups, C // groups).swapaxes(3, 4)",
        r"unshuffle.*shuffles once more",
    ),
    "the backward shuffles again": (
        "return unshuffle(dout, cache)",
        "return shuffle_forward(dout, cache)[0]",
        r"shuffle_backward.*shuffles once more",
    ),
    "the backward passes dout on": ("return unshuffle(dout, cache)", "return dout", r"shuffle_backward.*unmoved"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, unshuffle, backward = (
        function(mine, name) for name in ("shuffle_forward", "unshuffle", "shuffle_backward")
    )
    x, what = np.arange(12.0).reshape(1, 1, 2, 6), "shuffle_forward(x = 0 to 5 and 6 to 11, two pixels, groups = 2)"
    out, _ = several(forward(frozen(x), 2), "out, cache", what)
    same(
        out, np.array([0.0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]).reshape(x.shape), f"{what}: out", hints=_mistakes(x, 2)
    )
    for (N, H, W, C), G in _cases(np.random.default_rng(39)):
        x = np.random.default_rng(C).normal(size=(N, H, W, C))
        given = f"of {N}x{H}x{W}x{C}, groups = {G}"
        out, cache = several(forward(frozen(x), G), "out, cache", f"shuffle_forward(x {given})")
        same(out, _listed(x, G), f"shuffle_forward(x {given}): out", hints=_mistakes(x, G))
        inverse = _again(out, G)
        same(unshuffle(frozen(out), G), x, f"unshuffle(what shuffle_forward made of x {given})", hints=inverse)
        dx = backward(frozen(out), cache)
        same(dx, x, f"shuffle_backward(dout {given}, cache)", hints=inverse)
    gradcheck.check((lambda x: forward(x, 3), backward), [x[:, :1, :1].repeat(3, 3)], name="channel shuffle")


def _cases(rng):
    """Among them some with G > C/G, with one group, with one channel per group; none in which C is G*G."""
    yield from [((2, 1, 1, 12), 3), ((1, 2, 1, 12), 4), ((1, 1, 2, 6), 3), ((2, 2, 2, 5), 1), ((1, 2, 2, 5), 5)]
    for _ in range(6):
        G, per_group = rng.permutation(np.arange(2, 7))[:2]
        yield (*(int(side) for side in rng.integers(1, 4, 3)), int(G * per_group)), int(G)


def _listed(x, G):
    """By the formula, channel by channel."""
    out, per_group = np.empty_like(x), x.shape[3] // G
    for g, c in np.ndindex(G, per_group):
        out[..., c * G + g] = x[..., g * per_group + c]
    return out


def _mistakes(x, G):
    C = x.shape[3]
    known = [
        (x, "the channels are unmoved"),
        (_listed(x, C // G), "this is the inverse permutation: the table needs a row per group, C/G numbers long"),
        (x.reshape(-1, G, C // G)[:, ::-1].reshape(x.shape), "this moves groups as a whole; take one of each in turn"),
        (
            x.reshape(*x.shape[:3], G, C // G).swapaxes(2, 3).reshape(x.shape),
            "the channels of other pixels are mixed in: only the two axes of the table, the last ones, are swapped",
        ),
    ]
    if C % 2 == 0:
        known.append((_listed(x, 2), "this is right for groups = 2; use the argument"))
    return [(a, words) for a, words in known if not np.array_equal(a, _listed(x, G))]


def _again(out, G):
    known = (
        (_listed(out, G), "it shuffles once more; the inverse splits the channels into C/G rows"),
        (out, "the channels are unmoved"),
    )
    return [(a, words) for a, words in known if not np.array_equal(a, _listed(out, out.shape[3] // G))]
