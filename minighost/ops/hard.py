"""Hard sigmoid and hard swish: straight lines in place of exponentials.

    hard_sigmoid(x) = relu6(x + 3) / 6,   hard_swish(x) = x * hard_sigmoid(x)     (Howard et al. 2019, "MobileNetV3",
    §5.2)

The official TensorFlow GhostNet gates with ``clip(x, 0, 1)`` instead; `clip_gate` is that function. The derivative of
the gates at a kink is 0; that of hard swish is 0 at x <= -3 and 1 at x >= 3. NaN stays NaN, and hard swish of minus
infinity, infinity times zero, is NaN, as in PyTorch. Where a slope is 0, no gradient passes, were it infinite or NaN.
"""

import numpy as np

from minighost.engine.launch import kernel, spans
from minighost.ops import elementwise

__all__ = [
    "clip_gate_backward",
    "clip_gate_backward_reference",
    "clip_gate_forward",
    "clip_gate_forward_reference",
    "hard_sigmoid_backward",
    "hard_sigmoid_backward_reference",
    "hard_sigmoid_forward",
    "hard_sigmoid_forward_reference",
    "hard_swish_backward",
    "hard_swish_backward_reference",
    "hard_swish_forward",
    "hard_swish_forward_reference",
]


# The idea ------------------------------------------------------------------------------------------------------


def hard_sigmoid_forward_reference(x):
    """`hard_sigmoid_forward` in plain NumPy."""
    return np.clip(x + 3, 0, 6) / 6, x


def hard_sigmoid_backward_reference(dout, cache):
    """`hard_sigmoid_backward` in plain NumPy."""
    return np.where(np.abs(cache) < 3, dout / 6, 0)


def clip_gate_forward_reference(x):
    """`clip_gate_forward` in plain NumPy."""
    return np.clip(x, 0, 1), x


def clip_gate_backward_reference(dout, cache):
    """`clip_gate_backward` in plain NumPy."""
    return np.where((cache > 0) & (cache < 1), dout, 0)


def hard_swish_forward_reference(x):
    """`hard_swish_forward` in plain NumPy."""
    return x * hard_sigmoid_forward_reference(x)[0], x


def hard_swish_backward_reference(dout, cache):
    """`hard_swish_backward` in plain NumPy."""
    return np.where(cache <= -3, 0, np.where(cache >= 3, dout, dout * ((2 * cache + 3) / 6)))


# The same, compiled --------------------------------------------------------------------------------------------


def hard_sigmoid_forward(x):
    """``relu6(x + 3) / 6``, element by element.

    Parameters
    ----------
    x : ndarray, any shape, float32 or float64

    Returns
    -------
    out : ndarray, shape and dtype of `x`
        Between 0 and 1.
    cache : ndarray
        `x`, for the backward.

    Examples
    --------
    >>> hard_sigmoid_forward(np.array([-4.0, 0.0, 4.0]))[0]
    array([0. , 0.5, 1. ])
    """
    return elementwise.forward("hard_sigmoid", _hard_sigmoid, x)


def hard_sigmoid_backward(dout, cache):
    """Gradient of `hard_sigmoid_forward`: ``dout/6`` where -3 < x < 3, else 0."""
    return elementwise.backward("hard_sigmoid", _hard_sigmoid_backward, dout, cache)


def clip_gate_forward(x):
    """``clip(x, 0, 1)``, element by element; parameters and results as for `hard_sigmoid_forward`."""
    return elementwise.forward("clip_gate", _clip_gate, x)


def clip_gate_backward(dout, cache):
    """Gradient of `clip_gate_forward`: `dout` where 0 < x < 1, else 0."""
    return elementwise.backward("clip_gate", _clip_gate_backward, dout, cache)


def hard_swish_forward(x):
    """``x * relu6(x + 3) / 6``, element by element; parameters and results as for `hard_sigmoid_forward`."""
    return elementwise.forward("hard_swish", _hard_swish, x)


def hard_swish_backward(dout, cache):
    """Gradient of `hard_swish_forward`: ``dout * (2x + 3)/6`` where -3 < x < 3, 0 below and `dout` above."""
    return elementwise.backward("hard_swish", _hard_swish_backward, dout, cache)


# A plain 0 in a kernel is an integer and would turn its line into float64; hence numbers of the array's own type.


@kernel
def _hard_sigmoid(work, x, out):
    number = x.dtype.type
    zero, one, three, six = number(0), number(1), number(3), number(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = zero if x[i] <= -three else (one if x[i] >= three else (x[i] + three) / six)


@kernel
def _hard_sigmoid_backward(work, dout, x, dx):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = dout[i] / six if -three < x[i] < three else zero


@kernel
def _clip_gate(work, x, out):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = zero if x[i] <= zero else (one if x[i] >= one else x[i])


@kernel
def _clip_gate_backward(work, dout, x, dx):
    number = x.dtype.type
    zero, one = number(0), number(1)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = dout[i] if zero < x[i] < one else zero


@kernel
def _hard_swish(work, x, out):
    number = x.dtype.type
    zero, three, six = number(0), number(3), number(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = x[i] * zero if x[i] <= -three else (x[i] if x[i] >= three else x[i] * (x[i] + three) / six)


@kernel
def _hard_swish_backward(work, dout, x, dx):
    number = x.dtype.type
    zero, two, three, six = number(0), number(2), number(3), number(6)
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = zero if x[i] <= -three else (dout[i] if x[i] >= three else dout[i] * (two * x[i] + three) / six)
