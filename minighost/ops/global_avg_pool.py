"""Global average pooling: the mean over the whole plane, channel by channel.

out[n, c] = 1 / (H*W) * sum over h, w of x[n, h, w, c]        (Lin et al. 2014, "Network in network", §3.2)
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = [
    "global_avg_pool_backward",
    "global_avg_pool_backward_reference",
    "global_avg_pool_forward",
    "global_avg_pool_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def global_avg_pool_forward_reference(x: Array) -> tuple[Array, tuple[int, ...]]:
    """`global_avg_pool_forward` in plain NumPy."""
    return x.mean((1, 2)), x.shape  # (N, H, W, C) -> (N, C)


def global_avg_pool_backward_reference(dout: Array, cache: tuple[int, ...]) -> Array:
    """`global_avg_pool_backward` in plain NumPy."""
    N, H, W, C = cache
    return np.broadcast_to(dout[:, None, None] / (H * W), cache).copy()


# The same, compiled --------------------------------------------------------------------------------------------


def global_avg_pool_forward(x: Array) -> tuple[Array, tuple[int, ...]]:
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


def global_avg_pool_backward(dout: Array, cache: tuple[int, ...]) -> Array:
    """Gradient of `global_avg_pool_forward`: ``dout / (H*W)`` at every pixel. Returns `dx` (N, H, W, C)."""
    N, H, W, C = cache
    dout = check.array("global_avg_pool backward", "dout", dout, 2)
    check.shape_is("global_avg_pool backward", "dout", dout, (N, C))
    dx = empty(cache, dout.dtype)
    if dx.size:
        _spread(dout / dout.dtype.type(H * W), dx.reshape(N, H * W, C))
    return dx


@kernel
def _plane_sums(work, x, sums):
    N, K, C = x.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                sums[n, c] += x[n, p, c]


@kernel
def _spread(work, values, dx):
    N, K, C = dx.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                dx[n, p, c] = values[n, c]
