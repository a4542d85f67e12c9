"""Local response normalisation: twins, both forms, gradients."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from minighost import nn, ops

pytestmark = pytest.mark.small

OPTIONS = st.fixed_dictionaries(
    {
        "size": st.integers(1, 8),
        "alpha": st.sampled_from([0.0, 1e-4, 0.5]),
        "beta": st.sampled_from([0.0, 0.75, 1.3]),
        "k": st.sampled_from([None, 0.5]),
        "form": st.sampled_from(list(ops.RESPONSE_FORMS)),
    }
)


@given(OPTIONS, st.integers(1, 9), st.sampled_from([np.float32, np.float64]))
def test_twins_agree_also_where_the_window_is_wider_than_the_channels(options, C, dtype):
    rng = np.random.default_rng(C)
    x, dout = rng.normal(size=(2, 2, 2, 3, C)).astype(dtype)
    out, cache = ops.local_response_norm_forward(x, **options)
    expected, reference = ops.local_response_norm_forward_reference(x, **options)
    tolerance = 100 * np.finfo(dtype).eps
    assert out.dtype == dtype
    assert_allclose(out, expected, rtol=tolerance, atol=tolerance)
    dx = ops.local_response_norm_backward(dout, cache)
    expected = ops.local_response_norm_backward_reference(dout, reference)
    assert_allclose(dx, expected, rtol=tolerance, atol=tolerance * max(1, abs(expected).max()))


@pytest.mark.parametrize("form, k, alpha", [("paper", 2, 0.3), ("caffe", 1, 0.3 / 5)])
def test_each_form_is_its_equation(rng, form, k, alpha):
    a = rng.normal(size=7)
    expected = [
        a[i] / (k + alpha * sum(a[j] ** 2 for j in range(max(0, i - 2), min(6, i + 2) + 1))) ** 0.75 for i in range(7)
    ]
    out = nn.LocalResponseNorm(5, 0.3, form=form)(a.reshape(1, 1, 1, 7))
    assert_allclose(out.ravel(), expected, rtol=1e-14)


def test_a_window_of_even_size_begins_a_channel_earlier_as_in_pytorch():
    x = np.array([1.0, 10.0, 100.0, 0.0]).reshape(1, 1, 1, 4)
    _, (_, s, *_) = ops.local_response_norm_forward(x, 2, alpha=1.0, k=1.0)
    assert_allclose(s.ravel(), [2, 102, 10101, 10001])


@pytest.mark.parametrize("options", [{}, {"form": "caffe"}, {"size": 4, "beta": 1.2}, {"size": 9}])
def test_gradients_at_every_index(rng, options):
    forward = lambda x: ops.local_response_norm_forward(x, **{"alpha": 0.4, **options})  # noqa: E731
    assert_gradients(forward, ops.local_response_norm_backward, rng.normal(size=(2, 2, 1, 6)))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 0}, "LocalResponseNorm: size=0 must be a whole number of at least 1"),
        ({"k": 0}, "LocalResponseNorm: k must be finite and > 0, got 0"),
        ({"alpha": -1}, "LocalResponseNorm: alpha must be finite and >= 0, got -1"),
        ({"form": "torch"}, "LocalResponseNorm: form='torch' is unknown; choose from 'paper', 'caffe'"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ValueError) as error:
        nn.LocalResponseNorm(**options)
    assert message in str(error.value)
