"""Pointwise (1x1) convolution: in channels-last layout it *is* one matrix product, with no im2col.

    out[n, h, w, :] = x[n, h, w, :] @ w + b         (Lin et al. 2014, "Network in network", §3)

Letters: R = N*H*W rows, C channels in, OC channels out.
"""

import numpy as np

from minighost.ops import check
from minighost.ops.buffers import empty
from minighost.ops.engine import kernel, share

__all__ = ["pointwise_backward", "pointwise_backward_reference", "pointwise_forward", "pointwise_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def pointwise_forward_reference(x, w, b=None):
    """`pointwise_forward` in plain NumPy."""
    out = x @ w  # (N, H, W, C) @ (C, OC) -> (N, H, W, OC)
    return (out if b is None else out + b), (x, w, b)


def pointwise_backward_reference(dout, cache):
    """`pointwise_backward` in plain NumPy."""
    x, w, b = cache
    C, OC = w.shape
    rows, drows = x.reshape(-1, C), dout.reshape(-1, OC)  # (R, C), (R, OC)
    return dout @ w.T, rows.T @ drows, None if b is None else drows.sum(0)


# The same, compiled --------------------------------------------------------------------------------------------


def pointwise_forward(x, w, b=None):
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
    w = check.array("pointwise", "w", w, 2)
    check.same_dtype("pointwise", x=x, w=w, b=b)
    C, OC = w.shape
    if x.shape[-1] != C:
        raise ValueError(f"pointwise: x has {x.shape[-1]} channels but w has shape {w.shape}, so it takes {C}")
    if b is not None:
        check.shape_is("pointwise", "b", b, (OC,))
    out = empty((*x.shape[:-1], OC), x.dtype)
    if out.size:
        bias = np.zeros(OC, x.dtype) if b is None else check.array("pointwise", "b", b, 1)
        _forward(x.reshape(-1, C), w, bias, _tile_rows(C, OC), out.reshape(-1, OC))
    return out, (x, w, b)


def pointwise_backward(dout, cache):
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
    rows, drows = x.reshape(-1, C), dout.reshape(-1, OC)
    R = len(rows)
    chunk = max(512, -(-R // 32))  # rows behind one partial sum of dw: a function of the shape, not of the threads
    dx = empty(x.shape, x.dtype)
    dws = empty((-(-R // chunk), C, OC), x.dtype)
    if dout.size:
        _backward(drows, rows, w, chunk, _tile_rows(C, OC), dx.reshape(-1, C), dws)
    db = None if b is None else drows.sum(0, dtype=np.float64).astype(x.dtype)
    return dx, dws.sum(0), db


def _tile_rows(C, OC):
    """Rows of a tile whose input and output stay in a 256 KiB share of the cache (float32), in steps of 32."""
    return max(32, min(1024, (1 << 16) // (C + OC) // 32 * 32))


@kernel
def _forward(work, x, w, b, step, out):
    R, OC = out.shape
    for t in share(work, (R + step - 1) // step):
        r0, r1 = t * step, min(R, (t + 1) * step)
        np.dot(x[r0:r1], w, out[r0:r1])
        for r in range(r0, r1):
            for o in range(OC):
                out[r, o] += b[o]


@kernel
def _backward(work, dout, x, w, chunk, step, dx, dws):
    R = len(x)
    for t in share(work, len(dws)):
        r0, r1 = t * chunk, min(R, (t + 1) * chunk)
        np.dot(x[r0:r1].T, dout[r0:r1], dws[t])
        for s0 in range(r0, r1, step):
            s1 = min(r1, s0 + step)
            np.dot(dout[s0:s1], w.T, dx[s0:s1])
