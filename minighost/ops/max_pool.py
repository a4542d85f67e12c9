"""Max pooling: of every window the largest pixel, channel by channel.

    out[n, i, j, c] = max over u, v of x[n, i*SH + u - PH, j*SW + v - PW, c]

(Goodfellow et al. 2016, "Deep learning", §9.3). The tap (u, v) runs over the window's KH x KW pixels.

Padding never wins, not even among pixels of minus infinity. The gradient goes to the first of the largest pixels, as
the window is read row by row; a NaN counts as the largest.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty
from minighost.engine.padding import Padding
from minighost.ops.windows import pooling_windows
from minighost.type_aliases import Array, Cache, IntPair

__all__ = ["max_pool_backward", "max_pool_backward_reference", "max_pool_forward", "max_pool_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def max_pool_forward_reference(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
) -> tuple[Array, Cache]:
    """`max_pool_forward` by a loop over output positions."""
    g = pooling_windows("max_pool", x.shape[1:3], kernel_size, stride, padding, ceil_mode).g
    out = np.empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    winner = np.empty(out.shape, np.int32)  # index into the window's KH*KW pixels
    for i, j in np.ndindex(g.OH, g.OW):
        h, k = i * g.SH - g.PH, j * g.SW - g.PW  # the window's corner, which may lie in the padding
        window = x[:, max(h, 0) : h + g.KH, max(k, 0) : k + g.KW]
        pixels = window.reshape(len(x), -1, x.shape[3])
        u, v = np.divmod(pixels.argmax(1), window.shape[2])
        winner[:, i, j] = (u + max(-h, 0)) * g.KW + v + max(-k, 0)
        out[:, i, j] = pixels.max(1)
    return out, (winner, x.shape, g)


def max_pool_backward_reference(dout: Array, cache: Cache) -> Array:
    """`max_pool_backward` by the same loop: the winner takes all."""
    winner, (N, H, W, C), g = cache
    lines, columns = max(g.PH + H, (g.OH - 1) * g.SH + g.KH), max(g.PW + W, (g.OW - 1) * g.SW + g.KW)
    dpadded = np.zeros((N, lines, columns, C), dout.dtype)
    for n, i, j, c in np.ndindex(*winner.shape):
        u, v = divmod(winner[n, i, j, c], g.KW)
        dpadded[n, i * g.SH + u, j * g.SW + v, c] += dout[n, i, j, c]
    return dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]


# The same, compiled --------------------------------------------------------------------------------------------


def max_pool_forward(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
) -> tuple[Array, Cache]:
    """Maximum over windows.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default the kernel size.
    padding : int, (int, int), ((above, below), (left, right)) or "same"
        At most half the kernel, so that every window sees a pixel; "same" is TensorFlow's SAME (`engine.padding`).
    ceil_mode : bool
        Whether a last window that reaches over the end counts, if it begins in the image or in the padding before it.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `max_pool_backward`.

    Examples
    --------
    >>> max_pool_forward(np.arange(4.0).reshape(1, 2, 2, 1), 2)[0].item()
    3.0
    """
    x = check.array("max_pool", "x", x, 4)
    g = pooling_windows("max_pool", x.shape[1:3], kernel_size, stride, padding, ceil_mode).g
    out = empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    winner = empty(out.shape, np.int32)
    if out.size:
        _max_pool(x, g, out, winner)
    return out, (winner, x.shape, g)


def max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `max_pool_forward`: each window's gradient goes to its largest pixel. Returns `dx`."""
    winner, x_shape, g = cache
    dout = check.array("max_pool backward", "dout", dout, 4)
    check.shape_is("max_pool backward", "dout", dout, winner.shape)
    dx = empty(x_shape, dout.dtype)
    _max_pool_backward(dout, winner, g, dx)
    return dx


@kernel
def _max_pool(work, x, g, out, winner):
    N, H, W, C = x.shape
    for line in share(work, N * g.OH):
        n, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            best, where = out[n, i, j], winner[n, i, j]
            first = max(0, g.PH - i * g.SH) * g.KW + max(0, g.PW - j * g.SW)  # the first tap that is no padding
            for c in range(C):
                best[c], where[c] = -np.inf, first
            for u in range(g.KH):
                for v in range(g.KW):
                    h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                    if 0 <= h < H and 0 <= w < W:
                        keep_larger(x[n, h, w], u * g.KW + v, best, where)


@tile
def keep_larger(x, tap, best, where):
    """A NaN wins, and keeps winning against all that follows."""
    for c in range(len(x)):
        larger = not (x[c] <= best[c] or best[c] != best[c])
        best[c] = x[c] if larger else best[c]
        where[c] = tap if larger else where[c]


@kernel
def _max_pool_backward(work, dout, winner, g, dx):
    N, H, W, C = dx.shape
    for n in share(work, N):  # windows may overlap within an image, never across images
        dx[n] = 0
        for i in range(g.OH):
            for j in range(g.OW):
                for u in range(g.KH):
                    for v in range(g.KW):
                        h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                        if 0 <= h < H and 0 <= w < W:
                            _give_to_winner(dout[n, i, j], winner[n, i, j], u * g.KW + v, dx[n, h, w])


@tile
def _give_to_winner(dout, winner, tap, dx):
    zero = dout.dtype.type(0)
    for c in range(len(dx)):
        dx[c] += dout[c] if winner[c] == tap else zero
