"""What exercise 33 must do, three hints, and wrong answers that it must refuse.

The statistics cannot fail by chance: with 100,000 numbers and more the measured variance of a right answer is off by
about 0.4 %, and 5 % are allowed.
"""

import numpy as np

from minighost.learn.compare import function, same

HINTS = (
    "Two lines: fan_in, then one call of rng.normal with a shape of four numbers.",
    "fan_in counts the products that make one output: KH * KW * C // G. np.sqrt(2 / fan_in) is the standard deviation.",
    "rng.normal takes mean, standard deviation (not variance) and shape, and the shape is (KH, KW, C // G, OC).",
)

WRONG = {
    "groups forgotten": ("fan_in = KH * KW * C // G", "fan_in = KH * KW * C", r"G groups"),
    "groups forgotten in the shape": ("(KH, KW, C // G, OC)", "(KH, KW, C, OC)", r"axis 2 has"),
    "kernel forgotten": ("fan_in = KH * KW * C // G", "fan_in = C // G", r"KH\*KW is left out"),
    "fan_out": ("fan_in = KH * KW * C // G", "fan_in = KH * KW * OC // G", r"fan_out"),
    "variance for deviation": ("np.sqrt(2 / fan_in)", "2 / fan_in", r"square root"),
    "ReLU forgotten": ("np.sqrt(2 / fan_in)", "np.sqrt(1 / fan_in)", r"the 2 is missing"),
    "uniform": (
        "rng.normal(0, np.sqrt(2 / fan_in)",
        "rng.uniform(-np.sqrt(6 / fan_in), np.sqrt(6 / fan_in)",
        r"uniform",
    ),
    "positive only": ("return rng.normal(", "return abs(rng.normal(0, 1)) + rng.normal(", r"the mean of"),
    "a generator of its own": ("return rng.normal", "return np.random.default_rng(0).normal", r"default_rng"),
    "the global generator": ("return rng.normal", "return np.random.normal", r"np\.random"),
    "constant": (
        "return rng.normal(0, np.sqrt(2 / fan_in), ",
        "return np.sqrt(2 / fan_in) * np.ones(",
        r"all weights are the same",
    ),
    "NaN": ("np.sqrt(2 / fan_in)", "np.sqrt(2 / fan_in) * np.nan", r"180 of 180 weights are NaN or infinite"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    he_normal = function(mine, "he_normal")
    _shape(he_normal)
    _randomness(he_normal)
    for KH, KW, C, OC, G in ((3, 3, 64, 256, 1), (1, 1, 256, 512, 1), (3, 5, 128, 512, 4), (5, 5, 4096, 4096, 4096)):
        w = he_normal(KH, KW, C, OC, G, np.random.default_rng(33))
        _statistics(w, KH, KW, C, OC, G)


def _shape(he_normal):
    w = he_normal(3, 5, 6, 4, 2, np.random.default_rng(0))
    what = "he_normal(KH=3, KW=5, C=6, OC=4, G=2)"
    if not isinstance(w, np.ndarray) or w.shape != (3, 5, 3, 4) or w.dtype.kind != "f":
        same(w, np.zeros((3, 5, 3, 4)), what, tolerance=np.inf)
    if not np.isfinite(w).all():
        count = np.count_nonzero(~np.isfinite(w))
        raise AssertionError(f"{what}: {count} of {w.size} weights are NaN or infinite: the root of a negative number?")
    if np.ptp(w) == 0:
        raise AssertionError(f"{what}: all weights are the same, so all channels would learn the same: rng.normal")


def _randomness(he_normal):
    what = "he_normal(3, 3, 8, 8, 1, rng)"
    rng = np.random.default_rng(1)
    one, two = he_normal(3, 3, 8, 8, 1, rng), he_normal(3, 3, 8, 8, 1, rng)
    if np.array_equal(one, two):
        raise AssertionError(
            f"{what}, called twice with one rng, gives the same weights twice; draw from the rng that is passed in, "
            "not from a generator made in the function (default_rng(0))"
        )
    if not np.array_equal(one, he_normal(3, 3, 8, 8, 1, np.random.default_rng(1))):
        raise AssertionError(
            f"{what} gives other weights for the same seed; draw with rng.normal, not with np.random.normal, whose "
            "state is global"
        )
    if np.array_equal(one, he_normal(3, 3, 8, 8, 1, np.random.default_rng(2))):
        raise AssertionError(f"{what} gives the same weights for every seed; draw from the rng that is passed in")


def _statistics(w, KH, KW, C, OC, G):
    what, fan_in = f"he_normal(KH={KH}, KW={KW}, C={C}, OC={OC}, G={G})", KH * KW * C // G
    variance, right = float(w.var()), 2 / fan_in
    if not abs(float(w.mean())) <= 0.05 * np.sqrt(right):
        raise AssertionError(f"{what}: the mean of {w.size:,} weights is {w.mean():.4g}, must be 0 up to chance")
    if not abs(variance / right - 1) <= 0.05:
        reason = _reason(variance, KH, KW, C, OC, G)
        factor = variance * fan_in / 2
        raise AssertionError(
            f"{what}: the standard deviation of {w.size:,} weights is {np.sqrt(variance):.4g}, must be "
            f"sqrt(2/{fan_in}) = {np.sqrt(right):.4g}; ten layers like this, with ReLUs, multiply the mean square by "
            f"{factor:.3g}**10 = {factor**10:.2g}" + (f"\n  likely: {reason}" if reason else "")
        )
    far = float((np.abs(w - w.mean()) > 2 * np.sqrt(right)).mean())
    if not 0.04 < far < 0.051:  # of a normal distribution 4.55 % lie beyond two deviations, of a uniform one nothing
        raise AssertionError(
            f"{what}: {far:.2%} of the weights lie more than two standard deviations from 0; in a normal distribution "
            "4.55 % do. Is it a uniform one? rng.normal(0, deviation, shape)"
        )


def _reason(variance, KH, KW, C, OC, G):
    fan_in = KH * KW * C // G
    mistakes = (
        (1 / fan_in, "the 2 is missing: ReLU halves the mean square, and the 2 makes up for it"),
        (4 / fan_in, "twice too much: 2/fan_in, not 4/fan_in"),
        ((2 / fan_in) ** 2, "2/fan_in is the variance; the standard deviation is its square root"),
        (np.sqrt(2 / fan_in), "the square root is taken twice: rng.normal wants the standard deviation"),
        (2 / (fan_in * G), "G groups: an output sees C/G channels, so fan_in = KH*KW*C/G"),
        (2 * G / fan_in, "divided by G twice"),
        (2 / (C // G), "KH*KW is left out of fan_in"),
        (2 / (KH * KW * OC / G), "this is fan_out, with OC; fan_in has C"),
        (2 / (KH * KW * OC), "OC is instead of C"),
        (2 / (fan_in + KH * KW * OC // G), "this is the mean of fan_in and fan_out (Glorot); here it is fan_in"),
        (1.0, "the deviation is 1: is the variance used at all?"),
    )
    return next((words for other, words in mistakes if abs(variance / other - 1) < 0.05), None)
