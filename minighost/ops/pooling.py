"""Pooling: one number for a window - its maximum or its mean.

Padding never wins a maximum, not even among pixels of minus infinity; for the mean it is zeros that count (PyTorch's
default). The maximum's gradient goes to the first of the largest pixels, as the window is read row by row; a NaN counts
as the largest. Global average pooling is the mean over the whole plane (Lin et al. 2014, §3.2).
"""

import numpy as np

from minighost.engine import check
from minighost.engine.geometry import geometry
from minighost.engine.launch import kernel, share, tile
from minighost.engine.memory import empty, zeros

__all__ = [
    "avg_pool_backward",
    "avg_pool_backward_reference",
    "avg_pool_forward",
    "avg_pool_forward_reference",
    "global_avg_pool_backward",
    "global_avg_pool_backward_reference",
    "global_avg_pool_forward",
    "global_avg_pool_forward_reference",
    "max_pool_backward",
    "max_pool_backward_reference",
    "max_pool_forward",
    "max_pool_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def max_pool_forward_reference(x, kernel_size, stride=None, padding=0):
    """`max_pool_forward` by a loop over output positions."""
    g = _geometry("max_pool", x, kernel_size, stride, padding)
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


def max_pool_backward_reference(dout, cache):
    """`max_pool_backward` by the same loop: the winner takes all."""
    winner, (N, H, W, C), g = cache
    dpadded = np.zeros((N, H + 2 * g.PH, W + 2 * g.PW, C), dout.dtype)
    for n, i, j, c in np.ndindex(*winner.shape):
        u, v = divmod(winner[n, i, j, c], g.KW)
        dpadded[n, i * g.SH + u, j * g.SW + v, c] += dout[n, i, j, c]
    return dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]


def avg_pool_forward_reference(x, kernel_size, stride=None, padding=0):
    """`avg_pool_forward` by a loop over output positions."""
    g = _geometry("avg_pool", x, kernel_size, stride, padding)
    padded = np.pad(x, [(0, 0), (g.PH, g.PH), (g.PW, g.PW), (0, 0)])
    out = np.empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    for i, j in np.ndindex(g.OH, g.OW):
        out[:, i, j] = padded[:, i * g.SH :, j * g.SW :][:, : g.KH, : g.KW].mean((1, 2))
    return out, (x.shape, g)


def avg_pool_backward_reference(dout, cache):
    """`avg_pool_backward` by the same loop: every pixel of the window takes an equal share."""
    (N, H, W, C), g = cache
    dpadded = np.zeros((N, H + 2 * g.PH, W + 2 * g.PW, C), dout.dtype)
    for i, j in np.ndindex(g.OH, g.OW):
        dpadded[:, i * g.SH :, j * g.SW :][:, : g.KH, : g.KW] += dout[:, i, j, None, None] / (g.KH * g.KW)
    return dpadded[:, g.PH : g.PH + H, g.PW : g.PW + W]


def global_avg_pool_forward_reference(x):
    """`global_avg_pool_forward` in plain NumPy."""
    return x.mean((1, 2)), x.shape  # (N, H, W, C) -> (N, C)


def global_avg_pool_backward_reference(dout, cache):
    """`global_avg_pool_backward` in plain NumPy."""
    N, H, W, C = cache
    return np.broadcast_to(dout[:, None, None] / (H * W), cache).copy()


# The same, compiled --------------------------------------------------------------------------------------------


def max_pool_forward(x, kernel_size, stride=None, padding=0):
    """Maximum over windows.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default the kernel size.
    padding : int or (int, int)
        At most half the kernel, so that every window sees a pixel.

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
    g = _geometry("max_pool", x, kernel_size, stride, padding)
    out = empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    winner = empty(out.shape, np.int32)
    if out.size:
        _max_pool(x, g, out, winner)
    return out, (winner, x.shape, g)


def max_pool_backward(dout, cache):
    """Gradient of `max_pool_forward`: each window's gradient goes to its largest pixel. Returns `dx`."""
    winner, x_shape, g = cache
    dout = check.array("max_pool backward", "dout", dout, 4)
    check.shape_is("max_pool backward", "dout", dout, winner.shape)
    dx = empty(x_shape, dout.dtype)
    _max_pool_backward(dout, winner, g, dx)
    return dx


