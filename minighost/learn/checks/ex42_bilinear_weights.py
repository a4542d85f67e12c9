"""What exercise 42 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import ops
from minighost.learn.checks.calls import on_shapes
from minighost.learn.compare import frozen, function, same

HINTS = (
    "bilinear_taps: np.arange(K) are the taps' numbers k, (K - 1)/2 is the middle, and one step is 1/factor of a "
    "pixel. So the distance is |k - (K - 1)/2| / factor.",
    "bilinear_kernel: np.outer(taps, taps) is the table of all products. It needs two more axes, of length 1 and "
    "channels.",
    "enlarge: np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode='edge'), then call what is given with stride f, "
    "padding f // 2 and groups=C, keep [:, f:-f, f:-f].",
)

WRONG = {
    "2f taps for an odd factor too": ("K = 2 * factor - factor % 2", "K = 2 * factor", r"odd .* 2f - 1"),
    "the middle half a tap away": ("(K - 1) / 2", "K / 2", r"middle .* \(K - 1\)/2"),
    "falls to zero within the kernel": ("/ factor\n", "/ ((K - 1) / 2 or 1)\n", r"fall off .* 1/f"),
    "one too wide": ("/ factor\n", "/ (factor + 1)\n", r"fall off .* 1/f"),
    "weights that add up to 1": (
        "return 1 - np.abs(np.arange(K) - (K - 1) / 2) / factor",
        "taps = 1 - np.abs(np.arange(K) - (K - 1) / 2) / factor\n    return taps / taps.sum()",
        r"add up to f",
    ),
    "right for factor 2": (
        "return 1 - np.abs(np.arange(K) - (K - 1) / 2) / factor",
        "return np.array([0.25, 0.75, 0.75, 0.25])",
        r"bilinear_taps\(factor = 1\)",
    ),
    "a sum for a product": ("np.outer(taps, taps)", "(np.add.outer(taps, taps) / 2)", r"product"),
    "by distance in the plane": (
        "np.outer(taps, taps)",
        "np.minimum.outer(taps, taps)",
        r"product",
    ),
    "all channels into all": (
        "np.repeat(np.outer(taps, taps)[:, :, None, None], channels, axis=3)",
        "np.outer(taps, taps)[:, :, None, None] * np.ones((channels, channels))",
        r"itself alone",
    ),
    "zeros beyond the edge": ('mode="edge"', 'mode="constant"', r"darkens"),
    "the border comes from the opposite side": ('mode="edge"', 'mode="wrap"', r"opposite side"),
    "not padded at all": (
        "out, _ = ops.conv_transpose2d_forward_reference(edged, bilinear_kernel(f, C), None, f, f // 2, groups=C)\n"
        "    return out[:, f:-f, f:-f]",
        "out, _ = ops.conv_transpose2d_forward_reference(x, bilinear_kernel(f, C), None, f, f // 2, groups=C)\n"
        "    return out",
        r"darkens",
    ),
    "cut off at one end": ("out[:, f:-f, f:-f]", "out[:, : -2 * f, : -2 * f]", r"the same on each side"),
    "nearest": ("return out[:, f:-f, f:-f]", "return x.repeat(f, 1).repeat(f, 2)", r"nearest"),
}


@on_shapes("The kernel is (K, K, 1, channels), and f rows and columns are cut off on each side.")
def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    names = "bilinear_taps", "bilinear_kernel", "enlarge"
    taps, kernel, enlarge = (function(mine, name) for name in names)
    for factor in (2, 1, 3, 4, 5, 8, 9):
        same(taps(factor), _taps(factor), f"bilinear_taps(factor = {factor})", hints=_mistakes(factor))
    for factor, C in ((2, 1), (1, 2), (3, 3), (4, 2)):
        line, want = _taps(factor), _kernel(factor, C)
        known = [
            (np.broadcast_to(other[:, :, None, None], want.shape), "in the plane a weight is the product of both axes'")
            for other in (np.add.outer(line, line) / 2, np.minimum.outer(line, line), np.add.outer(line, line))
        ]
        known.append((np.repeat(want, C, axis=2), "each channel goes to itself alone: axis 2 has length 1"))
        known = [(a, words) for a, words in known if a.shape != want.shape or not np.allclose(a, want)]
        same(kernel(factor, C), want, f"bilinear_kernel(factor = {factor}, channels = {C})", hints=known)
    rng, row = np.random.default_rng(42), np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    planes = ((rng.normal(size=shape), f) for shape, f in _shapes(rng))
    for x, factor in ((row, 2), *planes):
        want, _ = ops.resize_bilinear_forward_reference(x, (factor * x.shape[1], factor * x.shape[2]))
        what = f"enlarge(x {'= the row 0 4' if x is row else f'of {x.shape}'}, factor = {factor})"
        same(enlarge(frozen(x), factor), want, what, hints=_mistakes_of_border(x, factor, want))


def _shapes(rng):
    yield from [((2, 3, 2, 2), 3), ((1, 2, 3, 3), 4), ((1, 1, 1, 2), 2), ((2, 2, 3, 1), 1)]
    for factor in (2, 5):
        yield tuple(int(side) for side in rng.integers(1, 4, 4)), factor


def _taps(factor):
    """From the distances: tap k of a pixel whose outputs are `factor` in its own place, and as many as reach 1."""
    reach = factor - (factor % 2) / 2 - 0.5  # in output pixels, from the centre to the last tap's
    return 1 - np.abs(np.arange(-reach, reach + 0.5)) / factor


def _kernel(factor, C):
    return np.broadcast_to(np.outer(_taps(factor), _taps(factor))[:, :, None, None], (*[len(_taps(factor))] * 2, 1, C))


def _mistakes(factor):
    right = _taps(factor)
    K, number = len(right), np.arange(len(right))
    slope = "the weights fall off by the wrong amount: from tap to tap by 1/f, as one step is 1/f of a pixel of x"
    known = [
        (1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor, "for an odd factor there are 2f - 1 taps, not 2f"),
        (1 - np.abs(number - K / 2) / factor, "the middle of K taps with the numbers 0 to K - 1 is (K - 1)/2"),
        (1 - np.abs(number - (K - 1) / 2) / ((K - 1) / 2 or 1), slope),
        (1 - np.abs(number - (K - 1) / 2) / (factor + 1), slope),
        (
            right / right.sum(),
            "the weights must add up to f: f outputs are made from each pixel; 1 would make them dark",
        ),
    ]
    return [(a, words) for a, words in known if a.shape != right.shape or not np.allclose(a, right)]


def _mistakes_of_border(x, factor, want):
    (_, H, W, C), f = x.shape, factor
    sides, outs = [(0, 0), (1, 1), (1, 1), (0, 0)], []
    for edged in (np.pad(x, sides), np.pad(x, sides, mode="wrap"), np.pad(x, sides, mode="edge")):
        kernel = _kernel(f, C).copy()
        outs.append(ops.conv_transpose2d_forward_reference(edged, kernel, None, f, f // 2, groups=C)[0])
    known = [
        (x.repeat(f, 1).repeat(f, 2), "this is resizing by the nearest pixel"),
        (outs[0][:, f:-f, f:-f], "it darkens towards the border, where zeros were seen: pad by the edge"),
        (outs[1][:, f:-f, f:-f], "the border sees the opposite side: pad by the edge"),
        (outs[2][:, : f * H, : f * W], "what is cut off must be the same on each side, f rows and columns"),
    ]
    return [(a, words) for a, words in known if a.shape != want.shape or not np.allclose(a, want)]
