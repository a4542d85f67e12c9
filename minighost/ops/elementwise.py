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
        xs, outs = x[first:last], out[first:last]  # a loop from 0 on, or it does not vectorise
        for i in range(len(xs)):
            outs[i] = value(act, xs[i])


@kernel
def _backward(work, act, dout, x, dx):
    for first, last in spans(work, len(x), 1):
        ds, xs, dxs = dout[first:last], x[first:last], dx[first:last]
        for i in range(len(xs)):
            dxs[i] = gradient(act, xs[i], ds[i])
