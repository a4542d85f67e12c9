"""Activations that wait to be normalised, and gradients that wait for batch norm's two sums.

Batch norm needs the whole batch's mean before it can normalise one number. Done at once, that costs a pass over memory
to sum and another to scale - more than the convolution itself. So a fused convolution takes the sums of its result
while a tile of it is in cache, and hands on the raw result with what is to be done to it: `Deferred`. The kernel
that reads it normalises it on the way into its own tile. Backward it is the same: a `DeferredGradient` is the gradient
after the ReLU together with the three numbers per channel that carry it through batch norm.

    forward    y  = max(scale*x + shift, floor)          scale = gamma*inv_std, shift = beta - mean*scale
    backward   dx = scale*dy + slope*x + constant        see `batch_norm_backward`

(Ioffe & Szegedy 2015, algorithm 1, with x instead of xhat.) The plain twin of all this is `ops.batch_norm`.
"""

from typing import NamedTuple

import numpy as np

from minighost.engine.batch_norm import check_vectors, finalize, gradient_coefficients, refuse_single

__all__ = [
    "Deferred",
    "DeferredGradient",
    "along",
    "chunks_of",
    "finalize_stats",
    "batch_norm_backward",
    "plain",
    "plain_gradient",
    "rectified",
]


def chunks_of(images, work):
    """Number of chunks that `images` are divided into; each has one writer and sums of its own.

    It depends on the shapes alone, never on the threads: at most 32, and fewer where there is little `work` (numbers to
    visit), for every chunk leaves partial sums behind that have to be added up.
    """
    return min(images, max(4, min(32, work >> 15)))


class Deferred(NamedTuple):
    """An activation, not yet normalised.

    Attributes
    ----------
    raw : ndarray, shape (N, H, W, C)
    norm : ndarray, shape (4, C) or (4, 0)
        Rows scale, shift, mean and floor (0 for ReLU, -inf for none); without columns `raw` is the activation itself.
    gate : ndarray, shape (N, C) or (0, C)
        Squeeze-and-excitation's factors, applied after the ReLU.
    """

    raw: np.ndarray
    norm: np.ndarray
    gate: np.ndarray


class DeferredGradient(NamedTuple):
    """The gradient with respect to a convolution's raw result, not yet passed through its batch norm.

    Attributes
    ----------
    dy, raw : ndarray, shape (N, H, W, C)
    coefficients : ndarray, shape (3, C) or (3, 0)
        Rows scale, slope and constant.
    """

    dy: np.ndarray
    raw: np.ndarray
    coefficients: np.ndarray


def plain(x):
    """An ordinary array as a `Deferred` for which nothing is left to do."""
    return Deferred(x, np.empty((4, 0), x.dtype), np.empty((0, x.shape[3]), x.dtype))


def plain_gradient(dy):
    """An ordinary gradient as a `DeferredGradient` that has no batch norm to pass."""
    return DeferredGradient(dy, dy, np.empty((3, 0), dy.dtype))


def along(rows, L):
    """Per-channel rows (n, C) repeated along a line of L numbers; what has no columns is left so."""
    n, C = rows.shape
    if C == 0:
        return rows
    out = np.empty((n, L // C, C), rows.dtype)  # np.tile takes ten times as long
    out[:] = rows[:, None]
    return out.reshape(n, L)


def finalize_stats(
    raw, statistics, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5, relu=False
):
    """Turn the statistics of a convolution's result into the batch norm that is due.

    Parameters
    ----------
    raw : ndarray, shape (N, H, W, C)
    statistics : ndarray, shape (2, C), float64
        Mean and biased variance of raw.
    gamma, beta, running_mean, running_var : ndarray, shape (C,)
        In training the running statistics are updated in place.
    training : bool
        Use the batch's statistics; otherwise the running ones, which the gradient takes for constants.
    momentum, eps : float
    relu : bool

    Returns
    -------
    deferred : Deferred
    cache : tuple
        For `batch_norm_backward`.

    Raises
    ------
    TypeError, ValueError
        If the vectors do not fit, or there is one value per channel only.
    """
    vectors = gamma, beta, running_mean, running_var
    check_vectors(raw, *vectors)
    if training:
        refuse_single(raw)
    count = raw.size // raw.shape[3]
    norm, kept = finalize(statistics, count, vectors, training, momentum, eps, relu, raw.dtype)
    return Deferred(raw, norm, np.empty((0, len(gamma)), raw.dtype)), (raw, kept)


def rectified(deferred):
    """The same activation with a ReLU after its batch norm."""
    norm = deferred.norm.copy()
    norm[3] = 0
    return deferred._replace(norm=norm)


def batch_norm_backward(dy, sums, cache):
    """Carry a gradient through the batch norm of `finalize_stats`.

    Parameters
    ----------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to the normalised activation, zero where the ReLU cut.
    sums : ndarray, shape (chunks, 2, C), float64
        Of ``dy`` and ``dy * (x - mean)``, with the mean in the precision of the data.
    cache : tuple

    Returns
    -------
    gradient : DeferredGradient
    dgamma, dbeta : ndarray, shape (C,)
    """
    raw, kept = cache
    coefficients, dgamma, dbeta = gradient_coefficients(sums, kept, dy.dtype)
    return DeferredGradient(dy, raw, coefficients), dgamma, dbeta
