"""Adaptive and global pooling: which windows, twins, gradients, ties and NaN."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops
from minighost.ops.windows import adaptive_bounds

pytestmark = pytest.mark.small

NAMES = ["adaptive_avg_pool", "adaptive_max_pool"]


@pytest.mark.parametrize("name", NAMES)
@given(st.tuples(*[st.integers(1, 6)] * 4), st.tuples(st.integers(1, 7), st.integers(1, 7)), st.booleans())
def test_twins_agree_also_on_ties_and_nan(name, shape, output_size, odd):
    rng = np.random.default_rng(sum(shape))
    x = rng.choice([-np.inf, 0, 1, np.nan], shape) if odd and "max" in name else rng.normal(size=shape)
    out, cache = getattr(ops, f"{name}_forward")(x, output_size)
    expected, reference = getattr(ops, f"{name}_forward_reference")(x, output_size)
    assert out.shape[1:3] == output_size
    assert_allclose(out, expected, atol=1e-14)
    dout = rng.normal(size=out.shape)
    dx = getattr(ops, f"{name}_backward")(dout, cache)
    assert_allclose(dx, getattr(ops, f"{name}_backward_reference")(dout, reference), atol=1e-14)
    assert_allclose(dx.sum(), dout.sum(), atol=1e-12)


def test_windows_begin_and_end_as_pytorch_s_do():
    rows, columns = adaptive_bounds("test", (7, 3), (3, 4))
    assert_array_equal(rows, [[0, 3], [2, 5], [4, 7]])
    assert_array_equal(columns, [[0, 1], [0, 2], [1, 3], [2, 3]])  # more windows than pixels


@pytest.mark.parametrize("name", NAMES)
def test_gradients_at_every_index(name):
    x = np.random.default_rng(4).permutation(2 * 5 * 7 * 2).reshape(2, 5, 7, 2) / 10  # distinct: no ties near a maximum
    forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
    assert_gradients(lambda x: forward(x, (3, 4)), backward, x)


def test_where_sizes_divide_it_is_pooling_with_that_stride(rng):
    x = rng.normal(size=(2, 6, 8, 3))
    assert_allclose(nn.AdaptiveAvgPool2d((3, 2))(x), nn.AvgPool2d((2, 4))(x), atol=1e-15)
    assert_array_equal(nn.AdaptiveMaxPool2d((3, 2))(x), nn.MaxPool2d((2, 4))(x))
    assert_allclose(nn.AdaptiveAvgPool2d(1)(x)[:, 0, 0], nn.GlobalAvgPool()(x), atol=1e-15)


def test_global_maximum_twins_agree_and_its_gradient_holds(rng):
    x = rng.normal(size=(3, 4, 5, 2))
    out, cache = ops.global_max_pool_forward(x)
    expected, reference = ops.global_max_pool_forward_reference(x)
    assert_array_equal(out, expected)
    dout = rng.normal(size=out.shape)
    assert_array_equal(
        ops.global_max_pool_backward(dout, cache), ops.global_max_pool_backward_reference(dout, reference)
    )
    assert_gradients(ops.global_max_pool_forward, ops.global_max_pool_backward, x)


def test_a_plane_without_pixels_and_a_size_that_is_none_are_refused():
    with pytest.raises(ValueError, match="adaptive_avg_pool: a plane of 0x3 pixels cannot be divided into windows"):
        nn.AdaptiveAvgPool2d(2)(np.zeros((1, 0, 3, 1)))
    with pytest.raises(ValueError, match="AdaptiveMaxPool2d: output_size=0 must be at least 1"):
        nn.AdaptiveMaxPool2d(0)
    assert nn.GlobalMaxPool()(np.zeros((0, 2, 3, 4))).shape == (0, 4)
