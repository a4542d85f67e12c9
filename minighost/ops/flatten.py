"""All numbers of an image in a row: the plane before a fully connected layer.

    out[n, (h*W + w)*C + c] = x[n, h, w, c]

A row has pixel after pixel, and a pixel's channels side by side; PyTorch, which keeps channels first, has channel after
channel. It moves nothing, so it is one line of NumPy and has no compiled twin.
"""

import numpy as np

from minighost.engine import check
from minighost.type_aliases import Array

__all__ = ["flatten_backward", "flatten_forward"]


def flatten_forward(x: Array) -> tuple[Array, tuple[int, ...]]:
    """Put the numbers of each image in a row.

    Parameters
    ----------
    x : ndarray, shape (N, ...), float32 or float64

    Returns
    -------
    out : ndarray, shape (N, product of the other axes)
        It shares the memory of `x` where that is contiguous.
    cache : tuple
        The shape of x.

    Raises
    ------
    ValueError
        If `x` has no axis, and so no images.

    Examples
    --------
    >>> flatten_forward(np.zeros((2, 3, 4, 5)))[0].shape
    (2, 60)
    """
    if not np.ndim(x):
        raise ValueError("flatten: x must have an axis of images, (N, ...), got a single number")
    x = check.array("flatten", "x", x, np.ndim(x))
    return x.reshape(len(x), int(np.prod(x.shape[1:]))), x.shape


def flatten_backward(dout: Array, cache: tuple[int, ...]) -> Array:
    """Gradient of `flatten_forward`: the row as a plane again. Returns `dx`."""
    dout = check.array("flatten backward", "dout", dout, 2)
    check.shape_is("flatten backward", "dout", dout, (cache[0], int(np.prod(cache[1:]))))
    return dout.reshape(cache)
