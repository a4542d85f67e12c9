"""Batch norm as ``scale*x + shift`` per channel, and its backward as ``scale*dy + slope*x + constant``.

With x in place of xhat (Ioffe & Szegedy 2015, algorithm 1) neither direction needs more than one pass over the pixels
once the sums are known, and the pass can be part of another kernel. All numbers here are per channel.

A batch may lie in several processes. Then these sums are all that they have to tell one another: `across`.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel
from minighost.engine.memory import workspace
from minighost.engine.moments import merge_moments
from minighost.type_aliases import Array

__all__ = ["Kept", "across", "check_vectors", "finalize", "gradient_coefficients", "refuse_single"]

_gather: ContextVar[Callable[[Array], Array] | None] = ContextVar("across", default=None)


@contextlib.contextmanager
def across(gather: Callable[[Array], Array]) -> Iterator[None]:
    """Within the block, batch norm in training takes what several processes hold for one batch.

    The gradients of gamma and beta are each process's share: their mean over the processes belongs to the loss's mean
    over the processes, as all other gradients do. It holds for the Python thread that runs the block, and has to hold
    for the forward and its backward alike.

    Parameters
    ----------
    gather : callable
        Of an array (...) float64 the arrays of all processes (processes, ...), in one order everywhere. Every process
        calls it equally often, with arrays of one shape.
    """
    before = _gather.get()
    _gather.set(gather)
    try:
        yield
    finally:
        _gather.set(before)


def check_vectors(x, *vectors):
    """Refuse gamma, beta, running mean and running variance that do not fit x; any strides will do."""
    if all(type(v) is np.ndarray and v.shape == x.shape[3:] and v.dtype == x.dtype for v in vectors):
        return
    names = ("gamma", "beta", "running_mean", "running_var")
    named = {name: check.array("batch_norm", name, v, 1) for name, v in zip(names, vectors, strict=True)}
    for name, vector in named.items():
        check.shape_is("batch_norm", name, vector, x.shape[3:])
    check.same_dtype("batch_norm", x=x, **named)


def refuse_single(x):
    """Raise ValueError if each channel of x has one value only: its variance would be 0."""
    if x.size == x.shape[3] and _gather.get() is None:
        raise ValueError(
            f"batch_norm: training needs more than one value per channel, got x of shape {x.shape}; "
            "use a larger batch or call eval()"
        )


class Kept(NamedTuple):
    """What the backward of a batch norm needs of its forward."""

    rows: np.ndarray  # (4, C), float64: mean, mean - mean in the precision of the data, 1/deviation, scale
    per_channel: int  # how many values each channel has
    training: bool


def finalize(statistics, count, vectors, training, momentum, eps, dtype):
    """Turn mean and variance into what is to be done to every pixel.

    Parameters
    ----------
    statistics : ndarray, shape (2, C), float64
        Mean and biased variance of the batch; without training they are not read.
    count : int
        Values per channel.
    vectors : tuple of ndarray, shape (C,)
        gamma, beta, and the running mean and variance, which training updates in place.
    training : bool
    momentum, eps : float
    dtype : dtype

    Returns
    -------
    norm : ndarray, shape (3, C)
        scale, shift and mean.
    kept : Kept
    """
    C = len(vectors[0])
    gamma, beta, mean, var = (v if check.is_plain(v) else np.array(v, dtype, order="C", subok=False) for v in vectors)
    if training:
        check.written_in_place("batch_norm", "running_mean", vectors[2])
        check.written_in_place("batch_norm", "running_var", vectors[3])
    norm, rows = np.empty((3, C), dtype), np.empty((4, C))
    if training and (gather := _gather.get()):
        statistics, count = _of_all(gather, statistics, count)
    options = training, float(momentum), float(eps)
    _finalize(statistics, count, gamma, beta, mean, var, *options, norm, rows, n_threads=1)
    if training:
        for own, copy in zip(vectors[2:], (mean, var), strict=True):
            if own is not copy:
                own[...] = copy
    return norm, Kept(rows, count, training)


def gradient_coefficients(sums, kept: Kept, dtype):
    """Turn the two sums of a gradient into what is to be done to every pixel of it.

    Parameters
    ----------
    sums : ndarray, shape (chunks, 2, C), float64
        Of ``dy`` and ``dy * (x - mean)``, with the mean in the precision of the data.
    kept : Kept
    dtype : dtype

    Returns
    -------
    coefficients : ndarray, shape (3, C)
        scale, slope and constant of ``dx = scale*dy + slope*x + constant``.
    dgamma, dbeta : ndarray, shape (C,)

    Notes
    -----
    dx is ``scale * (dy - dbeta/R - (x - mean)*inv_std * dgamma/R)``, sorted by what it multiplies: dy, x and 1. Without
    training, mean and deviation are constants, and only the first term is there.
    """
    C = sums.shape[2]
    coefficients, dgamma, dbeta = np.empty((3, C), dtype), np.empty(C, dtype), np.empty(C, dtype)
    (totals,) = workspace(np.float64, (2, C))
    sums = check.array("batch_norm backward", "sums", sums, 3)
    gather = _gather.get() if kept.training else None
    if gather:
        sums = gather(sums.sum(axis=0))
    _gradient_coefficients(sums, *kept, totals, coefficients, dgamma, dbeta, n_threads=1)
    if gather:
        dgamma /= len(sums)
        dbeta /= len(sums)
    return coefficients, dgamma, dbeta


def _of_all(gather, statistics, count):
    """Mean and variance (2, C) of the values of all processes, and how many there are."""
    mean, var = statistics
    parts = gather(np.stack([np.full_like(mean, count), mean, count * var]))
    together = np.empty_like(statistics)
    _merge(parts, together, n_threads=1)
    return together, int(parts[:, 0, :1].sum())


@kernel
def _merge(work, parts, statistics):
    merge_moments(parts, statistics)


@kernel
def _finalize(work, statistics, count, gamma, beta, running_mean, running_var, training, momentum, eps, norm, rows):
    for c in range(len(gamma)):
        mean, var = np.float64(running_mean[c]), np.float64(running_var[c])
        if training:
            mean, var = statistics[0, c], statistics[1, c]
            running_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean
            running_var[c] = (1 - momentum) * running_var[c] + momentum * (count / (count - 1)) * var
        inv_std = 1 / np.sqrt(var + eps)
        scale = gamma[c] * inv_std
        norm[0, c], norm[1, c], norm[2, c] = scale, beta[c] - mean * scale, mean
        rows[0, c], rows[1, c], rows[2, c], rows[3, c] = mean, mean - norm[2, c], inv_std, scale


@kernel
def _gradient_coefficients(work, sums, rows, count, training, totals, coefficients, dgamma, dbeta):
    totals[:] = 0
    for t in range(len(sums)):
        for k in range(2):
            for c in range(len(dbeta)):
                totals[k, c] += sums[t, k, c]
    for c in range(len(dbeta)):
        mean, rounding, inv_std, scale = rows[0, c], rows[1, c], rows[2, c], rows[3, c]
        db = totals[0, c]
        dg = (totals[1, c] - rounding * db) * inv_std
        slope = -scale * inv_std * dg / count if training else 0.0
        constant = -scale * db / count - slope * mean if training else 0.0
        dgamma[c], dbeta[c] = dg, db
        coefficients[0, c], coefficients[1, c], coefficients[2, c] = scale, slope, constant
