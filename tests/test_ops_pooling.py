"""Pooling: twins, gradients, ties and NaN."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small


@st.composite
def cases(draw):
    KH, KW = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    options = {
        "kernel_size": (KH, KW),
        "stride": draw(st.sampled_from([None, 1, 2, (3, 1)])),
        "padding": (draw(st.integers(0, KH // 2)), draw(st.integers(0, KW // 2))),
    }
    shape = draw(st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(3, 8), st.integers(1, 4)))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape), options


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@given(cases())
def test_twins_agree(name, case):
    x, options = case
    out, cache = getattr(ops, f"{name}_forward")(x, **options)
    expected, reference = getattr(ops, f"{name}_forward_reference")(x, **options)
    assert_allclose(out, expected, atol=1e-14)
    dout = np.random.default_rng(1).normal(size=out.shape)
    dx = getattr(ops, f"{name}_backward")(dout, cache)
    assert_allclose(dx, getattr(ops, f"{name}_backward_reference")(dout, reference), atol=1e-14)


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("options", [(2,), (3, 2, 1), ((2, 3), (1, 2), (1, 0))])
def test_gradients_at_every_index(name, options):
    x = np.random.default_rng(4).permutation(2 * 5 * 6 * 2).reshape(2, 5, 6, 2) / 10  # distinct: no ties near a maximum
    forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
    assert_gradients(lambda x: forward(x, *options), backward, x)


def test_global_average_twins_agree_and_its_gradient_holds(rng):
    x = rng.normal(size=(3, 4, 5, 2))
    out, cache = ops.global_avg_pool_forward(x)
    assert_allclose(out, ops.global_avg_pool_forward_reference(x)[0], atol=1e-15)
    dout = rng.normal(size=out.shape)
    expected = ops.global_avg_pool_backward_reference(dout, x.shape)
    assert_allclose(ops.global_avg_pool_backward(dout, cache), expected, atol=1e-15)
    assert_gradients(ops.global_avg_pool_forward, ops.global_avg_pool_backward, x)


def test_of_equal_maxima_the_first_wins():
    _, cache = ops.max_pool_forward(np.ones((1, 2, 2, 1)), 2)
    assert_array_equal(ops.max_pool_backward(np.ones((1, 1, 1, 1)), cache).ravel(), [1, 0, 0, 0])


@pytest.mark.parametrize("where", range(4))
def test_a_nan_wins(where):
    x = np.arange(4.0)
    x[where] = np.nan
    out, cache = ops.max_pool_forward(x.reshape(1, 2, 2, 1), 2)
    assert np.isnan(out).all()
    assert ops.max_pool_backward(np.ones((1, 1, 1, 1)), cache).ravel()[where] == 1


@given(cases(), st.sampled_from([[-np.inf], [-np.inf, np.nan], [-np.inf, 0, np.inf], [0, 1, np.nan]]))
def test_twins_agree_on_infinities_nan_and_ties_and_no_gradient_is_lost(case, values):
    x, options = case
    x = np.random.default_rng(len(x)).choice(values, x.shape)
    out, cache = ops.max_pool_forward(x, **options)
    expected, reference = ops.max_pool_forward_reference(x, **options)
    assert_array_equal(out, expected)
    dout = np.random.default_rng(1).integers(1, 9, out.shape).astype(float)
    dx = ops.max_pool_backward(dout, cache)
    assert_array_equal(dx, ops.max_pool_backward_reference(dout, reference))
    assert dx.sum() == dout.sum()


def test_padding_never_wins_a_maximum():
    assert_array_equal(ops.max_pool_forward(np.full((1, 2, 2, 1), -5.0), 3, 1, 1)[0], np.full((1, 2, 2, 1), -5.0))


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
def test_a_window_of_nothing_but_padding_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: padding=2 must be at most half of kernel_size=3"):
        getattr(ops, f"{name}_forward")(np.zeros((1, 4, 4, 1)), 3, 2, 2)


def test_empty_batches_keep_their_shape():
    x = np.zeros((0, 4, 4, 3))
    out, cache = ops.max_pool_forward(x, 2)
    assert out.shape == (0, 2, 2, 3) and ops.max_pool_backward(out, cache).shape == x.shape
    assert ops.global_avg_pool_forward(x)[0].shape == (0, 3)
