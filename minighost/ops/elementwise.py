"""Run a kernel over all elements of an array of any shape; what the activations share."""

import numpy as np

from minighost.engine import check
from minighost.engine.launch import Launch
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = ["backward", "forward"]


def forward(op: str, kernel: Launch[Array, Array], x: Array) -> tuple[Array, Array]:
    """Return ``kernel(x)`` in a new array, and `x` as the cache."""
    x = check.array(op, "x", x, np.ndim(x))
    out = empty(x.shape, x.dtype)
    if x.size:
        kernel(x.reshape(-1), out.reshape(-1))
    return out, x


def backward(op: str, kernel: Launch[Array, Array, Array], dout: Array, x: Array) -> Array:
    """Return ``kernel(dout, x)`` in a new array, once `dout` is known to have the shape of `x`."""
    dout = check.array(f"{op} backward", "dout", dout, x.ndim)
    check.shape_is(f"{op} backward", "dout", dout, x.shape)
    dx = empty(x.shape, x.dtype)
    if x.size:
        kernel(dout.reshape(-1), x.reshape(-1), dx.reshape(-1))
    return dx
