"""The gradient of a bias: what all outputs of a channel got, added up."""

import math

import numpy as np

from minighost.type_aliases import Array

__all__ = ["bias_gradient"]


def bias_gradient(dout: Array, b: Array | None) -> Array | None:
    """Add up what came back to every channel.

    Parameters
    ----------
    dout : ndarray, shape (..., W, C), float32 or float64
    b : ndarray, shape (C,), or None
        The bias.

    Returns
    -------
    db : ndarray, shape (C,), of the bias's dtype
        Added up in double precision, lines of W*C numbers first, for NumPy adds long rows faster than short ones. None
        if there is no bias.
    """
    if b is None:
        return None
    *outer, W, C = dout.shape
    lines = dout.reshape(math.prod(outer), W * C).sum(0, dtype=np.float64)
    return lines.reshape(W, C).sum(0).astype(b.dtype)
