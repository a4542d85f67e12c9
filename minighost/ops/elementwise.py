"""Run an activation over all elements of an array of any shape."""

from typing import Any

import numpy as np

from minighost.engine import check
from minighost.engine.activations import gradient, value
from minighost.engine.launch import kernel, spans
from minighost.engine.memory import empty
from minighost.type_aliases import Array

__all__ = ["backward", "forward"]


def forward(op: str, act: Any, x: Array) -> tuple[Array, Array]:
    """Return ``act.value(x)`` in a new array, and `x` as the cache."""
    x = check.array(op, "x", x, np.ndim(x))
    out = empty(x.shape, x.dtype)
    if x.size:
        _forward(act, x.reshape(-1), out.reshape(-1))
    return out, x


def backward(op: str, act: Any, dout: Array, x: Array) -> Array:
    """Return ``act.gradient(x, dout)`` in a new array, once `dout` is known to have the shape of `x`."""
    dout = check.array(f"{op} backward", "dout", dout, x.ndim)
    check.shape_is(f"{op} backward", "dout", dout, x.shape)
    dx = empty(x.shape, x.dtype)
    if x.size:
        _backward(act, dout.reshape(-1), x.reshape(-1), dx.reshape(-1))
    return dx


@kernel
def _forward(work, act, x, out):
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            out[i] = value(act, x[i])


@kernel
def _backward(work, act, dout, x, dx):
    for first, last in spans(work, len(x), 1):
        for i in range(first, last):
            dx[i] = gradient(act, x[i], dout[i])
