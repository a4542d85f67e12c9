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
def cases(draw, name="max_pool"):
    KH, KW = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows, columns = st.integers(0, KH // 2), st.integers(0, KW // 2)
    options = {
        "kernel_size": (KH, KW),
        "stride": draw(st.sampled_from([None, 1, 2, (3, 1)])),
        "padding": draw(st.one_of(st.tuples(rows, columns), st.tuples(*map(_twice, (rows, columns))), st.just("same"))),
        "ceil_mode": draw(st.booleans()),
        **({"count_include_pad": draw(st.booleans())} if name == "avg_pool" else {}),
    }
    shape = draw(st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(3, 8), st.integers(1, 4)))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape), options


def _twice(numbers):
    return st.tuples(numbers, numbers)


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@given(st.data())
def test_twins_agree(name, data):
    x, options = data.draw(cases(name))
    out, cache = getattr(ops, f"{name}_forward")(x, **options)
    expected, reference = getattr(ops, f"{name}_forward_reference")(x, **options)
    assert_allclose(out, expected, atol=1e-14)
    dout = np.random.default_rng(1).normal(size=out.shape)
    dx = getattr(ops, f"{name}_backward")(dout, cache)
    assert_allclose(dx, getattr(ops, f"{name}_backward_reference")(dout, reference), atol=1e-14)


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize(
    "options",
    [(2,), (3, 2, 1), ((2, 3), (1, 2), (1, 0)), (3, 2, 0, True), (3, 3, ((0, 1), (1, 0)), True), (3, 2, "same")],
)
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


@pytest.mark.parametrize(
    "size, kernel, stride, padding, floor, ceil",
    [
        (6, 3, 2, 0, 2, 3),
        (7, 3, 2, 0, 3, 3),
        (5, 2, 3, 0, 2, 2),  # one more would begin at 6, beyond the end
        (4, 2, 3, 1, 2, 2),  # one more would begin at 5, in the padding after the end
        (3, 2, 3, 1, 2, 2),
        (2, 3, 2, 0, None, 1),  # narrower than the kernel, as PyTorch has it
    ],
)
def test_in_ceil_mode_a_window_that_begins_in_the_image_counts(size, kernel, stride, padding, floor, ceil):
    x = np.zeros((1, size, size, 1))
    assert ops.max_pool_forward(x, kernel, stride, padding, True)[0].shape[1:3] == (ceil, ceil)
    if floor is None:
        with pytest.raises(ValueError, match="more than the padded input has: 2x2"):
            ops.max_pool_forward(x, kernel, stride, padding)
    else:
        assert ops.max_pool_forward(x, kernel, stride, padding)[0].shape[1:3] == (floor, floor)


def test_what_counts_in_a_mean():
    """Of a plane of ones it is the share of the window that is no padding; what is beyond the padding never counts."""
    x = np.ones((1, 4, 4, 1))
    mean = lambda **options: ops.avg_pool_forward(x, 3, 2, 1, **options)[0][0, :, 0, 0]  # noqa: E731
    assert_allclose(mean(), [4 / 9, 6 / 9])
    assert_allclose(mean(ceil_mode=True), [4 / 9, 6 / 9, 2 / 6])  # the last window: 2 lines of 3, one of them padding
    assert_allclose(mean(ceil_mode=True, count_include_pad=False), [1, 1, 1])


@pytest.mark.parametrize("name, fill", [("max_pool", -np.inf), ("avg_pool", 0.0)])
@pytest.mark.parametrize("padding, kernel", [(((0, 1), (1, 0)), 3), (((1, 0), (0, 1)), 2), ("same", 4)])
def test_padding_on_one_side_is_that_of_a_padded_plane(rng, name, fill, padding, kernel):
    x, pool = rng.normal(size=(2, 6, 7, 2)), getattr(ops, f"{name}_forward")
    pads = ((1, 1), (1, 2)) if padding == "same" else padding  # of 6x7 in steps of 2 with a kernel of 4
    expected = pool(np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill), kernel, 2)[0]
    assert_allclose(pool(x, kernel, 2, padding)[0], expected, atol=1e-15)


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
