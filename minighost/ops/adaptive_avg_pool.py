"""Adaptive average pooling: the mean over windows that divide the plane into as many as are asked for.

    out[n, i, j, c] = mean of x[n, h, w, c]     h from floor(i*H/OH) to ceil((i+1)*H/OH) - 1, w alike

(PyTorch's rule.) Where OH does not divide H, windows differ in size by one and neighbours may share a line. It lets a
classifier of a fixed size follow images of any size (He et al. 2014, "Spatial pyramid pooling", §2.2).
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.ops.windows import adaptive_bounds
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "adaptive_avg_pool_backward",
    "adaptive_avg_pool_backward_reference",
    "adaptive_avg_pool_forward",
    "adaptive_avg_pool_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def adaptive_avg_pool_forward_reference(x: Array, output_size: IntPair) -> tuple[Array, Cache]:
    """`adaptive_avg_pool_forward` by a loop over output positions."""
    rows, columns = adaptive_bounds("adaptive_avg_pool", x.shape[1:3], output_size)
    out = np.empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    for i, j in np.ndindex(out.shape[1:3]):
        out[:, i, j] = x[:, slice(*rows[i]), slice(*columns[j])].mean((1, 2))
    return out, (x.shape, rows, columns)


def adaptive_avg_pool_backward_reference(dout: Array, cache: Cache) -> Array:
    """`adaptive_avg_pool_backward` by the same loop: every pixel of the window takes an equal share."""
    shape, rows, columns = cache
    dx = np.zeros(shape, dout.dtype)
    for i, j in np.ndindex(dout.shape[1:3]):
        window = dx[:, slice(*rows[i]), slice(*columns[j])]
        window += dout[:, i, j, None, None] / (window.shape[1] * window.shape[2])
    return dx


# The same, compiled --------------------------------------------------------------------------------------------


def adaptive_avg_pool_forward(x: Array, output_size: IntPair) -> tuple[Array, Cache]:
    """Mean over OH x OW windows, of whatever size that takes.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    output_size : int or (int, int)
        OH, OW; they may be larger than H, W.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `adaptive_avg_pool_backward`.

    Examples
    --------
    >>> adaptive_avg_pool_forward(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2))[0].ravel()  # of 0 1 2 and of 2 3 4
    array([1., 3.])
    """
    x = check.array("adaptive_avg_pool", "x", x, 4)
    rows, columns = adaptive_bounds("adaptive_avg_pool", x.shape[1:3], output_size)
    out = empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    if out.size:
        _mean(x, rows, columns, out)
    return out, (x.shape, rows, columns)


def adaptive_avg_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `adaptive_avg_pool_forward`: every pixel of a window takes an equal share. Returns `dx`."""
    shape, rows, columns = cache
    dout = check.array("adaptive_avg_pool backward", "dout", dout, 4)
    check.shape_is("adaptive_avg_pool backward", "dout", dout, (shape[0], len(rows), len(columns), shape[3]))
    dx = zeros(shape, dout.dtype)
    if dout.size:
        _spread(dout, rows, columns, dx)
    return dx


@kernel
def _mean(work, x, rows, columns, out):
    N, OH, OW, C = out.shape
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        for j in range(OW):
            count = x.dtype.type((rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0]))
            out[n, i, j] = 0
            for h in range(rows[i, 0], rows[i, 1]):
                for w in range(columns[j, 0], columns[j, 1]):
                    for c in range(C):
                        out[n, i, j, c] += x[n, h, w, c]
            for c in range(C):
                out[n, i, j, c] /= count


@kernel
def _spread(work, dout, rows, columns, dx):
    N, OH, OW, C = dout.shape
    for n in share(work, N):  # windows may overlap within an image, never across images
        for i in range(OH):
            for j in range(OW):
                count = dout.dtype.type((rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0]))
                for h in range(rows[i, 0], rows[i, 1]):
                    for w in range(columns[j, 0], columns[j, 1]):
                        for c in range(C):
                            dx[n, h, w, c] += dout[n, i, j, c] / count
