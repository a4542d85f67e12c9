"""The exponential and the normal distribution of numbers and registers, against SciPy."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from minighost.engine import exponential
from minighost.engine.launch import OPTIONS
from minighost.engine.vectors import lanes, load, store

pytestmark = pytest.mark.small
exp, normal_cdf, normal_density = exponential.exp, exponential.normal_cdf, exponential.normal_density


@njit(**OPTIONS)
def _exp(x, out):
    for k in range(len(x)):
        out[k] = exp(x[k])


@njit(**OPTIONS)
def _exp_of_registers(x, out):
    for s in range(0, len(x), lanes(x)):
        store(out, s, exp(load(x, s)))


@njit(**OPTIONS)
def _cdf(x, out):
    for k in range(len(x)):
        out[k] = normal_cdf(x[k])


@njit(**OPTIONS)
def _density(x, out):
    for k in range(len(x)):
        out[k] = normal_density(x[k])


def _of(function, x):
    out = np.empty_like(x)
    function(x, out)
    return out


@pytest.mark.parametrize("dtype, ends", [(np.float32, (-87, 88)), (np.float64, (-708, 709))])
@pytest.mark.parametrize("function", [_exp, _exp_of_registers])
def test_exp_is_right_to_a_few_units_in_the_last_place(function, dtype, ends):
    x = np.linspace(*ends, 1 << 12, dtype=dtype)
    assert_allclose(_of(function, x), np.exp(x.astype(np.float64)), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", [_exp, _exp_of_registers])
def test_exp_ends_in_zero_infinity_and_nan(function, dtype):
    x = np.array([-np.inf, -1e30, -800, 0, 800, 1e30, np.inf, np.nan] * 4, dtype)
    assert_array_equal(_of(function, x), [0, 0, 0, 1, np.inf, np.inf, np.inf, np.nan] * 4)


@pytest.mark.parametrize("dtype, atol", [(np.float32, 2e-7), (np.float64, 1e-15)])
def test_the_normal_distribution_is_that_of_scipy(dtype, atol):
    x = np.linspace(-9, 9, 1 << 12, dtype=dtype)
    wide = x.astype(np.float64)
    assert_allclose(_of(_cdf, x), special.ndtr(wide), rtol=0, atol=atol)
    assert_allclose(_of(_density, x), np.exp(-(wide**2) / 2) / np.sqrt(2 * np.pi), rtol=0, atol=atol)
    assert_array_equal(_of(_cdf, np.array([-np.inf, np.inf, np.nan], dtype)), [0, 1, np.nan])


@pytest.mark.parametrize("terms, atol", [(exponential._TAIL, 1e-13), (exponential._SHORT_TAIL, 1e-7)])
def test_the_polynomials_are_those_that_the_text_describes(terms, atol):
    """Others, interpolated at Chebyshev's points in double precision, give the same numbers."""

    def scaled(u):
        t = (u + 1) / 2
        return special.erfcx(2 / t - 2) / t

    again = np.polynomial.chebyshev.cheb2poly(np.polynomial.chebyshev.chebinterpolate(scaled, len(terms) - 1))
    u = np.linspace(-0.99, 1, 500)
    assert_allclose(np.polyval(terms[::-1], u), np.polyval(again[::-1], u), rtol=0, atol=1e-13)
    assert_allclose(np.polyval(terms[::-1], u), scaled(u), rtol=0, atol=atol)
