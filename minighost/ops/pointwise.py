"""Pointwise (1x1) convolution: in channels-last layout it *is* one matrix product, with no im2col.

    out[n, h, w, :] = x[n, h, w, :] @ w + b         (Lin et al. 2014, "Network in network", §3)

Letters: R = N*H*W rows, C channels in, OC channels out.
"""

import numpy as np

from minighost.engine import check, kernels
from minighost.ops.bias import bias_gradient
from minighost.type_aliases import Array, Cache, Gradients

__all__ = ["pointwise_backward", "pointwise_backward_reference", "pointwise_forward", "pointwise_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def pointwise_forward_reference(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Cache]:
    """`pointwise_forward` in plain NumPy."""
    out = x @ w  # (N, H, W, C) @ (C, OC) -> (N, H, W, OC)
    return (out if b is None else out + b), (x, w, b)


def pointwise_backward_reference(dout: Array, cache: Cache) -> Gradients:
    """`pointwise_backward` in plain NumPy."""
    x, w, b = cache
    C, OC = w.shape
    rows, drows = x.reshape(-1, C), dout.reshape(-1, OC)  # (R, C), (R, OC)
    return dout @ w.T, rows.T @ drows, None if b is None else drows.sum(0)


# The same, compiled --------------------------------------------------------------------------------------------


def pointwise_forward(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Cache]:
    """1x1 convolution with stride 1.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C) or (N, C), float32 or float64
    w : ndarray, shape (C, OC)
    b : ndarray, shape (OC,), optional

    Returns
    -------
    out : ndarray, shape (N, H, W, OC) or (N, OC)
    cache : tuple
        For `pointwise_backward`.

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit.

    Examples
    --------
    >>> pointwise_forward(np.ones((1, 1, 1, 2)), np.array([[1.0], [3.0]]))[0].item()
    4.0
    """
    x = check.array("pointwise", "x", x, np.ndim(x) if np.ndim(x) == 2 else 4)
    w, b = check.array("pointwise", "w", w, 2), None if b is None else check.array("pointwise", "b", b, 1)
    check.same_dtype("pointwise", x=x, w=w, b=b)
    C, OC = w.shape
    if x.shape[-1] != C:
        raise ValueError(f"pointwise: x has {x.shape[-1]} channels but w has shape {w.shape}, so it takes {C}")
    if b is not None:
        check.shape_is("pointwise", "b", b, (OC,))
    if not x.size * OC:
        return np.zeros((*x.shape[:-1], OC), x.dtype) + (0 if b is None else b), (x, w, b)
    out, _ = kernels.pointwise_forward([kernels.plain(_pixels(x))], w, b, summing=False)
    out = out.reshape(*x.shape[:-1], OC)
    return out, (x, w, b)


def pointwise_backward(dout: Array, cache: Cache) -> Gradients:
    """Gradients of `pointwise_forward`.

    Parameters
    ----------
    dout : ndarray, shape of `out`
    cache : tuple

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``db`` is None where there was no bias.
    """
    x, w, b = cache
    C, OC = w.shape
    dout = check.array("pointwise backward", "dout", dout, x.ndim)
    check.shape_is("pointwise backward", "dout", dout, (*x.shape[:-1], OC))
    check.same_dtype("pointwise backward", dout=dout, x=x)
    db = bias_gradient(dout, b)
    if not x.size * OC:
        return np.zeros_like(x), np.zeros_like(w), db
    gradient = kernels.plain_gradient(_pixels(dout))
    [(dx, *_)], dw = kernels.pointwise_backward(gradient, [kernels.plain(_pixels(x))], w)
    return dx.reshape(x.shape), dw, db


def _pixels(x):
    return x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)
