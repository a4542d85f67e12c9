"""NaN and infinity in a convolution: they reach what the definition says, and nothing else."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost import ops

pytestmark = [pytest.mark.small, pytest.mark.filterwarnings("ignore:invalid value")]  # NumPy's, of reference twins
CASES = {
    "dense": ((2, 5, 4, 2), (3, 3, 2, 3), {"padding": 1}),
    "no padding": ((2, 5, 4, 2), (3, 2, 2, 3), {}),
    "strided": ((2, 6, 5, 2), (3, 3, 2, 3), {"padding": 1, "stride": (2, 3)}),
    "dilated": ((1, 7, 6, 2), (3, 2, 2, 2), {"padding": 2, "dilation": (2, 3)}),
    "grouped": ((2, 5, 4, 4), (3, 3, 2, 6), {"padding": 1, "groups": 2}),
    "rows copied together": ((5, 3, 3, 128), (2, 2, 128, 2), {"padding": 1}),
    "winograd": ((2, 5, 6, 16), (3, 3, 16, 16), {"padding": 1}),
    "depthwise": ((2, 5, 4, 3), (3, 3, 1, 3), {"padding": 1, "groups": 3}),
    "depthwise, strided": ((2, 6, 5, 3), (3, 3, 1, 6), {"padding": 1, "stride": 2, "groups": 3}),
    "pointwise": ((2, 3, 4, 3), (1, 1, 3, 4), {}),
    "pointwise, padded": ((2, 3, 4, 3), (1, 1, 3, 4), {"padding": 1}),
}


def _kinds(a):
    """0 where a number is finite; NaN, infinity and minus infinity apart."""
    return np.where(np.isfinite(a), 0, np.where(np.isnan(a), 1, np.where(a > 0, 2, 3)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("where", ["x", "w", "dout"])
def test_what_is_not_finite_reaches_exactly_what_the_definition_says(rng, name, dtype, where):
    x_shape, w_shape, options = CASES[name]
    for bad in (np.nan, np.inf, -np.inf):
        x, w = rng.normal(size=x_shape).astype(dtype), rng.normal(size=w_shape).astype(dtype)
        dout = rng.normal(size=ops.conv2d_forward_reference(x, w, **options)[0].shape).astype(dtype)
        array = {"x": x, "w": w, "dout": dout}[where]
        array.flat[rng.integers(array.size)] = bad
        (out, cache), (expected, reference) = (
            forward(x, w, **options) for forward in (ops.conv2d_forward, ops.conv2d_forward_reference)
        )
        if (name, where) == ("winograd", "x"):  # all outputs of a tile of 4x4
            assert _kinds(out)[_kinds(expected) > 0].all()
        else:
            assert_array_equal(_kinds(out), _kinds(expected), err_msg="out")
        back = ops.conv2d_backward(dout, cache), ops.conv2d_backward_reference(dout, reference)
        for found, wanted, what in zip(*back, ("dx", "dw", "db"), strict=True):
            if wanted is not None:
                assert_array_equal(_kinds(found), _kinds(wanted), err_msg=what)


@pytest.mark.parametrize("name", ["dense", "grouped", "depthwise, strided"])
def test_beside_it_all_numbers_are_as_they_were(rng, name):
    """What is finite although a weight is not takes another way through the code, and comes to the same."""
    x_shape, w_shape, options = CASES[name]
    x, w, b = rng.normal(size=x_shape), rng.normal(size=w_shape), rng.normal(size=w_shape[3])
    out, cache = ops.conv2d_forward(x, w, b, **options)
    dout = rng.normal(size=out.shape)
    grads = ops.conv2d_backward(dout, cache)
    w = w.copy()
    w[0, 0, 0, 0] = np.nan
    spoilt, cache = ops.conv2d_forward(x, w, b, **options)
    for found, wanted in zip((spoilt, *ops.conv2d_backward(dout, cache)), (out, *grads), strict=True):
        finite = np.isfinite(found)
        assert finite.any()
        np.testing.assert_allclose(found[finite], wanted[finite], rtol=1e-10, atol=1e-12)
    without = ops.conv2d_backward(dout, cache, dx_wanted=False)
    assert without[0] is None
    np.testing.assert_allclose(without[1], grads[1], rtol=1e-10, atol=1e-12)


def test_a_linear_layer_multiplies_just_what_its_formula_says(rng):
    x, w, dout = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    w[1, 2], dout[3, 0], x[0, 0] = np.nan, np.inf, -np.inf
    (out, cache), (expected, reference) = ops.linear_forward(x, w), ops.linear_forward_reference(x, w)
    assert_array_equal(_kinds(out), _kinds(expected))
    back = ops.linear_backward(dout, cache)[:2], ops.linear_backward_reference(dout, reference)[:2]
    for found, wanted in zip(*back, strict=True):
        assert_array_equal(_kinds(found), _kinds(wanted))
