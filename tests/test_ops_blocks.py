"""Depth, space and batch: permutations of numbers, and the convolutions that they make of others."""

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from views import few

from minighost import ops

pytestmark = pytest.mark.small
SIDES = st.integers(1, 3)
ORDERS = pytest.mark.parametrize("order", ["DCR", "CRD"])


@ORDERS
@few
@given(st.tuples(st.integers(0, 2), SIDES, SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_depth_to_space_twins_agree_and_space_to_depth_is_the_inverse(order, shape, block):
    N, H, W, C = shape
    x = np.random.default_rng(3).normal(size=(N, H, W, block[0] * block[1] * C))
    space, cache = ops.depth_to_space_forward(x, block, order)
    assert_array_equal(space, ops.depth_to_space_forward_reference(x, block, order)[0])
    back, back_cache = ops.space_to_depth_forward(space, block, order)
    assert_array_equal(back, x)
    assert_array_equal(ops.space_to_depth_forward_reference(space, block, order)[0], x)
    for suffix in ("", "_reference"):
        assert_array_equal(getattr(ops, f"depth_to_space_backward{suffix}")(space, cache), x)
        assert_array_equal(getattr(ops, f"space_to_depth_backward{suffix}")(x, back_cache), space)


@pytest.mark.parametrize(
    "order, number", [("DCR", lambda u, v, c: (u * 2 + v) * 4 + c), ("CRD", lambda u, v, c: (c * 3 + u) * 2 + v)]
)
def test_which_channel_goes_where(order, number):
    out, _ = ops.depth_to_space_forward(np.arange(24.0).reshape(1, 1, 1, 24), (3, 2), order)
    for u, v, c in np.ndindex(3, 2, 4):
        assert out[0, u, v, c] == number(u, v, c)


def test_the_two_orders_are_equal_for_one_channel_only(rng):
    for OC in (1, 2):
        x = rng.normal(size=(2, 3, 2, 6 * OC))
        both = [ops.depth_to_space_forward(x, (2, 3), order)[0] for order in ("DCR", "CRD")]
        assert np.array_equal(*both) == (OC == 1)


@few
@given(st.tuples(st.integers(0, 2), SIDES, SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_space_to_batch_twins_agree_and_batch_to_space_is_the_inverse(shape, block):
    N, H, W, C = shape
    x = np.random.default_rng(3).normal(size=(N, H * block[0], W * block[1], C))
    images, cache = ops.space_to_batch_forward(x, block)
    assert_array_equal(images, ops.space_to_batch_forward_reference(x, block)[0])
    back, back_cache = ops.batch_to_space_forward(images, block)
    assert_array_equal(back, x)
    assert_array_equal(ops.batch_to_space_forward_reference(images, block)[0], x)
    for suffix in ("", "_reference"):
        assert_array_equal(getattr(ops, f"space_to_batch_backward{suffix}")(images, cache), x)
        assert_array_equal(getattr(ops, f"batch_to_space_backward{suffix}")(x, back_cache), images)


def test_gradients_at_every_index(rng):
    x = rng.normal(size=(2, 2, 3, 6))
    for order in ("DCR", "CRD"):
        assert_gradients(lambda x, o=order: ops.depth_to_space_forward(x, (3, 1), o), ops.depth_to_space_backward, x)
        assert_gradients(lambda x, o=order: ops.space_to_depth_forward(x, (2, 3), o), ops.space_to_depth_backward, x)
    assert_gradients(lambda x: ops.space_to_batch_forward(x, (2, 3)), ops.space_to_batch_backward, x)
    assert_gradients(lambda x: ops.batch_to_space_forward(x, (2, 1)), ops.batch_to_space_backward, x)


@few
@given(st.data())
def test_a_dilated_convolution_is_an_ordinary_one_of_space_to_batch(data):
    """Not square, and not a multiple of the dilation either."""
    (KH, KW), D, P = (data.draw(st.tuples(a, a)) for a in (SIDES, st.integers(1, 4), st.integers(0, 3)))
    H, W = (data.draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 11)) for k, d, p in zip((KH, KW), D, P, strict=True))
    rng, groups = np.random.default_rng(4), data.draw(st.sampled_from([1, 2]))
    x, w, b = rng.normal(size=(2, H, W, 4)), rng.normal(size=(KH, KW, 4 // groups, 2)), rng.normal(size=2)
    expected, _ = ops.conv2d_forward(x, w, b, 1, P, D, groups)
    out = ops.conv2d_by_space_to_batch(x, w, b, P, D, groups)
    assert_allclose(out, expected, atol=1e-12, strict=True)


BAD = [
    ("depth_to_space", (1, 2, 2, 6), {"block": 2}, r"block=2 must divide the channels into 4 parts, .* \(6 % 4 = 2\)"),
    (
        "space_to_depth",
        (1, 4, 5, 6),
        {"block": 2},
        r"block=2 must divide the plane, .* 4x5 pixels .*, 5 % 2 = 1\); pad or",
    ),
    (
        "depth_to_space",
        (1, 2, 2, 4),
        {"block": 2, "order": "dcr"},
        r"order='dcr' must be \"DCR\" \(TensorFlow, ONNX\) or",
    ),
    ("space_to_depth", (1, 2, 2, 4), {"block": 0}, "block=0 must be at least 1"),
    ("space_to_batch", (1, 3, 4, 1), {"block": 2}, r"block=2 must divide the plane, .* 3x4 pixels \(3 % 2 = 1, 4 % 2"),
    ("batch_to_space", (5, 2, 2, 1), {"block": 2}, r"block=2 makes one image of 4, but x has 5 \(5 % 4 = 1\)"),
]


@pytest.mark.parametrize("name, shape, options, message", BAD)
def test_what_does_not_fit_is_refused(name, shape, options, message):
    for suffix in ("", "_reference"):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            getattr(ops, f"{name}_forward{suffix}")(np.zeros(shape), **options)
