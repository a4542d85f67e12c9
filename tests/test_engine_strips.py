"""Lines so long that weights, scales and sums, which are repeated for a period, begin again within them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from minighost import ops
from minighost.engine import kernels
from minighost.engine.activations import RELU
from minighost.engine.geometry import geometry
from minighost.engine.kernels.deferred import period
from minighost.engine.vectors import width

pytestmark = pytest.mark.small
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
W, C = 80, 16


def waiting(rng):
    """A raw activation far from zero, what is to be done to it, and what comes of that, with the plain twin's cache."""
    raw, gamma, beta = 50 + rng.normal(size=(5, 4, W, C)), rng.normal(size=C) + 1, rng.normal(size=C)
    vectors = gamma, beta, np.zeros(C), np.ones(C)
    value, cache = ops.batch_norm_forward(raw, *vectors, True, relu=True)
    statistics = np.array([raw.mean((0, 1, 2)), raw.var((0, 1, 2))])
    deferred, kept = kernels.finalize_stats(raw, statistics, gamma, beta, np.zeros(C), np.ones(C), act=RELU)
    return value, cache, deferred, kept


@pytest.mark.parametrize("K, stride", [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_depthwise_convolution_of_long_lines_is_that_of_the_reference(rng, K, stride):
    value, cache, deferred, kept = waiting(rng)
    g = geometry("", (4, W), (K, K), stride, K // 2)
    w, b = rng.normal(size=(K, K, C)), np.full(C, 1e6)
    raw, statistics = kernels.depthwise_forward(deferred, w, g, b)
    expected, plain = ops.depthwise_forward_reference(value, w[..., None], b, stride, K // 2)
    assert_allclose(raw, expected, **CLOSE)
    assert_allclose(statistics, [expected.mean((0, 1, 2)), expected.var((0, 1, 2))], rtol=1e-7)

    dout = rng.normal(size=raw.shape)
    dy, sums, dw = kernels.depthwise_backward(kernels.plain_gradient(dout), deferred, w, g)
    dvalue, expected_dw, _ = ops.depthwise_backward_reference(dout, plain)
    assert_allclose(dw, expected_dw[..., 0], **CLOSE)
    gradient, dgamma, dbeta = kernels.batch_norm_backward(dy, sums, kept)
    draw, expected_dgamma, expected_dbeta = ops.batch_norm_backward(dvalue, cache)
    scale, slope, constant = gradient.coefficients
    assert_allclose(scale * gradient.dy + slope * gradient.raw + constant, draw, **CLOSE)
    assert_allclose(dgamma, expected_dgamma, **CLOSE)
    assert_allclose(dbeta, expected_dbeta, **CLOSE)


@pytest.mark.parametrize("lines", range(1, 9))
@pytest.mark.parametrize("padding", [0, 2])
def test_a_5x5_kernel_of_any_number_of_lines_is_that_of_the_reference(rng, lines, padding):
    """Lines go by fours, so one, two or three may be left; without padding the plane ends in numbers that matter."""
    x, w = rng.normal(size=(2, lines + 4 - 2 * padding, 6, 3)), rng.normal(size=(5, 5, 3, 1))
    (out, cache), (expected, plain) = (
        f(x, w, padding=padding) for f in (ops.depthwise_forward, ops.depthwise_forward_reference)
    )
    assert_allclose(out, expected, **CLOSE)
    dout = rng.normal(size=out.shape)
    dx, dw, _ = ops.depthwise_backward(dout, cache)
    expected_dx, expected_dw, _ = ops.depthwise_backward_reference(dout, plain)
    assert_allclose(dx, expected_dx, **CLOSE)
    assert_allclose(dw, expected_dw, **CLOSE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_period_fills_registers_and_divides_the_line_or_is_all_of_it(dtype):
    register = width(dtype)
    for columns in (1, 2, 7, 12, 32, 80):
        for channels in (1, 3, 16, 24, 600):
            numbers, line = period(columns, channels, dtype), columns * channels
            assert numbers % register == 0
            assert (line % numbers == 0 and numbers % channels == 0) or line <= numbers < line + register
    assert period(W, C, dtype) < W * C, "the test above needs one that begins again"
