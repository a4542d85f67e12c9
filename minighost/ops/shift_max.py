"""Dynamic shift-max: the larger of two mixtures of a channel and its neighbour in the next group.

    out[n, h, w, c] = max over t of a[n, t, c] * x[n, h, w, c] + b[n, t, c] * x[n, h, w, next(c)]

(Li et al. 2021, "MicroNet: Improving image recognition with extremely low FLOPs", eq. 7). With the C channels as a
table of G rows, next(c) is one row and one column further, going round at the ends: so channels of two groups meet at
the cost of an activation. The coefficients differ from image to image.
Letters: N batch, H W height and width, C channels in, G groups.
"""

from typing import Any

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, Cache

__all__ = ["shift_max_backward", "shift_max_backward_reference", "shift_max_forward", "shift_max_forward_reference"]


def next_channels(C: int, groups: int) -> Any:
    """next(c) of every channel; `groups` divides C."""
    table = np.arange(C).reshape(groups, C // groups)
    return np.roll(table, (-1, -1), (0, 1)).ravel()


# The idea ------------------------------------------------------------------------------------------------------


def shift_max_forward_reference(x: Array, coefficients: Array, groups: int) -> tuple[Array, Cache]:
    """`shift_max_forward` in plain NumPy."""
    following = x[..., next_channels(x.shape[3], groups)]
    a, b = np.moveaxis(coefficients[:, None, None], 4, 0)  # (N, 1, 1, terms, C) each
    terms = a * x[..., None, :] + b * following[..., None, :]
    best = terms.argmax(3)[..., None, :]  # the first of equal ones
    return np.take_along_axis(terms, best, 3)[..., 0, :], (x, following, a, b, best, groups)


def shift_max_backward_reference(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """`shift_max_backward` in plain NumPy: only the larger term has a gradient."""
    x, following, a, b, best, groups = cache
    dterms = np.where(best == np.arange(a.shape[3])[:, None], dout[..., None, :], 0)  # (N, H, W, terms, C)
    da, db = (dterms * x[..., None, :]).sum((1, 2)), (dterms * following[..., None, :]).sum((1, 2))
    dx, dfollowing = (a * dterms).sum(3), (b * dterms).sum(3)
    dx[..., next_channels(x.shape[3], groups)] += dfollowing
    return dx, np.stack([da, db], 2)


# The same, compiled --------------------------------------------------------------------------------------------


def shift_max_forward(x: Array, coefficients: Array, groups: int) -> tuple[Array, Cache]:
    """The largest of several mixtures of every channel with the next.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    coefficients : ndarray, shape (N, terms, 2, C)
        a and b of each term; one term is a mixture without a maximum.
    groups : int
        G; must divide C.

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : tuple
        For `shift_max_backward`.

    Raises
    ------
    ValueError
        If `groups` does not divide C.
    """
    x, coefficients = check.array("shift_max", "x", x, 4), check.array("shift_max", "coefficients", coefficients, 4)
    check.same_dtype("shift_max", x=x, coefficients=coefficients)
    N, H, W, C = x.shape
    if groups < 1 or C % groups:
        raise ValueError(f"shift_max: groups={groups} must divide the channels of x, {C}")
    check.shape_is("shift_max", "coefficients", coefficients, (N, max(1, coefficients.shape[1]), 2, C))
    following = np.ascontiguousarray(next_channels(C, groups), np.int64)
    out = empty(x.shape, x.dtype)
    if x.size:
        _shift_max(x.reshape(N, H * W, C), coefficients, following, out.reshape(N, H * W, C))
    return out, (x, coefficients, following)


def shift_max_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `shift_max_forward`: dx (N, H, W, C) and those of the coefficients (N, terms, 2, C)."""
    x, coefficients, following = cache
    dout = check.array("shift_max backward", "dout", dout, 4)
    check.shape_is("shift_max backward", "dout", dout, x.shape)
    N, H, W, C = x.shape
    dx, sums = empty(x.shape, x.dtype), np.zeros(coefficients.shape)
    if x.size:
        plane = (N, H * W, C)
        _shift_max_backward(dout.reshape(plane), x.reshape(plane), coefficients, following, dx.reshape(plane), sums)
    return dx, sums.astype(x.dtype)


@kernel
def _shift_max(work, x, coefficients, following, out):
    N, K, C = x.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                this, other = x[n, p, c], x[n, p, following[c]]
                best = coefficients[n, 0, 0, c] * this + coefficients[n, 0, 1, c] * other
                for t in range(1, coefficients.shape[1]):
                    new = coefficients[n, t, 0, c] * this + coefficients[n, t, 1, c] * other
                    best = best if best >= new or best != best else new  # a NaN passes through
                out[n, p, c] = best


@kernel
def _shift_max_backward(work, dout, x, coefficients, following, dx, sums):
    N, K, C = x.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                dx[n, p, c] = 0
            for c in range(C):
                this, other, d = x[n, p, c], x[n, p, following[c]], dout[n, p, c]
                best, first = coefficients[n, 0, 0, c] * this + coefficients[n, 0, 1, c] * other, 0
                for t in range(1, coefficients.shape[1]):
                    new = coefficients[n, t, 0, c] * this + coefficients[n, t, 1, c] * other
                    if not (best >= new or best != best):
                        best, first = new, t
                dx[n, p, c] += coefficients[n, first, 0, c] * d
                dx[n, p, following[c]] += coefficients[n, first, 1, c] * d
                sums[n, first, 0, c] += d * this
                sums[n, first, 1, c] += d * other