def avg_pool_forward(x, kernel_size, stride=None, padding=0):
    """Mean over windows, padded zeros included; parameters and results as for `max_pool_forward`.

    Examples
    --------
    >>> avg_pool_forward(np.arange(4.0).reshape(1, 2, 2, 1), 2)[0].item()
    1.5
    """
    x = check.array("avg_pool", "x", x, 4)
    g = _geometry("avg_pool", x, kernel_size, stride, padding)
    out = empty((len(x), g.OH, g.OW, x.shape[3]), x.dtype)
    if out.size:
        _avg_pool(x, g, out)
    return out, (x.shape, g)


def avg_pool_backward(dout, cache):
    """Gradient of `avg_pool_forward`: every pixel of a window takes an equal share. Returns `dx`."""
    x_shape, g = cache
    dout = check.array("avg_pool backward", "dout", dout, 4)
    check.shape_is("avg_pool backward", "dout", dout, (x_shape[0], g.OH, g.OW, x_shape[3]))
    dx = zeros(x_shape, dout.dtype)
    if dout.size:
        _avg_pool_backward(dout, g, dx)
    return dx


def global_avg_pool_forward(x):
    """Mean over the plane.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64

    Returns
    -------
    out : ndarray, shape (N, C)
        Summed in float64.
    cache : tuple
        The shape of x.
    """
    x = check.array("global_avg_pool", "x", x, 4)
    N, H, W, C = x.shape
    sums = np.zeros((N, C))
    if x.size:
        _plane_sums(x.reshape(N, H * W, C), sums)
    return (sums / (H * W)).astype(x.dtype), x.shape


def global_avg_pool_backward(dout, cache):
    """Gradient of `global_avg_pool_forward`: ``dout / (H*W)`` at every pixel. Returns `dx` (N, H, W, C)."""
    N, H, W, C = cache
    dout = check.array("global_avg_pool backward", "dout", dout, 2)
    check.shape_is("global_avg_pool backward", "dout", dout, (N, C))
    dx = empty(cache, dout.dtype)
    if dx.size:
        _spread(dout / dout.dtype.type(H * W), dx.reshape(N, H * W, C))
    return dx


def pooling_options(op, kernel_size, stride=None, padding=0):
    """The options as pairs, by name; TypeError or ValueError if they would fit no image."""
    (KH, KW), (PH, PW) = check.pair(op, "kernel_size", kernel_size, 1), check.pair(op, "padding", padding, 0)
    if 2 * PH > KH or 2 * PW > KW:
        raise ValueError(
            f"{op}: padding={padding} must be at most half of kernel_size={kernel_size}, "
            "or a window would hold nothing but padding"
        )
    stride = (KH, KW) if stride is None else check.pair(op, "stride", stride, 1)
    return {"kernel_size": (KH, KW), "stride": stride, "padding": (PH, PW)}


def _geometry(op, x, kernel_size, stride, padding):
    return geometry(op, x.shape[1:3], **pooling_options(op, kernel_size, stride, padding))


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
                        _keep_larger(x[n, h, w], u * g.KW + v, best, where)


@tile
def _keep_larger(x, tap, best, where):
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


@kernel
def _avg_pool(work, x, g, out):
    N, H, W, C = x.shape
    for line in share(work, N * g.OH):
        n, i = line // g.OH, line % g.OH
        for j in range(g.OW):
            out[n, i, j] = 0
            for u in range(g.KH):
                for v in range(g.KW):
                    h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                    if 0 <= h < H and 0 <= w < W:
                        for c in range(C):
                            out[n, i, j, c] += x[n, h, w, c] / (g.KH * g.KW)


@kernel
def _avg_pool_backward(work, dout, g, dx):
    N, H, W, C = dx.shape
    for n in share(work, N):
        for i in range(g.OH):
            for j in range(g.OW):
                for u in range(g.KH):
                    for v in range(g.KW):
                        h, w = i * g.SH + u - g.PH, j * g.SW + v - g.PW
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(C):
                                dx[n, h, w, c] += dout[n, i, j, c] / (g.KH * g.KW)


@kernel
def _plane_sums(work, x, sums):
    N, P, C = x.shape
    for n in share(work, N):
        for p in range(P):
            for c in range(C):
                sums[n, c] += x[n, p, c]


@kernel
def _spread(work, values, dx):
    N, P, C = dx.shape
    for n in share(work, N):
        for p in range(P):
            for c in range(C):
                dx[n, p, c] = values[n, c]
