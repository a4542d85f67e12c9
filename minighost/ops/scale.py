"""Scale every channel of every image by a gate of its own - the last step of squeeze-and-excitation.

    out[n, h, w, c] = x[n, h, w, c] * gate[n, c]        (Hu et al. 2018, "Squeeze-and-excitation networks", eq. 4)

The gate is broadcast over the plane, so its gradient is summed over the plane; forget the sum and the block never
learns.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, share
from minighost.engine.memory import empty
from minighost.type_aliases import Array, Cache

__all__ = ["scale_backward", "scale_backward_reference", "scale_forward", "scale_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def scale_forward_reference(x: Array, gate: Array) -> tuple[Array, Cache]:
    """`scale_forward` in plain NumPy."""
    return x * gate[:, None, None], (x, gate)  # (N, H, W, C) * (N, 1, 1, C)


def scale_backward_reference(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """`scale_backward` in plain NumPy."""
    x, gate = cache
    return dout * gate[:, None, None], (dout * x).sum((1, 2))


# The same, compiled --------------------------------------------------------------------------------------------


def scale_forward(x: Array, gate: Array) -> tuple[Array, Cache]:
    """Multiply every channel by its gate.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64
    gate : ndarray, shape (N, C)

    Returns
    -------
    out : ndarray, shape (N, H, W, C)
    cache : tuple
        For `scale_backward`.
    """
    x, gate = check.array("scale", "x", x, 4), check.array("scale", "gate", gate, 2)
    check.same_dtype("scale", x=x, gate=gate)
    N, H, W, C = x.shape
    check.shape_is("scale", "gate", gate, (N, C))
    out = empty(x.shape, x.dtype)
    if x.size:
        _scale(x.reshape(N, H * W, C), gate, out.reshape(N, H * W, C))
    return out, (x, gate)


def scale_backward(dout: Array, cache: Cache) -> tuple[Array, Array]:
    """Gradients of `scale_forward`: ``dx = dout * gate`` (N, H, W, C), ``dgate`` the plane's sum of dout * x (N, C)."""
    x, gate = cache
    dout = check.array("scale backward", "dout", dout, 4)
    check.shape_is("scale backward", "dout", dout, x.shape)
    N, H, W, C = x.shape
    dx, sums = empty(x.shape, x.dtype), np.zeros((N, C))
    if x.size:
        plane = (N, H * W, C)
        _scale_backward(dout.reshape(plane), x.reshape(plane), gate, dx.reshape(plane), sums)
    return dx, sums.astype(x.dtype)


@kernel
def _scale(work, x, gate, out):
    N, K, C = x.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                out[n, p, c] = x[n, p, c] * gate[n, c]


@kernel
def _scale_backward(work, dout, x, gate, dx, sums):
    N, K, C = x.shape
    for n in share(work, N):
        for p in range(K):
            for c in range(C):
                dx[n, p, c] = dout[n, p, c] * gate[n, c]
                sums[n, c] += dout[n, p, c] * x[n, p, c]
