"""Softmax cross-entropy: twins, gradients, masked classes, class weights, rows that are left out."""

import numpy as np
import pytest
from gradients import numeric_gradient
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small
TWINS = pytest.mark.parametrize("entropy", [ops.softmax_cross_entropy, ops.softmax_cross_entropy_reference])


@st.composite
def cases(draw):
    """Logits, labels and options; the first row always counts."""
    N, C = draw(st.integers(1, 5)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits, labels, options = rng.normal(0, 3, size=(N, C)), rng.integers(0, C, N), {}
    options["smoothing"] = draw(st.sampled_from([0.0, 0.1, 0.5]))
    if draw(st.booleans()):
        options["weight"] = rng.uniform(0.1, 3, C)
    if draw(st.booleans()):
        options["ignore_index"] = ignored = draw(st.sampled_from([-100, 0, C, 2**40]))
        labels[1:][rng.random(N - 1) < 0.5] = ignored
        labels[0] = 1
    return logits, labels, options


@given(cases())
def test_twins_agree(case):
    logits, labels, options = case
    loss, dlogits = ops.softmax_cross_entropy(logits, labels, **options)
    expected, dexpected = ops.softmax_cross_entropy_reference(logits, labels, **options)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(dlogits, dexpected, atol=1e-14)
    assert_allclose(dlogits.sum(1), 0, atol=1e-14)  # adding a constant to all logits changes nothing


@given(cases())
def test_gradient_at_every_index(case):
    logits, labels, options = case
    _, dlogits = ops.softmax_cross_entropy(logits, labels, **options)
    expected = numeric_gradient(lambda: ops.softmax_cross_entropy(logits, labels, **options)[0], logits)
    assert_allclose(dlogits, expected, atol=1e-8)


@given(cases())
def test_a_row_that_is_ignored_is_as_good_as_gone(case):
    logits, labels, options = case
    counted = labels != options.get("ignore_index")
    logits[~counted] = np.nan
    loss, dlogits = ops.softmax_cross_entropy(logits, labels, **options)
    options.pop("ignore_index", None)
    expected, dexpected = ops.softmax_cross_entropy(logits[counted], labels[counted], **options)
    assert_allclose(loss, expected, rtol=1e-13)
    assert_allclose(dlogits[counted], dexpected, rtol=1e-13)
    assert_array_equal(dlogits[~counted], 0)


def test_a_whole_weight_counts_a_row_so_many_times(rng):
    logits, labels, weight = rng.normal(size=(4, 3)), np.array([2, 0, 1, 2]), np.array([1, 0, 3])
    loss, dlogits = ops.softmax_cross_entropy(logits, labels, weight=weight)
    times = weight[labels]
    expected, repeated = ops.softmax_cross_entropy(np.repeat(logits, times, axis=0), np.repeat(labels, times))
    assert_allclose(loss, expected, rtol=1e-14)
    assert_allclose(dlogits[0], repeated[:3].sum(0), rtol=1e-12)


@TWINS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_masked_class_is_as_good_as_gone(rng, entropy, dtype):
    logits, labels = rng.normal(size=(5, 4)).astype(dtype), np.array([0, 1, 3, 3, 0])
    expected, dexpected = entropy(logits[:, [0, 1, 3]], np.array([0, 1, 2, 2, 0]))
    logits[:, 2] = -np.inf
    loss, dlogits = entropy(logits, labels)
    assert_allclose(loss, expected, rtol=1e-14)
    assert_allclose(dlogits[:, [0, 1, 3]], dexpected, rtol=4 * np.finfo(dtype).eps)
    assert_array_equal(dlogits[:, 2], 0)


@TWINS
@pytest.mark.parametrize(
    "logits, label, smoothing, loss, dlogits",
    [
        ([1, -np.inf, 1], 1, 0.0, np.inf, [0.5, -1, 0.5]),  # the label's own class is masked
        ([1, -np.inf, 1], 0, 0.3, np.inf, [-0.3, -0.1, 0.4]),  # every class has a share of the target
        ([-np.inf] * 3, 0, 0.0, np.nan, [np.nan] * 3),
        ([np.inf, 0, 0], 0, 0.0, np.nan, [np.nan] * 3),
        ([np.nan, 0, 0], 1, 0.0, np.nan, [np.nan] * 3),
    ],
)
def test_what_has_no_finite_loss_says_so_as_pytorch_does(entropy, logits, label, smoothing, loss, dlogits):
    found, gradient = entropy(np.array([logits], float), np.array([label]), smoothing)
    assert_array_equal(found, loss)
    assert_allclose(gradient, [dlogits], atol=1e-15)


@TWINS
def test_a_class_of_weight_zero_may_be_masked_under_smoothing(entropy):
    logits, weight = np.array([[1, -np.inf, 1]]), np.array([1.0, 0, 2])
    loss, dlogits = entropy(logits, np.array([0]), 0.3, weight)
    assert_allclose(loss, np.log(2), rtol=1e-14)
    assert_allclose(dlogits, [[-0.3, 0, 0.3]], rtol=1e-14)


@TWINS
@pytest.mark.parametrize("options", [{"ignore_index": 1}, {"weight": np.array([1.0, 0, 1])}])
def test_where_nothing_counts_the_loss_is_nan_and_the_gradient_zero(entropy, options):
    loss, dlogits = entropy(np.zeros((2, 3)), np.array([1, 1]), **options)
    assert np.isnan(loss)
    assert_array_equal(dlogits, np.zeros((2, 3)))


def test_uniform_logits_cost_log_K_and_huge_ones_do_not_overflow():
    assert_allclose(ops.softmax_cross_entropy(np.zeros((3, 10)), np.arange(3))[0], np.log(10))
    loss, dlogits = ops.softmax_cross_entropy(np.array([[1e4, -1e4]]), np.array([0]))
    assert loss == 0 and np.isfinite(dlogits).all()
    assert_allclose(ops.softmax(np.array([1e4, 1e4])), [0.5, 0.5])


def test_cross_entropy_names_what_is_wrong():
    logits = np.zeros((3, 4))
    for label in (-1, 4):
        with pytest.raises(IndexError, match=rf"labels\[1\]={label} is outside 0...3 \(4 classes\)"):
            ops.softmax_cross_entropy(logits, np.array([0, label, 0]))
    with pytest.raises(ValueError, match=r"3 integers, got shape \(3,\), dtype float64"):
        ops.softmax_cross_entropy(logits, np.zeros(3))
    with pytest.raises(ValueError, match=r"3 integers, got shape \(2,\)"):
        ops.softmax_cross_entropy(logits, np.zeros(2, int))
    with pytest.raises(ValueError, match="empty batch"):
        ops.softmax_cross_entropy(np.zeros((0, 4)), np.zeros(0, int))
    with pytest.raises(IndexError, match=r"labels\[1\]=-1 is outside 0...3 \(4 classes\)"):
        ops.softmax_cross_entropy(logits, np.array([-100, -1, 0]), ignore_index=-100)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"smoothing": 1}, ValueError, "smoothing must be >= 0 and < 1, got 1"),
        ({"smoothing": np.nan}, ValueError, "smoothing must be >= 0 and < 1, got nan"),
        ({"smoothing": "0.1"}, TypeError, "smoothing must be a number, got '0.1'"),
        (
            {"weight": [1.0, 2, 3]},
            ValueError,
            r"weight must be 4 numbers, one per class, got shape \(3,\), dtype float64",
        ),
        ({"weight": ["a"] * 4}, ValueError, "weight must be 4 numbers, one per class"),
        ({"weight": [1, 2, -1, 0]}, ValueError, r"weight\[2\]=-1 must be finite and >= 0"),
        ({"weight": [1, np.nan, 1, 0]}, ValueError, r"weight\[1\]=nan must be finite and >= 0"),
        ({"ignore_index": 1.5}, ValueError, "ignore_index=1.5 must be a whole number"),
        ({"ignore_index": "a"}, TypeError, "ignore_index='a' must be a whole number"),
    ],
)
def test_impossible_options_are_named(options, error, message):
    with pytest.raises(error, match=f"^softmax_cross_entropy: {message}"):
        ops.softmax_cross_entropy(np.zeros((3, 4)), np.zeros(3, int), **options)
