"""Activations that wait to be normalised, and gradients that wait for batch norm's two sums.

Batch norm needs the whole batch's mean before it can normalise one number. Done at once, that costs a pass over memory
to sum and another to scale - more than the convolution itself. So a fused convolution takes the sums of its result
while a tile of it is in cache, and hands on the raw result with what is to be done to it: `Deferred`. The kernel
that reads it normalises it on the way into its own tile. Backward it is the same: a `DeferredGradient` is the gradient
with respect to batch norm's result together with the three numbers per channel that carry it through batch norm.

    forward    y  = act(scale*x + shift)                 scale = gamma*inv_std, shift = beta - mean*scale
    backward   dx = scale*dy + slope*x + constant        see `batch_norm_backward`

(Ioffe & Szegedy 2015, algorithm 1, with x instead of xhat.) The plain twin of all this is `ops.batch_norm`.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from minighost.engine.activations import IDENTITY, is_cut
from minighost.engine.batch_norm import check_vectors, finalize, gradient_coefficients, refuse_single
from minighost.engine.memory import empty
from minighost.engine.vectors import width

__all__ = [
    "Deferred",
    "DeferredGradient",
    "along",
    "chunks_of",
    "finalize_stats",
    "batch_norm_backward",
    "GradientLines",
    "InputGradientLines",
    "Lines",
    "gradient_lines_of",
    "input_gradient",
    "lanes",
    "lines_of",
    "period",
    "plain",
    "plain_gradient",
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
    norm : ndarray, shape (3, C) or (3, 0)
        Rows scale, shift and mean; without columns `raw` is the activation itself.
    act : NamedTuple
        What follows; see `engine.activations`.
    gate : ndarray, shape (N, C) or (0, C)
        Squeeze-and-excitation's factors, applied last.
    """

    raw: np.ndarray
    norm: np.ndarray
    act: Any
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
    return Deferred(x, np.empty((3, 0), x.dtype), IDENTITY, np.empty((0, x.shape[3]), x.dtype))


def plain_gradient(dy):
    """An ordinary gradient as a `DeferredGradient` that has no batch norm to pass."""
    return DeferredGradient(dy, dy, np.empty((3, 0), dy.dtype))


class Lines(NamedTuple):
    """A deferred activation line by line."""

    x: np.ndarray  # (N, H, W*C)
    norm: np.ndarray  # (3, period) or (3, 0)
    act: Any


class GradientLines(NamedTuple):
    """A deferred gradient line by line."""

    dy: np.ndarray  # (N, H, W*C)
    raw: np.ndarray  # (N, H, W*C)
    coefficients: np.ndarray  # (3, period) or (3, 0)


class InputGradientLines(NamedTuple):
    """Where a kernel leaves the gradient with respect to its input, and what is done to it on the way."""

    norm: np.ndarray  # (3, period), or (3, 0) where the activation before does not cut
    skip: np.ndarray  # (N, H, W*C), a gradient that is added; or (0, H, W*C)
    dx: np.ndarray  # (N, H, W*C), or (0, H, W*C) if it is not wanted
    sums: np.ndarray  # (chunks, 2, C), float64: of dx, and of dx times the distance of x from its mean


def lines_of(deferred):
    """A `Deferred` as `Lines`."""
    N, H, W, C = deferred.raw.shape
    return Lines(
        deferred.raw.reshape(N, H, W * C), along(deferred.norm, period(W, C, deferred.raw.dtype)), deferred.act
    )


def gradient_lines_of(gradient):
    """A `DeferredGradient` as `GradientLines`."""
    N, H, W, C = gradient.raw.shape
    dy, raw = gradient.dy.reshape(N, H, W * C), gradient.raw.reshape(N, H, W * C)
    return GradientLines(dy, raw, along(gradient.coefficients, period(W, C, dy.dtype)))


def input_gradient(lines, C, chunks, skip_grad, overwrite_skip, wanted=True):
    """Room for the gradient with respect to what lies in `lines`.

    Parameters
    ----------
    lines : Lines
    C, chunks : int
    skip_grad : ndarray, shape (N, H, W, C), or None
        Gradient that reaches the same activation another way.
    overwrite_skip : bool
        Write the result into `skip_grad`.
    wanted : bool
        Whether there is to be a result at all.
    """
    x = lines.x
    dx = skip_grad.reshape(x.shape) if overwrite_skip else empty(x.shape if wanted else (0, *x.shape[1:]), x.dtype)
    skip = x[:0] if skip_grad is None else skip_grad.reshape(x.shape)
    norm = lines.norm if is_cut(lines.act) else lines.norm[:, :0].copy()
    return InputGradientLines(norm, skip, dx, empty((chunks, 2, C), np.float64))


def lanes(C):
    """C times a power of two, at most 512 or C: for how many numbers per-channel ones are repeated along rows."""
    L = C
    while 0 < 2 * L <= 512:
        L *= 2
    return L


@functools.lru_cache(1 << 10)
def period(W, C, dtype):
    """For how many numbers per-channel ones are repeated along a line of W*C: whole registers, but at most 512.

    It divides the line's length. Where no such number does, it is the whole line, in registers: the last is padded.
    """
    register = width(dtype)
    fitting = [k * C for k in range(1, W + 1) if W % k == 0 and k * C % register == 0 and (k == 1 or k * C <= 512)]
    return fitting[-1] if fitting else -(-W * C // register) * register


def along(rows, L):
    """Per-channel rows (n, C) repeated along a line of L numbers, the last ones zero; what has no columns stays so."""
    n, C = rows.shape
    if C == 0:
        return rows
    out, whole = np.empty((n, L), rows.dtype), L // C * C  # np.tile takes ten times as long
    out[:, :whole].reshape(n, L // C, C)[:] = rows[:, None]
    if whole < L:
        out[:, whole:] = 0
    return out


def finalize_stats(
    raw, statistics, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5, act=IDENTITY
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
    act : NamedTuple
        The activation after it.

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
    norm, kept = finalize(statistics, count, vectors, training, momentum, eps, raw.dtype)
    return Deferred(raw, norm, act, np.empty((0, len(gamma)), raw.dtype)), (raw, kept)


def batch_norm_backward(dy, sums, cache):
    """Carry a gradient through the batch norm of `finalize_stats`.

    Parameters
    ----------
    dy : ndarray, shape (N, H, W, C)
        Gradient with respect to batch norm's result, before the activation.
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
