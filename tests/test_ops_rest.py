"""Scaling, joining, dropout, linear."""

import numpy as np
import pytest
from gradients import assert_gradients
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small


def test_scale_twins_agree_and_its_gradients_hold(rng):
    x, gate = rng.normal(size=(3, 2, 4, 5)), rng.normal(size=(3, 5))
    out, cache = ops.scale_forward(x, gate)
    assert_array_equal(out, ops.scale_forward_reference(x, gate)[0])
    dout = rng.normal(size=x.shape)
    for a, b in zip(ops.scale_backward(dout, cache), ops.scale_backward_reference(dout, cache), strict=True):
        assert_allclose(a, b, atol=1e-13)
    assert_gradients(ops.scale_forward, ops.scale_backward, x, gate)


def test_concat_and_its_backward_are_inverse(rng):
    xs = [rng.normal(size=(2, 3, 2, C)) for C in (1, 4, 2)]
    out, cache = ops.concat_forward(*xs)
    assert_array_equal(out, ops.concat_forward_reference(*xs)[0])
    for back, reference, x in zip(
        ops.concat_backward(out, cache), ops.concat_backward_reference(out, cache), xs, strict=True
    ):
        assert_array_equal(back, x)
        assert_array_equal(reference, x)
    assert_gradients(ops.concat_forward, ops.concat_backward, *xs)


def test_add_twins_agree_also_on_channel_slices_and_in_place(rng):
    a, whole = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 3, 2, 6))
    b = whole[..., 1:5]
    expected, _ = ops.add_forward_reference(a, b)
    assert_array_equal(ops.add_forward(a, b)[0], expected)
    assert_gradients(ops.add_forward, ops.add_backward, a, b)
    assert ops.add_forward_reference(a, b)[1] is ops.add_forward(a, b)[1] is None
    ops.add_forward(a, b, out=a)
    assert_array_equal(a, expected)


def test_joins_refuse_what_does_not_fit():
    a, b = np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 3, 3))
    with pytest.raises(ValueError, match=r"add: b must have shape \(1, 2, 2, 3\), got \(1, 2, 3, 3\)"):
        ops.add_forward(a, b)
    with pytest.raises(ValueError, match=r"concat: x1 must have shape \(1, 2, 2, 3\), got \(1, 2, 3, 3\)"):
        ops.concat_forward(a, b)
    with pytest.raises(ValueError, match="at least one"):
        ops.concat_forward()


def test_dropout_keeps_the_mean_and_its_backward_uses_the_same_mask():
    x = np.ones((200, 300))
    out, mask = ops.dropout_forward(x, 0.25, np.random.default_rng(0))
    assert set(np.unique(out)) == {0.0, 1 / 0.75}
    assert abs(out.mean() - 1) < 0.01
    assert_array_equal(ops.dropout_backward(x, mask), out)


def test_dropout_of_nothing_draws_nothing():
    rng = np.random.default_rng(0)
    x = np.ones(3)
    out, mask = ops.dropout_forward(x, 0, rng)
    assert_array_equal(out, x)
    assert rng.random() == np.random.default_rng(0).random()
    assert ops.dropout_backward(x, mask) is x
    with pytest.raises(ValueError, match="p=1 must satisfy 0 <= p < 1"):
        ops.dropout_forward(x, 1, rng)


def test_linear_gradients_hold_with_and_without_bias(rng):
    x, w, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
    assert_gradients(ops.linear_forward, ops.linear_backward, x, w, b)
    out, cache = ops.linear_forward(x, w)
    assert_allclose(out, ops.linear_forward_reference(x, w)[0], atol=1e-14)
    dx, dw, db = ops.linear_backward(out, cache)
    expected = ops.linear_backward_reference(out, (x, w, None))
    assert db is None is expected[2]
    assert_allclose(dx, expected[0], atol=1e-13)
    assert_allclose(dw, expected[1], atol=1e-13)
