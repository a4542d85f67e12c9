"""Softmax on any axis: twins, gradients, masked logits."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops

pytestmark = pytest.mark.small


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_twins_agree_and_shares_sum_to_one(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(len(shape))
    x, dout = 5 * rng.normal(size=shape), rng.normal(size=shape)
    out, cache = ops.softmax_forward(x, axis)
    assert_allclose(out, ops.softmax_forward_reference(x, axis)[0], atol=1e-15)
    assert_allclose(out.sum(axis), 1, rtol=1e-14)
    dx = ops.softmax_backward(dout, cache)
    assert_allclose(dx, ops.softmax_backward_reference(dout, cache), atol=1e-15)
    assert_allclose(dx.sum(axis), 0, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_gradients_at_every_index(rng, axis):
    assert_gradients(lambda x: ops.softmax_forward(x, axis), ops.softmax_backward, rng.normal(size=(3, 2, 2, 4)))


def test_large_logits_do_not_overflow_and_a_masked_one_has_no_share():
    x = np.array([[1e4, 1e4, -np.inf], [-np.inf] * 3])
    out, _ = ops.softmax_forward(x)
    assert_array_equal(out[0], [0.5, 0.5, 0])
    assert np.isnan(out[1]).all()


def test_an_axis_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"softmax: axis=2 must lie between -2 and 1, x has shape \(3, 4\)"):
        nn.Softmax(2)(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"Softmax: axis=0.5 must be a whole number"):
        nn.Softmax(0.5)
