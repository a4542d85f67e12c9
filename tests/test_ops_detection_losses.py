"""Focal loss and L1 loss: twins, gradients, extreme numbers, rows that do not count."""

import numpy as np
import pytest
from gradients import numeric_gradient
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost import ops

pytestmark = pytest.mark.small
FOCAL = pytest.mark.parametrize("focal", [ops.sigmoid_focal_loss, ops.sigmoid_focal_loss_reference])


@st.composite
def answers(draw, spread=3.0):
    """Logits, labels and options."""
    R, C = draw(st.integers(0, 6)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = {"alpha": draw(st.sampled_from([0.0, 0.25, 0.6, 1.0])), "gamma": draw(st.sampled_from([0, 0.5, 2, 3.0]))}
    return rng.normal(0, spread, (R, C)), rng.integers(-2, C, R), options


@given(answers())
def test_twins_of_the_focal_loss_agree(case):
    logits, labels, options = case
    loss, dlogits = ops.sigmoid_focal_loss(logits, labels, **options)
    expected, dexpected = ops.sigmoid_focal_loss_reference(logits, labels, **options)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(dlogits, dexpected, rtol=1e-12, atol=1e-16)


@given(answers())
def test_the_focal_loss_has_its_gradient_at_every_index(case):
    logits, labels, options = case
    _, dlogits = ops.sigmoid_focal_loss(logits, labels, **options)
    numeric = numeric_gradient(lambda: ops.sigmoid_focal_loss(logits, labels, **options)[0], logits)
    assert_allclose(dlogits, numeric, rtol=1e-6, atol=1e-8)


@given(answers())
def test_without_focus_it_is_half_the_cross_entropy_of_yes_and_no(case):
    logits, labels, _ = case
    loss, _ = ops.sigmoid_focal_loss(logits, labels, alpha=0.5, gamma=0)
    p = 1 / (1 + np.exp(-logits))
    yes = labels[:, None] == np.arange(logits.shape[1])
    nats = -np.log(np.where(yes, p, 1 - p))[labels > -2].sum()
    assert_allclose(loss, nats / 2 / max(1, (labels >= 0).sum()), rtol=1e-10)


@given(answers())
def test_a_row_that_does_not_count_is_as_good_as_gone(case):
    logits, labels, options = case
    logits[labels == -2] = np.nan
    loss, dlogits = ops.sigmoid_focal_loss(logits, labels, **options)
    expected, dexpected = ops.sigmoid_focal_loss(logits[labels != -2], labels[labels != -2], **options)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_array_equal(dlogits[labels != -2], dexpected)
    assert_array_equal(dlogits[labels == -2], 0)


@FOCAL
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_extreme_logits_keep_finite_losses_and_gradients(focal, gamma):
    logits = np.array([[100.0, -100.0]], np.float32)
    right, dright = focal(logits, np.array([0]), gamma=gamma)
    wrong, dwrong = focal(logits, np.array([1]), gamma=gamma)
    assert 0 <= right < 1e-40 and np.abs(dright).max() < 1e-40
    assert_allclose(wrong, 100.0, rtol=1e-6)  # alpha 0.25 of "yes" and 0.75 of "no", 100 nats each
    assert_allclose(dwrong, [[0.75, -0.25]], rtol=1e-6)


def test_infinite_logits_have_the_limits_of_large_ones():
    logits = np.array([[np.inf, -np.inf]])
    right, wrong = (ops.sigmoid_focal_loss(logits, np.array([label])) for label in (0, 1))
    assert right[0] == 0 and wrong[0] == np.inf
    assert_array_equal(right[1], [[0, 0]])
    assert_array_equal(wrong[1], [[0.75, -0.25]])
    assert np.isnan(ops.sigmoid_focal_loss(np.array([[np.nan]]), np.array([0]))[0])


@FOCAL
def test_an_easy_answer_costs_a_ten_thousandth(focal):
    logits, none = np.log([[0.01 / 0.99]]), np.array([-1])
    plain, focused = (focal(logits, none, gamma=gamma)[0] for gamma in (0, 2))
    assert_allclose(focused, plain * 1e-4, rtol=1e-10)


@FOCAL
def test_rows_without_a_class_do_not_change_what_the_loss_is_divided_by(focal):
    logits = np.zeros((6, 2))
    losses = [focal(logits, np.array(labels))[0] for labels in ([-1] * 6, [1] + [-1] * 5, [1, 0] + [-1] * 4)]
    no, yes = 0.75 * 0.25 * np.log(2), 0.25 * 0.25 * np.log(2)
    assert_allclose(losses, [12 * no, 11 * no + yes, (10 * no + 2 * yes) / 2])


def test_many_rows_are_summed_as_few(rng):
    logits, labels = rng.normal(size=(700, 2)), rng.integers(-2, 2, 700)
    loss, dlogits = ops.sigmoid_focal_loss(logits.astype(np.float32), labels.astype(np.int32))
    expected, dexpected = ops.sigmoid_focal_loss_reference(logits.astype(np.float32), labels)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(dlogits, dexpected, rtol=1e-6)
    assert dlogits.dtype == np.float32


@st.composite
def distances(draw):
    R, C = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.normal(size=(R, C)), rng.normal(size=(R, C)), draw(st.sampled_from([0, 0.1, 1.0, 5]))


@given(distances())
def test_the_l1_loss_is_its_twin_and_has_its_gradient(case):
    x, target, beta = case
    loss, dx = ops.l1_loss(x, target, beta)
    expected, dexpected = ops.l1_loss_reference(x, target, beta)
    assert_allclose(loss, expected, rtol=1e-12)
    assert_allclose(dx, dexpected, rtol=1e-12)
    assert_allclose(dx, numeric_gradient(lambda: ops.l1_loss(x, target, beta)[0], x), atol=1e-7)


@given(distances())
def test_a_distance_counts_whatever_its_sign_and_nothing_at_zero(case):
    x, target, beta = case
    there, back = ops.l1_loss(x, target, beta), ops.l1_loss(target, x, beta)
    assert there[0] == back[0]
    assert_array_equal(there[1], -back[1])
    at, dat = ops.l1_loss(x, x, beta)
    assert at == 0 and not dat.any()


def test_the_smooth_l1_loss_meets_the_plain_one_half_a_beta_lower():
    x, zero = np.array([[0.5], [3.0]]), np.zeros((2, 1))
    assert ops.l1_loss(x, zero)[0] == 3.5 / 2
    assert ops.l1_loss(x, zero, beta=1.0)[0] == (0.125 + 2.5) / 2
    assert_array_equal(ops.l1_loss(x, zero, beta=1.0)[1], [[0.25], [0.5]])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda x: ops.sigmoid_focal_loss(x, np.zeros(2, int)),
            ValueError,
            r"labels must be 3 integers, got shape \(2",
        ),
        (lambda x: ops.sigmoid_focal_loss(x, np.zeros(3)), ValueError, r"labels must be 3 integers, got .* float64"),
        (lambda x: ops.sigmoid_focal_loss(x, np.array([0, 4, 0])), IndexError, r"labels\[1\]=4 must be a class from 0"),
        (
            lambda x: ops.sigmoid_focal_loss(x, np.array([0, 0, -3])),
            IndexError,
            r"labels\[2\]=-3 must be .* -1 for non",
        ),
        (
            lambda x: ops.sigmoid_focal_loss(x, np.zeros(3, int), 1.5),
            ValueError,
            "alpha must be >= 0 and <= 1, got 1.5",
        ),
        (lambda x: ops.sigmoid_focal_loss(x, np.zeros(3, int), 0.5, -1), ValueError, "gamma must be finite and >= 0"),
        (lambda x: ops.sigmoid_focal_loss(x.astype(int), np.zeros(3, int)), TypeError, "logits must be float32 or"),
        (lambda x: ops.l1_loss(x, x[:2]), ValueError, r"target must have shape \(3, 4\), got \(2, 4\)"),
        (lambda x: ops.l1_loss(x, x.astype(np.float32)), TypeError, "all arrays must have one dtype"),
        (lambda x: ops.l1_loss(x, x, -0.1), ValueError, "beta must be finite and >= 0, got -0.1"),
    ],
)
def test_what_does_not_fit_is_named(call, error, message):
    with pytest.raises(error, match=f"^(sigmoid_focal_loss|l1_loss): {message}"):
        call(np.ones((3, 4)))
