"""What exercise 22 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck, ops
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Begin with line 8, out = gamma * xhat + beta: it gives dbeta, dgamma and dxhat. gamma and beta were spread, so "
    "their gradients are sums over (0, 1, 2).",
    "Line 7 gives dinv_std (a sum, as inv_std was spread) and a first dcentred. Lines 6, 5, 4 lead from dinv_std to "
    "dsquares; line 3 makes the second dcentred from it, which is added to the first.",
    "dvar = dstd / (2 * std); dsquares = dvar / R; dcentred + 2 * centred * dsquares; dmean = -dcentred.sum((0, 1, 2)) "
    "and dx is dcentred + dmean / R.",
)

WRONG = {
    "the first dcentred is forgotten": (
        "dcentred = dcentred + dsquares * 2 * centred",
        "dcentred = dsquares * 2 * centred",
        r"lines 3 and 7",
    ),
    "the second dcentred is forgotten": (
        "dcentred = dcentred + dsquares * 2 * centred",
        "dcentred = dcentred + 0 * dsquares",
        r"through the variance",
    ),
    "the mean is forgotten": ("dx = dcentred + dmean / R", "dx = dcentred", r"through the mean"),
    "mean and variance are forgotten": ("dx = dcentred + dmean / R", "dx = dxhat * inv_std", r"held fixed"),
    "dmean not divided by R": ("dmean / R", "dmean", r"line 1 divides by R"),
    "dvar not divided by R": ("dsquares = dvar / R", "dsquares = dvar", r"line 4 divides by R"),
    "the sign of 1/std": ("dstd = -dinv_std", "dstd = dinv_std", r"line 6"),
    "1/std without its square": ("-dinv_std / std**2", "-dinv_std / std", r"line 6"),
    "the root without its 2": ("dvar = dstd / (2 * std)", "dvar = dstd / std", r"factor 2"),
    "the square without its 2": ("dsquares * 2 * centred", "dsquares * centred", r"factor 2"),
    "the sign of dmean": ("dmean = -dcentred", "dmean = dcentred", r"line 2.*minus"),
    "gamma forgotten": ("dxhat = dout * gamma", "dxhat = dout", r"gamma is left out|lacks the factor gamma"),
    "dgamma without xhat": ("(dout * xhat).sum((0, 1, 2))", "dout.sum((0, 1, 2))", r"this is dbeta"),
    "dinv_std not summed": (
        "dinv_std = (dxhat * centred).sum((0, 1, 2))",
        "dinv_std = dxhat * centred",
        r"inv_std was spread",
    ),
    "a sum over the batch only": ("dbeta = dout.sum((0, 1, 2))", "dbeta = dout.sum(0)", r"dbeta: returned shape"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    forward, backward = function(mine, "batch_norm_forward"), function(mine, "batch_norm_backward")
    one, dout = np.ones(1), np.array([4.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    x = np.array([1.0, 1.0, 3.0, 3.0]).reshape(1, 2, 2, 1)
    what = "(dout: 4 0 0 0, cache of x: 1 1 3 3, gamma 1, beta 0, eps 0)"
    by_hand = np.array([2.0, -2.0, 0.0, 0.0]).reshape(x.shape), -4 * one, 4 * one
    _compare(forward, backward, x, one, 0 * one, 0.0, dout, what, by_hand)

    rng = np.random.default_rng(22)
    for shape in ((2, 3, 2, 3), (1, 2, 3, 2), (4, 1, 2, 1)):
        C = shape[3]
        x, gamma, beta = rng.normal(1.0, 2.0, shape), rng.uniform(0.5, 2.0, C), rng.normal(size=C)
        what = f"(dout of {shape}, cache of x of {shape})"
        _compare(forward, backward, x, gamma, beta, 1e-5, rng.normal(size=shape), what)

        def given(x, gamma, beta):  # eps has no gradient
            return forward(x, gamma, beta, 1e-5)

        gradcheck.check((given, backward), [x, gamma, beta], name=f"batch norm, x of {shape}")


def _compare(forward, backward, x, gamma, beta, eps, dout, what, by_hand=None):
    running = np.zeros_like(gamma), np.ones_like(gamma)
    out, cache = ops.batch_norm_forward_reference(x, gamma, beta, *running, True, 0.1, eps)
    found, own = several(forward(*frozen(x, gamma, beta), eps), "out, cache", "batch_norm_forward(x, gamma, beta, eps)")
    same(found, out, "batch_norm_forward, which is given: out")
    dx, dgamma, dbeta = by_hand or ops.batch_norm_backward_reference(dout, cache)
    what = f"batch_norm_backward{what}"
    got = several(backward(frozen(dout), own), "dx, dgamma, dbeta", what)
    same(got[2], dbeta, f"{what}: dbeta", hints=[(dgamma, "this is dgamma: return dx, dgamma, dbeta")])
    same(got[1], dgamma, f"{what}: dgamma", hints=[(dbeta, "this is dbeta; gamma was multiplied by xhat in line 8")])
    known = _known(x, gamma, eps, dout)
    same(got[0], dx, f"{what}: dx", hints=[(a, words) for a, words in known if not np.allclose(a, dx)])


def _known(x, gamma, eps, dout):
    """Wrong gradients of x by their values."""
    R = x.size // x.shape[3]
    return [
        (
            dout * gamma / np.sqrt(x.var((0, 1, 2)) + eps),
            "mean and var are held fixed here, but they depend on x: lines 4 and 1",
        ),
        (dout, "this is dout itself"),
        *(
            (_chain(x, gamma, eps, dout, **wrong), words)
            for wrong, words in (
                ({"mean": 0}, "the way through the mean is missing: lines 2 and 1"),
                ({"second": 0}, "the way through the variance is missing: centred is used in lines 3 and 7, add both"),
                ({"first": 0}, "centred is used in lines 3 and 7, and gets a gradient from both; that of 7 is missing"),
                ({"mean": 1}, "line 2 subtracts the mean: dmean has a minus"),
                ({"sign": 1}, "the way through the variance has the wrong sign: line 6, (1/a)' = -1/a**2"),
                ({"power": 1}, "line 6: (1/a)' = -1/a**2, and here std is not squared"),
                ({"power": 0}, "line 6: (1/a)' = -1/a**2, and here std is left out"),
                (
                    {"root": 1},
                    "the way through the variance is twice too large: line 5, sqrt(a)' = 1 / (2*sqrt(a)), has a "
                    "factor 2",
                ),
                (
                    {"square": 1},
                    "the way through the variance is half of what it must be: line 3, (a**2)' = 2*a, has a factor 2",
                ),
                ({"of_mean": 1}, "line 1 divides by R, and so must its gradient"),
                ({"of_var": 1}, "line 4 divides by R, and so must its gradient"),
                ({"of_mean": len(x), "of_var": len(x)}, f"R is N*H*W = {R} here, not N"),
                (
                    {"summed": ()},
                    "dinv_std is not summed: inv_std was spread over (N, H, W) in line 7, so sum over (0, 1, 2)",
                ),
                (
                    {"spread": ()},
                    "dmean is not summed: mean was spread over (N, H, W) in line 2, so sum over (0, 1, 2)",
                ),
                ({"gamma_power": 0}, "gamma is left out: dxhat = dout * gamma"),
            )
        ),
    ]


def _chain(
    x,
    gamma,
    eps,
    dout,
    first=1,
    second=1,
    mean=-1,
    sign=-1,
    power=2,
    root=2,
    square=2,
    of_mean=None,
    of_var=None,
    summed=(0, 1, 2),
    spread=(0, 1, 2),
    gamma_power=1,
):
    """dx by the chain, with all that goes wrong in it as an argument."""
    R, centred = x.size // x.shape[3], x - x.mean((0, 1, 2))
    std = np.sqrt(x.var((0, 1, 2)) + eps)
    dxhat = dout * gamma**gamma_power
    dstd = sign * (dxhat * centred).sum(summed) / std**power
    dcentred = first * dxhat / std + second * dstd / (root * std) / (of_var or R) * square * centred
    return dcentred + mean * dcentred.sum(spread) / (of_mean or R)
