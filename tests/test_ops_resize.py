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


KINDS = pytest.mark.parametrize("kind", ["nearest", "bilinear"])


def _twins(kind):
    return [getattr(ops, f"resize_{kind}_{way}") for way in ("forward", "backward")], [
        getattr(ops, f"resize_{kind}_{way}_reference") for way in ("forward", "backward")
    ]


@KINDS
@few
@given(st.tuples(st.integers(0, 2), SIDES, SIDES, st.integers(0, 3)), st.tuples(SIDES, SIDES))
def test_twins_agree(kind, shape, size):
    rng = np.random.default_rng(3)
    x, dout = rng.normal(size=shape), rng.normal(size=(shape[0], *size, shape[3]))
    (forward, backward), (forward_reference, backward_reference) = _twins(kind)
    (out, cache), (expected, reference) = forward(x, size), forward_reference(x, size)
    assert_allclose(out, expected, atol=1e-13)
    assert_allclose(backward(dout, cache), backward_reference(dout, reference), atol=1e-13)


@KINDS
@pytest.mark.parametrize("size", [(7, 3), (2, 8), (1, 1)])
def test_gradients_at_every_index(rng, kind, size):
    forward, backward = _twins(kind)[0]
    assert_gradients(lambda x: forward(x, size), backward, rng.normal(size=(2, 3, 4, 2)))


@KINDS
@pytest.mark.parametrize("size", [(7, 3), (2, 8), (3, 4)])
def test_a_constant_stays_that_constant_to_the_bit(kind, size):
    for dtype in (np.float32, np.float64):
        x = np.full((1, 3, 4, 2), 0.1, dtype)
        assert_array_equal(_twins(kind)[0][0](x, size)[0], np.full((1, *size, 2), 0.1, dtype))


@KINDS
def test_the_same_size_is_the_same_image(rng, kind):
    x = rng.normal(size=(2, 3, 4, 2))
    assert_array_equal(_twins(kind)[0][0](x, (3, 4))[0], x)


def test_a_slope_stays_a_slope_between_the_outermost_centres():
    """Half-pixel centres: output j lies at (j + 1/2)*W/OW - 1/2 of the input, and its value there is the place."""
    for W, OW in [(4, 12), (5, 8), (8, 5), (6, 2)]:
        out, _ = ops.resize_bilinear_forward(np.arange(W, dtype=float).reshape(1, 1, W, 1), (1, OW))
        place = (np.arange(OW) + 0.5) * W / OW - 0.5
        assert_allclose(out.ravel(), place.clip(0, W - 1), atol=1e-12)


@pytest.mark.parametrize(
    "factor, line",
    [(1, [1]), (2, [1, 3, 3, 1]), (3, [1, 2, 3, 2, 1]), (4, [1, 3, 5, 7, 7, 5, 3, 1])],
)
def test_weights_of_the_bilinear_kernel(factor, line):
    line = np.array(line) / (factor if factor % 2 else 2 * factor)
    w = ops.bilinear_kernel(factor, 3, np.float64)
    assert_allclose(w, np.broadcast_to(np.outer(line, line)[..., None, None], (len(line), len(line), 1, 3)), atol=1e-15)


def test_nearest_takes_the_floor_of_the_exact_quotient():
    for W, OW in [(3, 7), (7, 3), (5, 5), (1, 4), (41, 69)]:
        out, _ = ops.resize_nearest_forward(np.arange(W, dtype=float).reshape(1, 1, W, 1), (1, OW))
        assert_array_equal(out.ravel(), [j * W // OW for j in range(OW)])


def test_an_integer_factor_repeats_pixels(rng):
    x = rng.normal(size=(2, 2, 3, 2))
    out, _ = ops.resize_nearest_forward(x, (4, 9))
    assert_array_equal(out, x.repeat(2, 1).repeat(3, 2))


@KINDS
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
