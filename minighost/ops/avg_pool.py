"""Average pooling: of every window the mean, channel by channel.

    out[n, i, j, c] = 1 / (pixels that count) * sum over u, v of x[n, i*SH + u - PH, j*SW + v - PW, c]

(LeCun et al. 1998, "Gradient-based learning applied to document recognition", §II.B, without its weights). The tap
(u, v) runs over the window's KH x KW pixels. Padding is zeros, which count or not, as the caller says; what a window of
ceil mode covers beyond the padding never counts.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty, zeros
from minighost.engine.padding import Padding
from minighost.ops.windows import pooling_windows
from minighost.type_aliases import Array, Cache, IntPair

__all__ = ["avg_pool_backward", "avg_pool_backward_reference", "avg_pool_forward", "avg_pool_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def avg_pool_forward_reference(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Cache]:
    """`avg_pool_forward` by a loop over output positions."""
    windows = pooling_windows("avg_pool", x.shape[1:3], kernel_size, stride, padding, ceil_mode)
    (rows, columns), g = windows.counts(count_include_pad), windows.g
    padded = np.pad(x, [(0, 0), (g.PH, g.KH), (g.PW, g.KW), (0, 0)])
    out = np.empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    for i, j in np.ndindex(g.OH, g.OW):
        out[:, i, j] = padded[:, i * g.SH :, j * g.SW :][:, : g.KH, : g.KW].sum((1, 2)) / (rows[i] * columns[j])
    return out, (x.shape, g, rows, columns)


def avg_pool_backward_reference(dout: Array, cache: Cache) -> Array:
    """`avg_pool_backward` by the same loop: every pixel of the window takes an equal share."""
    (N, H, W, C), g, rows, columns = cache
    dpadded = np.zeros((N, g.PH + H + g.KH, g.PW + W + g.KW, C), dout.dtype)
    for i, j in np.ndindex(g.OH, g.OW):
        dpadded[:, i * g.SH :, j * g.SW :][:, : g.KH, : g.KW] += dout[:, i, j, None, None] / (rows[i] * columns[j])
    return dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]


# The same, compiled --------------------------------------------------------------------------------------------


def avg_pool_forward(
    x: Array,
    kernel_size: IntPair,
    stride: IntPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Cache]:
    """Mean over windows.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    kernel_size, stride, padding, ceil_mode
        As for `max_pool_forward`.
    count_include_pad : bool
        Whether padded zeros count in the mean, as in PyTorch by default. TensorFlow's SAME does not count them.

    Returns
    -------
    out : ndarray, shape (N, OH, OW, C)
    cache : tuple
        For `avg_pool_backward`.

    Examples
    --------
    >>> avg_pool_forward(np.arange(4.0).reshape(1, 2, 2, 1), 2)[0].item()
    1.5
    """
    x = check.array("avg_pool", "x", x, 4)
    windows = pooling_windows("avg_pool", x.shape[1:3], kernel_size, stride, padding, ceil_mode)
    (rows, columns), g = windows.counts(count_include_pad), windows.g
    out = empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    if out.size:
        _avg_pool(x, g, rows, columns, out)
    return out, (x.shape, g, rows, columns)


def avg_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `avg_pool_forward`: every pixel of a window takes an equal share. Returns `dx`."""
    x_shape, g, rows, columns = cache
    dout = check.array("avg_pool backward", "dout", dout, 4)
    check.shape_is("avg_pool backward", "dout", dout, (x_shape[0], g.OH, g.OW, x_shape[3]))
    dx = zeros(x_shape, dout.dtype)
    if dout.size:
        _avg_pool_backward(dout, g, rows, columns, dx)
    return dx


@kernel
def _avg_pool(work, x, g, rows, columns, out):
    N, H, W, C = x.shape
    for line in share(work, N * g.OH):
        n, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            count = x.dtype.type(rows[i] * columns[j])
            out[n, i, j] = 0
            for u in range(g.KH):
                for v in range(g.KW):
                    h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                    if 0 <= h < H and 0 <= w < W:
                        for c in range(C):
                            out[n, i, j, c] += x[n, h, w, c]
            for c in range(C):
                out[n, i, j, c] /= count


@kernel
def _avg_pool_backward(work, dout, g, rows, columns, dx):
    N, H, W, C = dx.shape
    for n in share(work, N):
        for i in range(g.OH):
            for j in range(g.OW):
                count = dout.dtype.type(rows[i] * columns[j])
                for u in range(g.KH):
                    for v in range(g.KW):
                        h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(C):
                                dx[n, h, w, c] += dout[n, i, j, c] / count
