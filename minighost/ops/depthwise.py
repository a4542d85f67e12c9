"""Depthwise convolution: every channel has filters of its own and meets no other channel.

    out[n, i, j, c*M + m] = b[c*M + m] + sum_{u,v} x[n, i*SH - PH + u*DH, j*SW - PW + v*DW, c] * w[u, v, c, m]

(Howard et al. 2017, "MobileNets", eq. 3; M is the channel multiplier.) The compiled twin is the kernel that training
uses, `engine.kernels.depthwise`, with nothing to fuse.
"""

import numpy as np

from minighost.engine import check, kernels
from minighost.engine.geometry import geometry, met
from minighost.ops.bias import bias_gradient
from minighost.type_aliases import Array, Cache, Gradients, IntPair

__all__ = ["depthwise_backward", "depthwise_backward_reference", "depthwise_forward", "depthwise_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def depthwise_forward_reference(
    x: Array, w: Array, b: Array | None = None, stride: IntPair = 1, padding: IntPair = 0, dilation: IntPair = 1
) -> tuple[Array, Cache]:
    """`depthwise_forward` in plain NumPy: one multiplication per tap."""
    g = geometry("depthwise", x.shape[1:3], w.shape[:2], stride, padding, dilation)
    (N, H, W, C), M = x.shape, w.shape[3]
    out: Array = np.zeros((N, g.OH, g.OW, C, M), x.dtype)
    for u, v in np.ndindex(g.KH, g.KW):
        h, k, i, j = met((H, W), g, u, v)
        out[:, i, j] += x[:, h, k, :, None] * w[u, v]  # (N, rows, columns, C, 1) * (C, M)
    out = out.reshape(N, g.OH, g.OW, C * M)
    return (out if b is None else out + b), (x, w, b, g)


def depthwise_backward_reference(dout: Array, cache: Cache) -> Gradients:
    """`depthwise_backward` in plain NumPy: the same slices, read for `dw`, added to for `dx`."""
    x, w, b, g = cache
    N, H, W, C = x.shape
    dy = dout.reshape(N, g.OH, g.OW, C, -1)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for u, v in np.ndindex(g.KH, g.KW):
        h, k, i, j = met((H, W), g, u, v)
        dw[u, v] = np.einsum("nijc,nijcm->cm", x[:, h, k], dy[:, i, j])
        dx[:, h, k] += np.einsum("nijcm,cm->nijc", dy[:, i, j], w[u, v])
    return dx, dw, None if b is None else dout.sum((0, 1, 2))


# The same, compiled --------------------------------------------------------------------------------------------


def depthwise_forward(
    x: Array, w: Array, b: Array | None = None, stride: IntPair = 1, padding: IntPair = 0, dilation: IntPair = 1
) -> tuple[Array, Cache]:
    """Depthwise convolution with a channel multiplier.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    w : ndarray, shape (KH, KW, C, M)
    b : ndarray, shape (C*M,), optional
    stride, padding, dilation : int or (int, int)

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C*M)
        Channel ``c*M + m`` comes from input channel c (PyTorch's order for ``groups=C``).
    cache : tuple
        For `depthwise_backward`.

    Raises
    ------
    TypeError, ValueError
        If dtypes or shapes do not fit, or the kernel is larger than the padded input.

    Examples
    --------
    >>> x, w = np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1))
    >>> depthwise_forward(x, w)[0].item()
    9.0
    """
    x, w = check.channels("depthwise", "x", x), check.array("depthwise", "w", w, 4)
    b = None if b is None else check.array("depthwise", "b", b, 1)
    check.same_dtype("depthwise", x=x, w=w, b=b)
    (N, H, W, C), M = x.shape, w.shape[3]
    if w.shape[2] != C:
        raise ValueError(
            f"depthwise: x has {C} channels but w has shape {w.shape} (KH, KW, C, M), so it takes {w.shape[2]}"
            + check.channels_first(x, w.shape[2])
        )
    if b is not None:
        check.shape_is("depthwise", "b", b, (C * M,))
    g = geometry("depthwise", (H, W), w.shape[:2], stride, padding, dilation)
    if not x.size * g.OH * M:
        return np.zeros((N, g.OH, g.OW, C * M), x.dtype) + (0 if b is None else b), (x, w, b, g)
    if not check.finite(w):  # a product with the kernel's zeros of padding would be NaN
        with np.errstate(all="ignore"):
            return depthwise_forward_reference(x, w, b, stride, padding, dilation)
    out, _ = kernels.depthwise_forward(_repeated(x, M), w.reshape(*w.shape[:2], C * M), g, b, False)
    return out, (x, w, b, g)


def depthwise_backward(dout: Array, cache: Cache) -> Gradients:
    """Gradients of `depthwise_forward`.

    Parameters
    ----------
    dout : ndarray, shape (N, OH, OW, C*M)
    cache : tuple

    Returns
    -------
    dx, dw, db : ndarray
        Shapes of x, w and b; ``db`` is None where there was no bias.
    """
    x, w, b, g = cache
    (N, _, _, C), M = x.shape, w.shape[3]
    dout = check.array("depthwise backward", "dout", dout, 4)
    check.shape_is("depthwise backward", "dout", dout, (N, g.OH, g.OW, C * M))
    db = bias_gradient(dout, b)
    if not x.size * dout.size:
        return np.zeros(x.shape, x.dtype), np.zeros_like(w), db
    dx, _, dw = kernels.depthwise_backward(
        kernels.plain_gradient(dout), _repeated(x, M), w.reshape(*w.shape[:2], C * M), g
    )
    if not (check.finite(w) and check.finite(dw)):  # as in the forward: `dw` meets all numbers of x and dout
        with np.errstate(all="ignore"):
            return *depthwise_backward_reference(dout, cache)[:2], db
    return kernels.sum_repeated(dx, M), dw.reshape(w.shape), db


def _repeated(x, M):
    """Every channel M times over: a multiplier is a depthwise convolution of repeated channels."""
    return kernels.repeat_channels(kernels.plain(check.array("depthwise", "x", x, 4)), M)
