"""Concatenated ReLU: keep both phases of a response.

Early filters come in pairs of opposite sign, and ReLU throws one phase of each away. CReLU keeps both,

    out = [max(x, 0), max(-x, 0)]            (Shang et al. 2016, §2.2)

so the channels double. Letters: N batch, H W height and width, C channels in.
"""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = ["crelu_backward", "crelu_backward_reference", "crelu_forward", "crelu_forward_reference"]


# The idea ------------------------------------------------------------------------------------------------------


def crelu_forward_reference(x: Array) -> tuple[Array, Array]:
    """`crelu_forward` in plain NumPy."""
    return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=-1), x  # (..., C) -> (..., 2C)


def crelu_backward_reference(dout: Array, cache: Array) -> Array:
    """`crelu_backward` in plain NumPy: each phase passes its own gradient, with its sign."""
    x, C = cache, cache.shape[-1]
    return np.where(x <= 0, 0, dout[..., :C]) - np.where(x >= 0, 0, dout[..., C:])


# The same, compiled --------------------------------------------------------------------------------------------


def crelu_forward(x: Array) -> tuple[Array, Array]:
    """Concatenated ReLU over the channel axis.

    Parameters
    ----------
    x : ndarray, shape (N, H, W, C), float32 or float64

    Returns
    -------
    out : ndarray, shape (N, H, W, 2*C)
        The positive phase in the first C channels, the negative phase in the last C; NaN stays NaN in both.
    cache : ndarray
        `x`, for `crelu_backward`.

    Notes
    -----
    ``out[..., :C] - out[..., C:] == x`` and ``out[..., :C] + out[..., C:] == abs(x)``.

    Examples
    --------
    >>> crelu_forward(np.array([-2.0, 3.0]).reshape(1, 1, 1, 2))[0].ravel()
    array([0., 3., 2., 0.])
    """
    x = check.array("crelu", "x", x, 4)
    N, H, W, C = x.shape
    out = empty((N, H, W, 2 * C), x.dtype)
    if x.size:
        _crelu(x.reshape(-1, C), out.reshape(-1, 2 * C))
    return out, x


def crelu_backward(dout: Array, cache: Array) -> Array:
    """Gradient of `crelu_forward`, shape (N, H, W, C).

    It is ``dout[..., :C]`` where x > 0, ``-dout[..., C:]`` where x < 0, 0 between, and their sum where x is NaN.
    """
    x, (*_, C) = cache, cache.shape
    dout = check.array("crelu backward", "dout", dout, 4)
    check.shape_is("crelu backward", "dout", dout, (*x.shape[:-1], 2 * C))
    dx = empty(x.shape, x.dtype)
    if x.size:
        _crelu_backward(dout.reshape(-1, 2 * C), x.reshape(-1, C), dx.reshape(-1, C))
    return dx


@kernel
def _crelu(work, x, out):
    (R, C), zero = x.shape, x.dtype.type(0)
    for first, last in spans(work, R, C):
        for r in range(first, last):
            for c in range(C):
                v = x[r, c]
                out[r, c] = zero if v <= zero else v  # written this way round, a NaN passes through
                out[r, C + c] = zero if v >= zero else -v


@kernel
def _crelu_backward(work, dout, x, dx):
    (R, C), zero = x.shape, x.dtype.type(0)
    for first, last in spans(work, R, C):
        for r in range(first, last):
            for c in range(C):
                v, up, down = x[r, c], dout[r, c], -dout[r, C + c]  # read whatever v is, so that the loop vectorises
                dx[r, c] = (zero if v <= zero else up) + (zero if v >= zero else down)
