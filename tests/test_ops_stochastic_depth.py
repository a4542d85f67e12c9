"""Stochastic depth: whole images are dropped, in training only, and a run that is resumed drops the same ones."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops

pytestmark = pytest.mark.small


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree_and_an_image_is_dropped_or_kept_as_a_whole(rng, dtype):
    x, dout = rng.normal(size=(2, 40, 2, 3, 2)).astype(dtype)
    out, cache = ops.stochastic_depth_forward(x, 0.25, np.random.default_rng(3))
    expected, reference = ops.stochastic_depth_forward_reference(x, 0.25, np.random.default_rng(3))
    assert out.dtype == dtype
    assert_allclose(out, expected, rtol=1e-6)
    assert_allclose(
        ops.stochastic_depth_backward(dout, cache), ops.stochastic_depth_backward_reference(dout, reference), rtol=1e-6
    )
    kept = cache != 0
    assert 20 < kept.sum() < 40
    assert_array_equal(out[~kept], 0)
    assert_allclose(out[kept], x[kept] / 0.75, rtol=1e-6)


def test_what_is_dropped_is_zero_whatever_it_was():
    x = np.full((8, 1), np.inf)
    out, cache = ops.stochastic_depth_forward(x, 0.5, np.random.default_rng(0))
    assert set(out.ravel()) == {0, np.inf}
    assert_array_equal(ops.stochastic_depth_backward(x, cache), out)


def test_it_is_silent_in_evaluation_and_where_nothing_is_dropped(rng):
    x = rng.normal(size=(4, 2, 2, 3))
    for layer in (nn.StochasticDepth(0.9, rng=0).eval(), nn.StochasticDepth(0.0)):
        assert_array_equal(layer(x), x)
        assert_array_equal(layer.backward(x), x)


def test_the_backward_drops_the_images_that_the_forward_dropped():
    layer, x = nn.StochasticDepth(0.5, rng=0), np.ones((50, 1, 1, 2), np.float32)
    for _ in range(2):
        out = layer(x)
        assert_array_equal(layer.backward(x), out)
        assert set(out.ravel()) == {0, 2}


def test_a_copy_goes_on_where_the_layer_was():
    """Its state is its generator's, which a checkpoint holds."""
    layer, x = nn.StochasticDepth(0.5, rng=0), np.ones((50, 1), np.float32)
    layer(x)
    twin = copy.deepcopy(layer)
    first, second = layer(x), layer(x)
    assert (first != second).any()
    assert_array_equal(twin(x), first)
    twin.rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
    assert (twin(x) != first).any()


@pytest.mark.parametrize("p", [1, -0.1, np.nan])
def test_a_wrong_probability_is_named(p):
    with pytest.raises(ValueError, match="StochasticDepth: p must be >= 0 and < 1"):
        nn.StochasticDepth(p)
