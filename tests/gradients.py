"""Finite differences in float64, the yardstick of every hand-written backward here.

The upstream gradient is always random: under all ones batch norm and softmax have gradient zero, and a backward that
returns zeros would pass.
"""

import numpy as np

__all__ = ["assert_gradients", "assert_module_gradients", "numeric_gradient"]

STEP, TOLERANCE = 1e-5, 1e-7


def numeric_gradient(function, x):
    """Central differences of a scalar function of no arguments that reads `x`, at every index of `x`."""
    grad = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        value = x[index]
        x[index] = value + STEP
        above = function()
        x[index] = value - STEP
        below = function()
        x[index] = value
        grad[index] = (above - below) / (2 * STEP)
    return grad


def assert_gradients(forward, backward, *inputs):
    """Check ``backward(dout, cache)`` against ``forward(*inputs) -> (out, cache)``, every index of every input.

    Also: the backward gives the same bits twice, and neither function writes to what it is given.
    """
    inputs = [np.array(x) for x in inputs]
    before = [x.copy() for x in inputs]
    out, cache = forward(*inputs)
    dout = np.random.default_rng(7).normal(size=out.shape)
    dout_before = dout.copy()
    grads, again = (_as_tuple(backward(dout, cache)) for _ in range(2))
    for first, second in zip(grads, again, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(dout, dout_before)
    for x, original in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, original)
    for k, x in enumerate(inputs):
        expected = numeric_gradient(lambda: (forward(*inputs)[0] * dout).sum(), x)
        _assert_close(grads[k], expected, f"input {k}")


def assert_module_gradients(module, x):
    """Check a module's gradients with respect to x and to every parameter, every index."""
    module.astype(np.float64)
    x = np.array(x, np.float64)
    out = module(x)
    dout = np.random.default_rng(7).normal(size=out.shape)
    module.zero_grad()
    dx = module.backward(dout)
    _assert_close(dx, numeric_gradient(lambda: (module(x) * dout).sum(), x), "x")
    for path, parameter in module.named_parameters():
        expected = numeric_gradient(lambda: (module(x) * dout).sum(), parameter.data)
        _assert_close(parameter.grad, expected, path)


def _as_tuple(grads):
    return grads if isinstance(grads, tuple) else (grads,)


def _assert_close(actual, expected, name):
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=False, err_msg=name)
