"""The gradient checker where a forward leaves its domain, bends sharply, jumps or has a corner."""

import math

import numpy as np
import pytest
from gradients import assert_gradients
from hypothesis import given
from hypothesis import strategies as st

from minighost import ops
from minighost.gradcheck import GradientError, check

pytestmark = pytest.mark.small

CLASSES = np.arange(3), [0, 1, 0]


def likelihood(p):
    return -np.log(p[CLASSES])


def likelihood_backward(dout, p):
    dp = np.zeros_like(p)
    dp[CLASSES] = -dout / p[CLASSES]
    return dp


def plain_log(x):
    return np.array([math.log(v) for v in x.tolist()])  # raises where NumPy gives NaN


INSIDE = np.array([0.2, 0.5, 0.9])
DOMAINS = {
    "log": (np.log, lambda d, x: d / x, INSIDE),
    "log close to 0": (np.log, lambda d, x: d / x, np.array([1e-12, 1e-5, 0.5, 1e6])),
    "log that raises": (plain_log, lambda d, x: d / x, np.array([1e-9, 0.5, 0.9])),
    "log of many": (np.log, lambda d, x: d / x, np.random.default_rng(0).uniform(1e-6, 1, (30, 40))),
    "sqrt": (np.sqrt, lambda d, x: d / (2 * np.sqrt(x)), np.array([1e-12, 1e-4, 0.5])),
    "x**1.5": (lambda x: x**1.5, lambda d, x: 1.5 * d * np.sqrt(x), np.array([1e-9, 1e-3, 0.5])),
    "arcsin": (np.arcsin, lambda d, x: d / np.sqrt(1 - x * x), np.array([-0.999999, 0.1, 0.9999999])),
    "negative log-likelihood": (likelihood, likelihood_backward, np.array([[0.9, 0.1], [0.3, 0.7], [1e-3, 0.999]])),
    "1 / (1 - x)": (lambda x: 1 / (1 - x), lambda d, x: d / (1 - x) ** 2, np.array([0.999999, 0.5, 0.2])),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_steps_stay_inside_the_domain(name):
    forward, backward, x = DOMAINS[name]
    [finding] = check((forward, backward), x).findings
    assert np.isfinite(finding.error) and finding.error < 1e-8 and finding.kinks == 0


@pytest.mark.parametrize("name", DOMAINS)
def test_a_wrong_backward_is_refused_at_the_edge_of_a_domain(name):
    forward, backward, x = DOMAINS[name]
    for wrong in (
        lambda d, x: 17 * np.resize(d, x.shape),
        lambda d, x: 0 * x,
        lambda d, x: -backward(d, x),
        lambda d, x: 1.00001 * backward(d, x),
    ):
        with pytest.raises(GradientError, match="is wrong at"):
            check((forward, wrong), x)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_at_the_edge_itself_the_slope_from_inside_counts(edge):
    x, sign = np.array([edge, 0.3, 0.5]), 1 - 2 * edge

    def forward(x):
        return (sign * (x - edge)) ** 1.5

    def backward(dout, x):
        return dout * 1.5 * sign * np.sqrt(sign * (x - edge))

    assert check((forward, backward), x).findings[0].kinks == 0
    for index in range(3):
        with pytest.raises(GradientError, match=rf"first wrong: x\[{index}\]"):
            check((forward, lambda d, x, index=index: backward(d, x) + d * (np.arange(3) == index)), x)


# Curvature -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("small", [1e-3, 1e-4, 1e-5, 1e-8, 1e-30])
def test_strong_curvature_is_not_a_kink(small):
    def backward(dout, x):
        return -dout / x**2

    for x in (np.array([small, 1.0, 2.0]), small * np.array([1.0, 2.0, -3.0])):
        assert check((lambda x: 1 / x, backward), x).findings[0].kinks == 0
        with pytest.raises(GradientError, match=r"first wrong: x\[0\]"):
            check((lambda x: 1 / x, lambda d, x: backward(d, x) * np.array([1.0001, 1, 1])), x)


POWERS = {
    "1/x": (lambda x: 1 / x, lambda d, x: -d / x**2),
    "x**2": (np.square, lambda d, x: 2 * d * x),
    "log": (np.log, lambda d, x: d / x),
    "x**1.5": (lambda x: x**1.5, lambda d, x: 1.5 * d * np.sqrt(x)),
    "without complex numbers": (lambda x: 1 / np.real(x), lambda d, x: -d / x**2),
}


@given(name=st.sampled_from(list(POWERS)), power=st.integers(-60, 60), seed=st.integers(0, 99), index=st.integers(0, 3))
def test_steps_follow_the_size_of_the_input(name, power, seed, index):
    (forward, backward), x = POWERS[name], np.random.default_rng(seed).uniform(0.5, 2, 4) * 10.0**power
    check((forward, backward), x, seed=seed)
    with pytest.raises(GradientError, match=rf"at 1 of 4 places .*\n?first wrong: x\[{index}\]"):
        check((forward, lambda d, x: backward(d, x) * np.where(np.arange(4) == index, 1.0001, 1)), x, seed=seed)


def test_a_wrong_slope_beside_a_much_steeper_one_is_refused():
    """1/x has slopes of 1e10 and of 0.25 here; a share of the largest would let anything through at the other."""
    with pytest.raises(GradientError, match=r"first wrong: x\[1\]") as error:
        check((lambda x: 1 / x, lambda d, x: -d / x**2 * np.array([1, 1.01])), np.array([1e-5, 2.0]))
    assert "constant factor" not in str(error.value), "nothing is off by the same factor everywhere"


def test_a_small_slope_on_top_of_a_large_number_is_measured_with_longer_steps():
    def forward(x):
        return 1e6 + np.sin(np.real(x))

    check((forward, lambda d, x: d * np.cos(x)), INSIDE)
    with pytest.raises(GradientError, match="is wrong at 3 of 3"):
        check((forward, lambda d, x: 1.01 * d * np.cos(x)), INSIDE)


# What cannot be measured ---------------------------------------------------------------------------------------

NOWHERE = {
    "the root of 0": (np.sqrt, np.array([0.0, 0.25, 0.5])),
    "the cube root of 0": (np.cbrt, np.array([0.0, 0.25, 0.5])),
    "the root of |x| at 0": (lambda x: np.sqrt(np.abs(x)), np.array([0.0, 0.25, 0.5])),
    "a jump": (np.floor, np.array([1.0, 0.5, 2.7])),
    "a point": (lambda x: np.where(x == 1, x, np.nan) + 0 * x, np.array([1.0, 1.0, 1.0])),
    "rounding": (lambda x: 1e14 + np.sin(np.real(x)), INSIDE),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_slope_that_cannot_be_measured_is_never_a_pass(name):
    forward, x = NOWHERE[name]
    for backward in (lambda d, x: 0 * d, lambda d, x: d, lambda d, x: 17 * d, lambda d, x: 0.5 * d / np.sqrt(x + 1e-9)):
        match = r"numerical gradients of x cannot be measured, the first at x\[0\]: .*give inputs"
        with pytest.raises(GradientError, match=match):
            check((forward, backward), x)


def test_what_cannot_be_measured_together_is_measured_one_by_one():
    """Moved together, some array leaves its domain on either side; moved alone, it has a slope on one."""
    rng = np.random.default_rng(0)
    inputs = [*rng.normal(size=(11, 20, 25)), np.array([0.0, 0, 0, 0, 0, 0.1, 0.2])]

    def forward(*inputs):
        return np.sin(np.array(inputs[:-1])).sum() + (inputs[-1] ** 1.5).sum()

    def backward(dout, *inputs):
        return *(dout * np.cos(x) for x in inputs[:-1]), dout * 1.5 * np.sqrt(inputs[-1])

    assert len(check((forward, backward), inputs).findings) == 12
    with pytest.raises(GradientError, match="the gradient of input 11 is wrong at 2 of 7 places"):
        check((forward, lambda d, *xs: (*backward(d, *xs)[:-1], 2 * backward(d, *xs)[-1])), inputs)


def test_a_backward_that_is_nan_for_another_upstream_gradient_is_refused():
    first = []

    def backward(dout, x):
        first.append(dout[0])
        return 2 * dout * x * (1 if dout[0] == first[0] else np.nan)

    with pytest.raises(GradientError, match="not proportional to dout"):
        check((np.square, backward), INSIDE)


def test_a_forward_whose_shape_depends_on_the_numbers_is_refused():
    with pytest.raises(GradientError, match=r"forward returned \(3,\), and \(\d,\) of float64 when an input moved"):
        check((lambda x: x[x >= 0.2], lambda d, x: d), INSIDE)


# Corners -------------------------------------------------------------------------------------------------------

CORNERS = {
    "relu": ("relu", {}, [0.0, 1e-12, -1e-12, 1.0, -2.0], [0]),
    "relu6": ("relu6", {}, [0.0, 6.0, 6 + 1e-9, 1.0, -2.0, 5.0, 4.0, 3.0, 2.0, 7.0], [0, 1]),
    "hard sigmoid": ("hard_sigmoid", {}, [-3.0, 3.0, 2.99999, 1.0, -2.0, 5.0, 0.0, 0.5, 0.1, -4.0], [0, 1]),
    "max pool": ("max_pool", {"kernel_size": (1, 2)}, [1.0, 1.0, 2.0, 3.0, 5.0, 4.0, 1e-9, 0.0, 1.0, 2.0], [0, 1]),
}


def corner(name):
    """Forward, backward, input and the indices that lie on a corner."""
    operation, options, numbers, corners = CORNERS[name]
    forward, backward = (getattr(ops, f"{operation}_{way}_reference") for way in ("forward", "backward"))
    return lambda x: forward(x, **options), backward, np.array(numbers).reshape(1, 1, -1, 1), corners


@pytest.mark.parametrize("name", CORNERS)
def test_corners_are_found_and_no_others(name):
    forward, backward, x, corners = corner(name)
    assert check((forward, backward), x).findings[0].kinks == len(corners)


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("off", [1.5, -1.5, 1e-4])
def test_a_wrong_backward_is_refused_at_and_beside_a_corner(name, off):
    forward, backward, x, corners = corner(name)
    for index in range(x.size):
        if index in corners and abs(off) < 1:
            continue  # between the slopes to the left and to the right any is right

        def wrong(dout, cache, index=index):
            dx = np.array(backward(dout, cache))
            dx[0, 0, index, 0] += off * dout[0, 0, index * dout.shape[2] // x.size, 0]
            return dx

        with pytest.raises(GradientError, match=rf"at 1 of {x.size} places .*\n?first wrong: x\[0, 0, {index}, 0\]"):
            check((forward, wrong), x)


def test_the_differences_of_the_other_tests_take_no_nan_for_equal():
    with np.errstate(invalid="ignore"), pytest.raises(AssertionError, match="input 0"):
        assert_gradients(lambda x: (np.log(x), None), lambda dout, cache: dout * np.nan, -INSIDE)
