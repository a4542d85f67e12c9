"""Kernels that visit each number of what is learnt once: an optimizer's step, an average's, the sum of squares.

They work in place on rows: plain arrays (`engine.check`) with one axis. A number of a weight, its gradient and its
moments meet in a register or in the cache, so that a step reads and writes main memory once.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine.check import shape_is
from minighost.engine.launch import kernel, share, spans, tile

__all__ = ["AdamWRates", "adamw_update", "average_update", "sgd_update", "sum_of_squares"]

TILE, LANES = 1 << 14, 32  # numbers that are summed up in one go, and partial sums side by side


def _n_threads(row):
    """One, or None for all: for fewer than 65,536 numbers their start costs more."""
    return 1 if row.size < 1 << 16 else None


def _check(name, row, **others):
    for other, x in others.items():
        shape_is(name, other, x, row.shape)


def sgd_update(p, g, buffer, lr, momentum, decay, nesterov):
    """One step of stochastic gradient descent; `train.SGD` has the formula.

    Parameters
    ----------
    p, g, buffer : ndarray, shape (size,)
        Weights, gradients and momenta, of one dtype. The first and the last are updated; without momentum the first.
    lr, momentum, decay : float
    nesterov : bool
    """
    _check("sgd_update", p, g=g, buffer=buffer)
    lr, momentum, decay = (p.dtype.type(number) for number in (lr, momentum, decay))
    _sgd(p, g, buffer, lr, momentum, decay, bool(nesterov), n_threads=_n_threads(p))


@kernel
def _sgd(work, p, g, buffer, lr, momentum, decay, nesterov):
    for first, last in spans(work, len(p), 1):
        _sgd_span(p[first:last], g[first:last], buffer[first:last], lr, momentum, decay, nesterov)


@tile
def _sgd_span(p, g, buffer, lr, momentum, decay, nesterov):
    if momentum == 0:
        for k in range(len(p)):
            p[k] -= lr * (g[k] + decay * p[k])
        return
    for k in range(len(p)):
        buffer[k] = momentum * buffer[k] + (g[k] + decay * p[k])  # from zero on, so the first one is the gradient
    if nesterov:
        for k in range(len(p)):
            p[k] -= lr * ((g[k] + decay * p[k]) + momentum * buffer[k])
    else:
        for k in range(len(p)):
            p[k] -= lr * buffer[k]


class AdamWRates(NamedTuple):
    """The numbers of one step, of the row's dtype: what of each moment is kept and is new, and what moves the weight.

    ``rate = lr / (1 - beta1**t)``, ``root = sqrt(1 - beta2**t)``, ``shrink = 1 - lr * weight_decay``.
    """

    keep1: float
    new1: float
    keep2: float
    new2: float
    rate: float
    root: float
    eps: float
    shrink: float


def adamw_update(p, g, mean, square, rates):
    """One step of AdamW; `train.AdamW` has the formula.

    Parameters
    ----------
    p, g, mean, square : ndarray, shape (size,)
        Weights, gradients and moments, of one dtype; all but the gradients are updated.
    rates : AdamWRates
    """
    _check("adamw_update", p, g=g, mean=mean, square=square)
    _adamw(p, g, mean, square, AdamWRates(*map(p.dtype.type, rates)), n_threads=_n_threads(p))


@kernel
def _adamw(work, p, g, mean, square, rates):
    for first, last in spans(work, len(p), 1):
        _adamw_span(p[first:last], g[first:last], mean[first:last], square[first:last], rates)


@tile
def _adamw_span(p, g, mean, square, rates):
    keep1, new1, keep2, new2, rate, root, eps, shrink = rates
    _average_span(mean, g, keep1, new1)
    for k in range(len(p)):
        square[k] = keep2 * square[k] + new2 * (g[k] * g[k])
        p[k] = shrink * p[k] - rate * (mean[k] / (np.sqrt(square[k]) / root + eps))


def average_update(average, value, decay):
    """``average <- decay * average + (1 - decay) * value``.

    Parameters
    ----------
    average, value : ndarray, shape (size,)
        Of one dtype; the first is updated.
    decay : float
    """
    _check("average_update", average, value=value)
    keep, new = average.dtype.type(decay), average.dtype.type(1 - decay)
    _average(average, value, keep, new, n_threads=_n_threads(average))


@kernel
def _average(work, average, value, keep, new):
    for first, last in spans(work, len(average), 1):
        _average_span(average[first:last], value[first:last], keep, new)


@tile
def _average_span(average, value, keep, new):
    """From the nearer end.

    ``average + (value - average)`` would lose a `value` that is much the smaller, where next to nothing is to be kept.
    """
    if keep > new:
        for k in range(len(average)):
            average[k] += new * (value[k] - average[k])
    else:
        for k in range(len(average)):
            average[k] = value[k] - keep * (value[k] - average[k])


def sum_of_squares(x):
    """Of a row, in float64, as a Python float."""
    sums = np.zeros((max(1, x.size // TILE), LANES))
    _add_squares(x, sums, n_threads=_n_threads(x))
    return float(sums.sum())


@kernel
def _add_squares(work, x, sums):
    T = len(sums)
    for t in share(work, T):
        _add_squares_of_tile(x[t * len(x) // T : (t + 1) * len(x) // T], sums[t])


@tile
def _add_squares_of_tile(x, sums):
    L = len(sums)
    for q in range(0, len(x), L):
        xq = x[q : q + L]
        for k in range(len(xq)):
            v = np.float64(xq[k])  # squares of float32 values overflow beyond 1.8e19
            sums[k] += v * v
