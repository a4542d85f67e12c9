"""Nearest-neighbour resizing: every output pixel is a copy of one input pixel.

    out[n, i, j, c] = x[n, floor(i*H/OH), floor(j*W/OW), c]

The rule of PyTorch's ``interpolate(mode="nearest")``, by which GhostNetV2 enlarges its attention (Tang et al. 2022),
but in whole numbers: PyTorch rounds H/OH to float32 first, and takes the neighbour at some sizes. Backward a pixel
receives the sum of the gradients of its copies; a pixel that was left out receives 0.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "resize_nearest_backward",
    "resize_nearest_backward_reference",
    "resize_nearest_forward",
    "resize_nearest_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def resize_nearest_forward_reference(x: Array, size: IntPair) -> tuple[Array, Cache]:
    """`resize_nearest_forward` in plain NumPy: rows by number, then columns by number."""
    OH, OW = check.pair("resize_nearest", "size", size, 1)
    rows, columns = np.arange(OH) * x.shape[1] // OH, np.arange(OW) * x.shape[2] // OW
    return x[:, rows][:, :, columns], (x.shape, rows, columns)


def resize_nearest_backward_reference(dout: Array, cache: Cache) -> Array:
    """`resize_nearest_backward` by a loop: what was read is added to, as often as it was read."""
    x_shape, rows, columns = cache
    dx = np.zeros(x_shape, dout.dtype)
    for i, j in np.ndindex(dout.shape[1:3]):
        dx[:, rows[i], columns[j]] += dout[:, i, j]
    return dx


# The same, compiled --------------------------------------------------------------------------------------------


def resize_nearest_forward(x: Array, size: IntPair) -> tuple[Array, Cache]:
    """Resize the plane by copying the nearest pixel.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
        H and W at least 1.
    size : int or (int, int)
        OH, OW; larger than H, W or smaller.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `resize_nearest_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` is not such an array, or `size` is not at least 1.

    Examples
    --------
    >>> resize_nearest_forward(np.array([1.0, 2.0]).reshape(1, 1, 2, 1), (1, 5))[0].ravel()
    array([1., 1., 1., 2., 2.])
    """
    x = plane("resize_nearest", x)
    OH, OW = check.pair("resize_nearest", "size", size, 1)
    out = empty((len(x), OH, OW, x.shape[3]), x.dtype)
    if out.size:
        _nearest(x, out)
    return out, (x.shape, OH, OW)


def resize_nearest_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `resize_nearest_forward`: a pixel takes the sum of its copies' gradients. Returns `dx`."""
    (N, H, W, C), OH, OW = cache
    dout = check.array("resize_nearest backward", "dout", dout, 4)
    check.shape_is("resize_nearest backward", "dout", dout, (N, OH, OW, C))
    dx = empty((N, H, W, C), dout.dtype)
    if dx.size:
        _nearest_backward(dout, dx)
    return dx


def plane(op: str, x: Array) -> Array:
    """Return `x` as kernels take it; ValueError if there is no pixel to resize."""
    x = check.array(op, "x", x, 4)
    if 0 in x.shape[1:3]:
        raise ValueError(f"{op}: x must have at least one pixel to copy, got a plane of {x.shape[1]}x{x.shape[2]}")
    return x


@kernel
def _nearest(work, x, out):
    (N, OH, OW, C), (H, W) = out.shape, x.shape[1:3]
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        h = i * H // OH
        for j in range(OW):
            w = j * W // OW
            for c in range(C):
                out[n, i, j, c] = x[n, h, w, c]


@kernel
def _nearest_backward(work, dout, dx):
    (N, H, W, C), (OH, OW) = dx.shape, dout.shape[1:3]
    for line in share(work, N * H):
        n, h = line // H, line % H
        for w in range(W):
            for c in range(C):
                dx[n, h, w, c] = 0
            for i in range(-(-h * OH // H), -(-(h + 1) * OH // H)):  # floor(i*H/OH) == h
                for j in range(-(-w * OW // W), -(-(w + 1) * OW // W)):
                    for c in range(C):
                        dx[n, h, w, c] += dout[n, i, j, c]
