"""Dropout: silence each number with probability p, and scale the rest so that the mean stays.

    out = x * mask / (1 - p),   mask ~ Bernoulli(1 - p)      (Srivastava et al. 2014, "inverted" as everyone does it
    now)

One pass of NumPy is the whole of it, so it has no compiled twin.
"""

import numpy as np

from minighost.engine import check
from minighost.type_aliases import Array

__all__ = ["dropout_backward", "dropout_forward"]


def dropout_forward(x: Array, p: float, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Drop numbers at random.

    Parameters
    ----------
    x : ndarray, any shape, float32 or float64
    p : float
        Probability of dropping, 0 <= p < 1. With 0 nothing is drawn.
    rng : numpy.random.Generator

    Returns
    -------
    out : ndarray, shape and dtype of `x`
    cache : ndarray or None
        The mask, already divided by ``1 - p``.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p={p} must satisfy 0 <= p < 1")
    x = check.array("dropout", "x", x, np.ndim(x))
    if p == 0:
        return x, None
    mask = (rng.random(x.shape, x.dtype) >= p) * x.dtype.type(1 / (1 - p))
    return x * mask, mask


def dropout_backward(dout: Array, cache: Array | None) -> Array:
    """Gradient of `dropout_forward`: the same mask."""
    dout = check.array("dropout backward", "dout", dout, np.ndim(dout))
    return dout if cache is None else dout * cache
