"""Global max pooling: the largest pixel of the whole plane, channel by channel.

    out[n, c] = max over h, w of x[n, h, w, c]        (Oquab et al. 2015, "Is object localization for free?", §3)

It is adaptive pooling to a single window.
"""

import numpy as np

from minighost.engine import check
from minighost.ops.adaptive_max_pool import adaptive_max_pool_backward, adaptive_max_pool_forward
from minighost.type_aliases import Array, Cache

__all__ = [
    "global_max_pool_backward",
    "global_max_pool_backward_reference",
    "global_max_pool_forward",
    "global_max_pool_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def global_max_pool_forward_reference(x: Array) -> tuple[Array, Cache]:
    """`global_max_pool_forward` in plain NumPy."""
    N, H, W, C = x.shape
    pixels = x.reshape(N, H * W, C)
    return pixels.max(1), (pixels.argmax(1), x.shape)


def global_max_pool_backward_reference(dout: Array, cache: Cache) -> Array:
    """`global_max_pool_backward` in plain NumPy: the winner takes all."""
    winner, (N, H, W, C) = cache
    dx = np.zeros((N, H * W, C), dout.dtype)
    np.put_along_axis(dx, winner[:, None], dout[:, None], axis=1)
    return dx.reshape(N, H, W, C)


# The same, compiled --------------------------------------------------------------------------------------------


def global_max_pool_forward(x: Array) -> tuple[Array, Cache]:
    """Maximum over the plane.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
        The plane must have a pixel.

    Returns
    -------
    out : ndarray, shape (N, C)
    cache : tuple
        For `global_max_pool_backward`.
    """
    out, cache = adaptive_max_pool_forward(check.array("global_max_pool", "x", x, 4), 1)
    return out.reshape(len(out), out.shape[3]), cache


def global_max_pool_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `global_max_pool_forward`: all of it goes to the largest pixel. Returns `dx` (N, H, W, C)."""
    dout = check.array("global_max_pool backward", "dout", dout, 2)
    winner, _ = cache
    check.shape_is("global_max_pool backward", "dout", dout, (winner.shape[0], winner.shape[3]))
    return adaptive_max_pool_backward(dout.reshape(winner.shape), cache)
