"""Resizing: twins, gradients, and what a resized image must be."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import few

from minighost import ops

pytestmark = pytest.mark.small
SIDES = st.integers(1, 6)


@few
@given(st.tuples(st.integers(0, 2), SIDES, SIDES, st.integers(0, 3)), st.tuples(SIDES, SIDES))
def test_nearest_twins_agree(shape, size):
    rng = np.random.default_rng(3)
    x, dout = rng.normal(size=shape), rng.normal(size=(shape[0], *size, shape[3]))
    (out, cache), (expected, reference) = (
        ops.resize_nearest_forward(x, size),
        ops.resize_nearest_forward_reference(x, size),
    )
    assert_array_equal(out, expected)
    assert_allclose(
        ops.resize_nearest_backward(dout, cache), ops.resize_nearest_backward_reference(dout, reference), atol=1e-13
    )


@pytest.mark.parametrize("size", [(7, 3), (2, 8), (1, 1)])
def test_nearest_gradients_at_every_index(rng, size):
    x = rng.normal(size=(2, 3, 4, 2))
    assert_gradients(lambda x: ops.resize_nearest_forward(x, size), ops.resize_nearest_backward, x)


def test_nearest_takes_the_floor_of_the_exact_quotient():
    for W, OW in [(3, 7), (7, 3), (5, 5), (1, 4), (41, 69)]:
        out, _ = ops.resize_nearest_forward(np.arange(W, dtype=float).reshape(1, 1, W, 1), (1, OW))
        assert_array_equal(out.ravel(), [j * W // OW for j in range(OW)])


def test_an_integer_factor_repeats_pixels(rng):
    x = rng.normal(size=(2, 2, 3, 2))
    out, _ = ops.resize_nearest_forward(x, (4, 9))
    assert_array_equal(out, x.repeat(2, 1).repeat(3, 2))


@pytest.mark.parametrize("kind", ["nearest"])
def test_what_cannot_be_resized_is_refused(kind):
    forward, backward = getattr(ops, f"resize_{kind}_forward"), getattr(ops, f"resize_{kind}_backward")
    with pytest.raises(ValueError, match=f"resize_{kind}: size=0 must be at least 1"):
        forward(np.zeros((1, 2, 2, 1)), 0)
    with pytest.raises(ValueError, match=f"resize_{kind}: x must have at least one pixel .* got a plane of 0x2"):
        forward(np.zeros((1, 0, 2, 1)), 2)
    with pytest.raises(TypeError, match=f"resize_{kind}: x must be float32 or float64, got int64"):
        forward(np.zeros((1, 2, 2, 1), int), 2)
    _, cache = forward(np.zeros((1, 2, 2, 1)), 3)
    with pytest.raises(ValueError, match=rf"resize_{kind} backward: dout must have shape \(1, 3, 3, 1\)"):
        backward(np.zeros((1, 2, 2, 1)), cache)
