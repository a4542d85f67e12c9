"""ReLU and ReLU6: pass what is positive, and cut ReLU6 off at 6.

    relu(x) = max(x, 0),   relu6(x) = min(max(x, 0), 6)      (Nair & Hinton 2010; Howard et al. 2017)

The derivative at a kink is 0. NaN stays NaN, and lets the gradient through: the comparisons are written so that a NaN
fails the test that would hide it. What is cut is cut: a gradient that is infinite or NaN becomes 0 there.
"""

import numpy as np

from minighost.engine.launch import kernel, spans
from minighost.ops import elementwise

__all__ = [
    "relu6_backward",
    "relu6_backward_reference",
    "relu6_forward",
    "relu6_forward_reference",
    "relu_backward",
    "relu_backward_reference",
    "relu_forward",
    "relu_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def relu_forward_reference(x):
    """`relu_forward` in plain NumPy."""
    return np.maximum(x, 0), x


def relu_backward_reference(dout, cache):
    """`relu_backward` in plain NumPy."""
    return np.where(cache <= 0, 0, dout)


def relu6_forward_reference(x):
    """`relu6_forward` in plain NumPy."""
    return np.minimum(np.maximum(x, 0), 6), x


def relu6_backward_reference(dout, cache):
    """`relu6_backward` in plain NumPy."""
    return np.where((cache <= 0) | (cache >= 6), 0, dout)


# The same, compiled --------------------------------------------------------------------------------------------


def relu_forward(x):
    """``max(x, 0)``, element by element.

    Parameters
    ----------
    x : ndarray, any shape, float32 or float64

    Returns
    -------
    out : ndarray, shape and dtype of `x`
    cache : ndarray
        `x`, for `relu_backward`.

    Examples
    --------
    >>> relu_forward(np.array([-1.0, 2.0]))[0]
    array([0., 2.])
    """
    return elementwise.forward("relu", _relu, x)


def relu_backward(dout, cache):
    """Gradient of `relu_forward`: 0 where x <= 0, else `dout`."""
    return elementwise.backward("relu", _relu_backward, dout, cache)


def relu6_forward(x):
    """``min(max(x, 0), 6)``, element by element; parameters and results as for `relu_forward`."""
    return elementwise.forward("relu6", _relu6, x)


def relu6_backward(dout, cache):
    """Gradient of `relu6_forward`: 0 where x <= 0 or x >= 6, else `dout`."""
    return elementwise.backward("relu6", _relu6_backward, dout, cache)


# A plain 0 in a kernel is an integer and would turn its line into float64; hence the zeros of the array's own type.


@kernel
def _relu(work, x, out):
    zero = x.dtype.type(0)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = zero if x[i] <= zero else x[i]


@kernel
def _relu_backward(work, dout, x, dx):
    zero = x.dtype.type(0)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = zero if x[i] <= zero else dout[i]


@kernel
def _relu6(work, x, out):
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = zero if x[i] <= zero else (six if x[i] >= six else x[i])


@kernel
def _relu6_backward(work, dout, x, dx):
    zero, six = x.dtype.type(0), x.dtype.type(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = zero if x[i] <= zero or x[i] >= six else dout[i]
