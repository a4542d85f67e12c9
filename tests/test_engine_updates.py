"""The kernels that visit each number of what is learnt once; their formulas are in `test_train_optim`."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from minighost.engine.launch import threads
from minighost.engine.updates import AdamWRates, adamw_update, average_update, sgd_update, sum_of_squares

RATES = AdamWRates(0.9, 0.1, 0.99, 0.01, 0.1, 0.5, 1e-8, 0.99)
UPDATES = {
    "sgd": lambda p, g, a, b: sgd_update(p, g, a, 0.1, 0.0, 0.01, False),
    "sgd, momentum": lambda p, g, a, b: sgd_update(p, g, a, 0.1, 0.9, 0.01, False),
    "sgd, Nesterov": lambda p, g, a, b: sgd_update(p, g, a, 0.1, 0.9, 0.01, True),
    "adamw": lambda p, g, a, b: adamw_update(p, g, a, b, RATES),
    "average": lambda p, g, a, b: average_update(a, g, 0.9),
    "average, from the other end": lambda p, g, a, b: average_update(a, g, 0.2),
}


def rows(size, dtype=np.float32):
    rng = np.random.default_rng(size)
    return [
        rng.normal(size=size).astype(dtype),
        rng.normal(size=size).astype(dtype),
        *rng.random((2, size)).astype(dtype),
    ]


@pytest.mark.parametrize("name", UPDATES)
def test_a_row_is_updated_as_its_pieces_are_on_any_number_of_threads(name):
    size, results = 70_001, []
    for count, pieces in ((1, 1), (min(2, numba.config.NUMBA_NUM_THREADS), 1), (1, 7)):
        arrays = rows(size)
        with threads(count):
            for k in range(pieces):
                piece = slice(k * size // pieces, (k + 1) * size // pieces)
                UPDATES[name](*(array[piece] for array in arrays))
        results.append(arrays)
    for other in results[1:]:
        for mine, expected in zip(other, results[0], strict=True):
            assert_array_equal(mine, expected)


@pytest.mark.small
@pytest.mark.parametrize("name", UPDATES)
def test_rows_of_different_lengths_are_refused(name):
    for at in (1, 2, 3) if name == "adamw" else (1, 2):
        arrays = rows(5)
        arrays[at] = arrays[at][:4].copy()
        before = [array.copy() for array in arrays]
        with pytest.raises(ValueError, match=r"_update: \w+ must have shape \([45],\), got \([45],\)"):
            UPDATES[name](*arrays)
        for array, old in zip(arrays, before, strict=True):
            assert_array_equal(array, old)


@pytest.mark.parametrize("size", [1, 31, 33, (1 << 14) - 1, 2 << 14, 70_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sum_of_squares_is_that_of_exact_arithmetic_on_any_number_of_threads(size, dtype):
    x, sums = rows(size, dtype)[0], set()
    for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        with threads(count):
            sums.add(sum_of_squares(x))
    exact = float((x.astype(np.longdouble) ** 2).sum())
    assert len(sums) == 1 and sums.pop() == pytest.approx(exact, rel=1e-13)
    x[-1] = np.nan
    assert np.isnan(sum_of_squares(x))


@pytest.mark.small
def test_squares_that_single_precision_cannot_hold_are_summed():
    assert sum_of_squares(np.array([3e30, 4e30], np.float32)) == pytest.approx(25e60, rel=1e-6)
    assert sum_of_squares(np.zeros(0, np.float32)) == 0
