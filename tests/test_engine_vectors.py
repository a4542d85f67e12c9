"""Registers of numbers: what is compiled computes what NumPy does, for whole registers and for the end of a line."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from minighost.engine import vectors
from minighost.engine.launch import kernel
from minighost.engine.vectors import fill, lanes, load, load_part, store, store_part, total, where

pytestmark = pytest.mark.small


@kernel
def _clipped_products(work, x, y, low, out, sums):
    """out = max(x*y - x/2, low), and of each register the sum of what is above low."""
    half, floor, zero = fill(x, 0.5), fill(x, low), fill(x, 0)
    for k in range(0, len(x), lanes(x)):
        n = len(x) - k
        a = load_part(x, k, n)
        v = a * load_part(y, k, n) - a * half
        store_part(out, k, n, where(v <= floor, floor, v))
        sums[k // lanes(x)] = total(where(v > floor, v, zero))


@kernel
def _whole(work, x, y, out):
    for k in range(0, len(x), lanes(x)):
        store(out, k, load(x, k) / load(y, k) + load(y, k))


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.sampled_from([np.float32, np.float64]))
def test_registers_compute_what_numpy_does(seed, n, dtype):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n)).astype(dtype)
    count = vectors.BYTES // x.itemsize
    out, sums = np.full(n + 8, 7, dtype), np.zeros(-(-n // count), dtype)
    _clipped_products(x, y, dtype(0.25), out[:n], sums)
    v = x * y - x / 2
    assert_allclose(out[:n], np.maximum(v, dtype(0.25)), rtol=1e-5, atol=1e-6)
    assert_array_equal(out[n:], 7)  # nothing is written after the end
    above = np.where(v > 0.25, v, 0)
    parts = [above[k : k + count].sum() for k in range(0, n, count)]
    assert_allclose(sums, parts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_registers_are_loaded_and_stored_where_they_lie(rng, dtype):
    n = 3 * vectors.BYTES // np.dtype(dtype).itemsize
    x, y = rng.uniform(1, 2, size=(2, n + 1)).astype(dtype)
    for first in (0, 1):  # a register need not be aligned
        out = np.zeros(n + 1, dtype)
        _whole(x[first : first + n], y[first : first + n], out[first : first + n])
        expected = x[first : first + n] / y[first : first + n] + y[first : first + n]
        assert_allclose(out[first : first + n], expected, rtol=1e-6)
        assert out[n if first == 0 else 0] == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_never_below_a_limit(dtype):
    x = np.array([np.nan, 3, -3], dtype)
    out, sums = np.zeros(3, dtype), np.zeros(3, dtype)
    _clipped_products(x, np.ones(3, dtype), dtype(0), out, sums)
    assert_array_equal(out, [np.nan, 1.5, 0])


def test_a_register_is_as_wide_as_the_environment_says():
    script = "from minighost.engine import vectors; import numpy as np; print(vectors.width(np.float32))"
    for size, numbers in ((16, 4), (32, 8)):
        environment = {**os.environ, "MINIGHOST_VECTOR_BYTES": str(size)}
        command = [sys.executable, "-c", script]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert run.stdout == f"{numbers}\n"
