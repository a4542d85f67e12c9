"""Adaptive max pooling: of OH x OW windows that divide the plane the largest pixel, channel by channel.

    out[n, i, j, c] = max of x[n, h, w, c]      h from floor(i*H/OH) to ceil((i+1)*H/OH) - 1, w alike

The windows are those of `adaptive_avg_pool`. As in `max_pool` the gradient goes to the first of the largest pixels, and
a NaN counts as the largest.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.ops.max_pool import keep_larger
from minighost.ops.windows import adaptive_bounds
from minighost.type_aliases import Array, Cache, IntPair

__all__ = [
    "adaptive_max_pool_backward",
    "adaptive_max_pool_backward_reference",
    "adaptive_max_pool_forward",
    "adaptive_max_pool_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def adaptive_max_pool_forward_reference(x: Array, output_size: IntPair) -> tuple[Array, Cache]:
    """`adaptive_max_pool_forward` by a loop over output positions."""
    rows, columns = adaptive_bounds("adaptive_max_pool", x.shape[1:3], output_size)
    out = np.empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    winner = np.empty(out.shape, np.int64)  # index into the plane's H*W pixels
    for i, j in np.ndindex(out.shape[1:3]):
        window = x[:, slice(*rows[i]), slice(*columns[j])]
        pixels = window.reshape(len(x), window.shape[1] * window.shape[2], x.shape[3])
        h, w = np.divmod(pixels.argmax(1), window.shape[2])
        winner[:, i, j] = (h + rows[i, 0]) * x.shape[2] + w + columns[j, 0]
        out[:, i, j] = pixels.max(1)
    return out, (winner, x.shape)


def adaptive_max_pool_backward_reference(dout: Array, cache: Cache) -> Array:
    """`adaptive_max_pool_backward`: the winner takes all."""
    winner, (N, H, W, C) = cache
    dx = np.zeros((N, H, W, C), dout.dtype)
    for n, i, j, c in np.ndindex(dout.shape):
        h, w = divmod(winner[n, i, j, c], W)
        dx[n, h, w, c] += dout[n, i, j, c]
    return dx


# The same, compiled --------------------------------------------------------------------------------------------


def adaptive_max_pool_forward(x: Array, output_size: IntPair) -> tuple[Array, Cache]:
    """Maximum over OH x OW windows, of whatever size that takes.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    output_size : int or (int, int)
        OH, OW; they may be larger than H, W.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `adaptive_max_pool_backward`.

    Examples
    --------
    >>> adaptive_max_pool_forward(np.arange(5.0).reshape(1, 1, 5, 1), (1, 2))[0].ravel()
    array([2., 4.])
    """
    x = check.array("adaptive_max_pool", "x", x, 4)
    rows, columns = adaptive_bounds("adaptive_max_pool", x.shape[1:3], output_size)
    out = empty((len(x), len(rows), len(columns), x.shape[3]), x.dtype)
    winner = empty(out.shape, np.int64)
    if out.size:
        _largest(x, rows, columns, out, winner)
    return out, (winner, x.shape)


def adaptive_max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `adaptive_max_pool_forward`: each window's goes to its largest pixel. Returns `dx`."""
    winner, shape = cache
    dout = check.array("adaptive_max_pool backward", "dout", dout, 4)
    check.shape_is("adaptive_max_pool backward", "dout", dout, winner.shape)
    dx = zeros(shape, dout.dtype)
    if dout.size:
        _to_winner(dout, winner, dx)
    return dx


@kernel
def _largest(work, x, rows, columns, out, winner):
    (N, OH, OW, C), W = out.shape, x.shape[2]
    for line in share(work, N * OH):
        n, i = line // OH, line % OH
        for j in range(OW):
            for c in range(C):
                out[n, i, j, c], winner[n, i, j, c] = -np.inf, rows[i, 0] * W + columns[j, 0]
            for h in range(rows[i, 0], rows[i, 1]):
                for w in range(columns[j, 0], columns[j, 1]):
                    keep_larger(x[n, h, w], h * W + w, out[n, i, j], winner[n, i, j])


@kernel
def _to_winner(work, dout, winner, dx):
    (N, OH, OW, C), W = dout.shape, dx.shape[2]
    for n in share(work, N):  # windows may overlap within an image, never across images
        for i in range(OH):
            for j in range(OW):
                for c in range(C):
                    dx[n, winner[n, i, j, c] // W, winner[n, i, j, c] % W, c] += dout[n, i, j, c]
