"""Activations: twins, gradients off the kinks, values at them, NaN."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import nn, ops
from minighost.nn.activations import LAYERS

pytestmark = pytest.mark.small
KINKS = {
    "relu": [0],
    "relu6": [0, 6],
    "hard_sigmoid": [-3, 3],
    "hard_swish": [-3, 3],
    "clip_gate": [0, 1],
    "crelu": [0],
    "sigmoid": [],
    "silu": [],
    "gelu": [],
}
# Where an exponential is computed in two ways; the others are the same operations in the same order.
ROUNDING = {"sigmoid": 1e-14, "silu": 1e-14, "gelu": 1e-13}


def _pair(name, suffix=""):
    return getattr(ops, f"{name}_forward{suffix}"), getattr(ops, f"{name}_backward{suffix}")


@pytest.mark.parametrize("name", KINKS)
@given(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.integers(0, 2**32 - 1))
def test_twins_agree_kinks_included(name, values, seed):
    x = np.array(values + KINKS[name] + [6.5, -6.5]).reshape(1, 1, 1, -1)
    (forward, backward), (forward_reference, backward_reference) = _pair(name), _pair(name, "_reference")
    out, cache = forward(x)
    expected, reference_cache = forward_reference(x)
    close = {"rtol": ROUNDING.get(name, 1e-15), "atol": ROUNDING.get(name, 0) / 10}
    assert_allclose(out, expected, **close)
    dout = np.random.default_rng(seed).normal(size=out.shape)
    assert_allclose(backward(dout, cache), backward_reference(dout, reference_cache), **close)


@pytest.mark.parametrize("name", KINKS)
def test_gradients_at_every_index(name, rng):
    x = rng.uniform(-8, 8, size=(2, 3, 2, 3))
    for kink in KINKS[name]:
        x[np.abs(x - kink) < 1e-3] += 0.5
    assert_gradients(*_pair(name), x)


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_passes_through(name, dtype):
    out, _ = _pair(name)[0](np.full((1, 1, 1, 2), np.nan, dtype))
    assert np.isnan(out).all() and out.dtype == dtype


EDGES = [-np.inf, -1e30, -7, -3, -1e-30, -0.0, 0.0, 1e-30, 0.5, 1, 3, 6, 7, 1e30, np.inf, np.nan]


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("upstream", [1.5, np.inf, -np.inf, np.nan])
def test_twins_agree_where_numbers_end(name, dtype, upstream):
    x = np.array(EDGES, dtype).reshape(1, 1, 1, -1)
    (forward, backward), (forward_reference, backward_reference) = _pair(name), _pair(name, "_reference")
    with np.errstate(invalid="ignore"):
        (out, cache), (expected, reference_cache) = forward(x), forward_reference(x)
        dout = np.full_like(out, upstream)
        dx, expected_dx = backward(dout, cache), backward_reference(dout, reference_cache)
    assert_allclose(out, expected, rtol=4e-7, atol=1e-7 if name in ROUNDING else 0)
    assert_allclose(dx, expected_dx, rtol=4e-7, atol=1e-7 if name in ROUNDING else 0)


@pytest.mark.parametrize("layer", [*LAYERS.values(), nn.CReLU])
def test_a_folded_activation_agrees_with_its_layer_where_numbers_end(layer):
    x, model = np.array(EDGES).reshape(2, 2, 2, 2), nn.Sequential(layer()).astype(np.float64)
    with np.errstate(invalid="ignore"):
        assert_allclose(nn.fold(model)(x), model.eval()(x), rtol=1e-15)


def test_where_a_slope_is_zero_no_gradient_passes_however_wild():
    wild = np.array([np.inf, np.nan])
    for name, flat in {"relu": [-2], "relu6": [-2, 7], "hard_sigmoid": [-4, 4], "hard_swish": [-4]}.items():
        for suffix in ("", "_reference"):
            forward, backward = _pair(name, suffix)
            for x in flat:
                _, cache = forward(np.full(2, float(x)))
                assert_array_equal(backward(wild, cache), 0, err_msg=f"{name}{suffix} at {x}")


def test_hard_swish_of_minus_infinity_is_not_a_number():
    with np.errstate(invalid="ignore"):
        for forward in (ops.hard_swish_forward, ops.hard_swish_forward_reference):
            out, _ = forward(np.array([-np.inf, np.inf]))
            assert_array_equal(out, [np.nan, np.inf])


@pytest.mark.parametrize("name", ["relu", "relu6", "crelu"])
def test_a_gradient_passes_where_the_activation_is_nan(name):
    out, cache = _pair(name)[0](np.full((1, 1, 1, 1), np.nan))
    dout = np.arange(3.0, 3.0 + out.size).reshape(out.shape)
    assert_array_equal(_pair(name)[1](dout, cache).ravel(), -1 if name == "crelu" else 3)


def test_the_two_gates_take_their_published_values():
    x = np.array([-4, -3, -1, 0, 0.5, 1, 3, 4.0])
    assert_allclose(ops.hard_sigmoid_forward(x)[0], [0, 0, 1 / 3, 1 / 2, 7 / 12, 2 / 3, 1, 1])
    assert_allclose(ops.clip_gate_forward(x)[0], [0, 0, 0, 0, 0.5, 1, 1, 1])


def test_crelu_phases_recover_the_input(rng):
    x = rng.normal(size=(2, 3, 4, 5))
    out, _ = ops.crelu_forward(x)
    assert_array_equal(out[..., :5] - out[..., 5:], x)
    assert_array_equal(out[..., :5] + out[..., 5:], np.abs(x))


def test_a_gradient_of_the_wrong_shape_is_refused():
    _, cache = ops.relu_forward(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"relu backward: dout must have shape \(2, 3\), got \(3, 2\)"):
        ops.relu_backward(np.zeros((3, 2)), cache)


def test_integers_are_refused_with_the_cure():
    with pytest.raises(
        TypeError, match=r"hard_swish: x must be float32 or float64, got int64; convert it with x.astype"
    ):
        ops.hard_swish_forward(np.arange(3))
