"""Batch normalisation: give every channel mean 0 and variance 1 over the batch, then a learnt scale and shift.

    xhat = (x - mean) / sqrt(var + eps),   out = gamma * xhat + beta        (Ioffe & Szegedy 2015, algorithm 1)

`mean` and the biased `var` are taken over (N, H, W), R values per channel. The running variance that inference uses
takes the unbiased ``R/(R-1)`` value, as PyTorch does. ``relu=True`` applies max(., 0) on the way out - in these
networks the two go together, and one pass over memory then does both.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.batch_norm import check_vectors, finalize, gradient_coefficients, refuse_single
from minighost.engine.launch import is_last, kernel, share, spans
from minighost.engine.memory import empty
from minighost.engine.moments import merge_moments
from minighost.type_aliases import Array, Cache

__all__ = ["batch_norm_backward", "batch_norm_backward_reference", "batch_norm_forward", "batch_norm_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def batch_norm_forward_reference(
    x: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_var: Array,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    relu: bool = False,
    out: Array | None = None,
) -> tuple[Array, Cache]:
    """`batch_norm_forward` in plain NumPy."""
    axes, R = (0, 1, 2), x.size // x.shape[3]
    if training:
        wide = np.result_type(x, np.float64)
        mean, var = x.mean(axes, wide), x.var(axes, wide)
        running_mean *= 1 - momentum
        running_mean += momentum * mean
        running_var *= 1 - momentum
        running_var += momentum * var * R / (R - 1)
    else:
        mean, var = running_mean, running_var
    inv_std = 1 / np.sqrt(var + eps)
    xhat = ((x - mean) * inv_std).astype(x.dtype)
    y = gamma * xhat + beta
    result = np.maximum(y, 0) if relu else y
    if out is not None:
        out[...] = result
    return (result if out is None else out), (xhat, y, gamma, inv_std.astype(x.dtype), training, relu)


def batch_norm_backward_reference(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """`batch_norm_backward` in plain NumPy: mean and variance depend on x, which gives the two sums in `dx`."""
    xhat, y, gamma, inv_std, training, relu = cache
    dy = np.where(y <= 0, 0, dout) if relu else dout
    dbeta, dgamma = dy.sum((0, 1, 2)), (dy * xhat).sum((0, 1, 2))
    if not training:
        return dy * gamma * inv_std, dgamma, dbeta
    R = dy.size // dy.shape[3]
    return gamma * inv_std * (dy - dbeta / R - xhat * dgamma / R), dgamma, dbeta


# The same, compiled --------------------------------------------------------------------------------------------


def batch_norm_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_var: Array,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    relu: bool = False,
    out: Array | None = None,
) -> tuple[Array, Cache]:
    """Normalise every channel.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    gamma, beta : ndarray, shape (C,)
    running_mean, running_var : ndarray, shape (C,)
        Updated in place when training: ``r = (1 - momentum) * r + momentum * batch``.
    training : bool
        Use the batch's statistics; otherwise the running ones.
    momentum, eps : float
    relu : bool
        Apply max(., 0) to the result.
    out : ndarray, shape (N, H, W, C), optional
        Where to write the result: an array, or a channel slice of a wider one.

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : tuple
        For `batch_norm_backward`.

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit, or training with one value per channel (its variance would be 0).

    Notes
    -----
    Sums are kept in float64, one per tile of rows and about its first row, and merged in the order of the tiles.
    """
    x = check.array("batch_norm", "x", x, 4)
    C = x.shape[3]
    vectors = gamma, beta, running_mean, running_var
    check_vectors(x, *vectors)
    if not eps >= 0:
        raise ValueError(f"batch_norm: eps must be >= 0, got {eps}")
    if out is None:
        out = empty(x.shape, x.dtype)
    else:
        check.target("batch_norm", out, x)
        x = x.copy() if np.shares_memory(x, out) else x  # the backward reads it once more
    R = x.size // max(C, 1)
    training = training and R > 0
    if training:
        refuse_single(x)
    statistics = _statistics(x) if training else np.empty((2, C))
    norm, kept = finalize(statistics, R, vectors, training, momentum, eps, x.dtype)
    if x.size:
        wide, k = _widen(x, out)
        _normalize(wide(x), np.tile(norm, k), x.dtype.type(0 if relu else -np.inf), wide(out))
    return out, (x, norm, kept, relu)


def batch_norm_backward(dout: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, H, W, C)
        May be a channel slice of a wider array; it is read in place.
    cache : tuple

    Returns
    -------
    dx : ndarray, shape (N, H, W, C)
        ``gamma*inv_std * (dy - mean(dy) - xhat*mean(dy*xhat))`` in training, with dy the gradient after the ReLU.
    dgamma, dbeta : ndarray, shape (C,)
    """
    x, norm, kept, relu = cache
    dout = check.channels("batch_norm backward", "dout", dout)
    check.shape_is("batch_norm backward", "dout", dout, x.shape)
    C, R = x.shape[3], x.size // max(x.shape[3], 1)
    dx = empty(x.shape, x.dtype)
    if not x.size:
        return dx, np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    wide, k = _widen(x, dout)
    rows = np.tile(norm, k)
    step, sums = _tiles(2, k * C, R // k)
    _backward_sums(wide(dout), wide(x), rows, relu, step, sums)
    sums = sums.reshape(len(sums), 2, k, C).sum((0, 2))
    coefficients, dgamma, dbeta = gradient_coefficients(sums.reshape(1, 2, C), kept, x.dtype)
    _backward(wide(dout), wide(x), rows, np.tile(coefficients, k), relu, wide(dx))
    return dx, dgamma, dbeta


def _statistics(x):
    """Mean and biased variance per channel, float64."""
    wide, k = _widen(x)
    C, R = x.shape[3], x.size // x.shape[3]
    step, partials = _tiles(3, k * C, R // k)
    statistics = np.empty((2, C))
    _forward_moments(wide(x), step, partials, statistics)
    return statistics


def _widen(*arrays):
    """Choose k and a view that takes k rows of C channels as one row of k*C, for narrow rows vectorise badly."""
    C, R = arrays[0].shape[3], arrays[0].size // arrays[0].shape[3]
    k = 1
    if all(a.flags.c_contiguous for a in arrays):
        while R % (2 * k) == 0 and 2 * k * C <= 512:
            k *= 2
    return (lambda a: check.rows(a).reshape(R // k, -1) if k > 1 else check.rows(a)), k


def _tiles(n, C, R):
    """Rows of a tile, and room for n float64 numbers per tile and channel, which are to be added in order."""
    step = max(64, min(-(-R // 16), (1 << 16) // C))
    return step, np.empty((-(-R // step), n, C))


@kernel
def _forward_moments(work, x, step, partials, statistics):
    """Count, mean and squares of every tile; until then, sums about its first row."""
    C = partials.shape[2]
    for t in share(work, len(partials)):
        total, pivot, squares = partials[t, 0], partials[t, 1], partials[t, 2]
        first, last = t * step, min(len(x), (t + 1) * step)
        for c in range(C):
            total[c], pivot[c], squares[c] = 0, x[first, c], 0
        for r in range(first, last):
            for c in range(C):
                v = np.float64(x[r, c]) - pivot[c]
                total[c] += v
                squares[c] += v * v
        for c in range(C):
            mean = total[c] / (last - first)
            squares[c] -= total[c] * mean
            pivot[c] += mean
            total[c] = last - first
        if is_last(work, len(partials)):
            merge_moments(partials, statistics)


@kernel
def _normalize(work, x, norm, floor, out):
    C, scale, shift = norm.shape[1], norm[0], norm[1]
    for first, last in spans(work, len(x), C):
        for r in range(first, last):
            for c in range(C):
                y = x[r, c] * scale[c] + shift[c]
                out[r, c] = floor if y <= floor else y  # this way round a NaN passes through


@kernel
def _backward_sums(work, dout, x, norm, relu, step, partials):
    C, scale, shift, mean, zero = norm.shape[1], norm[0], norm[1], norm[2], dout.dtype.type(0)
    for t in share(work, len(partials)):
        total, moment = partials[t, 0], partials[t, 1]
        partials[t] = 0
        for r in range(t * step, min(len(x), (t + 1) * step)):
            for c in range(C):
                dy = np.float64(zero if relu and x[r, c] * scale[c] + shift[c] <= 0 else dout[r, c])
                total[c] += dy
                moment[c] += dy * (np.float64(x[r, c]) - mean[c])


@kernel
def _backward(work, dout, x, norm, coefficients, relu, dx):
    C, zero = norm.shape[1], dx.dtype.type(0)  # a plain 0 would turn the line into float64
    norm_scale, shift, scale, slope, constant = norm[0], norm[1], coefficients[0], coefficients[1], coefficients[2]
    for first, last in spans(work, len(x), C):
        for r in range(first, last):
            for c in range(C):
                dy = zero if relu and x[r, c] * norm_scale[c] + shift[c] <= 0 else dout[r, c]
                dx[r, c] = scale[c] * dy + slope[c] * x[r, c] + constant[c]
