"""Softmax: positive numbers that sum to 1 along an axis, the larger the logit the larger.

    out[k] = exp(x[k] - m) / sum over l of exp(x[l] - m)        m the largest x, so that nothing overflows
    dx[k]  = out[k] * (dout[k] - sum over l of dout[l] * out[l])

(Bridle 1990, "Probabilistic interpretation of feedforward classification network outputs".) A logit of minus infinity
is masked: its share is 0. NumPy's exponential is the fast one, so the everyday version is NumPy too; the reference
spells the sums out.
"""

import math

import numpy as np

from minighost.arguments import whole
from minighost.engine import check
from minighost.type_aliases import Array, Cache

__all__ = [
    "softmax",
    "softmax_backward",
    "softmax_backward_reference",
    "softmax_forward",
    "softmax_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def softmax_forward_reference(x: Array, axis: int = -1) -> tuple[Array, Cache]:
    """`softmax_forward` row by row, number by number."""
    out = np.empty_like(x)
    rows, results = np.moveaxis(x, axis, -1), np.moveaxis(out, axis, -1)
    for place in np.ndindex(rows.shape[:-1]):
        row = rows[place].tolist()
        e = [math.exp(one - max(row)) for one in row]
        results[place] = [one / sum(e) for one in e]
    return out, (out, axis)


def softmax_backward_reference(dout: Array, cache: Cache) -> Array:
    """`softmax_backward` by each row's matrix of derivatives, out[k] * ((k == l) - out[l])."""
    out, axis = cache
    dx = np.empty_like(out)
    rows, drows, results = (np.moveaxis(array, axis, -1) for array in (out, dout, dx))
    for place in np.ndindex(rows.shape[:-1]):
        row = rows[place]
        results[place] = (np.diag(row) - np.outer(row, row)) @ drows[place]
    return dx


# The same, vectorised ------------------------------------------------------------------------------------------


def softmax(logits: Array, axis: int = -1) -> Array:
    """Probabilities along an axis, by default the last; the largest logit is subtracted, so that nothing overflows."""
    logits = np.asarray(logits)
    e = np.exp(logits - logits.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_forward(x: Array, axis: int = -1) -> tuple[Array, Cache]:
    """Softmax along an axis.

    Parameters
    ----------
    x : ndarray, any shape with at least one axis, float32 or float64
    axis : int
        Negative ones count from the last.

    Returns
    -------
    out : ndarray, shape and dtype of `x`
        NaN where all logits along the axis are minus infinity, or one is NaN or infinite.
    cache : tuple
        For `softmax_backward`.

    Raises
    ------
    TypeError, ValueError
        If `x` has no such axis.

    Examples
    --------
    >>> softmax_forward(np.log([[1.0, 3.0], [1.0, 1.0]]), axis=0)[0]
    array([[0.5 , 0.75],
           [0.5 , 0.25]])
    """
    axis, axes = whole("softmax", "axis", axis), np.ndim(x)
    if not -axes <= axis < axes:
        raise ValueError(f"softmax: axis={axis} must lie between {-axes} and {axes - 1}, x has shape {np.shape(x)}")
    x = check.array("softmax", "x", x, axes)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        out = softmax(x, axis) if x.size else x.copy()
    return out, (out, axis)


def softmax_backward(dout: Array, cache: Cache) -> Array:
    """Gradient of `softmax_forward`; along the axis it sums to 0. Returns `dx`."""
    out, axis = cache
    dout = check.array("softmax backward", "dout", dout, out.ndim)
    check.shape_is("softmax backward", "dout", dout, out.shape)
    return out * (dout - (dout * out).sum(axis, keepdims=True))
