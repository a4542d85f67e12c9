"""Dynamic shift-max: its coefficients are gates that vary around initial values."""

import numpy as np

from minighost import ops
from minighost.nn.fold_nodes import Affine, ShiftMax
from minighost.nn.functional.traced import is_traced
from minighost.nn.functional.values import materialize

__all__ = ["shift_max_backward", "shift_max_forward"]

_RANGE = 4.0  # twice the authors' largest deviation, 2


def shift_max_forward(x, gate, initial, groups):
    """`ops.shift_max_forward` with coefficients ``initial + 4*(gate - 1/2)``, (N, 2*terms*C) side by side."""
    if is_traced(x, gate):
        coefficients = gate.then(Affine(_RANGE, initial - _RANGE / 2), channels=gate.channels)
        return x.then(ShiftMax(groups), coefficients, channels=x.channels), None
    x = materialize(x)
    coefficients, C = (initial + _RANGE * (gate - 0.5)).astype(x.dtype), x.shape[3]
    return ops.shift_max_forward(x, coefficients.reshape(len(x), len(initial) // (2 * C), 2, C), groups)


def shift_max_backward(dout, cache):
    """`ops.shift_max_backward`: (dx, dgate)."""
    dx, dcoefficients = ops.shift_max_backward(materialize(dout), cache)
    return dx, np.asarray(_RANGE, dx.dtype) * dcoefficients.reshape(len(dx), np.prod(dcoefficients.shape[1:]))
