"""What exercise 23 must do, three hints, and wrong answers that it must refuse."""

import numpy as np

from minighost import gradcheck
from minighost.learn.checks.calls import several
from minighost.learn.compare import frozen, function, same

HINTS = (
    "Compute dbeta and dgamma first: dx is built from them. Both are sums over (N, H, W), one number per channel.",
    "R counts the numbers of one channel: N*H*W, that is dout.size // C. Three terms: dout itself, its mean, and xhat "
    "times the mean of dout * xhat.",
    "Subtract dbeta/R and xhat*dgamma/R from dout; then multiply everything by gamma * inv_std.",
)

WRONG = {
    "no term through the mean": ("dout - dbeta / R - xhat", "dout - xhat", r"through the mean is missing"),
    "no term through the variance": (" - xhat * dgamma / R)", ")", r"through the variance is missing"),
    "statistics held fixed": ("(dout - dbeta / R - xhat * dgamma / R)", "dout", r"mean and variance are missing"),
    "R is the batch only": ("dout.size // dout.shape[-1]", "dout.shape[0]", r"R must be N\*H\*W = 4"),
    "R counts the channels too": ("dout.size // dout.shape[-1]", "dout.size", r"R must be N\*H\*W, without C"),
    "gamma forgotten in dx": ("dx = gamma * inv_std *", "dx = inv_std *", r"lacks the factor gamma|gamma is left out"),
    "divided by the deviation's inverse": ("gamma * inv_std * (", "gamma / inv_std * (", r"multiply by inv_std"),
    "dgamma without xhat": ("(dout * xhat).sum", "dout.sum", r"dgamma"),
    "sum over the batch only": ("dbeta = dout.sum((0, 1, 2))", "dbeta = dout.sum(0)", r"dbeta"),
    "gamma and beta swapped": ("return dx, dgamma, dbeta", "return dx, dbeta, dgamma", r"the other way round"),
    "variance term with the wrong sign": ("- xhat * dgamma / R", "+ xhat * dgamma / R", r"variance"),
}


def check(mine):
    """Raise AssertionError, in words that lead to the fix, unless the functions of the module `mine` are right."""
    backward, forward = function(mine, "batch_norm_backward"), function(mine, "batch_norm_forward")
    _by_hand(backward)
    rng = np.random.default_rng(23)
    x, dout = rng.normal(2.0, 3.0, (2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    gamma, beta = rng.uniform(0.5, 2.0, 5), rng.normal(size=5)
    _, (xhat, scale, inv_std) = forward(x, gamma, beta)
    got = backward(frozen(dout), frozen(xhat, scale, inv_std))
    what = "batch_norm_backward(dout of 2x3x4x5, cache)"
    _in_order(got, what, _chain(x, gamma, dout), _mistakes(xhat, scale, inv_std, dout))
    gradcheck.check((forward, backward), [x[:, :2, :3, :2], gamma[:2], beta[:2]], name="batch norm, closed form")


def _by_hand(backward):
    """The four numbers of the task."""
    xhat, dout = (np.array(v, float).reshape(1, 2, 2, 1) for v in ([-1, -1, 1, 1], [1, 2, 3, 6]))
    cache = frozen(xhat, np.ones(1), np.ones(1))
    want = np.array([-0.5, 0.5, -1.5, 1.5]).reshape(1, 2, 2, 1), np.array([6.0]), np.array([12.0])
    known = [
        (dout - 12 - xhat * 6, "R must be N*H*W = 4, the positions of a channel, not N"),
        (dout - 12 / 4 + xhat * 6 / 4, "the term through the variance has the wrong sign"),
        (dout + 12 / 4 - xhat * 6 / 4, "the term through the mean has the wrong sign"),
        (dout - xhat * 6 / 4, "the term through the mean is missing: subtract dbeta/R"),
        (dout - 12 / 4, "the term through the variance is missing: subtract xhat*dgamma/R"),
        (dout, "the terms through mean and variance are missing"),
    ]
    what = "batch_norm_backward(dout = [1, 2, 3, 6], cache of xhat = [-1, -1, 1, 1], gamma = inv_std = 1)"
    _in_order(backward(frozen(dout), cache), what, want, known)


def _in_order(got, what, want, known):
    """dgamma and dbeta first, for dx is made of them."""
    dx, dgamma, dbeta = want
    got = several(got, "dx, dgamma, dbeta", what)
    swapped = "are dgamma and dbeta the other way round"
    same(got[1], dgamma, f"{what}: dgamma", hints=[(dbeta, f"this is dbeta: {swapped}, or xhat left out?")])
    same(got[2], dbeta, f"{what}: dbeta", hints=[(dgamma, f"this is dgamma: {swapped}?")])
    same(got[0], dx, f"{what}: dx", hints=known)


def _mistakes(xhat, gamma, inv_std, dout):
    R = dout.size // dout.shape[-1]
    dbeta, dgamma = dout.sum((0, 1, 2)), (dout * xhat).sum((0, 1, 2))
    inside = dout - dbeta / R - xhat * dgamma / R
    return [
        (inv_std * inside, "gamma is left out"),
        (gamma * inside, "inv_std is left out"),
        (gamma / inv_std * inside, "multiply by inv_std, which is 1 / sqrt(var + eps) already"),
        (gamma * inv_std * (dout - dbeta / dout.size - xhat * dgamma / dout.size), "R must be N*H*W, without C"),
    ]


def _chain(x, gamma, dout, eps=1e-5):
    """The chain of exercise 22, line by line."""
    R, axes = x.size // x.shape[-1], (0, 1, 2)
    mean = x.mean(axes)
    centred = x - mean
    var = (centred**2).mean(axes)
    inv_std = (var + eps) ** -0.5
    xhat = centred * inv_std
    dbeta, dgamma = dout.sum(axes), (dout * xhat).sum(axes)
    dxhat = dout * gamma
    dinv_std = (dxhat * centred).sum(axes)
    dvar = dinv_std * -0.5 * (var + eps) ** -1.5
    dcentred = dxhat * inv_std + 2 * centred * dvar / R
    dmean = -dcentred.sum(axes)
    return dcentred + dmean / R, dgamma, dbeta
